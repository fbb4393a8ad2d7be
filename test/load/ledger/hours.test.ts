import { describe, expect, test } from 'vitest';
import { EMPTY } from '../../../src/model/fingerprint.ts';
import type { Fingerprint } from '../../../src/model/fingerprint.ts';
import { HOUR, MINUTE } from '../../../src/kernel/instant.ts';
import type { Instant } from '../../../src/kernel/instant.ts';
import { lossesOf } from '../../../src/load/ledger/losses.ts';
import { heldHours, minuteFingerprints, recordComparison } from '../../../src/load/ledger/hours.ts';
import type { SourceComparison } from '../../../src/load/ledger/hours.ts';
import type { TableName } from '../../../src/model/tables.ts';
import { at, event, load, scratchLake, sourceHours, span, TENANT } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';
import { CAMPAIGN } from '../../support/campaign.ts';

const FROM = '2026-07-03T00:00:00Z';
const TO = '2026-07-03T06:00:00Z';
const ROWS = [
  event('a', '2026-07-03T01:10:00Z'),
  event('b', '2026-07-03T01:50:00Z'),
  event('c', '2026-07-03T03:00:00Z'),
];

async function compare(
  { ledger }: Scratch,
  hours: ReadonlyMap<Instant, Fingerprint>,
  {
    lower = at(FROM),
    upper = at(TO),
    ...change
  }: Partial<SourceComparison> & { lower?: Instant; upper?: Instant } = {},
  table: TableName = 'Events',
) {
  return recordComparison(
    ledger,
    TENANT,
    table,
    { at: at('2026-07-04T00:00:00Z'), spans: [{ from: lower, to: upper }], grade: 'checksum', hours, ...change },
    'run-1',
  );
}

async function states({ ledger }: Scratch, table: TableName = 'Events'): Promise<Record<string, string>> {
  const hours = await heldHours(ledger, TENANT, table);
  return Object.fromEntries([...hours].map(([hour, { state }]) => [String((hour - at(FROM)) / HOUR), state]));
}

describe('a comparison with the source', () => {
  test('marks every hour as verified whose account equals the source, including empty hours', async () => {
    await using lake = await scratchLake();
    await load(lake, span(FROM, TO), ROWS);
    expect(await states(lake)).toMatchObject({ 0: 'unchecked', 1: 'unchecked' });
    const counts = await compare(lake, sourceHours(ROWS));
    expect(counts).toEqual({ verified: 6, partial: 0, open: 0, expired: 0, unchecked: 0 });
    const [row] = await lake.ledger.rawRows(
      `select grade, verified_at::varchar as verified_at, run from hours where hour = '2026-07-03T01:00:00Z'`,
    );
    expect(row).toEqual({ grade: 'checksum', verified_at: '2026-07-04 00:00:00+00', run: 'run-1' });
  });

  test('detects an hour in which one row was exchanged for another, though the counts are equal', async () => {
    await using lake = await scratchLake();
    await load(lake, span(FROM, TO), ROWS);
    const other = [...ROWS.slice(0, 1), event('B2', '2026-07-03T01:50:00Z'), ...ROWS.slice(2)];
    expect(await compare(lake, sourceHours(other))).toMatchObject({ verified: 5, partial: 1 });
    expect(await compare(lake, sourceHours(other), { grade: 'count' })).toMatchObject({ verified: 6, partial: 0 });
  });

  test('marks an hour as open until it is over, then as verified', async () => {
    await using lake = await scratchLake();
    await load(lake, span(FROM, '2026-07-03T03:30:00Z'), ROWS);
    await compare(lake, sourceHours(ROWS), { upper: at('2026-07-03T03:30:00Z') });
    expect(await states(lake)).toEqual({ 0: 'verified', 1: 'verified', 2: 'verified', 3: 'open' });
    await compare(lake, sourceHours(ROWS), { upper: at('2026-07-03T04:00:00Z') });
    expect((await heldHours(lake.ledger, TENANT, 'Events')).get(at('2026-07-03T03:00:00Z'))).toMatchObject({
      state: 'verified',
      coveredTo: at('2026-07-03T04:00:00Z'),
    });
  });

  test('marks an hour that was never loaded as partial if the source has rows in it, otherwise as verified', async () => {
    await using lake = await scratchLake();
    await compare(lake, sourceHours(ROWS));
    expect(await states(lake)).toEqual({
      0: 'verified',
      1: 'partial',
      2: 'verified',
      3: 'partial',
      4: 'verified',
      5: 'verified',
    });
  });

  test('a merge that changes an hour makes it unchecked until the source is compared again', async () => {
    await using lake = await scratchLake();
    await load(lake, span(FROM, TO), ROWS);
    await compare(lake, sourceHours(ROWS));
    await load(lake, span('2026-07-03T01:00:00Z', '2026-07-03T02:00:00Z'), ROWS.slice(0, 1));
    expect(await states(lake)).toMatchObject({ 0: 'verified', 1: 'unchecked', 2: 'verified', 3: 'verified' });
  });

  test('does not change an hour that was covered further than the source now reaches: its clock stepped back', async () => {
    await using lake = await scratchLake();
    await load(lake, span(FROM, TO), ROWS);
    await compare(lake, sourceHours(ROWS));
    await compare(lake, new Map(), { lower: at('2026-07-03T03:00:00Z'), upper: at('2026-07-03T03:20:00Z') });
    expect(await states(lake)).toMatchObject({ 3: 'verified' });
  });

  test('keeps the time of the first proof when nothing has changed since', async () => {
    await using lake = await scratchLake();
    await load(lake, span(FROM, TO), ROWS);
    await compare(lake, sourceHours(ROWS));
    await compare(lake, sourceHours(ROWS), { at: at('2026-07-09T00:00:00Z') });
    const rows = await lake.ledger.rawRows(
      'select distinct verified_at::varchar as v, checked_at::varchar as c from hours',
    );
    expect(rows).toEqual([{ v: '2026-07-04 00:00:00+00', c: '2026-07-09 00:00:00+00' }]);
  });
});

