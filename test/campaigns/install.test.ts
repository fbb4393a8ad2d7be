/**
 * The tarball that `npm pack` makes, unpacked where `npm install --omit=optional` would put it. The dependencies that it
 * names are linked to those of this repository: what is tested is the package, and no registry is asked.
 */
import { execFile } from 'node:child_process';
import { lstat, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { EXIT } from '../../src/kernel/errors.ts';
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import { buildPackage } from '../support/built.ts';
import { CAMPAIGN } from '../support/campaign.ts';

const exec = promisify(execFile);
const MODULES = fileURLToPath(new URL('../../node_modules', import.meta.url));

let folder: string;
let sandbox: Sandbox;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'insights-install-'));
  const built = await buildPackage();
  const { stdout } = await exec('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
    cwd: built.folder,
  });
  const [{ filename } = { filename: '' }] = z.array(z.object({ filename: z.string() })).parse(JSON.parse(stdout));
  await exec('tar', ['-xzf', filename], { cwd: folder });
  const manifest = await readFile(join(folder, 'package', 'package.json'), 'utf8');
  const { dependencies } = z.object({ dependencies: z.record(z.string(), z.string()) }).parse(JSON.parse(manifest));
  const modules = join(folder, 'node_modules');
  // A linked module finds its own dependencies beside the file it is linked to; the package finds these names alone.
  for (const name of Object.keys(dependencies)) {
    await mkdir(dirname(join(modules, name)), { recursive: true });
    await symlink(join(MODULES, name), join(modules, name));
  }
  await rename(join(folder, 'package'), join(modules, 'insights-etl'));
  sandbox = await startSandbox({ rows: 100, days: 1, rate: 0, memory: true });
}, 400_000);
afterAll(async () => {
  await sandbox.close();
  await rm(folder, { recursive: true, force: true });
});

async function run(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const cli = join(folder, 'node_modules', 'insights-etl', 'dist', 'cli.js');
  const env = {
    PATH: process.env['PATH'] ?? '',
    INSIGHTS_BASE_URL: sandbox.url,
    INSIGHTS_TENANT: 'demo',
    INSIGHTS_API_KEY: sandbox.keyOf('demo'),
    INSIGHTS_LANDING_KEEP: 'true',
  };
  try {
    const { stdout, stderr } = await exec(process.execPath, [cli, ...argv], { cwd: folder, env });
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    return z
      .object({ code: z.number(), stdout: z.string(), stderr: z.string() })
      .transform(({ code, stdout, stderr }) => ({ code, out: stdout, err: stderr }))
      .parse(error);
  }
}

let loaded: ReturnType<typeof run> | undefined;
const load = (): ReturnType<typeof run> => (loaded ??= run('run', '--table', 'Events', '--json'));

describe('the package, installed without what is optional', () => {
  it('loads a tenant, proves it, and answers a report from its own queries', CAMPAIGN, async () => {
    const { code, err } = await load();
    expect({ code, err: code === 0 ? '' : err }).toEqual({ code: EXIT.ok, err: '' });
    const reports = await run('query', 'installs_per_day', '--format', 'csv');
    expect([reports.code, reports.out.split('\n').length > 1]).toEqual([EXIT.ok, true]);
  });

  it('has written the whole data directory for its owner alone, whatever the umask of who started it', CAMPAIGN, async () => {
    await load();
    const data = join(folder, 'data');
    const names = await readdir(data, { recursive: true });
    for (const part of ['store', 'lake', 'landing', 'calls', 'kept', 'state.duckdb', 'insights.duckdb', 'manifest.json', 'last-run.json', 'outcomes.json'])
      expect(names).toContain(part);
    const modes = await Promise.all(
      ['', ...names].map(async (name) => {
        const found = await lstat(join(data, name));
        return { name, mode: (found.mode & 0o777).toString(8), wanted: found.isDirectory() ? '700' : '600' };
      }),
    );
    expect(modes.filter(({ mode, wanted }) => mode !== wanted)).toEqual([]);
  }); // prettier-ignore

  for (const name of ['sandbox', 'demo'])
    it(`${name} says which package it needs, and how to have it`, CAMPAIGN, async () => {
      const { code, err } = await run(name);
      expect(code).not.toBe(EXIT.ok);
      expect(code).not.toBe(EXIT.unexpected);
      expect(err).toContain('npm install @kusto/language-service-next');
    });

  it('holds the files to run it elsewhere', async () => {
    const names = await readdir(join(folder, 'node_modules', 'insights-etl', 'deploy'));
    expect(names).toEqual(expect.arrayContaining(['Dockerfile', 'kubernetes', 'prometheus', 'systemd']));
  });
});
