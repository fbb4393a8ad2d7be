/**
 * Every form of installation in docs/install.md, executed for real: the steps of the Dockerfile, then the tarball that its first stage packs,
 * with each Node in INSIGHTS_NODES (`.ci/nodes`). npm takes the packages from its cache if it has them.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseEnv, promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { EXIT } from '../../src/kernel/errors.ts';
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import { CAMPAIGN, LONG } from '../support/campaign.ts';
import { executeDockerfile, type Stage } from '../support/dockerfile.ts';

const exec = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Folders with a `node`; '' is that of this process. */
const NODES = (process.env['INSIGHTS_NODES'] ?? '').split(delimiter);

/** What npm needs of this machine's environment, without what `npm run` and vitest have added. */
const machine = Object.fromEntries([
  ...Object.entries(process.env).filter(([key]) => !/^(npm_(?!config_(cache|registry)$)|NODE_(?!EXTRA_CA_CERTS$)|VITEST|INSIGHTS_)/.test(key)),
  ['npm_config_prefer_offline', 'true'],
  ['npm_config_audit', 'false'],
  ['npm_config_fund', 'false'],
  ['npm_config_update_notifier', 'false'],
]); // oxfmt-ignore

let folder: string;
let sandbox: Sandbox;
let stages: ReadonlyMap<string, Stage>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'insights-install-'));
  sandbox = await startSandbox({ rows: 100, days: 1, rate: 0, memory: true });
  stages = await executeDockerfile(join(ROOT, 'deploy/Dockerfile'), ROOT, folder, machine);
}, 400_000);
afterAll(async () => {
  await sandbox.close();
  await rm(folder, { recursive: true, force: true });
});

function stageOf(name: string): Stage {
  const stage = stages.get(name);
  if (!stage) throw new Error(`no stage ${name}`);
  return stage;
}

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function execute(program: string, argv: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<Outcome> {
  try {
    const { stdout, stderr } = await exec(program, argv, { cwd, env });
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    const failed = z.object({ code: z.number(), stdout: z.string(), stderr: z.string() });
    return failed.transform(({ code, stdout, stderr }) => ({ code, out: stdout, err: stderr })).parse(error);
  }
} // oxfmt-ignore

const settings = (): Record<string, string> => ({
  INSIGHTS_BASE_URL: sandbox.url,
  INSIGHTS_TENANT: 'demo',
  INSIGHTS_API_KEY: sandbox.keyOf('demo'),
  INSIGHTS_LANDING_KEEP: 'true',
});

/** Loads a tenant, proves it, and reads a report. Returns what failed. */
async function failuresOf(run: (...argv: string[]) => Promise<Outcome>): Promise<readonly unknown[]> {
  const steps = [
    ['--version'],
    ['run', '--table', 'Events', '--json'],
    ['verify', '--table', 'Events'],
    ['query', 'installs', '--format', 'csv'],
    ['completion', 'bash'],
  ];
  const failures: unknown[] = [];
  for (const argv of steps) {
    const outcome = await run(...argv);
    if (outcome.code !== EXIT.ok || outcome.out === '') failures.push({ argv, ...outcome });
  }
  return failures;
}

const versioned = z.object({ version: z.string() });

/** Every file is its owner's, and every state file says which version wrote it. */
async function expectPrivate(data: string): Promise<void> {
  const names = await readdir(data, { recursive: true });
  for (const part of ['store', 'lake', 'landing', 'calls', 'kept', 'state.duckdb', 'insights.duckdb', 'manifest.json', 'last-run.json', 'outcomes.json'])
    expect(names).toContain(part);
  const modes = await Promise.all(
    names.map(async (name) => {
      const found = await lstat(join(data, name));
      return { name, mode: (found.mode & 0o777).toString(8), wanted: found.isDirectory() ? '700' : '600' };
    }),
  );
  expect(modes.filter(({ mode, wanted }) => mode !== wanted)).toEqual([]);
  const { version } = versioned.parse(JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')));
  const states = names.filter((name) => name.endsWith('.json') && !name.includes('_delta_log'));
  const programs = states.map(async (name) => z.object({ program: z.string() }).parse(JSON.parse(await readFile(join(data, name), 'utf8'))).program);
  expect(new Set(await Promise.all(programs))).toEqual(new Set([version]));
} // oxfmt-ignore

describe('the container image', () => {
  it('loads a tenant and proves it, in a data directory that only its user can read', CAMPAIGN, async () => {
    const image = stageOf('');
    const inRoot = (path: string): string => (path.startsWith('/') ? join(image.root, path) : path);
    const env = Object.fromEntries(Object.entries(image.env).map(([key, value]) => [key, inRoot(value)]));
    const [, ...argv] = image.entrypoint.map(inRoot);
    const run = (...given: string[]): Promise<Outcome> =>
      execute(process.execPath, [...argv, ...given], inRoot(image.workFolder), { ...env, ...settings() });
    expect(await failuresOf(run)).toEqual([]);
    await expectPrivate(inRoot('/data'));
    expect(await readFile(join(folder, 'chown.txt'), 'utf8')).toMatch(/^node:node \/\S+\/data\n$/);
  });

  it('has only files that its user can read', CAMPAIGN, async () => {
    const app = join(stageOf('').root, 'app');
    const { stdout } = await exec('find', [app, '(', '-type', 'f', '!', '-perm', '-444', ')', '-o', '(', '-type', 'd', '!', '-perm', '-555', ')']);
    expect(stdout.split('\n').filter((name) => name !== '' && name !== app)).toEqual([]);
  }); // oxfmt-ignore

  it('has the KQL parser only as the target `demo`', CAMPAIGN, async () => {
    const parser = async (name: string): Promise<boolean> =>
      (await readdir(join(stageOf(name).root, 'app', 'node_modules'))).includes('@kusto');
    expect([await parser(''), await parser('demo')]).toEqual([false, true]);
  });
});

describe('a checkout', () => {
  it('runs what it has built with npx', CAMPAIGN, async () => {
    // `npm pack` has built it after nothing but `npm ci`.
    const { root, workFolder } = stageOf('build');
    const { code, out } = await execute('npx', ['insights-etl', '--version'], join(root, workFolder), machine);
    expect([code, out]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+/)]);
  });
});