describe('a proof that was obtained with a better grade', () => {
  const proofs = ({ ledger }: Scratch) =>
    ledger.rawRows(`select state, grade, verified_at::varchar as at from hours where hour = '2026-07-03T01:00:00Z'`);
  const kept = [{ state: 'verified', grade: 'checksum', at: '2026-07-04 00:00:00+00' }];
  const later = { at: at('2026-07-09T00:00:00Z') };

  test('stays, with its date, when a weaker comparison agrees', async () => {
    await using lake = await scratchLake();
    await load(lake, span(FROM, TO), ROWS);
    await compare(lake, sourceHours(ROWS));
    const counts = await compare(lake, sourceHours(ROWS), { ...later, grade: 'count' });
    expect(counts).toMatchObject({ verified: 6 });
    expect(await proofs(lake)).toEqual(kept);
    await compare(lake, sourceHours(ROWS), { ...later, grade: 'checksum' });
    expect(await proofs(lake)).toEqual(kept);
  });

  test('ends when a weaker comparison contradicts it, and comes back with the better one', async () => {
    await using lake = await scratchLake();
    await load(lake, span(FROM, TO), ROWS);
    await compare(lake, sourceHours(ROWS));
    await compare(lake, sourceHours(ROWS.slice(1)), { ...later, grade: 'count' });
    expect(await proofs(lake)).toEqual([{ state: 'partial', grade: 'count', at: null }]);
    await compare(lake, sourceHours(ROWS), { ...later, grade: 'count' });
    expect(await proofs(lake)).toEqual([{ state: 'verified', grade: 'count', at: '2026-07-09 00:00:00+00' }]);
    await compare(lake, sourceHours(ROWS), { at: at('2026-07-10T00:00:00Z') });
    expect(await proofs(lake)).toEqual([{ state: 'verified', grade: 'checksum', at: '2026-07-10 00:00:00+00' }]);
  });
});

describe('an hour that is not over', () => {
  const overTo = at('2026-07-03T05:30:00Z');

  test('is open, whatever the end of the comparison', async () => {
    await using lake = await scratchLake();
    await load(lake, span(FROM, TO), ROWS);
    expect(await compare(lake, sourceHours(ROWS), { overTo })).toMatchObject({ verified: 5, open: 1 });
    expect(await states(lake)).toMatchObject({ 4: 'verified', 5: 'open' });
    expect(await compare(lake, sourceHours(ROWS))).toMatchObject({ verified: 6, open: 0 });
  });

  test('is open and not partial where it differs, for a caller that loads nothing', async () => {
    await using lake = await scratchLake();
    const late = [...ROWS, event('d', '2026-07-03T05:10:00Z')];
    await load(lake, span(FROM, '2026-07-03T05:05:00Z'), ROWS);
    const upper = at('2026-07-03T05:20:00Z');
    expect(await compare(lake, sourceHours(late), { upper, overTo: upper, onlyCompares: true })).toMatchObject({
      verified: 5,
      partial: 0,
      open: 1,
    });
    // What was not loaded is not covered: a later comparison finds it.
    const hour = (await heldHours(lake.ledger, TENANT, 'Events')).get(at('2026-07-03T05:00:00Z'));
    expect(hour?.coveredTo).toBe(at('2026-07-03T05:05:00Z'));
    expect(await compare(lake, sourceHours(late), { upper, overTo: upper })).toMatchObject({ verified: 5, partial: 1 });
  });
});

