/** The files in deploy/: the commands that they call exist, and nothing runs as root. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { chmod, mkdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { loadConfig } from '../../src/config/config.ts';
import { environmentLayer } from '../../src/config/layers.ts';
import { parseShard } from '../../src/model/shard.ts';
import { instructionsOf } from '../support/dockerfile.ts';
import { openStage } from '../support/shell.ts';

const exec = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const read = (name: string): string => readFileSync(join(ROOT, 'deploy', name), 'utf8');
const COMMANDS = ['run', 'schedule', 'status'];

describe('the Dockerfile', () => {
  const steps = instructionsOf(read('Dockerfile'));
  /** The stage that the last one is based on. */
  const start = steps.findIndex(({ rest }) => rest.endsWith(' AS program'));
  const last = steps.slice(
    start,
    steps.findIndex(({ word }, index) => word === 'FROM' && index > start),
  );
  const valuesOf = (word: string): string[] => last.filter((step) => step.word === word).map(({ rest }) => rest);

  it('contains only instructions that Docker knows', () => {
    const known = /^(FROM|WORKDIR|COPY|RUN|ARG|ENV|USER|VOLUME|HEALTHCHECK|STOPSIGNAL|ENTRYPOINT|CMD)$/;
    expect(steps.filter(({ word }) => !known.test(word))).toEqual([]);
  });

  it('is by default the program without the KQL parser', () => {
    expect(steps.at(-1)).toEqual({ word: 'FROM', rest: 'program' });
  });

  it('runs as an unprivileged user, with a health check and a command that exists', () => {
    expect(valuesOf('USER')).toEqual(['node']);
    expect(valuesOf('HEALTHCHECK').join('')).toContain('/app/deploy/healthcheck.mjs');
    const words = z.array(z.string());
    expect(words.parse(JSON.parse(valuesOf('ENTRYPOINT')[0] ?? ''))).toEqual(['node', '/app/dist/cli.js']);
    expect(COMMANDS).toContain(words.parse(JSON.parse(valuesOf('CMD')[0] ?? ''))[0]);
  });

  it('sets variables that the program knows', () => {
    const pairs = [...(valuesOf('ENV')[0] ?? '').matchAll(/(\w+)=(\S+)/g)].map(
      (match) => [match[1] ?? '', match[2]] as const,
    );
    const set = environmentLayer(Object.fromEntries(pairs)).values;
    expect(set).toEqual({ dataDir: '/data', health: { port: 9464 } });
  });
});

/** Sections of a unit file: keys with their values. */
function unit(name: string): Map<string, string> {
  let section = '';
  const found = new Map<string, string>();
  for (const line of read(name).split('\n')) {
    const head = /^\[(\w+)\]$/.exec(line);
    if (head) section = head[1] ?? '';
    else if (line !== '' && !line.startsWith('#')) {
      const [key = '', ...rest] = line.split('=');
      if (section === '' || !/^[A-Z]\w+$/.test(key)) throw new Error(`${name}: ${line}`);
      found.set(`${section}.${key}`, rest.join('='));
    }
  }
  return found;
}

describe('the systemd units', () => {
  it('run a command that exists, as a user, with a read-only system', () => {
    const service = unit('systemd/insights-etl.service');
    expect(service.get('Service.ExecStart')).toMatch(/^\/\S+\/insights-etl run$/);
    expect(service.get('Service.User')).toBe('insights');
    expect(service.get('Service.ProtectSystem')).toBe('strict');
    expect(service.get('Service.SuccessExitStatus')).toBe('5 11 13');
  });

  it('are valid for systemd, where there is one', async () => {
    const units = ['.service', '.timer', '@.service', '@.timer'].map((end) =>
      join(ROOT, `deploy/systemd/insights-etl${end}`),
    );
    const output = await exec('systemd-analyze', ['verify', '--man=no', ...units]).then(
      () => '',
      (error: unknown) => z.object({ code: z.unknown(), stderr: z.string().default('') }).parse(error),
    );
    if (typeof output === 'object' && output.code === 'ENOENT') return;
    const lines = (typeof output === 'string' ? output : output.stderr).split('\n').filter(Boolean);
    expect(lines.filter((line) => !line.includes('/usr/local/bin/insights-etl is not executable'))).toEqual([]);
  });

  it('share the tenants between workers by the name of their instance', async () => {
    const [one, worker] = [unit('systemd/insights-etl.service'), unit('systemd/insights-etl@.service')];
    const differs = [...new Set([...one.keys(), ...worker.keys()])].filter((key) => one.get(key) !== worker.get(key));
    // The last of the variables.
    expect(differs.toSorted()).toEqual(['Service.Environment', 'Unit.Description']);
    const [name = '', value = ''] = worker.get('Service.Environment')?.split(/=(.*)/) ?? [];
    const shards = Array.from({ length: 8 }, (_, index) => {
      const { shard } = environmentLayer({ [name]: value.replace('%i', String(index)) }).values;
      return parseShard(String(shard));
    });
    expect(shards).toEqual(Array.from({ length: 8 }, (_, index) => ({ index, of: 8 })));
    expect(unit('systemd/insights-etl@.timer').get('Timer.Persistent')).toBe('true');
  });

  it('a missed night is caught up', () => {
    const timer = unit('systemd/insights-etl.timer');
    expect(timer.get('Timer.Persistent')).toBe('true');
    expect(timer.get('Timer.OnCalendar')).toMatch(/^\*-\*-\* \d\d:\d\d:\d\d$/);
    expect(timer.get('Install.WantedBy')).toBe('timers.target');
  });
});