let installed: Promise<void> | undefined;

async function installPackage(env: NodeJS.ProcessEnv): Promise<void> {
  const packed = stageOf('build');
  const at = join(packed.root, packed.workFolder);
  const [tarball = ''] = (await readdir(at)).filter((name) => name.endsWith('.tgz'));
  await exec('npm', ['install', '--global', join(at, tarball)], { env });
}

for (const [index, bin] of NODES.entries())
  describe(`the package that npm pack makes, run by Node ${bin === '' ? process.version : bin}`, () => {
    let prefix: string;
    let env: NodeJS.ProcessEnv;
    beforeAll(async () => {
      prefix = join(folder, 'installed');
      await mkdir(join(prefix, `work${index}`), { recursive: true });
      const path = [join(prefix, 'bin'), bin, process.env['PATH'] ?? ''].filter(Boolean).join(delimiter);
      env = { ...machine, PATH: path, npm_config_prefix: prefix };
      await (installed ??= installPackage(env));
    });
    const run = (...argv: string[]): Promise<Outcome> =>
      execute('insights-etl', argv, join(prefix, `work${index}`), { PATH: env['PATH'], ...settings() });

    it('loads a tenant, proves it, and answers a report', CAMPAIGN, async () => {
      expect(await failuresOf(run)).toEqual([]);
      await expectPrivate(join(prefix, `work${index}`, 'data'));
    });

    it.runIf(index === 0)('runs as the systemd unit says', LONG, async () => {
      const unit = await readFile(join(prefix, 'lib/node_modules/insights-etl/deploy/systemd/insights-etl.service'), 'utf8');
      const value = (key: string): string => new RegExp(`^${key}=(.*)$`, 'm').exec(unit)?.[1] ?? '';
      const root = join(prefix, 'root');
      const data = join(root, 'var/lib', value('StateDirectory'));
      await mkdir(join(root, value('WorkingDirectory')), { recursive: true });
      await mkdir(data, { recursive: true, mode: Number.parseInt(value('StateDirectoryMode'), 8) });
      const keys = Object.entries(settings()).map(([key, setting]) => `${key}=${setting}\n`);
      await writeFile(join(root, value('EnvironmentFile')), keys.join(''));
      const [name = '', folderOfUnit = ''] = value('Environment').split('=');
      const [program = '', ...argv] = value('ExecStart').split(' ');
      const given = parseEnv(await readFile(join(root, value('EnvironmentFile')), 'utf8'));
      const { code, err } = await execute(program.replace('/usr/local', prefix), argv, join(root, value('WorkingDirectory')), {
        // The PATH that systemd gives to a service, below the prefix of this installation.
        PATH: env['PATH'],
        ...given,
        [name]: join(root, folderOfUnit),
      });
      expect([code, code === 0 ? '' : err]).toEqual([EXIT.ok, '']);
      expect(await readdir(data)).toContain('manifest.json');
    }); // oxfmt-ignore

    it.runIf(index === 0)('lacks the KQL parser: sandbox and demo print the command that installs it, and then work', LONG, async () => {
        let command = '';
        for (const name of ['sandbox', 'demo']) {
          const { code, out, err } = await run(name);
          expect([name, code, out]).toEqual([name, EXIT.config, '']);
          command = /`npm install (\S+)`, with -g/.exec(err)?.[1] ?? '';
          expect(command).toMatch(/^@kusto\/language-service-next@\d/);
        }
        await exec('npm', ['install', '--global', command], { env });
        const child = spawn('insights-etl', ['sandbox', '--rows', '10', '--days', '1', '--memory'], {
          env: { PATH: env['PATH'] },
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        const ended = once(child, 'exit');
        const line = await Promise.race([once(createInterface({ input: child.stdout }), 'line'), ended]);
        expect(line[0]).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
        child.kill('SIGTERM');
        await ended;
      }); // oxfmt-ignore
  });
