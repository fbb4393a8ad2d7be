/** Privacy rules end to end: from the configuration, over HTTP and through the whole pipeline, to every byte stored. */
import { createHmac } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Tree } from '../../src/config/layers.ts';
import { EXIT } from '../../src/kernel/errors.ts';
import { bytesBelow, openWorld, type World } from './support/world.ts';
import { CAMPAIGN } from '../support/campaign.ts';

const NOW = '2026-11-01T00:30:00Z';
const PRIVACY_KEY = 'e2e-key-5eaf00d';
const PRIVACY: Tree = {
  key: { command: `echo ${PRIVACY_KEY}` },
  rules: [
    { action: 'drop', paths: ['registrationSource.userAgent', 'note'] },
    { action: 'drop', types: ['pass.inst*'], paths: ['onlyThere', '*.deep'] },
    { action: 'hash', paths: ['identifiers.*', 'customerId', 'passId'] },
    { action: 'mask', tables: ['Logs'], paths: ['user.email'] },
  ],
};

const DROPPED = ['DroppedAgent-4711', 'dropped-note-4712', 'dropped-of-type-4716'];
/** Its path has a wildcard, so the source cannot leave it out: it is dropped on arrival. */
const DROPPED_HERE = 'dropped-here-4717';
const HASHED = ['C-hashed-4713', 'P-hashed-4714'];
const MASKED = 'jane.masked-4715@mail.example';

let world: World;
let answers: string;

async function openWorldWithCanaries(): Promise<void> {
  world = await openWorld({ rows: 600, days: 3, seed: 3, now: NOW, frozen: true });
  const row = (id: string | null, timestamp: string, properties: object) => ({
    eventId: id,
    timestamp,
    tenantId: 'demo',
    eventType: 'Pass:Installed',
    operationId: 'op',
    properties,
  });
  const [customerId, passId] = HASHED;
  const properties = {
    passId,
    identifiers: { customerId },
    registrationSource: { userAgent: DROPPED[0], medium: 'qr' },
    note: DROPPED[1],
    onlyThere: DROPPED[2],
    some: { deep: DROPPED_HERE },
  };
  await world.sandbox.apply({
    action: 'rows',
    table: 'Events',
    tenant: 'demo',
    // The second has no id and goes to quarantine.
    rows: [row('00000000-0000-4000-8000-000000000001', '2026-10-30T10:00:00Z', properties), row(null, '2026-10-30T10:01:00Z', properties)],
  }); // oxfmt-ignore
  await world.sandbox.apply({
    action: 'rows',
    table: 'Logs',
    tenant: 'demo',
    rows: [row('00000000-0000-4000-8000-000000000002', '2026-10-30T11:00:00Z', { customerId, user: { email: MASKED } })],
  }); // oxfmt-ignore
  answers = '';
}

/** A run whose answers are collected in `answers`. */
async function run(settings: Tree): Promise<void> {
  const report = await world.run({}, settings, {
    fetch: async (...call) => {
      const response = await fetch(...call);
      answers += await response.clone().text();
      return response;
    },
  });
  expect(report.exitCode).toBe(EXIT.ok);
}

/** Every value stored in Parquet files, ledger and catalogue, read by the engine so that compression hides none. */
async function storedValues(): Promise<string> {
  const names = await readdir(world.dataDir, { recursive: true });
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  let all = '';
  const dump = async (from: string): Promise<void> => {
    const rows = await connection.runAndReadAll(`select to_json(t)::varchar from ${from} as t`);
    all += rows.getRows().flat().join('\n');
  };
  const parquet = names.filter((name) => name.endsWith('.parquet'));
  expect(parquet.length).toBeGreaterThan(3);
  for (const name of parquet) await dump(`read_parquet('${join(world.dataDir, name)}')`);
  const databases = names.filter((name) => name.endsWith('.duckdb'));
  expect(databases.toSorted()).toEqual(['insights.duckdb', 'state.duckdb']);
  for (const [index, name] of databases.entries()) {
    await connection.run(`attach '${join(world.dataDir, name)}' as d${index} (read_only)`);
    const tables = await connection.runAndReadAll(
      `select format('d${index}."{}"."{}"', schema_name, table_name) from duckdb_tables() where database_name = 'd${index}'`,
    );
    expect(tables.getRows().length).toBeGreaterThan(1);
    for (const table of tables.getRows().flat()) await dump(String(table));
  }
  connection.closeSync();
  instance.closeSync();
  return all + (await readFile(join(world.dataDir, 'manifest.json'), 'utf8'));
}

