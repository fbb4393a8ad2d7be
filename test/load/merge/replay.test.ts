/** Quarantined rows that are judged again or dropped: the account of their hour still equals the source. */
import { describe, expect, test } from 'vitest';
import { heldHours, recordComparison } from '../../../src/load/ledger/hours.ts';
import { pinTenantId } from '../../../src/load/merge/pin.ts';
import { readProfile, updateProfile } from '../../../src/load/ledger/profile.ts';
import { countQuarantine, dropQuarantined, quarantinedRows } from '../../../src/load/merge/quarantine.ts';
import { replayQuarantined } from '../../../src/load/merge/replay.ts';
import { at, event, load, metric, scratchLake, sourceHours, span, storedRows, TENANT } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';
import { CAMPAIGN } from '../../support/campaign.ts';

const DAY = span('2026-07-03T00:00:00Z', '2026-07-04T00:00:00Z');
const TEN = at('2026-07-03T10:00:00Z');
const GOOD = event('good', '2026-07-03T10:10:00Z');
const foreign = (id: string, time = '10:20:00', properties = '{"a":1}'): unknown[] =>
  event(id, `2026-07-03T${time}Z`, { tenant: 'T-0042', properties });

/** Compares with a source that holds these rows. */
async function compare({ ledger }: Scratch, rows: readonly (readonly unknown[])[]): Promise<void> {
  const hours = sourceHours(rows);
  const comparison = { at: DAY.to, spans: [DAY], grade: 'checksum', hours } as const;
  await recordComparison(ledger, TENANT, 'Events', comparison, 'run-1');
}

async function account({ ledger }: Scratch): Promise<unknown> {
  const [row] = await ledger.rawRows(
    `select state, lake.n::int as lake, duplicates.n::int as copies, quarantined.n::int as quarantined,
       verified_at is not null as proven
     from hours where hour = '2026-07-03T10:00:00Z' and table_name = 'Events'`,
  );
  return row;
}

async function stored({ ledger }: Scratch): Promise<unknown[]> {
  return (await storedRows(ledger)).map((row) => row['event_id']);
}

const replay = (lake: Scratch, run = 'replay-1') => replayQuarantined(lake.ledger, {}, run);

