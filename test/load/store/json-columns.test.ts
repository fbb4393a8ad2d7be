import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { publish } from '../../../src/load/publish/publish.ts';
import { readCatalogue } from '../support/catalogue.ts';
import { event, load, metric, scratchLake, span, type Scratch } from '../support/lake.ts';
import { CAMPAIGN } from '../../support/campaign.ts';

const day = (number: number): ReturnType<typeof span> =>
  span(`2026-07-0${number}T00:00:00Z`, `2026-07-0${number + 1}T00:00:00Z`);
const rows = (number: number): unknown[][] => [
  event(`e${number}`, `2026-07-0${number}T10:00:00Z`, { properties: '{"a":1,"a":2}' }),
];
const values = (number: number): unknown[][] => [metric(`m${number}`, `2026-07-0${number}T10:00:00Z`, '[5]')];

async function filesOf({ dir }: Scratch): Promise<string[]> {
  const names = await readdir(join(dir, 'store'), { recursive: true });
  return names.filter((name) => name.endsWith('.parquet')).map((name) => join(dir, 'store', name));
}

/** The Parquet types of the JSON columns in all files. */
async function kindsOf(lake: Scratch): Promise<string[]> {
  const files = (await filesOf(lake)).map((file) => `'${file}'`);
  const kinds = await readCatalogue(
    lake.dir,
    `select distinct converted_type as kind from parquet_schema([${files.join(', ')}]) where name in ('properties', 'value')`,
  );
  return kinds.map(({ kind }) => String(kind));
}

it('the JSON columns of a new lake are text in its files, and JSON in the catalogue', async () => {
  await using lake = await scratchLake();
  await load(lake, day(1), rows(1));
  await load(lake, day(1), values(1), { table: 'Metrics' });
  await publish(lake.ledger, { run: 'run-1', head: true });
  expect(await kindsOf(lake)).toEqual(['UTF8']);
  const read = async (sql: string): Promise<unknown> => (await readCatalogue(lake.dir, sql))[0];
  expect(await read('select typeof(properties) as type, properties::varchar as text from events')).toEqual({
    type: 'JSON',
    text: '{"a":1,"a":2}',
  });
  expect(await read('select typeof(value) as type, value::varchar as text from metrics')).toEqual({
    type: 'JSON',
    text: '5',
  });
  expect(await read('select a from event_pass_created')).toEqual({ a: '1' });
});

it(
  'a lake of an earlier version keeps its files and writes new ones like them, so that all are of one kind',
  CAMPAIGN,
  async () => {
    await using lake = await scratchLake();
    await load(lake, day(1), rows(1));
    await load(lake, day(1), values(1), { table: 'Metrics' });
    for (const file of await filesOf(lake))
      await lake.ledger.run(
        `copy (select columns(c -> c not in ('properties', 'value')), columns(c -> c in ('properties', 'value'))::json from read_parquet('${file}', hive_partitioning = false)) to '${file}'`,
      );
    await lake.reopen();
    // A new day, another tenant, and a day whose file keeps an older row.
    await load(lake, day(2), rows(2));
    await load(lake, day(2), values(2), { table: 'Metrics', tenant: 'other' });
    await load(lake, span('2026-07-01T11:00:00Z', '2026-07-01T12:00:00Z'), [event('e3', '2026-07-01T11:00:00Z')]);
    await publish(lake.ledger, { run: 'run-1', head: true });
    expect(await filesOf(lake)).toHaveLength(5);
    expect(await kindsOf(lake)).toEqual(['JSON']);
    expect(
      await readCatalogue(lake.dir, 'select count(properties) as n, any_value(typeof(properties)) as type from events'),
    ).toEqual([{ n: '3', type: 'JSON' }]);
    expect(await readCatalogue(lake.dir, 'select count(value) as n from metrics')).toEqual([{ n: '2' }]);
  },
);
