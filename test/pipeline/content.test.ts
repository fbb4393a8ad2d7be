/** The proof covers each row's content: a change under the same id is found, fetched with one small page, and merged. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import { reportOf, openWorld, loadOnce, type LoadedWorlds, type World } from './support/world.ts';
import { CAMPAIGN, LONG } from '../support/campaign.ts';

const NOW = '2026-11-01T00:00:00Z';
const SOURCE = { rows: 1000, days: 2, seed: 9, now: NOW, frozen: true };
const EVENTS = { tables: ['Events'] } as const;

let loaded: LoadedWorlds;
let world: World;
beforeAll(async () => {
  loaded = await loadOnce(SOURCE, EVENTS);
});
afterAll(() => loaded[Symbol.asyncDispose]());
afterEach(() => world[Symbol.asyncDispose]());

const ID = 'aaaaaaaa-0000-4000-8000-000000000001';
const ROW = {
  eventId: ID,
  timestamp: '2026-10-31T10:20:30.1234567Z',
  eventType: 'wallet|changed',
  operationId: 'op-1',
  properties: { email: 'jane@example.com', n: 1 },
};

async function replaceRow(changes: Record<string, unknown>): Promise<void> {
  await world.sandbox.apply({ action: 'erase', table: 'Events', tenant: 'demo', ids: [ID] });
  await world.sandbox.apply({ action: 'rows', table: 'Events', tenant: 'demo', rows: [{ ...ROW, ...changes }] });
}

async function grades(): Promise<Record<string, unknown>[]> {
  return world.sql(
    `select grade, state, count(*)::int > 0 as found from coverage
     where table_name = 'events' and source_rows > 0 and state <> 'open' group by all order by all`,
  );
}

describe('content of a row', () => {
  const changes = {
    'type and operation id, which stay equal as one text': { eventType: 'wallet', operationId: 'changed|op-1' },
    properties: { properties: { email: null, n: 1 } },
    'dynamic text': { properties: '5' },
    'kind of a dynamic value': { properties: 5 },
    'the order of keys': { properties: { n: 1, email: 'jane@example.com' } },
    type: { eventType: 'wallet.renamed' },
    'operation id': { operationId: 'op-2' },
    'time within its second': { timestamp: '2026-10-31T10:20:30.1234568Z' },
    'time within its hour': { timestamp: '2026-10-31T10:59:30.1234567Z' },
  };
  for (const [index, [name, change]] of Object.entries(changes).entries()) {
    const options = index === 0 ? CAMPAIGN : LONG;
    it(`a change of its ${name} under the same id is found by the next run, with two calls`, options, async () => {
      world = await loaded.next();
      await replaceRow({});
      expect((await world.run(EVENTS)).exitCode).toBe(EXIT.ok);
      await replaceRow(change);
      const report = reportOf(await world.run(EVENTS), 'Events');
      expect(report).toMatchObject({ outcome: 'verified', grade: 'content', calls: 2, pages: 1 });
      const expected = { ...ROW, ...change };
      expect(
        await world.sql(
          `select event_type, operation_id, properties::varchar as properties, epoch_us(timestamp) % 1000000 as us
           from events where event_id = '${ID}'`,
        ),
      ).toEqual([
        {
          event_type: expected.eventType,
          operation_id: expected.operationId,
          properties: JSON.stringify(expected.properties),
          us: '123456',
        },
      ]);
      expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ calls: 1, pages: 0, changed: false });
    });
  }

  it('a value that is scrubbed at the source leaves every file of the lake', CAMPAIGN, async () => {
    world = await loaded.next();
    await replaceRow({});
    await world.run(EVENTS);
    await replaceRow({ properties: { email: null, n: 1 } });
    expect(reportOf(await world.run(EVENTS, { lake: { keepHours: 0 } }), 'Events')).toMatchObject({
      outcome: 'verified',
      calls: 2,
      pages: 1,
    });
    expect(await world.sql(`select count(*)::int as n from events where properties::varchar like '%jane@%'`)).toEqual([
      { n: 0 },
    ]);
    expect(await grades()).toEqual([{ grade: 'content', state: 'verified', found: true }]);
  });

  it('a change in an hour of many pages is fetched by minutes', LONG, async () => {
    world = await openWorld({ rows: 3000, days: 1, shape: 'even', now: NOW, frozen: true });
    await replaceRow({});
    const page = { maxRows: 40 };
    await world.run(EVENTS, { page });
    await replaceRow({ operationId: 'op-2' });
    const report = reportOf(await world.run(EVENTS, { page }), 'Events');
    expect(report).toMatchObject({ outcome: 'verified', pages: 1 });
    expect(report.calls).toBeLessThanOrEqual(3);
  });
});

describe('a page whose text does not match its digests', () => {
  it('is refused, and fetched once more in the same run', CAMPAIGN, async () => {
    world = await openWorld(SOURCE);
    const reply = { kind: 'altered-text', rows: 3 } as const;
    await world.sandbox.apply({ action: 'faults', rules: [{ match: { kind: 'page' }, reply }] });
    const report = await world.run(EVENTS);
    expect(report.exitCode).toBe(EXIT.ok);
    expect(await world.sql(`select count(*)::int as n from events where properties::varchar like '%altered%'`)).toEqual(
      [{ n: 0 }],
    );
    expect(await grades()).toEqual([{ grade: 'content', state: 'verified', found: true }]);
  });

  it('is loaded the second time, and its hours are proven by ids', LONG, async () => {
    world = await openWorld(SOURCE);
    const reply = { kind: 'altered-text', rows: 3 } as const;
    await world.sandbox.apply({ action: 'faults', rules: [{ match: { kind: 'page' }, times: null, reply }] });
    const report = await world.run(EVENTS);
    expect(report.exitCode).toBe(EXIT.ok);
    expect((await grades()).map(({ grade }) => grade)).toEqual(['checksum', 'content']);
    await world.sandbox.apply({ action: 'faults', rules: [] });
    // The next run leaves them; a run that proves content fetches their hours, and only these.
    expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ calls: 1, pages: 0 });
    expect(reportOf(await world.run({ ...EVENTS, proveContent: true }), 'Events').pages).toBe(1);
    expect((await grades()).map(({ grade }) => grade)).toEqual(['content']);
  });
});

describe('a source that writes the same value as another text each time', () => {
  it('is proven by ids after two attempts, in a bounded number of calls', LONG, async () => {
    world = await openWorld(SOURCE);
    let answers = 0;
    const fetch: typeof globalThis.fetch = async (url, init) => {
      const response = await globalThis.fetch(url, init);
      answers++;
      // The last number of each hour is a part of its digests' sum.
      const body = (await response.text()).replaceAll(/((?:\d+ ){7})\d+(?=[;"])/g, `$1${answers}`);
      return new Response(body, { status: response.status, headers: { 'content-type': 'application/json' } });
    };
    const report = await world.run(EVENTS, {}, { fetch });
    expect(report.exitCode).toBe(EXIT.ok);
    expect(reportOf(report, 'Events').calls).toBeLessThanOrEqual(4);
    expect(await grades()).toEqual([{ grade: 'checksum', state: 'verified', found: true }]);
    // Once the text is stable, its content can be proven.
    await world.run({ ...EVENTS, proveContent: true });
    expect(await grades()).toEqual([{ grade: 'content', state: 'verified', found: true }]);
  });
});

describe('a source that refuses the functions of digests', () => {
  it('is proven by ids', CAMPAIGN, async () => {
    world = await openWorld(SOURCE);
    const reply = { kind: 'refused-function', name: 'substring' } as const;
    await world.sandbox.apply({ action: 'faults', rules: [{ match: { query: 'c0 = sum' }, times: null, reply }] });
    const report = reportOf(await world.run(EVENTS), 'Events');
    expect(report).toMatchObject({ outcome: 'verified', grade: 'checksum' });
    expect(await grades()).toEqual([{ grade: 'checksum', state: 'verified', found: true }]);
  });
});
