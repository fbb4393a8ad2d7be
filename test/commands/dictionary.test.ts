import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { QUERIES_FOLDER } from '../../src/kernel/queries-folder.ts';
import { publish } from '../../src/load/publish/publish.ts';
import { dictionaryLines } from '../../src/output/dictionary.ts';
import { readCatalogue } from '../load/support/catalogue.ts';
import { event, load, metric, scratchLake, span } from '../load/support/lake.ts';
import type { Scratch } from '../load/support/lake.ts';
import { openStage } from '../support/shell.ts';

const ROWS = z.array(
  z.object({
    name: z.string(),
    kind: z.string(),
    holds: z.string(),
    column_name: z.string().nullable(),
    column_holds: z.string().nullable(),
    share: z.number().nullable(),
  }),
);

const OWN_REPORT = `-- title: Scans by desk
-- description: Scans.
-- grain: one row per tenant and period
-- parameter: from:date=null First day
-- parameter: to:date=null Last day
-- parameter: zone:zone=UTC Time zone
-- parameter: grain:day|week=day Length of a period
-- column: scans Scans at any desk
-- mart: day of events
select tenant_id, period_of(timestamp, $zone, $grain) as period, count(*) as scans, 1 as plain
from event_facts where is_in_days(timestamp, $zone, $from, $to) group by all
`;

let lake: Scratch;
let reports: string;
beforeAll(async () => {
  reports = await mkdtemp(join(tmpdir(), 'insights-etl-test-'));
  await writeFile(join(reports, 'scans_by_desk.sql'), OWN_REPORT);
  lake = await scratchLake({ marts: true, custom: { reports } });
  const day = span('2026-07-01T00:00:00Z', '2026-07-02T00:00:00Z');
  const rows = [
    event('1', '2026-07-01T10:00:00Z', { type: 'Pass:Scanned', properties: '{"storeId":"PAR","desk":{"n":1}}' }),
    event('2', '2026-07-01T11:00:00Z', { type: 'pass.scanned', properties: '{"storeId":"PAR"}' }),
    event('3', '2026-07-01T12:00:00Z', { type: 'a | b\n# c', properties: '{"x|y":1}' }),
  ];
  await load(lake, day, rows);
  await load(lake, day, [metric('m', '2026-07-01T10:00:00Z', '[{"apple":3}]')], { table: 'Metrics' });
  await load(lake, day, [event('l', '2026-07-01T10:00:00Z', { type: 'Info' })], { table: 'Logs' });
  await publish(lake.ledger, { run: 'run-1', head: true });
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(reports, { recursive: true });
});

async function dictionary(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  await using stage = await openStage();
  return stage.run(['dictionary', '--data-dir', lake.dir, ...args]);
}