describe('replay', () => {
  test('loads rows that now pass, and the hour stays verified without a query to the source', async () => {
    await using lake = await scratchLake();
    const rows = [GOOD, foreign('a'), foreign('b', '11:00:00'), foreign('c', '10:00:00', '{"k":"é\\"\\n"}')];
    await load(lake, DAY, rows);
    await compare(lake, rows);
    expect(await account(lake)).toEqual({ state: 'verified', lake: 1, copies: 0, quarantined: 2, proven: true });

    expect(await replay(lake)).toMatchObject([{ judged: 3, loaded: 0, copies: 0, refused: 3 }]);
    expect(await account(lake)).toEqual({ state: 'verified', lake: 1, copies: 0, quarantined: 2, proven: true });

    await updateProfile(lake.ledger, TENANT, { pinnedTenantId: 'T-0042' });
    expect(await replay(lake, 'replay-2')).toEqual([
      { tenant: TENANT, table: 'Events', judged: 3, loaded: 3, copies: 0, refused: 0 },
    ]);
    expect(await stored(lake)).toEqual(['c', 'good', 'a', 'b']);
    expect((await storedRows(lake.ledger))[0]).toMatchObject({ properties: '{"k":"é\\"\\n"}' });
    expect(await account(lake)).toEqual({ state: 'verified', lake: 3, copies: 0, quarantined: 0, proven: true });
    expect(await countQuarantine(lake.ledger, {})).toEqual([]);
    expect(await replay(lake, 'replay-3')).toEqual([]);
  });

  test('loads a row whose id the hour already has, and counts what is equal in every cell as a copy', async () => {
    await using lake = await scratchLake();
    const rows = [GOOD, event('later', '2026-07-03T10:40:00Z'), foreign('good'), foreign('later'), foreign('later')];
    await load(lake, DAY, rows);
    await compare(lake, rows);
    await updateProfile(lake.ledger, TENANT, { pinnedTenantId: 'T-0042' });
    await lake.ledger.run(`create temp table kept as select * from quarantine where id = 'good'`);
    expect(await replay(lake)).toMatchObject([{ judged: 3, loaded: 2, copies: 1, refused: 0 }]);
    const stored = await storedRows(lake.ledger, 'Events', TENANT, 'event_id, source_tenant_id');
    expect(stored.map(({ event_id: id, source_tenant_id: tenant }) => `${String(id)} ${String(tenant)}`).sort()).toEqual([
      `good ${TENANT}`,
      'good T-0042',
      `later ${TENANT}`,
      'later T-0042',
    ].sort()); // oxfmt-ignore
    expect(await account(lake)).toEqual({ state: 'verified', lake: 4, copies: 1, quarantined: 0, proven: true });

    await lake.ledger.run('insert into quarantine from kept');
    expect(await replay(lake), 'a copy of a loaded row').toMatchObject([{ judged: 1, loaded: 0, copies: 1 }]);
    expect(await storedRows(lake.ledger)).toHaveLength(4);
  });

  test('completes an hour with rows whose hour was unknown, when they pass today', async () => {
    await using lake = await scratchLake();
    const repaired = event('mended', '2026-07-03T10:30:00Z');
    await load(lake, DAY, [GOOD, '["mended"]', event('x', '2026-07-04T00:00:00Z')]);
    await compare(lake, [GOOD, repaired]);
    expect(await account(lake)).toMatchObject({ state: 'partial', lake: 1, proven: false });
    // As if a newer version could read what this one refused: the text now has all of its cells.
    await lake.ledger.run(`update quarantine set raw = $1 where reason = 'wrong_width'`, [JSON.stringify(repaired)]);
    expect(await replay(lake)).toMatchObject([{ judged: 2, loaded: 1, refused: 1 }]);
    expect(await account(lake)).toEqual({ state: 'verified', lake: 2, copies: 0, quarantined: 0, proven: true });
    expect(await countQuarantine(lake.ledger, {})).toMatchObject([{ reason: 'outside_window', rows: 1 }]);
  });

  test('updates the reason of a row that is now refused for another one, and whether it counts in the account', async () => {
    await using lake = await scratchLake();
    await load(lake, DAY, [GOOD, '["x"]']);
    await lake.ledger.run('update quarantine set raw = $1', [JSON.stringify(foreign('x'))]);
    expect(await replay(lake)).toMatchObject([{ judged: 1, loaded: 0, refused: 1 }]);
    expect(await countQuarantine(lake.ledger, {})).toMatchObject([{ reason: 'foreign_tenant', rows: 1 }]);
    expect(await account(lake)).toMatchObject({ lake: 1, quarantined: 1 });
  });

  test('reads cells in the order in which their answer named them', async () => {
    await using lake = await scratchLake();
    const columns = ['properties', 'operationId', 'eventType', 'tenantId', 'timestamp', 'eventId'];
    await load(lake, DAY, [[...GOOD].reverse(), [...foreign('a')].reverse()], { columns });
    await updateProfile(lake.ledger, TENANT, { pinnedTenantId: 'T-0042' });
    expect(await replay(lake)).toMatchObject([{ loaded: 1 }]);
    expect(await stored(lake)).toEqual(['good', 'a']);
  });

  test('judges only the rows that the filter selects', async () => {
    await using lake = await scratchLake();
    await load(lake, DAY, [GOOD, foreign('a'), foreign('b', '12:00:00')]);
    await updateProfile(lake.ledger, TENANT, { pinnedTenantId: 'T-0042' });
    const { ledger } = lake;
    for (const filter of [{ tenants: ['b*'] }, { tables: ['Logs'] }, { reasons: ['no_id'] }] as const)
      expect(await replayQuarantined(ledger, filter, 'replay-0')).toEqual([]);
    const before = { tenants: ['ac*'], tables: ['Events'], reasons: ['foreign_tenant'], before: at('2026-07-03T12:00:00Z') } as const; // oxfmt-ignore
    expect(await replayQuarantined(ledger, before, 'replay-1')).toMatchObject([{ judged: 1, loaded: 1 }]);
    expect(await stored(lake)).toEqual(['good', 'a']);
  });

  test('continues after a kill when it is run again', CAMPAIGN, async () => {
    await using lake = await scratchLake();
    const rows = [GOOD, foreign('a'), foreign('b')];
    await load(lake, DAY, rows);
    await compare(lake, rows);
    await updateProfile(lake.ledger, TENANT, { pinnedTenantId: 'T-0042' });
    const { transaction } = lake.ledger;
    const broken = {
      ...lake.ledger,
      transaction: (work: () => Promise<unknown>) =>
        transaction(async () => {
          await work();
          throw new Error('killed');
        }),
    };
    await expect(replayQuarantined(broken as typeof lake.ledger, {}, 'replay-1')).rejects.toThrow('killed');
    expect(await account(lake)).toMatchObject({ lake: 1, quarantined: 2 });
    expect(await replay(lake, 'replay-2')).toMatchObject([{ loaded: 2 }]);
    expect(await account(lake)).toEqual({ state: 'verified', lake: 3, copies: 0, quarantined: 0, proven: true });
  });
});

