/** `npm start`, as a process of the built package. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { z } from 'zod';
import { LONG } from '../support/campaign.ts';
import { buildPackage, type BuiltPackage } from '../support/built.ts';
import { publishedOf } from '../support/files.ts';

const exec = promisify(execFile);

let built: BuiltPackage;
let folder: string;
beforeAll(async () => {
  built = await buildPackage();
  folder = await mkdtemp(join(tmpdir(), 'insights-demo-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const demo = async (...flags: string[]) =>
  exec(process.execPath, [built.cli, 'demo', '--quiet', ...flags], { cwd: folder });

test('the demo offers its data directory as an option', async () => {
  const { stdout } = await exec(process.execPath, [built.cli, 'demo', '--help']);
  expect(stdout).toContain('insights-etl demo --data-dir');
});

describe('the demo', LONG, () => {
  it('shows the address, the run, the proof, three reports and the next commands', async () => {
    const { stdout, stderr } = await demo();
    expect(stdout).toMatch(/http:\/\/127\.0\.0\.1:\d+, tenant "demo"/);
    expect(stdout.match(/\bverified\b/g)?.length).toBeGreaterThanOrEqual(3);
    expect(stdout.match(/\bbalances\b/g)).toHaveLength(3);
    for (const name of ['installs', 'active_passes_by_platform', 'log_errors']) expect(stdout).toContain(`(${name})`);
    expect(stdout).toContain('Your files, in data/demo:');
    // For a person to read, in a pipe too.
    expect(stdout + stderr).not.toMatch(/^\{/m);
    const tables = stdout.split('\n3. ')[1] ?? '';
    expect(
      Math.max(
        ...tables
          .split('\n')
          .slice(1)
          .map((line) => line.length),
      ),
    ).toBeLessThanOrEqual(80);
    expect(stdout).not.toContain('\u001B');
  });

  it('the second time there is nothing new: one call per table, no row, no changed file', async () => {
    const dataDir = join(folder, 'data', 'demo');
    const before = await publishedOf(dataDir);
    expect(before.size).toBeGreaterThan(100);
    const { stdout } = await demo('--json');
    const report = z
      .object({ tables: z.array(z.object({ calls: z.number(), rowsFetched: z.number(), changed: z.boolean() })) })
      .parse(JSON.parse(stdout));
    expect(report.tables).toEqual(Array.from({ length: 3 }, () => ({ calls: 1, rowsFetched: 0, changed: false })));
    expect(await publishedOf(dataDir)).toEqual(before);
  });

  it('on a terminal it ends with the address of a running page, which Ctrl+C stops', async () => {
    const terminal = `data:text/javascript,${encodeURIComponent('process.stdout.isTTY = true;')}`;
    const { CI: _, ...env } = process.env;
    const child = spawn(process.execPath, ['--import', terminal, built.cli, 'demo', '--quiet'], { cwd: folder, env });
    const lines = createInterface({ input: child.stdout });
    let url: string | undefined;
    for await (const line of lines) {
      url = /^ *(http:\/\/127\.0\.0\.1:\d+\/)$/.exec(line)?.[1];
      if (url !== undefined) break;
    }
    expect(await (await fetch(`${url}manifest.json`)).json()).toMatchObject({ tenants: ['demo'] });
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  it('its files are readable only by their owner', async () => {
    for (const path of ['data/demo', 'data/demo/insights.duckdb', 'data/demo/state.duckdb'])
      expect(((await stat(join(folder, path))).mode & 0o077).toString(8)).toBe('0');
  });
});
