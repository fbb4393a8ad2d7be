/** The webhook with a real receiver: it is called once per change, signed and retried, and contains no row. */
import { createHmac } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pino } from 'pino';
import { z } from 'zod';
import { EXIT } from '../../src/kernel/errors.ts';
import { notifyWebhook, type Webhook } from '../../src/operate/webhook.ts';
import type { RunReport, TableReport } from '../../src/model/report.ts';
import { systemRuntime, type Runtime } from '../../src/kernel/runtime.ts';
import { Collector } from '../support/shell.ts';

interface Received {
  readonly body: string;
  readonly signature: string | undefined;
  readonly timestamp: string | undefined;
}

let folder: string;
let server: Server;
let received: Received[];
/** Status codes of the answers to come; then 200. */
let answers: number[];
let log: Collector;
let sleeps: number[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'insights-webhook-'));
  [received, answers, sleeps, log] = [[], [], [], new Collector()];
  server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (part: string) => (body += part));
    request.on('end', () => {
      const header = (name: string): string | undefined => request.headers[name]?.toString();
      received.push({ body, signature: header('x-insights-signature'), timestamp: header('x-insights-timestamp') });
      response.writeHead(answers.shift() ?? 200).end('thanks');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true, force: true });
});

function runtime(): Runtime {
  return {
    ...systemRuntime(pino({ base: null }, log)),
    sleep: async (ms) => void sleeps.push(ms),
    now: () => Date.parse('2026-03-01T03:00:00Z'),
  };
}

const FAILED: TableReport = {
  tenant: 'paris',
  table: 'Logs',
  outcome: 'failed',
  hours: { verified: 1, partial: 2, open: 0, expired: 0 },
  olderHours: 0,
  error: { failure: 'source', message: 'a message with row content', where: { file: '/secret/path' } },
  grade: 'checksum', calls: 1, retries: 0, waitedMs: 0, planned: 0, pages: 0, splits: 0, rowsFetched: 0, bytes: 0,
  inserted: 0, replaced: 0, removed: 0, duplicates: 0, quarantined: 0, changed: false, seconds: {},
}; // prettier-ignore

const report = (...tables: TableReport[]): RunReport => ({
  run: 'r1', startedAt: '', seconds: 1, tenants: [], tables, expired: [], published: false, drift: [], checks: [], isBehind: false, peakRssBytes: 0, exitCode: 4,
}); // prettier-ignore

function hook(more: Partial<Webhook> = {}): Webhook {
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  return { url: `http://127.0.0.1:${port}/hook?token=t`, heartbeat: false, secret: undefined, ...more };
}

const notify = (webhook: Webhook, exitCode: number, ended?: RunReport): Promise<void> =>
  notifyWebhook(webhook, folder, exitCode, ended, runtime(), new AbortController().signal);

const events = (): unknown[] =>
  received.map(({ body }) => z.object({ event: z.string() }).parse(JSON.parse(body)).event);

describe('the webhook', () => {
  it('is called once when runs start to fail, again when they fail differently, and once when they recover', async () => {
    for (const code of [0, 4, 4, 4, 3, 3, 0, 0]) await notify(hook(), code);
    expect(events()).toEqual(['failure', 'failure', 'recovered']);
  });

  it('is called after every run with a heartbeat', async () => {
    for (const code of [0, 4, 4, 0]) await notify(hook({ heartbeat: true }), code);
    expect(events()).toEqual(['heartbeat', 'failure', 'failure', 'recovered']);
  });

  it('contains names, counts and codes, and neither a message nor a location', async () => {
    await notify(hook(), EXIT.source, report(FAILED));
    expect(JSON.parse(received[0]?.body ?? '')).toEqual({
      version: 1,
      event: 'failure',
      at: '2026-03-01T03:00:00.000Z',
      run: 'r1',
      exitCode: 4,
      tables: [{ tenant: 'paris', table: 'Logs', outcome: 'failed', partialHours: 2, failure: 'source' }],
    });
  });

  it('is signed so that its receiver can verify who sent it and when', async () => {
    await notify(hook({ secret: async () => 'the-key' }), EXIT.auth);
    const [{ body, timestamp, signature } = { body: '', timestamp: '', signature: '' }] = received;
    const hmac = createHmac('sha256', 'the-key');
    expect(signature).toBe(`sha256=${hmac.update(`${timestamp}.${body}`).digest('hex')}`);
    expect(timestamp).toBe(String(Date.parse('2026-03-01T03:00:00Z') / 1000));
  });

  it('is retried with growing delays until it is received', async () => {
    answers = [500, 503];
    await notify(hook(), EXIT.auth);
    expect(received).toHaveLength(3);
    expect(sleeps).toHaveLength(2);
    expect(log.text).toBe('');
  });

  it('that is down is logged without its URL, does not fail the run, and is called after the next one', async () => {
    answers = [500, 500, 500, 500, 500];
    await notify(hook(), EXIT.auth);
    expect(log.text).toContain('"event":"webhook.failed","kind":"failure","reason":"status 500"');
    expect(log.text).not.toContain('token');
    await notify(hook(), EXIT.auth);
    expect(received).toHaveLength(6);
  });
});
