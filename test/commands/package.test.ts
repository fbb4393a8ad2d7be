import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { publint } from 'publint';
import { z } from 'zod';
import { EXIT } from '../../src/kernel/errors.ts';
import { buildPackage, type BuiltPackage } from '../support/built.ts';
import { CAMPAIGN } from '../support/campaign.ts';
import { AZURE_IDENTITY_PACKAGE, AZURE_PACKAGE } from '../../src/mirror/azure.ts';
import { S3_PACKAGE } from '../../src/mirror/s3.ts';

const exec = promisify(execFile);

let built: BuiltPackage;
let workFolder: string;
beforeAll(async () => {
  built = await buildPackage();
  workFolder = await mkdtemp(join(tmpdir(), 'insights-process-'));
});
afterAll(() => rm(workFolder, { recursive: true, force: true }));

const manifestSchema = z.object({
  version: z.string(),
  engines: z.object({ node: z.string() }),
  license: z.string(),
  scripts: z.record(z.string(), z.string()),
  dependencies: z.record(z.string(), z.string()),
  devDependencies: z.record(z.string(), z.string()),
  peerDependencies: z.record(z.string(), z.string()),
  peerDependenciesMeta: z.record(z.string(), z.object({ optional: z.boolean() })),
});

async function manifest(): Promise<z.infer<typeof manifestSchema>> {
  return manifestSchema.parse(JSON.parse(await readFile(join(built.folder, 'package.json'), 'utf8')));
}

describe('the package', () => {
  it('holds the program, its queries and its schema, and no test or data', async () => {
    const { stdout } = await exec('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: built.folder });
    const [{ files } = { files: [] }] = z
      .array(z.object({ files: z.array(z.object({ path: z.string() })) }))
      .parse(JSON.parse(stdout));
    const paths = files.map(({ path }) => path);
    expect(paths).toEqual(
      expect.arrayContaining([
        'CHANGELOG.md',
        'LICENSE',
        'README.md',
        'package.json',
        'deploy/Dockerfile',
        'deploy/kubernetes/cronjob.yaml',
        'deploy/prometheus/insights-etl.rules.yml',
        'deploy/systemd/insights-etl.service',
        'dist/LICENSES.txt',
        'dist/cli.js',
        'dist/dashboard/index.html',
        'docs/operate.md',
        'queries/kpi/installs.sql',
        'queries/views/pass_events.sql',
        'schema/config.schema.json',
      ]),
    );
    const allowed = /^(CHANGELOG\.md|LICENSE|README\.md|package\.json|(deploy|dist|docs|queries|schema)\/.+)$/;
    expect(paths.filter((path) => !allowed.test(path))).toEqual([]);
  });

  it('is joined into few files, of which `--help` reads only those that it needs', async () => {
    const files = await readdir(join(built.folder, 'dist', 'program'));
    // Of more than 360 source files.
    expect(files.length).toBeLessThan(150);
    const loaded = new Set<string>();
    const load = async (file: string): Promise<void> => {
      if (loaded.has(file)) return;
      loaded.add(file);
      const text = await readFile(join(built.folder, 'dist', file), 'utf8');
      for (const [, name] of text.matchAll(/^import .*"\.\/(.*)";$/gm)) await load(`program/${name}`);
    };
    const [, start = ''] = /import\("\.\/(.*)"\)/.exec(await readFile(built.cli, 'utf8')) ?? [];
    await load(start);
    expect(loaded.size).toBeLessThan(6);
    // Neither the engine nor the schema of the configuration.
    for (const file of loaded)
      expect(await readFile(join(built.folder, 'dist', file), 'utf8')).not.toMatch(/node-bindings|retentionDays/);
  });

  it('passes publint', CAMPAIGN, async () => {
    const { messages } = await publint({ pkgDir: built.folder, pack: 'npm' });
    expect(messages).toEqual([]);
  });

  it('has its version as the latest in the changelog and the upgrade guide, with the schema of its ledger', async () => {
    const { version } = await manifest();
    const schema = (await readdir(join(built.folder, 'queries', 'ledger'))).length;
    const read = (name: string): Promise<string> => readFile(join(built.folder, name), 'utf8');
    const [, latest, changes] = /^## (\S+)[^\n]*\n([^]*?)(?=^## |(?![^]))/m.exec(await read('CHANGELOG.md')) ?? [];
    const guide = await read('docs/upgrade.md');
    const [, newest, notes] = /^### (\d\S+)\n([^]*?)(?=^### |(?![^]))/m.exec(guide) ?? [];
    expect([latest, newest]).toEqual([version, version]);
    for (const text of [changes, notes]) expect(text).toContain(`ledger's schema is ${schema}.`);
  });

  it('names the KQL parser and the clients of object stores only as optional peers, in the versions that errors ask for', async () => {
    const { dependencies, devDependencies, peerDependencies, peerDependenciesMeta } = await manifest();
    const asked = await readFile(new URL('../../sandbox/kql/language.ts', import.meta.url), 'utf8');
    const parser = /PARSER_VERSION = '(.*)'/.exec(asked)?.[1] ?? '';
    const optional = Object.fromEntries([
      ['@kusto/language-service-next', parser],
      S3_PACKAGE,
      AZURE_PACKAGE,
      AZURE_IDENTITY_PACKAGE,
    ]);
    expect(peerDependencies).toEqual(optional);
    expect(devDependencies).toMatchObject(optional);
    expect(peerDependenciesMeta).toEqual(
      Object.fromEntries(Object.keys(optional).map((name) => [name, { optional: true }])),
    );
    expect(Object.keys(dependencies).filter((name) => name in optional)).toEqual([]);
  });

  it('runs no install scripts, pins its dependencies and requires a suitable Node', async () => {
    const { scripts, dependencies, devDependencies, engines, license } = await manifest();
    expect(Object.keys(scripts).filter((name) => /^(pre|post)?install$|^prepare$/.test(name))).toEqual([]);
    const loose = Object.entries({ ...dependencies, ...devDependencies }).filter(
      ([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version),
    );
    expect(loose).toEqual([]);
    expect([engines.node, license]).toEqual(['>=20.19', 'Apache-2.0']);
  });
});

describe('the program as a process', () => {
  it('prints its version and ends with 0', async () => {
    const { stdout } = await exec(process.execPath, [built.cli, '--version']);
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it('ends with the exit code of the failure', async () => {
    const failure: unknown = await exec(process.execPath, [built.cli, 'run', '--table', 'x'], {
      cwd: workFolder,
      env: { INSIGHTS_TENANT: 'demo', INSIGHTS_API_KEY: 'k' },
    }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: EXIT.config, stdout: '' });
  });

  it('a reader that closes the pipe early is not a failure', async () => {
    const child = spawn(process.execPath, [built.cli, '--help'], { stdio: ['ignore', 'pipe', 'ignore'] });
    child.stdout.destroy();
    const code = await new Promise((resolve) => child.once('exit', resolve));
    expect(code).toBe(EXIT.ok);
  });

  it('a stop signal ends a waiting schedule cleanly', async () => {
    const child = spawn(process.execPath, [built.cli, 'schedule'], {
      cwd: workFolder,
      env: { INSIGHTS_TENANT: 'demo', INSIGHTS_API_KEY: 'k' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let log = '';
    const waiting = new Promise<void>((resolve) => {
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        log += text;
        if (log.includes('waiting for the next slot')) resolve();
      });
    });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    await Promise.race([waiting, ended]);
    child.kill('SIGTERM');
    expect({ code: await ended, log }).toMatchObject({ code: EXIT.ok, log: expect.stringContaining('next slot') });
  });
});