describe('drop', () => {
  test('deletes the text of a counted row and keeps it in the account; deletes a row without an hour', async () => {
    await using lake = await scratchLake();
    const rows = [GOOD, foreign('a'), event('', '2026-07-03T10:05:00Z')];
    await load(lake, DAY, [...rows, '["half"', event('x', 'yesterday')]);
    await compare(lake, rows);
    const { ledger } = lake;
    expect(await dropQuarantined(ledger, {})).toEqual([{ tenant: TENANT, table: 'Events', emptied: 2, removed: 2 }]);
    expect(await account(lake)).toEqual({ state: 'verified', lake: 1, copies: 0, quarantined: 2, proven: true });
    expect((await heldHours(ledger, TENANT, 'Events')).get(TEN)?.account).toEqual(sourceHours(rows).get(TEN));
    expect(await quarantinedRows(ledger, {}, 10)).toMatchObject([
      { reason: 'no_id' },
      { reason: 'foreign_tenant', id: 'a' },
    ]);
    expect((await quarantinedRows(ledger, {}, 10)).map(({ text }) => text)).toEqual([undefined, undefined]);
    expect(await countQuarantine(ledger, {})).toMatchObject([
      { reason: 'foreign_tenant', rows: 1, dropped: 1 },
      { reason: 'no_id', rows: 1, dropped: 1 },
    ]);
    expect(await replay(lake), 'no row with a text is left').toEqual([]);
    expect(await dropQuarantined(ledger, {}), 'a second drop finds nothing').toEqual([]);
  });

  test('an hour that is fetched again has each of its rows once', async () => {
    await using lake = await scratchLake();
    const rows = [GOOD, foreign('a'), event('', '2026-07-03T10:05:00Z')];
    await load(lake, DAY, rows);
    await dropQuarantined(lake.ledger, {});
    await load(lake, DAY, rows, { keepMissing: [DAY] });
    expect(await account(lake)).toMatchObject({ lake: 1, quarantined: 2 });
    await dropQuarantined(lake.ledger, {});
    await load(lake, DAY, rows);
    expect(await account(lake)).toMatchObject({ lake: 1, quarantined: 2 });
    expect(await countQuarantine(lake.ledger, {})).toMatchObject([{ dropped: 0 }, { dropped: 0 }]);
  });
});

describe('pinning another tenant id', () => {
  test('moves rows with another id into quarantine, from where they can come back unchanged', CAMPAIGN, async () => {
    await using lake = await scratchLake();
    const odd = [
      foreign('bad-1', '10:00:00.1234567', '{"k":[1,"é"]}'),
      foreign('bad-2', '23:59:59.999999', 'plain "text"'),
      foreign('bad-2', '23:59:59.999999', 'plain "text"'),
      foreign('bad-3', '12:00:00', ''),
    ];
    const own = [GOOD, event('mine', '2026-07-03T10:30:00Z'), event('null', '2026-07-03T10:31:00Z', { tenant: '' })];
    // The first page holds only another tenant's rows, so the wrong id is pinned.
    await load(lake, DAY, [...odd]);
    expect(await readProfile(lake.ledger, TENANT)).toMatchObject({ pinnedTenantId: 'T-0042' });
    await load(lake, DAY, [...odd, ...own], { keepMissing: [DAY] });
    await compare(lake, [...odd, ...own]);
    const wrong = await storedRows(lake.ledger);
    expect(wrong.map((row) => row['event_id'])).toEqual(['bad-1', 'null', 'bad-3', 'bad-2']);

    expect(await pinTenantId(lake.ledger, TENANT, TENANT, 'pin-1')).toBe(3);
    expect(await stored(lake)).toEqual(['null']);
    await replay(lake, 'pin-1-replay');
    expect(await stored(lake)).toEqual(['good', 'mine', 'null']);
    expect(await account(lake)).toEqual({ state: 'verified', lake: 3, copies: 0, quarantined: 1, proven: true });
    const states = await lake.ledger.rawRows(`select distinct state from hours where lake.n + quarantined.n > 0`);
    expect(states, 'no hour will be fetched again').toEqual([{ state: 'verified' }]);
    expect(await pinTenantId(lake.ledger, TENANT, TENANT, 'pin-2')).toBe(0);

    expect(await pinTenantId(lake.ledger, TENANT, 'T-0042', 'pin-3')).toBe(2);
    await replay(lake, 'pin-3-replay');
    expect(await storedRows(lake.ledger)).toEqual(wrong);
  });

  test('does the same for metric values of every JSON type', CAMPAIGN, async () => {
    await using lake = await scratchLake();
    const values = ['[1]', '[-0.0]', '["1"]', '["é\\n\\"]"]', '[{"a":[1.0,null]}]', '[[]]', '[null]', '[true]', '', 'x[', '[123456789012345678901234567890]']; // oxfmt-ignore
    const rows = values.map((value, k) => metric(`m${k}`, `2026-07-03T10:00:${10 + k}Z`, value));
    await load(lake, DAY, rows, { table: 'Metrics' });
    const before = await storedRows(lake.ledger, 'Metrics');
    expect(before).toHaveLength(values.length);
    expect(await pinTenantId(lake.ledger, TENANT, 'else', 'pin-1')).toBe(values.length);
    expect(await storedRows(lake.ledger, 'Metrics')).toEqual([]);
    await pinTenantId(lake.ledger, TENANT, TENANT, 'pin-2');
    await replay(lake);
    expect(await storedRows(lake.ledger, 'Metrics')).toEqual(before);
  });
});
