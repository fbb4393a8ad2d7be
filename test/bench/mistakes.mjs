/**
 * What a loader gets wrong. Each loader runs on two nights: the first time with two days, the second time after something happened at the
 * source. Then its rows are compared with those of the source. A loader that loads each day once cannot notice what happens to a loaded
 * day; a loader that trusts an answer loses what the answer lacks.
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { startSandbox } from './harness.mjs';

const DAYS = ['2026-10-01', '2026-10-02', '2026-10-03'];
const [FIRST, LOADED, NEXT] = DAYS;
const MANY = 1500;
/** In no synthetic row. */
const NOTE = 'of the bench';
const idOf = (number) => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
const row = (number, timestamp, note) => ({ eventId: idOf(number), timestamp, tenantId: 'demo', eventType: 'pass:scanned', operationId: '', properties: { note } }); // oxfmt-ignore
const KNOWN = row(1, `${LOADED}T10:00:00Z`, 'as it was');

/** What happens between the two nights, and how many rows of it a correct lake has. `where`: of the rows that it is about. */
const EVENTS = [
  {
    name: 'a late row',
    happens: (admin) =>
      admin('/rows', { table: 'Events', tenant: 'demo', rows: [row(2, `${LOADED}T11:00:00Z`, 'late')] }),
    where: `id = '${idOf(2)}'`,
    right: 1,
  },
  {
    name: 'an erased row',
    happens: (admin) => admin('/erase', { table: 'Events', tenant: 'demo', ids: [KNOWN.eventId] }),
    where: `id = '${idOf(1)}'`,
    right: 0,
  },
  {
    name: 'a row changed in place',
    happens: async (admin) => {
      await admin('/erase', { table: 'Events', tenant: 'demo', ids: [KNOWN.eventId] });
      await admin('/rows', {
        table: 'Events',
        tenant: 'demo',
        rows: [{ ...KNOWN, properties: { note: 'corrected' } }],
      });
    },
    where: `properties like '%corrected%'`,
    right: 1,
  },
  {
    name: 'more rows at one instant than an answer holds',
    happens: async (admin) => {
      const rows = Array.from({ length: MANY }, (_, nth) => row(1000 + nth, `${NEXT}T09:00:00Z`, NOTE));
      await admin('/rows', { table: 'Events', tenant: 'demo', rows });
      await admin('/limits', { rows: 1000, mode: 'one-api-errors' });
    },
    where: `properties like '%${NOTE}%'`,
    right: MANY,
  },
  {
    name: 'an answer that lacks rows and does not say so',
    happens: async (admin) => {
      const rows = Array.from({ length: 100 }, (_, nth) => row(1000 + nth, `${NEXT}T09:00:00Z`, NOTE));
      await admin('/rows', { table: 'Events', tenant: 'demo', rows });
      const rules = ['page', 'other'].map((kind) => ({
        match: { table: 'Events', kind },
        reply: { kind: 'silent-truncation', rows: 60 },
      }));
      await admin('/faults', { rules });
    },
    where: `properties like '%${NOTE}%'`,
    right: 100,
  },
];

/**
 * `loaders`: name, `run({ url, folder, from, to })`, which loads the days from `from` to before `to`, and `files(folder)`, a glob
 * of its Parquet files of events. Returns, for each loader and event, `right` or what is wrong.
 */
export async function mistakesOf(loaders, folder) {
  const found = {};
  for (const { name, run, files } of loaders) {
    found[name] = {};
    for (const event of EVENTS) {
      const place = join(folder, 'mistakes');
      await mkdir(place);
      const sandbox = await startSandbox('--rows', 300, '--days', 2, '--tenants', 'demo', '--now', `${NEXT}T06:00:00Z`, '--frozen', '--rate', 0); // oxfmt-ignore
      try {
        await sandbox.admin('/rows', { table: 'Events', tenant: 'demo', rows: [KNOWN] });
        await run({ url: sandbox.url, folder: place, from: FIRST, to: NEXT });
        await sandbox.admin('/clock', { advance: '1d' });
        await event.happens((path, body) => sandbox.admin(path, body));
        const failure = await run({ url: sandbox.url, folder: place, from: NEXT, to: '2026-10-04' }).then(
          () => '',
          () => ', and it failed',
        );
        const rows = await count(await files(place), event.where);
        const isRight = rows === event.right && failure === '';
        found[name][event.name] = isRight ? 'right' : `${rows} rows instead of ${event.right}${failure}`;
      } finally {
        await sandbox.stop();
        await rm(place, { recursive: true });
      }
    }
  }
  return found;
}

async function count(files, where) {
  if (files.length === 0) return 0;
  const db = await DuckDBInstance.create(':memory:');
  const connection = await db.connect();
  const list = files.map((file) => `'${file}'`).join(', ');
  const sql = `select count(*)::double as n from (
    select coalesce(*columns('(?i)^event_?id$')) as id, properties::varchar as properties from read_parquet([${list}], union_by_name = true)
  ) where ${where}`;
  const [{ n }] = (await connection.runAndReadAll(sql)).getRowObjects();
  connection.closeSync();
  db.closeSync();
  return Number(n);
}

/** The Parquet files below a folder whose path matches. */
export async function parquetBelow(folder, pattern) {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  return names.filter((name) => name.endsWith('.parquet') && pattern.test(name)).map((name) => join(folder, name));
}