describe('dictionary', () => {
  it('describes every table, view, macro and column', async () => {
    const { code, out } = await dictionary('--format', 'json');
    expect(code).toBe(0);
    const rows = ROWS.parse(JSON.parse(out));
    expect(rows.filter((row) => row.holds === '' || (row.column_name !== null && row.column_holds === null))).toEqual(
      [],
    );
    const names = new Set(rows.map(({ name }) => name.split('(')[0]));
    for (const name of [
      'events',
      'passes',
      'coverage',
      'event_pass_scanned',
      'metric_active',
      'periods',
      'mart_passes_created',
    ])
      expect(names).toContain(name);
  });

  it('is in the catalogue as comments, for every other tool', async () => {
    // Columns of the view of a type say in the table \`properties\` where they come from.
    const typed = 'select view_name from properties where view_name is not null';
    const columns = await readCatalogue(
      lake.dir,
      `select schema_name, table_name, column_name from duckdb_columns()
       where not internal and comment is null and table_name not in (${typed})`,
    );
    expect(columns).toEqual([]);
    const others = await readCatalogue(
      lake.dir,
      `select view_name as name from duckdb_views() where not internal and comment is null
       union all select table_name from duckdb_tables() where not internal and comment is null
       union all select function_name from duckdb_functions() where not internal and comment is null`,
    );
    expect(others).toEqual([]);
    const own = await readCatalogue(
      lake.dir,
      `select comment from duckdb_columns() where table_name = 'mart_scans_by_desk' order by column_index`,
    );
    expect(own.map(({ comment }) => comment)).toEqual([
      "The tenant's id in the API's path",
      'UTC day',
      'Scans at any desk',
      'plain of the report scans_by_desk',
    ]);
  });

  it('has no meaning for a table or column that does not exist', async () => {
    const rows = ROWS.parse(JSON.parse((await dictionary('--format', 'json')).out));
    const words = z
      .record(z.string(), z.record(z.string(), z.string()))
      .parse(parse(await readFile(join(QUERIES_FOLDER, 'columns.yaml'), 'utf8')));
    for (const [table, columns] of Object.entries(words))
      for (const [column, text] of Object.entries(columns)) {
        // Of the marts by grain and dimension, which this lake does not keep.
        if (table === 'any' && ['grain', 'period'].includes(column)) continue;
        const matching = rows.filter((row) => row.column_name === column && row.column_holds === text);
        expect(
          matching.some(({ name }) => table === 'any' || name === table),
          `${table}.${column}`,
        ).toBe(true);
      }
  });

  it('shows a typed view with the paths that its columns come from and how often they occur', async () => {
    const { out } = await dictionary('event_pass_scanned');
    expect(out).toContain('## event_pass_scanned');
    expect(out).toContain('| desk_n | BIGINT | properties: desk.n | 50 % |');
    expect(out).toMatch(/\| month \| VARCHAR \| UTC month/);
    expect(out).not.toContain('## events');
  });

  it('accepts a pattern, and suggests a name for an unknown one', async () => {
    expect((await dictionary('metric_*')).out).toContain('## metric_active');
    const { code, err } = await dictionary('passess');
    expect([code, err]).toEqual([2, expect.stringMatching(/no table or view "passess"[^]*Did you mean "passes"\?/)]);
  });

  it('a report and its mart keep their former names, with a warning and out of the dictionary', async () => {
    await using stage = await openStage();
    const run = (...args: string[]): Promise<{ code: number; out: string; err: string }> =>
      stage.run(['--data-dir', lake.dir, ...args]);
    const query = await run('query', 'log_errors_per_day', '--format', 'csv');
    expect(query.err).toContain('warning: Report "log_errors_per_day" is now called "log_errors".');
    expect(query).toMatchObject({ code: 0, out: (await run('query', 'log_errors', '--format', 'csv')).out });
    const mart = await run('sql', 'from mart_log_errors_per_day', '--format', 'csv');
    expect(mart.err).toContain('warning: mart_log_errors_per_day is now called mart_log_errors.');
    expect(mart.out).toBe((await run('sql', 'from mart_log_errors', '--format', 'csv')).out);
    const marts = await readdir(join(lake.dir, 'lake', 'marts'));
    expect(marts).toEqual(expect.arrayContaining(['log_errors.parquet', 'log_errors_per_day.parquet']));
    expect((await dictionary('mart_log_errors_per_day')).err).toContain('Did you mean "mart_log_errors"?');
    expect((await run('query', 'log_errors_per_dya')).err).toContain('Did you mean "log_errors"?');
  });

  it('the examples in the help of a report run', async () => {
    await using stage = await openStage();
    const { out } = await stage.run(['query', 'net_growth', '--help']);
    const examples = out.split('\n').flatMap((line) => (line.startsWith('  $ insights-etl ') ? [line.slice(17)] : []));
    expect(examples.length).toBe(3);
    for (const example of examples) {
      const words = example.split(' ').map((word) => (word.endsWith('.xlsx') ? join(stage.folder, word) : word));
      expect([example, (await stage.run(['--data-dir', lake.dir, ...words])).code]).toEqual([example, 0]);
    }
  });

  it('escapes names of the source so that none breaks out of its cell', async () => {
    const { out } = await dictionary();
    const lines = out.split('\n');
    const rows = lines.filter((line) => line.startsWith('|'));
    expect(rows.filter((line) => line.split(/(?<!\\)\|/).length !== 6)).toEqual([]);
    const others = lines.filter((line) => !line.startsWith('|'));
    expect(others.filter((line) => !/^(#+ [\w\\(), ]+|(View|Table|Macro)\. .*|)$/.test(line))).toEqual([]);
    const row = {
      name: 'v',
      kind: 'view',
      holds: 'a\n## b',
      column: 'c|d',
      type: 'JSON',
      columnHolds: '`<x>`',
      share: 0.5,
    };
    expect([...dictionaryLines([row])].slice(2)).toEqual([
      '## v', '', String.raw`View. a ## b`, '', '| column | type | holds | in |', '| --- | --- | --- | ---: |',
      String.raw`| c\|d | JSON | \`\<x\>\` | 50 % |`,
    ]); // oxfmt-ignore
  });
});
