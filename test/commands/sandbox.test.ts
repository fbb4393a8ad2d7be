import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sandboxCommand } from '../../src/commands/sandbox.ts';
import type { Shell } from '../../src/commands/shell.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'sandbox-test-'));
});
afterAll(async () => rm(folder, { recursive: true }));

function sink(take: (text: string) => void): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      take(chunk.toString());
      done();
    },
  });
}

/** Runs the command until its first output, hands that to `use`, then stops it as a signal would; or after a time. */
async function run(
  args: string[],
  use: (lines: string[]) => Promise<void> = async () => undefined,
  stopAfterMs?: number,
) {
  let stop = (): void => undefined;
  let printed = '';
  let complaint = '';
  const served: Promise<void>[] = [];
  const shell: Shell = {
    exitCode: -1,
    io: {
      stdout: sink((text) => {
        printed += text;
        const done = Promise.resolve().then(async () => use(text.trimEnd().split('\n')));
        served.push(done.finally(() => stop()));
      }),
      stderr: sink((text) => {
        complaint += text;
      }),
      env: {},
      cwd: folder,
      onStop(listener) {
        stop = () => listener('SIGTERM');
        const timer = stopAfterMs === undefined ? undefined : setTimeout(stop, stopAfterMs);
        return () => clearTimeout(timer);
      },
      exit: () => undefined,
    },
  };
  const sandbox = sandboxCommand(shell)
    .exitOverride()
    .configureOutput({ writeErr: (text) => (complaint += text) });
  const command = new Command().option('--json').option('--log-format <format>').exitOverride().addCommand(sandbox);
  const thrown: unknown = await command.parseAsync(['--log-format', 'text', 'sandbox', ...args], { from: 'user' }).then(
    () => undefined,
    (error: unknown) => error,
  );
  await Promise.all(served);
  return { exitCode: shell.exitCode, printed, complaint, thrown };
}

async function ownFolders(): Promise<string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith(`insights-sandbox-${process.pid}-`));
}

const SMALL = ['--rows', '500', '--days', '10', '--seed', '3', '--now', '2026-11-01T00:00:00Z'];

describe('insights-etl sandbox', () => {
  it('prints its address as the first line, serves until it is stopped, and exits with 0', async () => {
    const calls = path.join(folder, 'calls.ndjson');
    const faults = path.join(folder, 'faults.json');
    await writeFile(faults, '[{"after":1,"reply":{"kind":"status","status":503}}]');
    const flags = [
      '--tenants',
      'a,b',
      '--rate',
      '2',
      '--row-cap',
      '10',
      '--calls',
      calls,
      '--faults',
      faults,
      '--wire-shape',
      'columns',
    ];
    const { exitCode } = await run([...SMALL, ...flags], async ([url, admin, now, first]) => {
      expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
      expect(admin).toMatch(/^admin http:\/\/127\.0\.0\.1:\d+$/);
      expect(now).toMatch(/^now 2026-11-01T00:00:0/);
      expect(first).toBe('tenant a, key sandbox-a');
      const statuses: number[] = [];
      const texts: string[] = [];
      for (let n = 0; n < 3; n++) {
        const response = await fetch(`${url}/api/a/insights/query`, {
          method: 'POST',
          headers: { 'x-api-key': 'sandbox-a' },
          body: '{"query":"print x = 1"}',
        });
        statuses.push(response.status);
        texts.push(await response.text());
      }
      expect(statuses).toEqual([200, 503, 429]);
      expect(texts[0]).toBe('{"columns":[{"name":"x","type":"long"}],"rows":[[1]]}');
    });
    expect(exitCode).toBe(0);
    expect((await readFile(calls, 'utf8')).trim().split('\n')).toHaveLength(3);
    expect(await ownFolders()).toEqual([]);
  });

  it('leaves nothing behind when it is stopped while loading', async () => {
    const { exitCode, printed, complaint } = await run(['--rows', '5000000'], undefined, 300);
    expect([exitCode, printed, complaint]).toEqual([11, '', '']);
    expect(await ownFolders()).toEqual([]);
  });

  it('prints all of it as one JSON value with --json', async () => {
    const { printed } = await run([...SMALL, '--json']);
    expect(JSON.parse(printed)).toEqual({
      url: expect.stringMatching(/^http:/),
      adminUrl: expect.stringMatching(/^http:/),
      now: expect.stringMatching(/^2026-11-01T00:00:0/),
      tenants: [{ tenant: 'demo', key: 'sandbox-demo' }],
    });
  });

  it.each([
    ['--rows', '-5', 'Allowed: a whole number, 0 or more.'],
    ['--days', '0', '1 or more'],
    ['--port', '99999', 'Allowed: a whole number, 0 to 65535.'],
    ['--limit-mode', 'loud', 'Allowed choices'],
    ['--tenants', 'a,,b', 'separated by commas'],
    ['--query-timeout', 'soon', 'seconds'],
    ['--colour', 'red', 'unknown option'],
  ])('refuses %s %s and says what is allowed', async (flag, value, message) => {
    const { thrown, printed } = await run([flag, value]);
    expect(String(thrown)).toContain(message);
    expect(printed).toBe('');
  });

  it.each([
    [['--data', '/nowhere'], 'The data folder has no file named logs, events or metrics', 'Point --data at a folder'],
    [['--data', '.', '--rows', '5'], '--data and --rows cannot be combined.', 'Omit --rows'],
    [['--now', 'soon', '--rows', '5'], 'now: "soon" is not an instant', '2026-11-01T00:00:00Z'],
    [['--faults', '/nowhere.json', '--rows', '5'], 'faults file cannot be read', 'contain one JSON list'],
  ])('refuses %j with a message, a hint and the exit code of a bad configuration', async (args, message, hint) => {
    const { exitCode, complaint, printed } = await run(args);
    expect(exitCode).toBe(2);
    expect(complaint).toContain(message);
    expect(complaint).toContain(hint);
    expect(printed).toBe('');
  });
});
