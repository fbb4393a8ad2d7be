import { readdir, readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exitCodeLines } from '../../src/commands/program.ts';
import { EXIT } from '../../src/kernel/errors.ts';
import { openStage, type Stage } from '../support/shell.ts';

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage[Symbol.asyncDispose]());

const TENANT = { INSIGHTS_TENANT: 'demo', INSIGHTS_API_KEY: 'k-123', INSIGHTS_BASE_URL: 'https://127.0.0.1:9' };

describe('wrong input is reported with what, where and next, has its own exit code, and changes nothing', () => {
  it.each<[string, string[], Record<string, string>, string]>([
    [
      'an unknown command',
      ['rnu'],
      {},
      "error: Unknown command 'rnu'.\nnext:  Did you mean run? `insights-etl --help` lists what is allowed.\n",
    ],
    [
      'an unknown flag',
      ['run', '--tabel', 'Logs'],
      TENANT,
      "error: Unknown option '--tabel'.\nnext:  Did you mean --table? `insights-etl run --help` lists what is allowed.\n",
    ],
    [
      'a missing flag',
      ['backfill', '--from', '2026-01-01'],
      TENANT,
      "error: Required option '--to <instant>' not specified.\nnext:  `insights-etl backfill --help` lists what is allowed.\n",
    ],
    [
      'an extra argument',
      ['status', 'now'],
      {},
      "error: Too many arguments for 'status'. Expected 0 arguments but got 1.\nnext:  `insights-etl status --help` lists what is allowed.\n",
    ],
    [
      'no tenant',
      ['run'],
      {},
      'error: No tenant is configured.\nwhere: folder FOLDER\nnext:  Set INSIGHTS_TENANT and INSIGHTS_API_KEY, or list `tenants` in insights.yaml. `insights-etl demo` needs none.\n',
    ],
    [
      'an unknown tenant',
      ['run', '--tenant', 'dem'],
      TENANT,
      'error: No tenant "dem" is configured.\nwhere: flag --tenant\nnext:  Did you mean "demo"? Configured: demo.\n',
    ],
    [
      'an unknown table',
      ['run', '--table', 'Event'],
      TENANT,
      'error: Unknown table "Event".\nwhere: flag --table\nnext:  Did you mean "Events"? Allowed: Logs, Events, Metrics.\n',
    ],
    [
      'a table that is switched off',
      ['run', '--table', 'events'],
      { ...TENANT, INSIGHTS_TABLES_EVENTS_ENABLED: 'false' },
      'error: Table "Events" is not enabled for any tenant.\nwhere: flag --table\nnext:  Set `tables.Events.enabled: true`, or list it in a tenant\'s `tables`.\n',
    ],
    [
      'a backup to a bucket',
      ['backup', 's3://bucket/lake'],
      TENANT,
      'error: "s3://bucket/lake" is not a folder of this machine.\nnext:  Use a path on this machine; copy it to s3:// afterwards, for example with rclone or the tool of the provider.\n',
    ],
    [
      'a check of a backup behind a file address',
      ['backup', '--check', 'file:///mnt/backup'],
      TENANT,
      'error: "file:///mnt/backup" is not a folder of this machine.\nnext:  Use a path without file://, such as /srv/insights.\n',
    ],
    [
      'a backup to restore from a web server',
      ['restore', 'https://host/lake', 'data'],
      TENANT,
      'error: "https://host/lake" is not a folder of this machine.\nnext:  Use a path on this machine; copy it first.\n',
    ],
    [
      'a mirror to restore from a bucket that cannot exist',
      ['restore', 's3://My_Bucket/lake', 'data'],
      TENANT,
      'error: "s3://My_Bucket/lake" is not the address of a mirror.\nnext:  Use s3://bucket/prefix, az://container/prefix, gs://bucket/prefix or a folder. A bucket or container has 3 to 63 characters: a-z, 0-9, hyphens, dots and underscores, the first a letter or digit.\n',
    ],
    [
      'a mirror that is not configured',
      ['mirror', 'push'],
      TENANT,
      'error: No mirror is configured.\nnext:  Set `mirror: s3://bucket/prefix` in insights.yaml, or INSIGHTS_MIRROR_TO (docs/mirror.md).\n',
    ],
    [
      'a restore into a home that no shell has replaced',
      ['restore', 'backup', '~/data'],
      TENANT,
      'error: "~/data" is not a folder of this machine.\nnext:  Use an absolute path such as /home/me/insights: only a shell replaces ~.\n',
    ],
    [
      'a bad date',
      ['backfill', '--from', '2026-02-30', '--to', '2026-03-01'],
      TENANT,
      'error: "2026-02-30" is not a date.\nwhere: flag --from\nnext:  Write an ISO date or instant in UTC, such as 2026-01-31 or 2026-01-31T06:00:00Z.\n',
    ],
    [
      'an empty range',
      ['backfill', '--from', '2026-03-01', '--to', '2026-03-01'],
      TENANT,
      'error: The range is empty: --from 2026-03-01 is not before --to 2026-03-01.\nwhere: flag --from, --to\nnext:  --from is inclusive, --to exclusive; one day is --from 2026-01-31 --to 2026-02-01.\n',
    ],
    [
      'an unknown report',
      ['query', 'install_per_day'],
      {},
      'error: There is no report "install_per_day".\nnext:  Did you mean "installs"? `insights-etl query --list` shows all reports.\n',
    ],
    [
      'no report at all',
      ['query'],
      {},
      'error: No report is named.\nnext:  `insights-etl query --list` shows the reports.\n',
    ],
    [
      'an unknown format',
      ['sql', 'select 1', '--format', 'xml'],
      {},
      "error: Option '--format <format>' argument 'xml' is invalid. Allowed choices are table, csv, json, ndjson, md.\nnext:  `insights-etl sql --help` lists what is allowed.\n",
    ],
    [
      'a bad cron expression',
      ['schedule', '--cron', '99 3 * * *'],
      TENANT,
      'error: "schedule.cron" cannot be "99 3 * * *".\nwhere: flag --cron\nnext:  Allowed: five fields: minute hour day month weekday, such as 0 3 * * *.\n',
    ],
    [
      'a bad time zone',
      ['schedule', '--time-zone', 'Mars'],
      TENANT,
      'error: "schedule.timeZone" cannot be "Mars".\nwhere: flag --time-zone\nnext:  Allowed: an IANA time zone such as Europe/Paris.\n',
    ],
    [
      'an unreadable configuration',
      ['status', '--config', 'none.yaml'],
      {},
      'error: The configuration file cannot be read (ENOENT).\nwhere: file FOLDER/none.yaml\nnext:  Check the path given by --config or INSIGHTS_CONFIG, and that this user may read it.\n',
    ],
    [
      'http to another machine',
      ['run'],
      { ...TENANT, INSIGHTS_BASE_URL: 'http://example.com' },
      'error: "baseUrl" cannot be "http://example.com".\nwhere: environment INSIGHTS_BASE_URL\nnext:  Allowed: https (plain http only for a service on this machine).\n',
    ],
  ])('%s', async (_name, argv, env, text) => {
    const { code, out, err } = await stage.run(argv, env);
    expect(err).toBe(text.replace('FOLDER', stage.folder));
    expect(out).toBe('');
    expect(code).toBe(EXIT.config);
    expect(await readdir(stage.folder)).toEqual([]);
  });

  it('a range in the future is refused, unless the service is on this machine', async () => {
    const argv = ['backfill', '--from', '2100-01-01', '--to', '2100-02-01'];
    const { code, err } = await stage.run(argv, { ...TENANT, INSIGHTS_BASE_URL: 'https://app.neostore.cloud' });
    expect(code).toBe(EXIT.config);
    expect(err).toMatch(
      /^error: The range lies in the future: --from 2100-01-01\.\nwhere: flag --from\nnext: {2}Give a --from before now, /,
    );
    expect(await readdir(stage.folder)).toEqual([]);
  });

  it('with --json the error is a JSON value on standard output as well', async () => {
    const { out } = await stage.run(['run', '--json', '--table', 'Event'], TENANT);
    expect(JSON.parse(out)).toEqual({
      error: {
        failure: 'config',
        message: 'Unknown table "Event".',
        hint: 'Did you mean "Events"? Allowed: Logs, Events, Metrics.',
        where: { flag: '--table' },
      },
      exitCode: EXIT.config,
    });
  });
});

