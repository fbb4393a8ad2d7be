/** `export dbt` and `export semantic`. MetricFlow itself runs in `.ci/interop`; here its metrics are computed by hand. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { EXIT } from '../../../src/kernel/errors.ts';
import { dbtFiles } from '../../../src/query/export/dbt.ts';
import { publishLake } from '../../../src/pipeline/maintenance/publish.ts';
import { openWorld, type World } from '../../pipeline/support/world.ts';
import { openStage, type Stage } from '../../support/shell.ts';
import { CAMPAIGN } from '../../support/campaign.ts';

const SOURCE = { rows: 400, days: 2, seed: 4, now: '2026-11-01T12:30:00Z', frozen: true, tenants: ['paris', 'lyon'] };

const SOURCES = z.object({
  sources: z.tuple([
    z.object({
      tables: z.array(
        z.object({
          name: z.string(),
          description: z.string().min(1),
          columns: z.array(
            z.object({
              name: z.string(),
              description: z.string().min(1),
              data_type: z.string().min(1),
              quote: z.boolean(),
            }),
          ),
        }),
      ),
    }),
  ]),
});
const SEMANTIC_MODELS = z.object({
  semantic_models: z.array(
    z.object({
      name: z.string(),
      model: z.string().regex(/^ref\('\w+'\)$/),
      entities: z.array(z.object({ name: z.string(), expr: z.string() })),
      dimensions: z.array(z.object({ name: z.string() })),
      measures: z.array(z.object({ name: z.string(), agg: z.string(), expr: z.string() })).default([]),
    }),
  ),
});
const METRICS = z.object({
  metrics: z.array(
    z.object({
      name: z.string(),
      description: z.string(),
      type: z.enum(['simple', 'cumulative', 'derived']),
      type_params: z.object({ expr: z.string().optional() }),
    }),
  ),
});

let world: World;
let stage: Stage;
const file = (name: string): string => join(stage.folder, 'project/models', name);
const read = <T>(name: string, shape: z.ZodType<T>): T => shape.parse(parse(readFileSync(file(name), 'utf8')));
const run = (...words: string[]): ReturnType<Stage['run']> =>
  stage.run(['export', ...words, '--data-dir', world.dataDir]);

it('a name from the source cannot start an expression of Jinja', () => {
  const row = { kind: 'view', column: 'a"b', type: 'VARCHAR', columnHolds: '{% raw %}' };
  const text = dbtFiles([{ ...row, name: 'event_x', holds: 'Events of type "{{ env_var(1) }}"' }], "/o'brien/x.duckdb");
  const [{ tables }] = SOURCES.parse(parse(text.get('models/insights/sources.yml') ?? '')).sources;
  expect(tables).toEqual([
    expect.objectContaining({
      description: `Events of type "{{ '{' }}{{ '{' }} env_var(1) }}"`,
      columns: [expect.objectContaining({ name: 'a"b', description: `{{ '{' }}% raw %}`, quote: true })],
    }),
  ]);
  expect(JSON.stringify(parse(text.get('profiles.yml') ?? ''))).toContain(
    JSON.stringify(String.raw`, '/o\'brien/x.duckdb') }}`).slice(1, -1),
  );
});

describe('a project of a lake', CAMPAIGN, () => {
  beforeAll(async () => {
    world = await openWorld(SOURCE, { lake: { marts: true } });
    await world.run();
    stage = await openStage();
    for (const project of ['dbt', 'semantic']) await run(project, '--out', 'project');
  });
  afterAll(async () => {
    await stage[Symbol.asyncDispose]();
    await world[Symbol.asyncDispose]();
  });

  it('the sources of the dbt project are every table and view of the catalogue, with their comments', async () => {
    const [{ tables }] = read('insights/sources.yml', SOURCES).sources;
    const columns = await world.sql(
      `select table_name || '.' || column_name as name from duckdb_columns()
     where not internal and schema_name = 'main'
       and table_name not in (select view_name from duckdb_views() where comment like 'The former name of %')`,
    );
    const named = tables.flatMap((table) => table.columns.map((column) => `${table.name}.${column.name}`));
    expect(named).toHaveLength(columns.length);
    expect(new Set(named)).toEqual(new Set(columns.map(({ name }) => name)));
    expect(readFileSync(file('insights/overview.md'), 'utf8')).toContain('- `periods(of_table, of_tenant,');
  });

  it('the metrics of the semantic model equal the figures of the reports on each day', async () => {
    const { semantic_models: models } = read('insights_semantic/semantic_models.yml', SEMANTIC_MODELS);
    const { metrics } = read('insights_semantic/metrics.yml', METRICS);
    const sources = models.map((model) => {
      const sql = readFileSync(file(`insights_semantic/insights_${model.name}.sql`), 'utf8');
      return { ...model, sql: sql.replaceAll(/\{\{ source\('insights', '(\w+)'\) \}\}/g, '$1') };
    });
    // Dimensions and entities exist.
    for (const { sql, dimensions, entities } of sources)
      await world.sql(
        `select ${[...dimensions, ...entities.map(({ expr }) => ({ name: expr }))].map(({ name }) => name).join(', ')} from (${sql}) limit 0`,
      );
    const daily = sources.flatMap(({ sql, measures }) =>
      measures.map(({ name, agg, expr }) => {
        const total = agg === 'sum' ? `sum(${expr})` : `count(distinct ${expr})`;
        const isState = metrics.some((metric) => metric.name === name && metric.type === 'cumulative');
        const value = isState ? 'sum(total) over (partition by tenant_id order by day)' : 'total';
        return `select tenant_id, day, '${name}' as metric, (${value})::double as value
        from (select tenant_id, occurred_at::date as day, ${total} as total from (${sql}) group by all)`;
      }),
    );
    const comparisons = metrics.flatMap(({ name, description, type, type_params: { expr = name } }) => {
      const [, report, figure] = /Report (\w+), figure (\w+)\./.exec(description) ?? [];
      if (report === undefined || figure === undefined) return [];
      const value = expr.replaceAll(
        /\b(?!nullif)[a-z_]+/g,
        (metric) => `max(value) filter (where metric = '${metric}')`,
      );
      // The mart of redirects has a row for each place: its counts add up, its ratio does not.
      const only = type === 'derived' ? 'having count(*) = 1' : '';
      return [
        `select '${name}' as metric, tenant_id, day, value, figure
       from (select tenant_id, day, ${value} as value from daily group by all)
       join (select tenant_id, day, sum(${figure}) as figure from mart_${report} group by all ${only}) using (tenant_id, day)`,
      ];
    });
    // A day without changes of state has the state of the day before, which only MetricFlow fills in.
    const rows = await world.sql(
      `with daily as materialized (${daily.join(' union all ')}) ${comparisons.join(' union all ')}`,
    );
    const values = z
      .array(z.object({ metric: z.string(), value: z.coerce.number(), figure: z.coerce.number() }))
      .parse(rows.filter(({ value }) => value !== null));
    expect(values.filter(({ value, figure }) => Math.abs(value - figure) > 0.0001)).toEqual([]);
    expect(new Set(values.map(({ metric }) => metric)).size).toBe(comparisons.length - 1);
  });

  it('the views for Spark are the tables, the marts and the state models, over files that exist', async () => {
    expect((await run('spark', '--out', 'spark')).code).toBe(0);
    const text = readFileSync(join(stage.folder, 'spark/views.sql'), 'utf8');
    const views = [...text.matchAll(/^create or replace temporary view (\w+) as$/gm)].map(([, name]) => name);
    const marts = await world.sql(
      `select view_name as name from duckdb_views() where view_name like 'mart\\_%' escape '\\' and comment not like 'The former name of %'`,
    );
    const models = ['event_facts', 'pass_events', 'registrations', 'pass_states', 'passes', 'daily_active'];
    const names = ['events', 'logs', 'metrics', 'coverage', ...models, ...marts.map(({ name }) => String(name))];
    expect(new Set(views)).toEqual(new Set(names));
    expect(views).toHaveLength(names.length);
    const typed = await world.sql(
      `select view_name as name from duckdb_views() where view_name in (select view_name from properties)`,
    );
    const types = readFileSync(join(stage.folder, 'spark/types.sql'), 'utf8');
    const typedNames = [...types.matchAll(/^create or replace temporary view (\w+) as$/gm)].map(([, name]) => name);
    expect(typed.length).toBeGreaterThan(5);
    expect(new Set(typedNames)).toEqual(new Set(typed.map(({ name }) => String(name))));
    expect(readFileSync(join(stage.folder, 'spark/periods.sql'), 'utf8')).toContain('view mart_scans_month as');
    const folders = [...text.matchAll(/ from delta\.`([^`]+)`/g)].map(([, folder]) => folder ?? '');
    expect(folders).toHaveLength(3 + marts.length);
    expect(folders.filter((folder) => !existsSync(join(folder, '_delta_log')))).toEqual([]);
  });

  it('replaces files with other contents only with --force, and refuses what it cannot use', async () => {
    expect((await run('semantic', '--out', 'project')).code).toBe(0);
    writeFileSync(file('insights_semantic/metrics.yml'), 'mine');
    writeFileSync(file('insights_semantic/own.yml'), 'mine');
    const refused = await run('semantic', '--out', 'project');
    expect([refused.code, refused.err]).toEqual([EXIT.config, expect.stringMatching(/metrics\.yml.*[^]*--force/)]);
    expect(readFileSync(file('insights_semantic/metrics.yml'), 'utf8')).toBe('mine');
    expect((await run('semantic', '--out', 'project', '--force')).code).toBe(0);
    expect(readFileSync(file('insights_semantic/metrics.yml'), 'utf8')).toContain('active_passes');
    expect(readFileSync(file('insights_semantic/own.yml'), 'utf8')).toBe('mine');
    for (const [words, message] of [
      [['dbt', '--out', 'other', '--format', 'csv'], /--format does not apply/],
      [['dbt', '--out', 'no/such/folder'], /parent of the folder does not exist/],
      [['dbt', '--out', world.dataDir], /into the data directory/],
      [['dbt', '--out', join(world.dataDir, 'lake', 'dbt')], /into the data directory/],
      [['spark', '--out', join(world.dataDir, 'spark')], /into the data directory/],
      [['dbt', '--out', 's3://bucket/dbt'], /not a folder of this machine/],
    ] as const)
      expect(await run(...words)).toMatchObject({ code: EXIT.config, err: expect.stringMatching(message) });
    expect(existsSync(join(stage.folder, 'other'))).toBe(false);
  });

  it('for Spark is refused without a published lake, and in a lake without Delta tables, with what makes them', async () => {
    const none = await stage.run(['export', 'spark', '--out', 'other']);
    expect(none).toMatchObject({ code: EXIT.config, err: expect.stringContaining('There is no published lake') });
    await publishLake(world.config({ lake: { marts: true, delta: false } }), world.runtime);
    const refused = await stage.run(['export', 'spark', '--out', 'other', '--data-dir', world.dataDir], { INSIGHTS_LAKE_DELTA: 'false' }); // oxfmt-ignore
    expect(refused).toMatchObject({ code: EXIT.config, err: expect.stringMatching(/is not a Delta table[^]*lake\.delta: true/) }); // oxfmt-ignore
    expect(existsSync(join(stage.folder, 'other'))).toBe(false);
  });
});
