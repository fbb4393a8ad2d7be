/** The starters for other tools, on a small lake: none names a file, column or figure that does not exist. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { openWorld, type World } from './pipeline/support/world.ts';

const ROOT = fileURLToPath(new URL('../deploy/starters', import.meta.url));
const read = (...path: string[]): string => readFileSync(join(ROOT, ...path), 'utf8');
const parseAs = <T>(schema: z.ZodType<T>, ...path: string[]): T => schema.parse(parse(read(...path)));

let world: World;
let instance: DuckDBInstance;
let lake: DuckDBConnection;
beforeAll(async () => {
  world = await openWorld({ rows: 400, days: 3, now: '2026-11-01T00:30:00Z' }, { lake: { marts: true } });
  await world.run({ tables: ['Events', 'Logs'] });
  instance = await DuckDBInstance.create(':memory:');
  lake = await instance.connect();
});
afterAll(async () => {
  lake?.closeSync();
  instance?.closeSync();
  await world?.[Symbol.asyncDispose]();
});

/** The columns of a query, which is run to its end. */
async function columnsOf(sql: string): Promise<string[]> {
  return (await lake.runAndReadAll(sql)).columnNames();
}

it('Grafana: each panel and variable is a query over the lake', async () => {
  const target = z.object({ rawSql: z.string() });
  const dashboard = z
    .object({
      panels: z.array(z.object({ title: z.string(), type: z.string(), targets: z.array(target) })),
      templating: z.object({ list: z.array(z.object({ type: z.string(), query: z.string() })) }),
    })
    .parse(JSON.parse(read('grafana', 'dashboard.json')));
  const filled = (sql: string): string =>
    sql
      .replaceAll('${lake}', world.dataDir)
      .replaceAll('${tenant:sqlstring}', `'demo'`)
      .replaceAll(/\$__timeFilter\((\w+)\)/g, `$1 >= '2026-10-01T00:00:00Z' AND $1 <= '2026-11-01T00:00:00Z'`);
  for (const { title, type, targets } of dashboard.panels)
    for (const { rawSql } of targets) {
      const columns = await columnsOf(filled(rawSql));
      expect({ title, columns }).toEqual({
        title,
        columns: type === 'timeseries' ? ['time', ...columns.slice(1)] : columns,
      });
    }
  const queries = dashboard.templating.list.filter(({ type }) => type === 'query');
  expect(await Promise.all(queries.map(({ query }) => columnsOf(filled(query))))).toEqual([['tenant_id']]);
});

it('Metabase: each question runs with and without its variables', async () => {
  const text = read('metabase', 'questions.sql').replaceAll('/srv/insights/data', world.dataDir);
  const values: Readonly<Record<string, string>> = {
    tenant: `'demo'`,
    from: `date '2026-10-01'`,
    to: `date '2026-11-01'`,
  };
  const questions = text.split(';').filter((sql) => sql.trim() !== '');
  expect(questions.length).toBe(text.match(/^-- question: /gm)?.length);
  for (const sql of questions) {
    const without = sql.replaceAll(/\[\[[^\]]*\]\]/g, '');
    const given = sql
      .replaceAll(/\[\[|\]\]/g, '')
      .replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => values[name] ?? '');
    expect(await columnsOf(given)).toEqual(await columnsOf(without));
  }
});