const COMMANDS = ['run', 'backfill', 'plan', 'verify', 'status', 'query', 'sql', 'schedule', 'doctor', 'init', 'sandbox', 'demo', 'repair', 'rebuild', 'publish', 'backup', 'restore']; // oxfmt-ignore

describe('help', () => {
  it('lists every command, with examples and exit codes, and ends with 0', async () => {
    const { code, out } = await stage.run(['--help']);
    expect(code).toBe(EXIT.ok);
    for (const name of COMMANDS) expect(out).toMatch(new RegExp(`^ {2}${name}\\b`, 'm'));
    for (const line of exitCodeLines()) expect(out).toContain(line);
    expect(out).toContain('Examples:');
  });

  it('every command has examples and shows the global options', async () => {
    for (const name of COMMANDS) {
      const { code, out } = await stage.run([name, '--help']);
      expect({ name, code, examples: out.includes('Examples:'), global: out.includes('--data-dir') }).toEqual({
        name,
        code: EXIT.ok,
        examples: true,
        global: true,
      });
    }
  });

  it('the version is that of the package', async () => {
    const manifest: unknown = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
    const { out } = await stage.run(['--version']);
    expect(manifest).toMatchObject({ version: out.trim() });
  });
});

describe('exit codes', () => {
  it('are distinct, and docs/operate.md lists each with its meaning', async () => {
    const lines = exitCodeLines();
    expect(lines.length).toBe(Object.keys(EXIT).length);
    expect(new Set(Object.values(EXIT)).size).toBe(lines.length);
    const docs = await readFile(new URL('../../docs/operate.md', import.meta.url), 'utf8');
    for (const line of lines) {
      const [, code = '', meaning = ''] = /^\s*(\d+)\s+(.+)$/.exec(line) ?? [];
      expect(docs.replaceAll(/ +/g, ' ')).toContain(`| ${code} | ${meaning} |`);
    }
  });
});

