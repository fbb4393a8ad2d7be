import { readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Ledger } from '../../../src/load/ledger/ledger.ts';
import { publish } from '../../../src/load/publish/publish.ts';
import { TABLES } from '../../../src/model/tables.ts';
import { readCatalogue } from '../support/catalogue.ts';
import { event, load, scratchLake, span } from '../support/lake.ts';
import { CAMPAIGN, LONG } from '../../support/campaign.ts';

const DAY = span('2026-07-03T00:00:00Z', '2026-07-04T00:00:00Z');
const TYPES = Array.from({ length: 20 }, (_, nth) => `type.n${nth}`);

/** A column that no other test has, so that no file is kept for the first catalogue. */
const settings = {
  tables: {
    ...TABLES,
    Events: {
      ...TABLES.Events,
      promoted: [
        ...TABLES.Events.promoted,
        { name: 'reuse_test', paths: ['reuseTest'], type: 'text', comment: 'Of this test' },
      ],
    },
  },
} as const;

/** All definitions and comments of a catalogue, and the rows of its small tables. */
async function contentOf(dir: string): Promise<unknown> {
  const definitions = await Promise.all(
    [
      'select schema_name, view_name, comment, sql from duckdb_views() where not internal',
      'select schema_name, table_name, column_name, column_index, comment, data_type, is_nullable from duckdb_columns() where not internal',
      'select schema_name, table_name, comment, sql from duckdb_tables() where not internal',
      'select schema_name, function_name, comment, parameters, macro_definition from duckdb_functions() where not internal',
      'select schema_name, comment from duckdb_schemas() where not internal',
    ].map((sql) => readCatalogue(dir, `${sql} order by all`)),
  );
  const tables = await readCatalogue(dir, `select table_name from duckdb_tables() where table_name <> 'snapshot'`);
  const rows = await Promise.all(tables.map((table) => readCatalogue(dir, `from ${String(table['table_name'])}`)));
  return { definitions, rows };
}

test('a catalogue that starts from a kept file equals one that is built from nothing', CAMPAIGN, async () => {
  await using lake = await scratchLake(settings);
  for (const tenant of ['acme', 'other']) {
    const rows = TYPES.map((type) =>
      event(type, '2026-07-03T10:10:00Z', { type, tenant, properties: JSON.stringify({ [type]: 1, text: 'a' }) }),
    );
    await load(lake, DAY, rows, { tenant });
  }
  const contents: unknown[] = [];
  const created: number[] = [];
  for (let nth = 0; nth < 3; nth += 1) {
    rmSync(join(lake.dir, 'insights.duckdb'), { force: true });
    let views = 0;
    const ledger: Ledger = {
      ...lake.ledger,
      run: (sql, values) => {
        views += sql.match(/^create view "/gm)?.length ?? 0;
        return lake.ledger.run(sql, values);
      },
    };
    await publish(ledger, { run: 'run', head: false });
    contents.push(await contentOf(lake.dir));
    created.push(views);
  }
  const [fromNothing, , fromKeptFile] = contents;
  expect(fromKeptFile).toEqual(fromNothing);
  // Twenty typed views and the shared ones are created the first time, a second time to be kept, and then never.
  expect(created.map((views) => views > 20)).toEqual([true, true, false]);
  expect(created[2]).toBe(0);
});

test('a view disappears from the catalogue with its type', CAMPAIGN, async () => {
  await using lake = await scratchLake(settings);
  const rows = TYPES.map((type) =>
    event(type, '2026-07-03T10:10:00Z', { type, properties: JSON.stringify({ [type]: 1, longer: 'x' }) }),
  );
  await load(lake, DAY, rows);
  for (let nth = 0; nth < 3; nth += 1) {
    rmSync(join(lake.dir, 'insights.duckdb'), { force: true });
    await publish(lake.ledger, { run: 'run', head: false });
  }
  await load(lake, DAY, rows.slice(1), { guard: false });
  await publish(lake.ledger, { run: 'run', head: false });
  const views = await readCatalogue(
    lake.dir,
    `select view_name from duckdb_views() where view_name like 'event_type_n%'`,
  );
  expect(views).toHaveLength(TYPES.length - 1);
  expect(views.map((view) => view['view_name'])).not.toContain('event_type_n0');
});

test(
  'many views are created once, also for later runs, and again if a type disappears or the kept file is damaged',
  LONG,
  async () => {
    await using lake = await scratchLake();
    const keys = Object.fromEntries(
      Array.from({ length: 20 }, (_, nth) => [`key${nth}${'WithALongName'.repeat(18)}`, `value ${nth}`]),
    );
    const rows = Array.from({ length: 40 }, (_, nth) =>
      event(`id-${nth}`, '2026-07-03T10:10:00Z', { type: `type.n${nth}`, properties: JSON.stringify(keys) }),
    );
    await load(lake, DAY, rows);
    const folder = join(lake.dir, 'definitions');
    const catalogue = join(lake.dir, 'insights.duckdb');
    let created = 0;
    const ledger: Ledger = {
      ...lake.ledger,
      run: (sql, values) => {
        created += sql.match(/^create view "event_type/gm)?.length ?? 0;
        return lake.ledger.run(sql, values);
      },
    };
    const publishAgain = async (): Promise<{ created: number; content: unknown; bytes: number; kept: string[] }> => {
      created = 0;
      await publish(ledger, { run: 'run', head: false, again: true });
      return {
        created,
        content: await contentOf(lake.dir),
        bytes: statSync(catalogue).size,
        kept: readdirSync(folder),
      };
    };
    const first = await publishAgain();
    expect(first).toMatchObject({ created: 40 });
    expect(first.kept).toHaveLength(1);
    expect(await readCatalogue(lake.dir, 'select count(columns(\'^key19\'))::int as n from event_type_n39')).toEqual([{ n: 1 }]); // oxfmt-ignore
    expect(await publishAgain()).toEqual({ ...first, created: 0 });
    writeFileSync(join(folder, String(first.kept[0])), 'damaged');
    expect(await publishAgain()).toEqual(first);
    const isNamedIn = (file: string | undefined, type: string): boolean =>
      readFileSync(join(folder, String(file))).includes(type);
    expect(isNamedIn(first.kept[0], 'type.n0')).toBe(true);
    await load(lake, DAY, rows.slice(1), { guard: false });
    const fewer = await publishAgain();
    expect(fewer.created).toBe(0);
    expect(fewer.kept).toHaveLength(1);
    expect(fewer.kept).not.toEqual(first.kept);
    expect(await readCatalogue(lake.dir, `select view_name from duckdb_views() where view_name = 'event_type_n0'`)).toEqual([]); // oxfmt-ignore
    expect(['type.n0', 'type.n39'].map((type) => isNamedIn(fewer.kept[0], type))).toEqual([false, true]);
    const others = [
      event('id-1', '2026-07-03T10:10:00Z', { type: 'type.n1', properties: JSON.stringify({ ...keys, added: 1 }) }),
      event('id-new', '2026-07-03T10:10:00Z', { type: 'type.new', properties: '{"added":2}' }),
    ];
    await load(lake, DAY, [...rows.slice(2), ...others]);
    const more = await publishAgain();
    expect(more.created).toBe(2);
    expect(await readCatalogue(lake.dir, 'select added from event_type_n1 union all select added from event_type_new order by 1')).toEqual([{ added: '1' }, { added: '2' }]); // oxfmt-ignore
    rmSync(folder, { recursive: true });
    const fromNothing = await publishAgain();
    expect(fromNothing.created).toBe(40);
    expect(fromNothing.content).toEqual(more.content);
  },
);
