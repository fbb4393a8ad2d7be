/** The log of the built program as a process: a log that cannot be written never stops a load. */
import { execFile, spawn, type StdioOptions } from 'node:child_process';
import { constants, openSync, writeSync, closeSync } from 'node:fs';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { EXIT, errorCode } from '../../src/kernel/errors.ts';
import { main } from '../../src/commands/program.ts';
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import { buildPackage, type BuiltPackage } from '../support/built.ts';
import { CAMPAIGN, LONG } from '../support/campaign.ts';
import { Collector } from '../support/shell.ts';

const logLine = z.looseObject({ run: z.string().optional() });

let built: BuiltPackage;
let folder: string;
let sandbox: Sandbox;
beforeAll(async () => {
  built = await buildPackage();
  folder = await mkdtemp(join(tmpdir(), 'insights-logs-'));
  sandbox = await startSandbox({ rows: 300, days: 2, seed: 3, tenants: ['demo'], now: '2026-11-01T00:00:00Z', frozen: true, rate: 0, memory: true }); // oxfmt-ignore
});
afterAll(async () => {
  await sandbox.close();
  await rm(folder, { recursive: true, force: true });
});

const env = (): Record<string, string> => ({
  PATH: process.env['PATH'] ?? '',
  INSIGHTS_BASE_URL: sandbox.url,
  INSIGHTS_TENANT: 'demo',
  INSIGHTS_API_KEY: sandbox.keyOf('demo'),
  INSIGHTS_LAKE_MARTS: 'false',
  INSIGHTS_LAKE_CHECKS: 'false',
});

/** Runs the program into a data directory of its own. `prepare` may close its streams. */
async function load(name: string, stdio: StdioOptions, argv: readonly string[] = []): Promise<number | null> {
  const words = [built.cli, 'run', '--verbose', '--data-dir', join(folder, name), ...argv];
  const child = spawn(process.execPath, words, { cwd: folder, env: env(), stdio });
  child.stdout?.destroy();
  child.stderr?.destroy();
  return new Promise((resolve) => child.once('exit', resolve));
}

const isLoaded = async (name: string): Promise<boolean> =>
  (await readFile(join(folder, name, 'manifest.json'), 'utf8').catch(() => '')).includes('events');

describe('a load goes on', () => {
  it('when standard error and standard output are closed pipes', CAMPAIGN, async () => {
    expect([await load('closed', ['ignore', 'pipe', 'pipe']), await isLoaded('closed')]).toEqual([EXIT.ok, true]);
  });

  it.runIf(process.platform === 'linux')(
    'when the disk of the log is full; a lost summary is a failure of the disk',
    LONG,
    async () => {
      const full = openSync('/dev/full', 'w');
      expect([await load('full', ['ignore', 'pipe', full]), await isLoaded('full')]).toEqual([EXIT.ok, true]);
      expect([await load('all', ['ignore', full, 'ignore']), await isLoaded('all')]).toEqual([EXIT.disk, true]);
      closeSync(full);
    },
  );

  it.runIf(process.platform !== 'win32')('when nobody reads the full pipe of the log', LONG, async () => {
    const path = join(folder, 'pipe');
    await promisify(execFile)('mkfifo', [path]);
    await using reader = await open(path, constants.O_RDWR | constants.O_NONBLOCK);
    const fill = Buffer.alloc(4096, '.');
    try {
      for (;;) writeSync(reader.fd, fill);
    } catch (error) {
      if (errorCode(error) !== 'EAGAIN') throw error;
    }
    const log = openSync(path, 'w');
    expect([await load('stuck', ['ignore', 'ignore', log]), await isLoaded('stuck')]).toEqual([EXIT.ok, true]);
    closeSync(log);
  });
});

describe('in a pipe', () => {
  it('standard error is JSON to its last line, and every line of a run has its id', CAMPAIGN, async () => {
    const said: string[] = [];
    for (const argv of [
      [],
      ['runn'],
      ['--nope'],
      ['run', '--table'],
      ['help', 'nope'],
      ['status'],
      ['sql', 'selec 1'],
      ['init', '--tenant', '*'],
    ]) {
      const [stdout, stderr] = [new Collector(), new Collector()];
      const io = { stdout, stderr, env: {}, cwd: folder, onStop: () => () => {}, exit: () => {} };
      await main(argv, io);
      const lines = stderr.text.trimEnd().split('\n').map((line): unknown => JSON.parse(line)); // oxfmt-ignore
      expect(lines.at(-1)).toMatchObject({ event: 'error', level: 50, hint: expect.any(String) });
      said.push(stderr.text);
    }
    const { stderr } = await promisify(execFile)(
      process.execPath,
      [built.cli, 'run', '--verbose', '--data-dir', 'loud', '--table', 'Events'],
      { cwd: folder, env: env() },
    );
    const lines = stderr.trimEnd().split('\n').map((line) => logLine.parse(JSON.parse(line))); // oxfmt-ignore
    expect(lines.length).toBeGreaterThan(5);
    expect(new Set(lines.map(({ run }) => run))).toEqual(new Set([expect.stringMatching(/^\d{8}T\d{6}-/)]));
  });
});
