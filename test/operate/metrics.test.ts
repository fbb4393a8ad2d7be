/** Metrics, alert rules and log events, checked against the output of a real run. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { metricsText, observed } from '../../src/commands/observe.ts';
import { exposition } from '../../src/operate/exposition.ts';
import { watchTraffic } from '../../src/operate/traffic.ts';
import { runPipeline } from '../../src/pipeline/run.ts';
import { openWorld, type World } from '../pipeline/support/world.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NOW = Date.parse('2026-11-01T00:30:00Z');

let world: World;
let text: string;
beforeAll(async () => {
  const source = { rows: 900, days: 3, now: new Date(NOW).toISOString(), frozen: true, tenants: ['paris'] };
  world = await openWorld(source, { lake: { checks: true } });
  const runtime = { ...world.runtime, now: () => NOW };
  const config = world.config();
  const traffic = watchTraffic(runtime);
  const { signal } = new AbortController();
  await observed(config, runtime, traffic, signal, () =>
    runPipeline(config, {}, { ...runtime, fetch: traffic.fetch }, signal),
  );
  const schedule = { running: false, nextMs: NOW + 60_000 };
  text = await metricsText(config, runtime, { traffic, schedule });
});
afterAll(() => world[Symbol.asyncDispose]());

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

  it('of an empty data directory contain only what is known without a lake', async () => {
    const empty = await metricsText({ ...world.config(), dataDir: join(world.dataDir, 'none') }, world.runtime);
    expect(empty).not.toContain('insights_etl_rows');
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
      return used.filter((label) => !carried.every((labels) => labels.includes(label))).map((label) => [alert, label]);
    });
    expect(wrong).toEqual([]);
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
    const [section = ''] = docs.slice(docs.indexOf('## Events of the log') + 1).split('\n## ');
    const listed = [...section.matchAll(/^\| `([a-z]+\.[a-z-]+)`/gm)].map((match) => match[1] ?? '');
    expect(listed.toSorted()).toEqual([...new Set(used)].toSorted());
  });
});