describe('behind the retention edge', () => {
  test('a proof stays valid, and an hour that was never proven is expired', async () => {
    await using lake = await scratchLake();
    await load(lake, span(FROM, TO), ROWS, { table: 'Logs' });
    await compare(lake, sourceHours(ROWS.slice(0, 2)), {}, 'Logs');
    expect(await states(lake, 'Logs')).toMatchObject({ 1: 'verified', 3: 'partial' });
    const edge = at('2026-07-03T04:30:00Z');
    const counts = await compare(lake, new Map(), { lower: at('2026-07-03T04:00:00Z'), retentionEdge: edge }, 'Logs');
    expect(await states(lake, 'Logs')).toEqual({
      0: 'verified',
      1: 'verified',
      2: 'verified',
      3: 'expired',
      4: 'verified',
      5: 'verified',
    });
    expect(counts).toMatchObject({ verified: 2, expired: 1 });
  });

  test('an hour whose rows the source is deleting keeps its proof', async () => {
    await using lake = await scratchLake();
    await load(lake, span(FROM, TO), ROWS, { table: 'Logs' });
    await compare(lake, sourceHours(ROWS), {}, 'Logs');
    await compare(lake, sourceHours(ROWS.slice(1)), { lower: at('2026-07-03T01:00:00Z'), retentionEdge: at('2026-07-03T01:30:00Z') }, 'Logs'); // oxfmt-ignore
    expect(await states(lake, 'Logs')).toMatchObject({ 1: 'verified' });
  });

  test('hours between the last known one and the edge that no run ever saw are recorded as expired', async () => {
    await using lake = await scratchLake();
    await load(lake, span(FROM, '2026-07-03T02:00:00Z'), ROWS.slice(0, 2), { table: 'Logs' });
    await compare(lake, sourceHours(ROWS.slice(0, 2)), { upper: at('2026-07-03T02:00:00Z') }, 'Logs');
    const lower = at('2026-07-03T05:00:00Z');
    await compare(lake, new Map(), { lower, retentionEdge: lower + 10n * MINUTE }, 'Logs');
    expect(await states(lake, 'Logs')).toEqual({
      0: 'verified',
      1: 'verified',
      2: 'expired',
      3: 'expired',
      4: 'expired',
      5: 'verified',
    });
  });
});

describe('an hour that expired', () => {
  test('is recorded too if it lies between two known hours', async () => {
    await using lake = await scratchLake();
    await load(lake, span(FROM, TO), ROWS, { table: 'Logs' });
    await compare(lake, sourceHours(ROWS), { upper: at('2026-07-03T02:00:00Z') }, 'Logs');
    await compare(lake, sourceHours(ROWS), { lower: at('2026-07-03T05:00:00Z') }, 'Logs');
    await lake.ledger.run(`delete from hours where state = 'unchecked'`);
    expect(await states(lake, 'Logs')).toEqual({ 0: 'verified', 1: 'verified', 5: 'verified' });
    const edge = at('2026-07-03T04:00:00Z');
    await compare(lake, sourceHours(ROWS), { lower: at('2026-07-03T05:00:00Z'), retentionEdge: edge }, 'Logs');
    // The source still has the hour that begins at the edge.
    expect(await states(lake, 'Logs')).toEqual({ 0: 'verified', 1: 'verified', 2: 'expired', 3: 'expired', 5: 'verified' }); // oxfmt-ignore
  });

  test('is a loss of the run that found it, and of no later one', async () => {
    await using lake = await scratchLake();
    await load(lake, span(FROM, TO), ROWS, { table: 'Logs' });
    await compare(lake, sourceHours(ROWS.slice(0, 2)), {}, 'Logs');
    const retentionEdge = at('2026-07-03T04:30:00Z');
    const hour = at('2026-07-03T03:00:00Z');
    await compare(lake, sourceHours(ROWS.slice(0, 2)), { lower: hour, retentionEdge }, 'Logs');
    const loss = { tenant: TENANT, table: 'Logs', hours: 1, first: hour, last: hour };
    expect(await lossesOf(lake.ledger, 'run-1')).toEqual([loss]);
    // The source deletes more of it.
    const later = { at: at('2026-07-05T00:00:00Z'), spans: [{ from: hour, to: at(TO) }], grade: 'checksum', hours: sourceHours([event('d', '2026-07-03T03:10:00Z')]), retentionEdge } as const; // oxfmt-ignore
    await recordComparison(lake.ledger, TENANT, 'Logs', later, 'run-2');
    expect(await lossesOf(lake.ledger, 'run-1')).toEqual([loss]);
    expect(await lossesOf(lake.ledger, 'run-2')).toEqual([]);
  });
});

