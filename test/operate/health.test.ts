/** The health endpoints on real sockets, and the hours that the source will soon forget. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pino } from 'pino';
import { healthOf } from '../../src/commands/health.ts';
import { loadConfig } from '../../src/config/config.ts';
import { EXIT } from '../../src/kernel/errors.ts';
import { startHealthServer } from '../../src/operate/server.ts';
import { watchTraffic } from '../../src/operate/traffic.ts';
import { tableDeadlines } from '../../src/pipeline/deadlines.ts';
import { systemRuntime } from '../../src/kernel/runtime.ts';
import { writeLake } from '../support/lake.ts';
import { openStage } from '../support/shell.ts';
import { CAMPAIGN } from '../support/campaign.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'insights-health-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const MINUTE = 60_000;
const clockAt = (ms: number) => ({ now: () => ms, monotonic: () => ms });

describe('/healthz', () => {
  it('is ok while the loop waits for its slot, and not when that slot is long past', () => {
    const step = { kind: 'waiting', untilMs: 100 * MINUTE } as const;
    expect([90, 110, 116].map((at) => healthOf(step, clockAt(at * MINUTE), MINUTE).ok)).toEqual([true, true, false]);
  });

  it('is not ok when a run takes longer than allowed', () => {
    const step = { kind: 'running', sinceMonotonicMs: 0 } as const;
    expect([59, 61].map((at) => healthOf(step, clockAt(at * MINUTE), 60 * MINUTE).ok)).toEqual([true, false]);
  });

  it('stays ok after a failed run, which is no reason to restart the process', () => {
    expect(healthOf({ kind: 'ended', exitCode: EXIT.source }, clockAt(0), MINUTE)).toEqual({
      ok: true,
      detail: 'a run ended with exit code 4',
    });
  });
});

describe('the server', () => {
  it('answers its three paths, other paths with 404, other methods with 405, and errors without their text', async () => {
    await using server = await startHealthServer('127.0.0.1', 0, {
      healthy: () => ({ ok: true, detail: 'waiting' }),
      ready: async () => ({ ok: false, detail: 'nothing is published yet' }),
      metrics: async () => Promise.reject(new Error('row content')),
    });
    const ask = async (path: string, method = 'GET'): Promise<string> => {
      const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
      return `${answer.status} ${await answer.text()}`;
    };
    expect(await ask('/healthz')).toBe('200 ok: waiting\n');
    expect(await ask('/healthz?x=1', 'HEAD')).toBe('200 ');
    expect(await ask('/readyz')).toBe('503 not ok: nothing is published yet\n');
    expect(await ask('/metrics')).toBe('500 error\n');
    expect(await ask('/etc/passwd')).toMatch(/^404 /);
    expect(await ask('/healthz', 'POST')).toMatch(/^405 /);
  });

  it('a port in use is reported with the key to change', async () => {
    const answers = {
      healthy: () => ({ ok: true, detail: '' }),
      ready: async () => ({ ok: true, detail: '' }),
      metrics: async () => '',
    };
    await using server = await startHealthServer('127.0.0.1', 0, answers);
    await expect(startHealthServer('127.0.0.1', server.port, answers)).rejects.toMatchObject({
      failure: 'config',
      where: { key: 'health.port' },
    });
  });

  it('serves while `schedule` waits and stops when it ends', async () => {
    await using stage = await openStage();
    const env = { INSIGHTS_TENANT: 'demo', INSIGHTS_API_KEY: 'k', INSIGHTS_HEALTH_PORT: '0' };
    const ended = stage.run(['schedule', '--log-format', 'json'], env);
    // The moment when the command starts to listen for signals is not visible from here.
    const signals = setInterval(() => stage.signal('SIGTERM'), 20);
    const { code, err } = await ended.finally(() => clearInterval(signals));
    expect(code).toBe(EXIT.ok);
    expect(err).toContain('"event":"health.listen","host":"127.0.0.1","port":');
    const port = /"port":(\d+)/.exec(err)?.[1];
    await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow('fetch failed');
  });
});

describe('hours at risk', () => {
  const config = () =>
    loadConfig({ file: false, env: {}, cwd: folder, flags: { values: { dataDir: folder }, names: {} } });
  const deadlines = async (now: string) =>
    tableDeadlines(config(), { ...systemRuntime(pino({ level: 'silent' })), now: () => Date.parse(now) });
  /** Every hour of a range, one a line. */
  const hours = (from: string, to: string, state: string): string => {
    const lines: string[] = [];
    for (let at = Date.parse(from); at < Date.parse(to); at += 3_600_000)
      lines.push(`${new Date(at).toISOString()} | ${state} | logs`);
    return lines.join('\n');
  };

  it(
    'are unverified hours of tables with a retention that the source forgets within three days',
    CAMPAIGN,
    async () => {
      await writeLake(folder, {
        coverage: [
          hours('2026-09-16T00:00:00Z', '2026-09-17T20:00:00Z', 'verified'),
          hours('2026-09-17T20:00:00Z', '2026-09-17T21:00:00Z', 'partial'),
          hours('2026-09-17T21:00:00Z', '2026-09-18T20:00:00Z', 'verified'),
          hours('2026-09-18T20:00:00Z', '2026-09-18T21:00:00Z', 'partial'),
          hours('2026-09-18T21:00:00Z', '2026-09-28T00:00:00Z', 'verified'),
          hours('2026-09-28T00:00:00Z', '2026-09-28T01:00:00Z', 'partial'),
          '2026-10-31T22:00:00Z | verified | logs',
          '2026-09-17T20:00:00Z | partial  | events',
        ].join('\n'),
      });
      // 45 days before this is 2026-09-16T12:00Z.
      const found = await deadlines('2026-10-31T12:00:00Z');
      expect(found.map(({ table, hoursAtRisk }) => [table, hoursAtRisk])).toEqual([
        ['Events', 0],
        ['Logs', 2],
      ]);
      expect(found[1]?.comparedUntil).toBe(Date.parse('2026-10-31T23:00:00Z') / 1000);
    },
  );

  it('are also hours that were never compared: between two ranges, and after the last one', async () => {
    await writeLake(folder, {
      coverage: [
        hours('2026-10-01T00:00:00Z', '2026-10-02T00:00:00Z', 'verified'),
        hours('2026-10-02T10:00:00Z', '2026-10-03T00:00:00Z', 'verified'),
      ].join('\n'),
    });
    const atRisk = async (now: string) => (await deadlines(now)).find(({ table }) => table === 'Logs')?.hoursAtRisk;
    // What the source deletes within three days ends with 2 October, 00:00; 05:00; and 4 October, 00:00.
    expect(await atRisk('2026-11-13T00:00:00Z')).toBe(0);
    expect(await atRisk('2026-11-13T05:00:00Z')).toBe(5);
    expect(await atRisk('2026-11-15T00:00:00Z')).toBe(34);
    // The source has deleted six of the ten hours of the gap.
    expect(await atRisk('2026-11-16T06:00:00Z')).toBe(4 + 54);
  });
});

describe('calls', () => {
  it('are counted by tenant and status; calls to other addresses are not', async () => {
    let now = 0;
    const statuses = [200, 429, 200];
    const fake: typeof globalThis.fetch = async () => {
      const status = statuses.shift();
      if (status === undefined) throw new TypeError('reset');
      return new Response('', { status });
    };
    const traffic = watchTraffic({ fetch: fake, monotonic: () => now });
    const url = 'https://host/api/my%20shop/insights/query';
    for (let k = 0; k < 3; k++) await traffic.fetch(url);
    now = 30_000;
    await expect(traffic.fetch(url)).rejects.toThrow('reset');
    await expect(traffic.fetch('https://hooks.example.com/')).rejects.toThrow('reset');
    expect([...traffic.perMinute()]).toEqual([['my shop', 4]]);
    now = 70_000;
    expect([...traffic.perMinute()]).toEqual([['my shop', 1]]);
    expect([...traffic.take()]).toEqual([['my shop', { '200': 2, '429': 1, failed: 1 }]]);
    expect(traffic.counts().size).toBe(0);
  });
});
