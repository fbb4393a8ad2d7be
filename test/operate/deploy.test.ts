/** The files in deploy/: the commands that they call exist, and nothing runs as root. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { environmentLayer } from '../../src/config/layers.ts';
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
    expect(valuesOf('HEALTHCHECK').join('')).toContain('/healthz');
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
  });

  it('a missed night is caught up', () => {
    const timer = unit('systemd/insights-etl.timer');
    expect(timer.get('Timer.Persistent')).toBe('true');
    expect(timer.get('Timer.OnCalendar')).toMatch(/^\*-\*-\* \d\d:\d\d:\d\d$/);
    expect(timer.get('Install.WantedBy')).toBe('timers.target');
  });
});

const podSchema = z
  .object({
    terminationGracePeriodSeconds: z.number().min(30),
    securityContext: z.object({ runAsNonRoot: z.literal(true) }).loose(),
    containers: z.tuple([
      z
        .object({
          args: z.tuple([z.enum(['run', 'schedule'])]),
          env: z.array(z.object({ name: z.string(), value: z.string() })).default([]),
          securityContext: z
            .object({ readOnlyRootFilesystem: z.literal(true), allowPrivilegeEscalation: z.literal(false) })
            .loose(),
          volumeMounts: z.array(z.object({ name: z.string(), mountPath: z.string() })),
        })
        .loose(),
    ]),
    volumes: z.array(z.object({ name: z.string() }).loose()),
  })
  .loose();

describe('the Kubernetes objects', () => {
  it('the CronJob never runs twice at a time, and the Deployment has one writer', () => {
    const cron = z
      .object({ kind: z.literal('CronJob'), spec: z.object({ concurrencyPolicy: z.literal('Forbid') }).loose() })
      .loose();
    const deployment = z
      .object({
        kind: z.literal('Deployment'),
        spec: z.object({ replicas: z.literal(1), strategy: z.object({ type: z.literal('Recreate') }) }).loose(),
      })
      .loose();
    cron.parse(parse(read('kubernetes/cronjob.yaml')));
    expect(deployment.parse(parse(read('kubernetes/deployment.yaml'))).kind).toBe('Deployment');
  });

  it('their pods are unprivileged, mount their volumes, and set variables that the program knows', () => {
    const found = ['cronjob', 'deployment'].map((name) => {
      const nested = z.object({ spec: z.record(z.string(), z.unknown()) }).loose();
      const { spec } = nested.parse(parse(read(`kubernetes/${name}.yaml`)));
      const outer = name === 'cronjob' ? nested.parse(spec['jobTemplate']).spec : spec;
      return podSchema.parse(nested.parse(outer['template']).spec);
    });
    for (const { containers, volumes } of found) {
      const names = volumes.map((volume) => volume.name);
      expect(containers[0].volumeMounts.map((mount) => mount.name)).toEqual(names);
      const env = Object.fromEntries(containers[0].env.map(({ name, value }) => [name, value]));
      expect(Object.keys(environmentLayer(env).values)).toEqual(containers[0].env.length > 0 ? ['health'] : []);
    }
  });
});

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
    const called = steps.map(({ run }) => /^npx --no-install insights-etl (\w+)/.exec(run)?.[1] ?? '');
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
    const pairs = [['tenant', 'remove', 'purge'], ['tenant', 'pin'], ['quarantine', 'list'], ['quarantine', 'drop', 'before']]; // prettier-ignore
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