test('records the spans that were compared, and leaves the hours between them unchanged', async () => {
  await using lake = await scratchLake();
  await load(lake, span(FROM, '2026-07-03T03:30:00Z'), ROWS);
  const spans = [
    { from: at(FROM), to: at('2026-07-03T01:00:00Z') },
    { from: at('2026-07-03T02:00:00Z'), to: at('2026-07-03T03:30:00Z') },
  ];
  expect(await compare(lake, sourceHours(ROWS), { spans })).toMatchObject({ verified: 2, open: 1 });
  expect(await states(lake)).toEqual({ 0: 'verified', 1: 'unchecked', 2: 'verified', 3: 'open' });
  const held = await heldHours(lake.ledger, TENANT, 'Events', spans);
  expect([...held.keys()].map((hour) => Number((hour - at(FROM)) / HOUR))).toEqual([0, 2, 3]);
  // Nothing was compared, so nothing is recorded.
  expect(await compare(lake, new Map(), { spans: [] })).toMatchObject({ verified: 0, partial: 0 });
});

test('five years of hours are recorded and read back in a few statements', CAMPAIGN, async () => {
  await using lake = await scratchLake();
  const lower = at('2021-01-01T00:00:00Z');
  const upper = at('2026-01-01T00:00:00Z');
  const one: Fingerprint = { rows: 1n, sum0: 2n ** 32n - 1n, sum1: 3n, xor: 2n ** 60n - 1n, content: 2n ** 60n };
  const hours = new Map<Instant, Fingerprint>();
  for (let hour = lower; hour < upper; hour += HOUR) hours.set(hour, one);
  const start = process.cpuUsage();
  expect(await compare(lake, hours, { lower, upper })).toMatchObject({ partial: 43_824 });
  expect(await compare(lake, new Map(), { lower, upper })).toMatchObject({ verified: 43_824 });
  expect((await heldHours(lake.ledger, TENANT, 'Events')).size).toBe(43_824);
  // Processor time, so that other load on the machine does not count. Row by row it would take minutes.
  const { user, system } = process.cpuUsage(start);
  expect((user + system) / 1e6, 'seconds').toBeLessThan(10);
});

test('the account of a minute adds lake, duplicates and quarantine, so that it can be compared with the source', async () => {
  await using lake = await scratchLake();
  const rows = [
    event('a', '2026-07-03T01:10:00Z'),
    event('a', '2026-07-03T01:10:30Z'),
    event('a', '2026-07-03T01:20:00Z'),
    event('', '2026-07-03T01:30:00Z'),
    event('d', '2026-07-03T02:00:00Z'),
  ];
  await load(lake, span(FROM, TO), rows);
  const minutes = await minuteFingerprints(lake.ledger, TENANT, 'Events', [
    at('2026-07-03T01:00:00Z'),
    at('2026-07-03T04:00:00Z'),
  ]);
  expect([...minutes].map(([minute, { rows }]) => [(minute - at('2026-07-03T01:00:00Z')) / MINUTE, rows])).toEqual([
    [10n, 2n],
    [20n, 1n],
    [30n, 1n],
  ]);
  expect(minutes.get(at('2026-07-03T01:30:00Z'))).toEqual({
    ...EMPTY,
    ...sourceHours([event('', FROM)]).get(at(FROM)),
  });
});