function hmac(value: string): string {
  return `hmac:${createHmac('sha256', PRIVACY_KEY).update(value).digest('hex')}`;
}

describe('configured drop, hash and mask rules', () => {
  beforeAll(async () => {
    await openWorldWithCanaries();
    await run({ privacy: PRIVACY, landing: { keep: true }, lake: { marts: true } });
  });
  afterAll(() => world[Symbol.asyncDispose]());

  it(
    'leave no such value in any stored byte, and dropped values with an exact path are never sent',
    CAMPAIGN,
    async () => {
      const stored = await storedValues();
      const bytes = await bytesBelow(world.dataDir);
      for (const value of [...DROPPED, DROPPED_HERE, ...HASHED, MASKED, PRIVACY_KEY]) {
        expect(stored).not.toContain(value);
        expect(bytes).not.toContain(value);
      }
      expect(await readdir(join(world.dataDir, 'landing'), { recursive: true })).not.toContainEqual(expect.stringMatching(/ndjson|json/)); // oxfmt-ignore

      for (const value of DROPPED) expect(answers).not.toContain(value);
      for (const value of [DROPPED_HERE, ...HASHED, MASKED]) expect(answers).toContain(value);
      const pages = world.sandbox.calls.filter(({ query }) => query.includes('properties = iff('));
      expect(pages.length).toBeGreaterThanOrEqual(3);
      for (const { query } of pages) expect(query).toMatch(/bag_remove_keys\(properties, dynamic\(\['\$\.registrationSource\.userAgent', ?'note'\]\)\)/); // oxfmt-ignore
      const [agents] = await world.sql(
        `select count(*)::int as n, count(*) filter (json_exists(properties, '$.registrationSource.userAgent'))::int as agents
       from events where json_exists(properties, '$.registrationSource.medium')`,
      );
      expect(Number(agents?.['n'])).toBeGreaterThan(10);
      expect(agents?.['agents']).toBe(0);
    },
  );

  it(
    'keep joins over two tables working, keep the shape of masked values, and apply to promoted columns',
    CAMPAIGN,
    async () => {
      const joined = await world.sql(
        `select e.pass_id, l.properties->>'$.user.email' as email, l.properties->>'$.customerId' as customer
       from events e join logs l on (e.properties->>'$.identifiers.customerId') = (l.properties->>'$.customerId')
       where e.event_id = '00000000-0000-4000-8000-000000000001'`,
      );
      const [customerId = '', passId = ''] = HASHED;
      expect(joined).toEqual([{ pass_id: hmac(passId), email: 'j***@mail.example', customer: hmac(customerId) }]);
      expect(await world.sql(`select passes from customers where customer_id = '${hmac(customerId)}'`)).toEqual([
        { passes: expect.anything() },
      ]);
      expect(await world.sql(`from customers where customer_id not like 'hmac:%'`)).toEqual([]);
      const [clear] = await world.sql(
        `select count(*)::int as n, count(*) filter (pass_id not like 'hmac:%')::int as clear from events where pass_id is not null`,
      );
      expect(Number(clear?.['n'])).toBeGreaterThan(50);
      expect(clear?.['clear']).toBe(0);
    },
  );

  it('a second run with nothing new changes no file', CAMPAIGN, async () => {
    const before = await world.published();
    await run({ privacy: PRIVACY, lake: { marts: true } });
    expect(await world.published()).toEqual(before);
  });
});

describe('without privacy rules', CAMPAIGN, () => {
  beforeAll(async () => {
    await openWorldWithCanaries();
    await run({});
  });
  afterAll(() => world[Symbol.asyncDispose]());

  it('everything is stored as the source sends it, also the text of a quarantined row', async () => {
    expect(world.sandbox.calls.filter(({ query }) => query.includes('bag_remove_keys'))).toEqual([]);
    // So the tests above would find these values if they were stored.
    const stored = await storedValues();
    for (const value of [...DROPPED, ...HASHED, MASKED]) expect(stored).toContain(value);
    const database = join(world.dataDir, 'state.duckdb');
    const instance = await DuckDBInstance.create(database, { access_mode: 'READ_ONLY' });
    const connection = await instance.connect();
    const kept = await connection.runAndReadAll(`select raw from quarantine where raw like '%${DROPPED[0]}%'`);
    connection.closeSync();
    instance.closeSync();
    expect(kept.getRows()).toHaveLength(1);
    expect(await world.sql(`select count(*)::int as n from lake_files where privacy is not null`)).toEqual([{ n: 0 }]);
  });
});