const mountSchema = z.object({ name: z.string(), mountPath: z.string() }).loose();
const podSchema = z
  .object({
    terminationGracePeriodSeconds: z.number().min(30),
    securityContext: z
      .object({ runAsNonRoot: z.literal(true), runAsUser: z.literal(1000), fsGroup: z.literal(1000) })
      .loose(),
    containers: z.tuple([
      z
        .object({
          image: z.string(),
          args: z.array(z.string()),
          env: z.array(z.object({ name: z.string(), value: z.string() })).default([]),
          securityContext: z
            .object({ readOnlyRootFilesystem: z.literal(true), allowPrivilegeEscalation: z.literal(false) })
            .loose(),
          volumeMounts: z.array(mountSchema),
        })
        .loose(),
    ]),
    volumes: z.array(
      z.object({ name: z.string(), secret: z.object({ defaultMode: z.number() }).loose().optional() }).loose(),
    ),
  })
  .loose();
const template = z.object({ spec: podSchema }).loose();

describe('the Kubernetes objects', () => {
  // As Kubernetes reads it: 0440 is octal.
  const load = (name: string): unknown => parse(read(`kubernetes/${name}.yaml`), { version: '1.1' });
  const job = z
    .object({
      backoffLimit: z.literal(0),
      activeDeadlineSeconds: z.number().max(86_400),
      podFailurePolicy: z.object({ rules: z.tuple([z.object({ action: z.literal('Ignore') }).loose()]) }),
      template,
    })
    .strict();
  const cron = z
    .object({
      kind: z.literal('CronJob'),
      spec: z.object({ concurrencyPolicy: z.literal('Forbid'), jobTemplate: z.object({ spec: job }) }).loose(),
    })
    .loose();
  const indexed = job.omit({ backoffLimit: true }).extend({
    completionMode: z.literal('Indexed'),
    completions: z.number(),
    parallelism: z.number(),
    backoffLimitPerIndex: z.literal(0),
  });
  const workers = z
    .object({
      kind: z.literal('CronJob'),
      spec: z.object({ concurrencyPolicy: z.literal('Forbid'), jobTemplate: z.object({ spec: indexed }) }).loose(),
    })
    .loose()
    .parse(load('indexed-job'));
  const deployment = z
    .object({
      kind: z.literal('Deployment'),
      spec: z.object({ replicas: z.literal(1), strategy: z.object({ type: z.literal('Recreate') }), template }).loose(),
    })
    .loose();
  const pods = [
    cron.parse(load('cronjob')).spec.jobTemplate.spec.template.spec,
    deployment.parse(load('deployment')).spec.template.spec,
    workers.spec.jobTemplate.spec.template.spec,
  ];

  it('never have two writers, and their pods are unprivileged, mount their volumes and set known variables', () => {
    for (const { containers, volumes } of pods) {
      expect(containers[0].volumeMounts.map((mount) => mount.name)).toEqual(volumes.map((volume) => volume.name));
      const env = Object.fromEntries(containers[0].env.map(({ name, value }) => [name, value]));
      expect(Object.keys(environmentLayer(env).values)).toEqual(containers[0].env.length > 0 ? ['health'] : []);
      // Readable by the group, which fsGroup makes that of the program.
      expect(volumes.map(({ secret }) => secret?.defaultMode).filter(Boolean)).toEqual([0o440]);
    }
  });

  it('run commands of the program, and the Job succeeds when the next run continues', () => {
    const shard = '$(JOB_COMPLETION_INDEX)/8';
    expect(pods.map(({ containers }) => containers[0].args)).toEqual([
      ['run', '--exit-zero', '5,11,13'],
      ['schedule'],
      ['run', '--shard', shard, '--exit-zero', '5,11,13'],
    ]);
    const { completions, parallelism } = workers.spec.jobTemplate.spec;
    expect([completions, parallelism, parseShard(shard.replace(/\$\(\w+\)/, '7'))]).toEqual([
      8,
      8,
      { index: 7, of: 8 },
    ]);
  });

  it('mount a configuration for several tenants whose keys are the files of the secret', async () => {
    const [map] = parseAllDocuments(read('kubernetes/config.yaml')).map((document): unknown => document.toJS());
    const { data } = z
      .object({ data: z.record(z.string(), z.string()) })
      .loose()
      .parse(map);
    await using stage = await openStage();
    const file = await stage.write('insights.yaml', data['insights.yaml'] ?? '');
    const { tenants } = loadConfig({ file, env: {}, cwd: stage.folder, flags: { values: {}, names: {} } });
    const named = read('kubernetes/config.yaml').match(/(?<=--from-file=)\w+/g) ?? [];
    expect(named.length).toBeGreaterThan(1);
    expect(tenants.map(({ id }) => id)).toEqual(named);
    for (const { containers } of pods) {
      const at = containers[0].volumeMounts.find(({ name }) => name === 'keys')?.mountPath ?? '';
      for (const name of named) expect(data['insights.yaml']).toContain(`{ file: ${at}/${name} }`);
    }
  });
});

