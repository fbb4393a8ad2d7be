/** Metrics, alert rules and log events, checked against the output of a real run. */
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pino } from 'pino';
import { parse } from 'yaml';
import { z } from 'zod';
import { metricsText, observed } from '../../src/commands/observe.ts';
import { packageVersion } from '../../src/kernel/version.ts';
import type { RunReport } from '../../src/model/report.ts';
import { exposition } from '../../src/operate/exposition.ts';
import { watchTraffic } from '../../src/operate/traffic.ts';
import { runPipeline } from '../../src/pipeline/run.ts';
import { emptyReport } from '../../src/pipeline/table-report.ts';
import { openWorld, type World } from '../pipeline/support/world.ts';
import { startReceiver, type Receiver } from '../support/receiver.ts';
import { Collector } from '../support/shell.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NOW = Date.parse('2026-11-01T00:30:00Z');

let world: World;
let receiver: Receiver;
let text: string;
/** What the run wrote for node_exporter. */
let textfile: string;
let log: Collector;
let mirror: string;
beforeAll(async () => {
  const source = { rows: 900, days: 3, now: new Date(NOW).toISOString(), frozen: true, tenants: ['paris'] };
  world = await openWorld(source, { lake: { checks: true } });
  receiver = await startReceiver();
  log = new Collector();
  const runtime = { ...world.runtime, log: pino({ base: null }, log), now: () => NOW };
  textfile = join(world.dataDir, 'insights.prom');
  mirror = await mkdtemp(join(tmpdir(), 'insights-metrics-'));
  const config = world.config({ ping: { url: `${receiver.url}/key` }, health: { textfile }, mirror: { to: mirror } });
  const traffic = watchTraffic(runtime);
  const { signal } = new AbortController();
  await observed(config, runtime, { traffic, isRegular: true }, signal, () =>
    runPipeline(config, {}, { ...runtime, fetch: traffic.fetch }, signal),
  );
  const schedule = { running: false, nextMs: NOW + 60_000 };
  text = await metricsText(config, runtime, { traffic, schedule });
});
afterAll(async () => {
  await rm(mirror, { recursive: true, force: true });
  await receiver[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

const EMPTY_RUN: RunReport = {
  run: 'r', startedAt: '', seconds: 1, tenants: [], tables: [], expired: [], published: false, drift: [], checks: [],
  isBehind: false, peakRssBytes: 0, exitCode: 0,
}; // oxfmt-ignore

/** The samples of one metric: labels as written, and the value. */
function samples(name: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  return new Map(
    lines.map((line) => {
      const cut = line.lastIndexOf(' ');
      return [line.slice(name.length, cut), Number(line.slice(cut + 1))];
    }),
  );
}

/** The labels of a metric. */
function labelsOf(name: string): string[] {
  const [first = ''] = samples(name).keys();
  return [...first.matchAll(/(\w+)="/g)].map((match) => match[1] ?? '');
}

describe('the metrics', () => {
  it('are lines of the Prometheus format, each family once with help and type', () => {
    const sample = /^[a-z_]+(\{[a-z_]+="[^"\\\n]*"(,[a-z_]+="[^"\\\n]*")*\})? -?\d+(\.\d+)?(e[+-]?\d+)?$/;
    const lines = text.trimEnd().split('\n');
    expect(lines.filter((line) => !line.startsWith('#') && !sample.test(line))).toEqual([]);
    const named = (word: string): string[] =>
      lines.filter((line) => line.startsWith(`# ${word} `)).map((line) => line.split(' ')[2] ?? '');
    expect(named('HELP')).toEqual(named('TYPE'));
    expect(new Set(named('HELP')).size).toBe(named('HELP').length);
  });

  it('describe the lake', async () => {
    const [events] = await world.sql('select count(*)::int as n from events');
    const at = '{tenant="paris",table="Events"}';
    expect(samples('insights_etl_rows').get(at)).toBe(events?.['n']);
    expect(samples('insights_etl_lake_bytes').get(at)).toBeGreaterThan(1000);
    expect(samples('insights_etl_hours_unverified').get(at)).toBe(0);
    expect(samples('insights_etl_hours_at_risk').get(at)).toBe(0);
    expect(samples('insights_etl_freshness_seconds').get(at)).toBeLessThan(86_400);
    expect(samples('insights_etl_last_success_timestamp_seconds').get(at)).toBe(NOW / 1000);
    expect(samples('insights_etl_last_run_failed').get(at)).toBe(0);
    expect(samples('insights_etl_last_run_exit_code').get('')).toBe(0);
    expect(samples('insights_etl_mirrored_timestamp_seconds').get('')).toBe(NOW / 1000);
    const until = samples('insights_etl_compared_until_timestamp_seconds').get(at) ?? 0;
    expect(Math.abs(NOW / 1000 - until)).toBeLessThan(2 * 3600);
    const proven = samples('insights_etl_oldest_proof_timestamp_seconds').get(at) ?? 0;
    expect(Math.abs(NOW / 1000 - proven)).toBeLessThan(60);
    expect(samples('insights_etl_rotation_seconds').get(at)).toBe(30 * 86_400);
    expect([...samples('insights_etl_retention_seconds')]).toEqual([['{tenant="paris",table="Logs"}', 45 * 86_400]]);
  });

  it('count the calls that the source received', () => {
    const sent = world.sandbox.calls.length;
    expect(sent).toBeGreaterThan(3);
    expect(samples('insights_etl_calls_total').get('{tenant="paris",status="200"}')).toBe(sent);
    expect(samples('insights_etl_throttled_total').get('{tenant="paris"}')).toBe(0);
  });

  it('count what runs loaded and retried, and name the version', () => {
    const at = '{tenant="paris",table="Events"}';
    expect(samples('insights_etl_rows_loaded_total').get(at)).toBe(samples('insights_etl_rows').get(at));
    expect(samples('insights_etl_retries_total').get(at)).toBe(0);
    expect(samples('insights_etl_last_run_expired_hours').get(at)).toBe(0);
    expect([...samples('insights_etl_build_info')]).toEqual([[`{version="${packageVersion()}"}`, 1]]);
  });

  it('of an empty data directory have the series of every table, so that alerts notice that it is never loaded', async () => {
    const dataDir = join(world.dataDir, 'none');
    const empty = (await metricsText({ ...world.config(), dataDir }, world.runtime)).split('\n');
    for (const table of ['Logs', 'Events', 'Metrics'])
      for (const [name, value] of [['rows', 0], ['hours_unverified', 0], ['last_success_timestamp_seconds', 0], ['last_run_failed', 1], ['rows_loaded_total', 0]] as const)
        expect(empty).toContain(`insights_etl_${name}{tenant="paris",table="${table}"} ${value}`); // oxfmt-ignore
    expect(empty).toContain('insights_etl_throttled_total{tenant="paris"} 0');
    expect(empty).toContain('insights_etl_lake_unreadable 0');
  });

  it('show a tenant that was never loaded next to the others, and none of what alerts watch of one that was removed', async () => {
    const config = world.config({ tenants: [{ id: 'nordlys', apiKey: { env: 'K' } }] });
    const lines = (await metricsText(config, world.runtime)).split('\n');
    const named = (tenant: string): string[] =>
      lines.filter((line) => line.includes(`tenant="${tenant}"`)).map((line) => line.slice('insights_etl_'.length));
    expect(named('nordlys')).toContain('last_success_timestamp_seconds{tenant="nordlys",table="Logs"} 0');
    expect(named('nordlys')).toContain('hours{tenant="nordlys",table="Logs",state="verified"} 0');
    expect(named('paris').some((line) => line.startsWith('rows{'))).toBe(true);
    const watched = /^(last_|hours_|check_|retention|compared|oldest)/;
    expect(named('paris').filter((line) => watched.test(line))).toEqual([]);
  });

  it('say so if the published lake cannot be read, and are complete otherwise', async () => {
    const dataDir = join(world.dataDir, 'damaged');
    await mkdir(dataDir, { recursive: true });
    await writeFile(join(dataDir, 'insights.duckdb'), 'x'.repeat(20_000));
    const lines = (await metricsText({ ...world.config(), dataDir }, world.runtime)).split('\n');
    expect(lines).toContain('insights_etl_lake_unreadable 1');
    expect(lines).toContain('insights_etl_last_run_failed{tenant="paris",table="Logs"} 1');
  });

  it('a backfill adds to the counters, and does not hide that the regular runs fail', async () => {
    const config = { ...world.config(), dataDir: join(world.dataDir, 'failing') };
    await mkdir(config.dataDir, { recursive: true });
    const runtime = { ...world.runtime, now: () => NOW };
    const table = { ...emptyReport('paris', 'Events'), inserted: 5, retries: 2 };
    const run = async (isRegular: boolean, outcome: 'failed' | 'verified', exitCode: number): Promise<void> => {
      const report = { ...EMPTY_RUN, exitCode, tables: [{ ...table, outcome }] };
      const signal = new AbortController().signal;
      await observed(config, runtime, { traffic: watchTraffic(runtime), isRegular }, signal, async () => report);
    };
    await run(true, 'failed', 4);
    await run(false, 'verified', 0);
    const lines = (await metricsText(config, runtime)).split('\n');
    const at = '{tenant="paris",table="Events"}';
    expect(lines).toContain(`insights_etl_last_run_failed${at} 1`);
    expect(lines).toContain(`insights_etl_last_success_timestamp_seconds${at} 0`);
    expect(lines).toContain('insights_etl_last_run_exit_code 4');
    expect(lines).toContain(`insights_etl_rows_loaded_total${at} 10`);
    expect(lines).toContain(`insights_etl_retries_total${at} 4`);
  });

  it("are written by each run to a file that node_exporter can read, and the run reports to its dead man's switch", async () => {
    const written = await readFile(textfile, 'utf8');
    expect(written).toContain(`\ninsights_etl_last_run_timestamp_seconds ${NOW / 1000}\n`);
    expect(written).toContain('insights_etl_hours{tenant="paris",table="Logs",state="verified"}');
    expect((await stat(textfile)).mode & 0o777).toBe(0o644);
    expect(receiver.received.map(({ path }) => path)).toEqual(['/key/start', '/key']);
    expect(receiver.received[1]?.body).toMatch(
      /^insights-etl: a run succeeded, exit code 0, run \S+\n3 of 3 tables verified/,
    );
    // A file that cannot be written is logged and changes nothing.
    const config = world.config({ health: { textfile: join(world.dataDir, 'missing', 'x.prom') } });
    const runtime = { ...world.runtime, log: pino({ base: null }, log) };
    const handles = { traffic: watchTraffic(runtime), isRegular: false };
    const report = await observed(config, runtime, handles, new AbortController().signal, async () => EMPTY_RUN);
    expect(report).toBe(EMPTY_RUN);
    expect(log.text).toContain('"event":"textfile.failed","code":"ENOENT"');
  });

  it('a label with quotes, backslashes and line breaks stays one line', () => {
    const family = {
      name: 'a',
      help: 'b\nc',
      type: 'gauge',
      samples: [{ labels: { x: 'q"\\\n' }, value: NaN }],
    } as const;
    expect(exposition([family])).toBe('# HELP a b\\nc\n# TYPE a gauge\na{x="q\\"\\\\\\n"} NaN\n');
  });
});

const rulesSchema = z.strictObject({
  groups: z.array(
    z.strictObject({
      name: z.string(),
      rules: z.array(
        z.strictObject({
          alert: z.string().regex(/^Insights[A-Za-z]+$/),
          expr: z.string(),
          for: z
            .string()
            .regex(/^\d+[smhd]$/)
            .optional(),
          labels: z.strictObject({ severity: z.enum(['warning', 'critical']) }),
          annotations: z.strictObject({ summary: z.string(), action: z.string() }),
        }),
      ),
    }),
  ),
});

describe('the alert rules', () => {
  const path = join(ROOT, 'deploy/prometheus/insights-etl.rules.yml');
  const rules = rulesSchema.parse(parse(readFileSync(path, 'utf8'))).groups.flatMap((group) => group.rules);
  const metricsIn = (expr: string): string[] => [...new Set(expr.match(/insights_etl_\w+/g) ?? [])];

  it('use only metrics that a run produces', () => {
    const unknown = rules.flatMap(({ expr }) => metricsIn(expr)).filter((name) => samples(name).size === 0);
    expect([rules.length > 5, unknown]).toEqual([true, []]);
  });

  it('use only labels that those metrics have', () => {
    const wrong = rules.flatMap(({ alert, expr, annotations }) => {
      const carried = metricsIn(expr).map(labelsOf);
      const used = [
        ...[...annotations.summary.matchAll(/\$labels\.(\w+)/g)].map((match) => match[1] ?? ''),
        ...[...expr.matchAll(/on \(([^)]*)\)/g)].flatMap((match) => (match[1] ?? '').split(/,\s*/)),
      ];
      // Prometheus adds the labels of the target.
      const own = used.filter((label) => label !== 'job' && label !== 'instance');
      return own.filter((label) => !carried.every((labels) => labels.includes(label))).map((label) => [alert, label]);
    });
    expect(wrong).toEqual([]);
  });

  it('each has a case in which it fires and one in which it does not, also without any series', () => {
    const schema = z.object({
      tests: z.array(
        z.object({
          alert_rule_test: z.array(z.object({ alertname: z.string(), exp_alerts: z.array(z.unknown()).default([]) })),
        }),
      ),
    });
    const { tests } = schema.parse(parse(readFileSync(path.replace('.rules.', '.test.'), 'utf8')));
    const names = rules.map(({ alert }) => alert);
    const [healthy, ...others] = tests.map((test) => test.alert_rule_test);
    const silentIn = (cases: typeof healthy): string[] =>
      (cases ?? []).filter(({ exp_alerts: alerts }) => alerts.length === 0).map(({ alertname }) => alertname);
    expect(silentIn(healthy).toSorted()).toEqual(names.toSorted());
    const fires = others.flat().filter(({ exp_alerts: alerts }) => alerts.length > 0);
    expect([...new Set(fires.map(({ alertname }) => alertname))].toSorted()).toEqual(names.toSorted());
    const [blind] = tests.filter(({ alert_rule_test: cases }) => cases.length === names.length && cases !== healthy);
    expect(silentIn(blind?.alert_rule_test).length).toBe(names.length - 1);
  });

  it('are all described in docs/operate.md', () => {
    const docs = readFileSync(join(ROOT, 'docs/operate.md'), 'utf8');
    expect(rules.map(({ alert }) => alert).filter((alert) => !docs.includes(`| ${alert} `))).toEqual([]);
  });
});

describe('the log', () => {
  it('names each event, and docs/operate.md lists exactly those', () => {
    const folder = join(ROOT, 'src');
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
      (name) => name.endsWith('.ts') && !name.startsWith('sandbox'),
    );
    const source = files.map((name) => readFileSync(join(folder, name), 'utf8')).join('\n');
    const nameless = [...source.matchAll(/\blog(?:\.(?:info|warn|error|debug)|\[\w+\])\(\s*(.{0,30})/g)]
      .map((match) => match[1] ?? '')
      .filter((start) => !start.startsWith('{ event: '));
    expect(nameless).toEqual([]);
    const form = /'([a-z]+\.[a-z-]+)'/g;
    const used = [
      ...[...source.matchAll(/event: '([a-z]+\.[a-z-]+)'/g)].map((match) => match[1] ?? ''),
      ...[...(/const PROGRESS = \{.*\}/.exec(source)?.[0] ?? '').matchAll(form)].map((match) => match[1] ?? ''),
    ];
    const docs = readFileSync(join(ROOT, 'docs/operate.md'), 'utf8');
    const [section = ''] = docs.slice(docs.indexOf('## The log') + 1).split('\n## ');
    const listed = [...section.matchAll(/^\| `([a-z]+\.[a-z-]+)`/gm)].map((match) => match[1] ?? '');
    expect(listed.toSorted()).toEqual([...new Set(used)].toSorted());
  });
});
