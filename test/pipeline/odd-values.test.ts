/** Values and forms that JSON allows and parsers do not agree on, from the wire to the lake: nothing else of their rows is lost. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import type { Runtime } from '../../src/kernel/runtime.ts';
import type { SandboxOptions } from '../../sandbox/sandbox.ts';
import { openWorld, reportOf, type World } from './support/world.ts';
import { CAMPAIGN } from '../support/campaign.ts';

const SOURCE: SandboxOptions = { rows: 60, days: 1, seed: 2, now: '2026-11-01T00:30:00Z', frozen: true };
const AT = '2026-10-31T12:00:00Z';

let world: World;
afterEach(() => world[Symbol.asyncDispose]());

/** The real source, with each answer to a page query changed on its way. */
function changing(change: (body: string) => string): Partial<Runtime> {
  return {
    fetch: async (url, init) => {
      const response = await globalThis.fetch(url, init);
      if (typeof init?.body !== 'string' || !/\btake \d/.test(init.body)) return response;
      return new Response(change(await response.text()), { status: response.status, headers: { 'content-type': 'application/json' } }); // oxfmt-ignore
    },
  };
}

const idOf = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;

async function insertEvents(rows: readonly { operationId?: string; properties: unknown }[]): Promise<void> {
  const complete = rows.map(({ operationId = 'op', properties }, n) => ({
    eventId: idOf(n),
    timestamp: AT,
    tenantId: 'demo',
    eventType: 'Odd:Value',
    operationId,
    properties,
  }));
  await world.sandbox.apply({ action: 'rows', table: 'Events', tenant: 'demo', rows: complete });
}

describe('half a surrogate pair', () => {
  it(
    'becomes U+FFFD in its text only, on the wire and inside properties, and the page keeps the raw text',
    CAMPAIGN,
    async () => {
      world = await openWorld(SOURCE);
      await insertEvents([
        { operationId: 'WIRE', properties: { kept: 1 } },
        { properties: { half: 'INNER', kept: 2, pair: 'PAIR' } },
        { properties: { half: 'WIRE', kept: 3 } },
      ]);
      // A backslash of `properties` is two on the wire, where its text is a string.
      const halved = (body: string): string =>
        body.replaceAll('WIRE', '\\ud83d').replaceAll('INNER', '\\\\ud83d').replaceAll('PAIR', '\\\\ud83d\\\\ude00');
      const report = await world.run({ tables: ['Events'] }, { landing: { keep: true } }, changing(halved));
      expect(reportOf(report, 'Events')).toMatchObject({ outcome: 'verified', quarantined: 0 });
      const rows = await world.sql(
        `select operation_id as op, properties ->> 'half' as half, (properties ->> 'kept')::int as kept, properties ->> 'pair' as pair
       from events where event_type = 'Odd:Value' order by event_id`,
      );
      expect(rows).toEqual([
        { op: '\ufffd', half: null, kept: 1, pair: null },
        { op: 'op', half: '\ufffd', kept: 2, pair: '\u{1f600}' },
        { op: 'op', half: '\ufffd', kept: 3, pair: null },
      ]);
      const kept = join(world.dataDir, 'kept');
      const pages = (await readdir(kept, { recursive: true })).filter((name) => name.endsWith('.ndjson'));
      const text = (await Promise.all(pages.map((name) => readFile(join(kept, name), 'utf8')))).join('');
      expect(text.split('"\\ud83d"')).toHaveLength(2);
      expect(await readdir(join(world.dataDir, 'work'))).toEqual([]);
    },
  );

  it('leaves the rest of its row to the privacy rules', CAMPAIGN, async () => {
    world = await openWorld(SOURCE);
    await insertEvents([{ properties: { half: 'INNER', secret: 'a name', kept: 2 } }]);
    const halved = (body: string): string => body.replaceAll('INNER', '\\\\ud83d');
    const privacy = { rules: [{ paths: ['secret'], action: 'mask' }] };
    await world.run({ tables: ['Events'] }, { privacy }, changing(halved));
    const members = ['half', 'secret', 'kept'].map((name) => `properties ->> '${name}' as ${name}`);
    expect(await world.sql(`select ${members.join(', ')} from events where event_type = 'Odd:Value'`)).toEqual([
      { half: '\ufffd', secret: 'a ****', kept: '2' },
    ]);
  });
});