describe('the crontab', () => {
  it('runs with the keys of its file, appends to a log, and starts no second run', async () => {
    await using stage = await openStage();
    const { folder } = stage;
    for (const name of ['etc/insights', 'var/lib/insights', 'var/log/insights', 'bin'])
      await mkdir(join(folder, name), { recursive: true });
    await stage.write('etc/insights/keys.env', "INSIGHTS_API_KEY='a b'\n");
    await stage.write('bin/insights-etl', '#!/bin/sh\necho "$INSIGHTS_API_KEY" "$@"\nsleep 0.3\n');
    await chmod(join(folder, 'bin/insights-etl'), 0o755);
    const [line = ''] = read('cron/insights-etl').match(/^\d.*$/m) ?? [];
    const [, command = ''] = /^(?:\S+ ){5}insights (.*)$/.exec(line) ?? [];
    const mapped = command.replaceAll(/(?<=\s)\/(?=(?:etc|var)\/)/g, `${folder}/`);
    const env = { PATH: `${join(folder, 'bin')}:${process.env['PATH']}` };
    await Promise.all([exec('sh', ['-c', mapped], { env }), exec('sh', ['-c', mapped], { env })]);
    const log = await readFile(join(folder, 'var/log/insights/run.log'), 'utf8');
    expect(log).toBe(`a b run --data-dir ${folder}/var/lib/insights --exit-zero 5,11,13\n`);
  });
});