describe('an error that quotes a long value', () => {
  it.each([
    [['query', 'x'.repeat(20_000)]],
    [['query', 'installs', '--param', `grain=${'x'.repeat(20_000)}`]],
    [['sql', `select ${'a, '.repeat(20_000)} 1`]],
    [['y'.repeat(20_000)]],
  ])('fits a screen', async (words) => {
    const { code, err } = await stage.run(words);
    expect(code).toBe(EXIT.config);
    expect(err.length).toBeLessThan(1900);
    expect(err).toContain('\nnext:  ');
  });
});

describe('query --list', () => {
  it('fits one screen, grouped by questions; --json has parameters and no SQL', async () => {
    const { out } = await stage.run(['query', '--list']);
    const lines = out.trimEnd().split('\n');
    expect(lines.length).toBeLessThanOrEqual(23);
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(out).toMatch(/^Are people installing\?\n {2}first_installs, /m);
    expect(out).not.toContain('Other reports');
    const listed = await stage.run(['query', '--list', '--json']);
    const reports: unknown = JSON.parse(listed.out);
    expect(reports).toContainEqual(expect.objectContaining({ name: 'installs', chart: expect.any(String) }));
    expect(listed.out).not.toContain('select');
  });

  it('`query <name> --help` explains a report', async () => {
    const { code, out } = await stage.run(['query', 'net_growth', '--help']);
    expect(code).toBe(0);
    expect(out).toContain('net_growth: ');
    expect(out).toContain(
      'Question    Are people installing?\nFormula     net_growth = installed + reinstalled - removed\n',
    );
    expect(out).toContain('  zone=<zone>\n      Time zone in which periods begin (default UTC)\n');
    expect(out).toContain('Caveats:\n  - ');
    expect(out).toContain('$ insights-etl query net_growth --param grain=month\n');
    expect(out.split('\n').filter((line) => line.length > 80 && !/\|/.test(line))).toEqual([]);
    expect((await stage.run(['query', '--help'])).out).toContain('Usage: insights-etl query');
  });
});