describe('dynamic text', () => {
  it('keeps its kind when it is no object', CAMPAIGN, async () => {
    world = await openWorld(SOURCE);
    const values: readonly unknown[] = [
      5,
      '5',
      true,
      'true',
      1.5,
      'plain',
      [1],
      '[1]',
      '{"a":1}',
      'with "quotes" \\ and é',
      '',
    ];
    await insertEvents(values.map((properties) => ({ properties })));
    expect(reportOf(await world.run({ tables: ['Events'] }), 'Events')).toMatchObject({ outcome: 'verified' });
    const rows = await world.sql(
      `select properties::varchar as p from events where event_type = 'Odd:Value' order by event_id`,
    );
    const found = rows.map(({ p }) => (typeof p === 'string' ? (JSON.parse(p) as unknown) : p));
    // An empty text is no value.
    expect(found).toEqual([...values.slice(0, -1), null]);
  });
});

describe('a number that no double can hold', () => {
  it('is no number, and its text is kept', CAMPAIGN, async () => {
    world = await openWorld(SOURCE);
    await world.sandbox.apply({
      action: 'rows',
      table: 'Metrics',
      tenant: 'demo',
      rows: ['HUGE', 'TINY', 'FINE'].map((value, n) => ({
        metricId: idOf(n),
        tenantId: 'demo',
        metricType: 'odd',
        value,
        properties: {},
        timestamp: AT,
      })),
    });
    const numbers = (body: string): string =>
      body.replaceAll('\\"HUGE\\"', '1e400').replaceAll('\\"TINY\\"', '-1e400').replaceAll('\\"FINE\\"', '1e40');
    await world.run({ tables: ['Metrics'] }, {}, changing(numbers));
    const metrics = `from metrics where metric_type = 'odd' order by metric_id`;
    expect(await world.sql(`select value::varchar as value, value_type as kind, value_number as number ${metrics}`)).toEqual([
      { value: '1e400', kind: 'number', number: null },
      { value: '-1e400', kind: 'number', number: null },
      { value: '1e40', kind: 'number', number: 1e40 },
    ]); // oxfmt-ignore
    expect(await world.sql(`select value_number as n from metric_values where metric_type = 'odd'`)).toEqual([{ n: 1e40 }]); // oxfmt-ignore
  });

  it('is null in a promoted column and in a typed view', CAMPAIGN, async () => {
    world = await openWorld(SOURCE);
    await insertEvents([{ properties: { share: 'HUGE', part: 'HUGE' } }, { properties: { share: 0.5, part: 0.5 } }]);
    const numbers = (body: string): string => body.replaceAll('\\"HUGE\\"', '1e400');
    const promote = { Events: [{ name: 'odd_share', paths: ['share'], type: 'number' }] };
    await world.run({ tables: ['Events'] }, { promote }, changing(numbers));
    const rows = `from events where event_type = 'Odd:Value' order by event_id`;
    expect(await world.sql(`select odd_share as share ${rows}`)).toEqual([{ share: null }, { share: 0.5 }]);
    const [view] = await world.sql(`select view_name as name from duckdb_views() where view_name like '%odd_value%'`);
    expect(await world.sql(`select part from ${String(view?.['name'])} order by event_id`)).toEqual([
      { part: null },
      { part: 0.5 },
    ]);
  });
});

describe('an answer in another form', () => {
  it('is read with object rows over several lines', async () => {
    world = await openWorld({ ...SOURCE, wire: { row: 'object' } });
    const pretty = (body: string): string => JSON.stringify(JSON.parse(body), null, 2).replaceAll('\n', '\r\n');
    const report = await world.run({ tables: ['Events'] }, {}, changing(pretty));
    expect(reportOf(report, 'Events')).toMatchObject({ outcome: 'verified', quarantined: 0 });
  });

  it('is refused with the reason and what to do when its rows come in fragments', async () => {
    world = await openWorld(SOURCE);
    const fragments = (body: string): string => {
      const rows = body.slice(body.indexOf('['), body.lastIndexOf(']') + 1);
      const frames = [
        '{"FrameType":"DataSetHeader","IsProgressive":true,"IsFragmented":true,"Version":"v2.0"}',
        '{"FrameType":"TableHeader","TableId":1,"TableKind":"PrimaryResult","TableName":"PrimaryResult","Columns":[]}',
        `{"FrameType":"TableFragment","TableFragmentType":"DataAppend","TableId":1,"Rows":${rows}}`,
        '{"FrameType":"TableCompletion","TableId":1,"RowCount":1}',
        '{"FrameType":"DataSetCompletion","HasErrors":false,"Cancelled":false}',
      ];
      return `[${frames.join(',')}]`;
    };
    const report = await world.run({ tables: ['Events'] }, {}, changing(fragments));
    expect(report.exitCode).toBe(EXIT.source);
    const { error } = reportOf(report, 'Events');
    expect(error?.message).toContain('fragments (frame TableHeader)');
    expect(error?.hint).toContain('results_v2_fragment_primary_tables');
    expect(await readdir(join(world.dataDir, 'store')).catch(() => [])).toEqual([]);
  });
});