describe('the health check of the image', () => {
  it('asks a schedule, and lets any other command run', async () => {
    await using stage = await openStage();
    let status = 200;
    const server = createServer((request, response) => {
      response.writeHead(request.url === '/healthz' ? status : 404).end();
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = z.object({ port: z.number() }).parse(server.address());
    const check = async (...argv: string[]): Promise<number> => {
      const file = await stage.write('cmdline', ['node', '/app/dist/cli.js', ...argv, ''].join('\0'));
      const child = spawn(process.execPath, [join(ROOT, 'deploy/healthcheck.mjs'), file], {
        env: { INSIGHTS_HEALTH_PORT: String(port) },
      });
      return z.tuple([z.number(), z.unknown()]).parse(await once(child, 'exit'))[0];
    };
    try {
      expect(await check('schedule')).toBe(0);
      status = 503;
      expect([await check('schedule'), await check('run'), await check('schedule', '--once')]).toEqual([1, 0, 0]);
    } finally {
      server.close();
    }
    expect(await check('schedule')).toBe(1);
  });
});

it('every file names the version of the package as the tag of the image', () => {
  const { version } = z.object({ version: z.string() }).parse(JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')));
  const files = ['deploy/Dockerfile', 'deploy/kubernetes/cronjob.yaml', 'deploy/kubernetes/deployment.yaml', 'docs/install.md'];
  const tags = files.map((file) => {
    const text = readFileSync(join(ROOT, file), 'utf8');
    const found = text.match(/insights-etl[:-]\d[\w.]*?(?=\.tgz|\s|$)/gm) ?? [];
    return [file, [...new Set(found.map((name) => name.slice('insights-etl-'.length)))]];
  });
  expect(tags).toEqual(files.map((file) => [file, [version]]));
}); // oxfmt-ignore

describe('the workflow', () => {
  it('runs commands that exist, never two at a time, without permissions', () => {
    const schema = z
      .object({
        permissions: z.strictObject({}),
        concurrency: z.object({ 'cancel-in-progress': z.literal(false) }).loose(),
        jobs: z.object({ run: z.object({ steps: z.array(z.object({ run: z.string() }).loose()) }).loose() }),
      })
      .loose();
    const { steps } = schema.parse(parse(read('github/insights.yml'))).jobs.run;
    const called = steps.map(({ run }) => /^insights-etl (\w+)/.exec(run)?.[1] ?? '');
    expect(called.filter((name) => !COMMANDS.includes(name))).toEqual([]);
  });
});

describe('completions', () => {
  const script = async (name: string): Promise<string> => {
    await using stage = await openStage();
    return (await stage.run(['completion', name])).out;
  };

  it('bash completes commands, and the flags of the current one', async () => {
    const source = await script('bash');
    const complete = async (...words: string[]): Promise<string[]> => {
      const line = `${source}\nCOMP_WORDS=(insights-etl ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}; _insights_etl; printf '%s\\n' "\${COMPREPLY[@]}"`;
      const { stdout } = await exec('bash', ['--norc', '-c', line]);
      return stdout.trim().split('\n');
    };
    expect(await complete('sched')).toEqual(['schedule']);
    expect(await complete('schedule', '--cr')).toEqual(['--cron']);
    expect(await complete('--data-dir', '/x', 'run', '--allow')).toEqual(['--allow-deletes']);
    expect(await complete('run', '--cron')).toEqual(['']);
    expect(await complete('run', '')).toEqual(['']);
    expect(await complete('tenant', 'rem')).toEqual(['remove']);
    expect(await complete('tenant', 'remove', 'paris', '--p')).toEqual(['--purge']);
    expect(await complete('--data-dir', '/x', 'quarantine', 'li')).toEqual(['list']);
    expect(await complete('quarantine', 'drop', '--bef')).toEqual(['--before']);
    // A subcommand completes only its own flags, and its argument is not completed as a command.
    expect(await complete('tenant', 'pin', '--pu')).toEqual(['']);
    expect(await complete('tenant', 'pin', 'rem')).toEqual(['']);
  });

  it('every shell gets the subcommands with their flags', async () => {
    const pairs = [['tenant', 'remove', 'purge'], ['tenant', 'pin'], ['quarantine', 'list'], ['quarantine', 'drop', 'before']]; // oxfmt-ignore
    const fish = (await script('fish')).split('\n');
    const zsh = await script('zsh');
    for (const [outer = '', inner = '', flag] of pairs) {
      const given = fish.filter((line) => line.includes(`__fish_seen_subcommand_from ${outer};`));
      expect(given.filter((line) => line.includes(` -a ${inner} `))).toHaveLength(1);
      const block = zsh.slice(zsh.indexOf(`    ${outer})`), zsh.indexOf('esac ;;', zsh.indexOf(`    ${outer})`)));
      expect(block).toContain(`'${inner}:`);
      expect(block).toContain(`        ${inner}) _arguments `);
      if (flag === undefined) continue;
      expect(given.filter((line) => line.includes(`from ${inner}' -l ${flag} `))).toHaveLength(1);
      expect(block).toContain(`'--${flag}[`);
    }
  });

  it('every shell gets every command and flag', async () => {
    await using stage = await openStage();
    const help = (await stage.run(['--help'])).out;
    const commands = [...help.slice(help.indexOf('Commands:')).matchAll(/^ {2}([a-z]+) /gm)].map(
      (match) => match[1] ?? '',
    );
    const known = commands.filter((name) => name !== 'help');
    expect(known.length).toBeGreaterThan(10);
    for (const name of ['bash', 'zsh', 'fish']) {
      const text = await script(name);
      expect([name, known.filter((command) => !new RegExp(String.raw`\b${command}\b`).test(text))]).toEqual([name, []]);
      expect(text).toContain('allow-deletes');
    }
  });

  it('an unknown shell is refused with the known ones', async () => {
    await using stage = await openStage();
    const { code, err } = await stage.run(['completion', 'tcsh']);
    expect([code, err]).toEqual([2, expect.stringContaining('bash, zsh, fish')]);
  });
});