it('Evidence: the sources run, and the page asks for columns that they have', async () => {
  await lake.run('create schema insights');
  const sources = join('evidence', 'sources', 'insights');
  for (const name of readdirSync(join(ROOT, sources)).filter((file) => file.endsWith('.sql')))
    await lake.run(
      `create view insights.${name.slice(0, -4)} as ${read(sources, name).replaceAll('${lake}', world.dataDir)}`,
    );
  const page = read('evidence', 'pages', 'index.md');
  const columns = new Map<string, string[]>();
  for (const [, name = '', sql = ''] of page.matchAll(/```sql (\w+)\n([^]*?)```/g))
    columns.set(
      name,
      await columnsOf(
        sql
          .replaceAll('${inputs.tenant.value}', 'demo')
          .replaceAll('${inputs.range.start}', '2026-10-01')
          .replaceAll('${inputs.range.end}', '2026-11-01'),
      ),
    );
  const used = [...page.matchAll(/<\w+ ([^]*?\bdata=\{(\w+)\}[^]*?)\/>/g)].map(([, attributes = '', data = '']) => {
    const names = [...attributes.matchAll(/\b(?:x|y|series|dates|value)=(?:\{\[([^\]]*)\]\}|(\w+))/g)];
    return {
      data,
      names: names.flatMap(([, list, one]) => (list ?? one ?? '').split(/[',\s]+/)).filter((name) => name),
    };
  });
  expect(used.length).toBe(columns.size);
  for (const { data, names } of used)
    expect({ data, unknown: names.filter((name) => !columns.get(data)?.includes(name)) }).toEqual({
      data,
      unknown: [],
    });
});

it('Superset: datasets are tables of the catalogue, charts use their figures, and the dashboard shows the charts', async () => {
  const dataset = z.object({
    uuid: z.string(),
    table_name: z.string(),
    columns: z.array(z.object({ column_name: z.string() })),
    metrics: z.array(z.object({ metric_name: z.string(), expression: z.string() })),
  });
  const chart = z.object({
    uuid: z.string(),
    dataset_uuid: z.string(),
    params: z.object({ metrics: z.array(z.string()), x_axis: z.string(), groupby: z.array(z.string()) }),
  });
  const files = (folder: string): string[] => readdirSync(join(ROOT, 'superset', folder));
  const known = new Map<string, Set<string>>();
  await lake.run(`attach '${join(world.dataDir, 'insights.duckdb')}' as published (read_only)`);
  for (const file of files('datasets/insights')) {
    const { uuid, table_name, columns, metrics } = parseAs(dataset, 'superset', 'datasets', 'insights', file);
    const names = columns.map(({ column_name }) => column_name);
    expect(await columnsOf(`select ${names.join(', ')} from published.${table_name}`)).toEqual(names);
    await columnsOf(`select ${metrics.map(({ expression }) => expression).join(', ')} from published.${table_name}`);
    known.set(uuid, new Set([...names, ...metrics.map(({ metric_name }) => metric_name)]));
  }
  const charts = files('charts').map((file) => parseAs(chart, 'superset', 'charts', file));
  for (const { dataset_uuid, params } of charts)
    for (const name of [...params.metrics, params.x_axis, ...params.groupby])
      expect(known.get(dataset_uuid)?.has(name) ? name : `${name} is unknown`).toBe(name);
  const dashboard = read('superset', 'dashboards', 'Wallet_insights.yaml');
  expect(charts.filter(({ uuid }) => !dashboard.includes(uuid))).toEqual([]);
});

it('Power BI: each table reads columns of its file, and measures use columns of the model', async () => {
  const model = read('powerbi', 'model.tmdl');
  const columns = new Set<string>();
  for (const block of model.split(/^\ttable /m).slice(1)) {
    const [table = ''] = block.split('\n');
    const file = /Lake & "([^"]+)"/.exec(block)?.[1]?.replaceAll('\\', '/') ?? '';
    const found = await columnsOf(`from '${world.dataDir}${file}'`);
    const named = [...block.matchAll(/sourceColumn: (\w+)/g)].map(([, name = '']) => name);
    expect({ table, unknown: named.filter((name) => !found.includes(name)) }).toEqual({ table, unknown: [] });
    const kept = /SelectColumns\(Source, \{([^}]*)\}/.exec(block)?.[1]?.replaceAll('"', '').split(', ');
    expect({ table, kept }).toEqual({ table, kept: named });
    for (const name of named) columns.add(`${table}[${name}]`);
    for (const [, measure = ''] of block.matchAll(/measure '([^']+)'/g))
      expect(named.map((name) => name.toLowerCase())).not.toContain(measure.toLowerCase());
  }
  const used = [...model.matchAll(/\b[a-z_]+\[\w+\]/g)].map(([name]) => name);
  expect(used.length).toBeGreaterThan(20);
  expect(used.filter((name) => !columns.has(name))).toEqual([]);
});
