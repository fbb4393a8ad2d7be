/** Invariant 6: a bad row goes to quarantine and the other rows of its page load; a refused page changes nothing. */
import { existsSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { DamagedError, SourceError } from '../../../src/kernel/errors.ts';
import { heldHours } from '../../../src/load/ledger/hours.ts';
import { mergeBatch } from '../../../src/load/merge/merge.ts';
import { readProfile } from '../../../src/load/ledger/profile.ts';
import type { Batch, LandedPage } from '../../../src/model/page.ts';
import { at, event, landPage, load, scratchLake, span, storedRows, TENANT } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';

const DAY = span('2026-07-03T00:00:00Z', '2026-07-04T00:00:00Z');
const GOOD = event('good', '2026-07-03T10:10:00Z');

async function quarantined({ ledger }: Scratch): Promise<Record<string, unknown>[]> {
  return ledger.rawRows(`select reason, id, strftime(hour, '%H') as hour, raw from quarantine order by reason, raw`);
}

function batchOf(landed: LandedPage): Batch {
  return { id: landed.page.id, tenant: TENANT, table: 'Events', windows: [DAY], pages: [landed.page] };
}

describe('each reason', () => {
  const cases: [reason: string, row: unknown, hour: string | null, id: string | null][] = [
    ['malformed', '["half', null, null],
    ['malformed', '"text"', null, null],
    ['malformed', 'null', null, null],
    ['wrong_width', ['x', '2026-07-03T10:00:00Z', TENANT, 't', 'o'], null, 'x'],
    ['wrong_width', [...event('x', '2026-07-03T10:00:00Z'), 'more'], null, 'x'],
    ['wrong_width', { eventId: 'x', timestamp: '2026-07-03T10:00:00Z' }, null, 'x'],
    ['bad_timestamp', event('x', null), null, 'x'],
    ['bad_timestamp', event('x', ''), null, 'x'],
    ['bad_timestamp', event('x', '2026-07-32T00:00:00Z'), null, 'x'],
    ['bad_timestamp', event('x', '2026-07-03'), null, 'x'],
    ['bad_timestamp', event('x', 'infinity'), null, 'x'],
    ['outside_window', event('x', '2026-07-04T00:00:00Z'), null, 'x'],
    ['outside_window', event('x', '2026-07-02T23:59:59.9999999Z'), null, 'x'],
    ['no_id', event(null, '2026-07-03T10:00:00Z'), '10', null],
    ['no_id', event('', '2026-07-03T10:00:00Z'), '10', null],
    ['foreign_tenant', event('x', '2026-07-03T10:00:00Z', { tenant: 'else' }), '10', 'x'],
  ];
  test.each(cases)(
    '%s: %j is quarantined with its text, and the rest of the page loads',
    async (reason, row, hour, id) => {
      await using lake = await scratchLake();
      expect(await load(lake, DAY, [GOOD, row])).toMatchObject({ inserted: 1, quarantined: 1 });
      expect((await storedRows(lake.ledger)).map((stored) => stored['event_id'])).toEqual(['good']);
      const raw = typeof row === 'string' ? row : JSON.stringify(row);
      expect(await quarantined(lake)).toEqual([{ reason, id, hour, raw }]);
      const account = (await heldHours(lake.ledger, TENANT, 'Events')).get(at('2026-07-03T10:00:00Z'));
      expect(account?.rows, 'a row with a known hour is counted in its account').toBe(hour === null ? 1 : 2);
    },
  );
});

test('fetching windows again replaces their quarantined rows', async () => {
  await using lake = await scratchLake();
  await load(lake, DAY, [GOOD, '["half', event('', '2026-07-03T10:00:00Z')]);
  expect(await quarantined(lake)).toHaveLength(2);
  await load(lake, DAY, [GOOD, event('mended', '2026-07-03T10:00:00Z')]);
  expect(await quarantined(lake)).toEqual([]);
  expect(await storedRows(lake.ledger)).toHaveLength(2);
});

test('a line with bytes that are not text does not fail its page', async () => {
  await using lake = await scratchLake();
  const page = await landPage(lake.dir, [DAY], [GOOD, GOOD, event('second', '2026-07-03T10:11:00Z')]);
  const lines = [
    Buffer.from('#{}\n'),
    Buffer.from(`${JSON.stringify(GOOD)}\n["`),
    Buffer.from([0xff, 0xfe, 0x01, 0x0d]),
    Buffer.from(`"]\n${JSON.stringify(event('second', '2026-07-03T10:11:00Z'))}\n#{}\n`),
  ];
  writeFileSync(page.file, Buffer.concat(lines));
  expect(await mergeBatch(lake.ledger, batchOf(page), [page], { run: 'r' })).toMatchObject({
    inserted: 2,
    quarantined: 1,
  });
  expect(await quarantined(lake)).toMatchObject([{ reason: 'malformed' }]);
});

describe('a whole page is refused', () => {
  const bad = (n: number): unknown[] =>
    Array.from({ length: n }, (_, index) => [`x${index}`, '2026-07-03T10:00:00Z', TENANT, 't']);
  const good = (n: number): unknown[] =>
    Array.from({ length: n }, (_, index) => event(`g${index}`, '2026-07-03T10:00:00Z'));

  test('when more than the allowed share of its rows cannot be loaded: nothing changes, and it will be fetched again', async () => {
    await using lake = await scratchLake();
    await load(lake, DAY, [GOOD]);
    const page = await landPage(lake.dir, [DAY], [...bad(30), ...good(90), ...Array.from({ length: 3 }, () => event('', '2026-07-03T10:00:00Z'))]); // oxfmt-ignore
    const refused = mergeBatch(lake.ledger, batchOf(page), [page], { run: 'r' });
    await expect(refused).rejects.toThrow(SourceError);
    await expect(refused).rejects.toThrow(
      '33 of 123 rows of a page cannot be loaded (3 no id, 30 wrong width): the page was refused',
    );
    expect((await storedRows(lake.ledger)).map((row) => row['event_id'])).toEqual(['good']);
    expect(await quarantined(lake)).toEqual([]);
    expect(existsSync(page.file)).toBe(false);
  });

  test('but not for a smaller share or a page of few rows', async () => {
    await using lake = await scratchLake();
    expect(await load(lake, DAY, [...bad(20), ...good(80)])).toMatchObject({ inserted: 80, quarantined: 20 });
    expect(await load(lake, DAY, [...bad(50), ...good(1)], { guard: false })).toMatchObject({ quarantined: 50 });
  });

  test('when it holds only rows of another tenant', async () => {
    await using lake = await scratchLake();
    await load(lake, DAY, [GOOD]);
    const foreign = load(lake, DAY, [event('x', '2026-07-03T10:00:00Z', { tenant: 'else' })]);
    await expect(foreign).rejects.toThrow('A page holds only rows of another tenant (1): the page was refused');
    expect((await storedRows(lake.ledger)).map((row) => row['event_id'])).toEqual(['good']);
  });

  test('when its file holds fewer rows than recorded', async () => {
    await using lake = await scratchLake();
    const page = await landPage(lake.dir, [DAY], [GOOD]);
    const short = { ...page, rows: 2 };
    await expect(mergeBatch(lake.ledger, batchOf(page), [short], { run: 'r' })).rejects.toThrow(DamagedError);
  });
});

describe('the tenant id in the rows', () => {
  test('is pinned when it is first seen, and may differ from the id in the path', async () => {
    await using lake = await scratchLake();
    const internal = (id: string): unknown[] => event(id, '2026-07-03T10:00:00Z', { tenant: 'T-0042' });
    expect(await load(lake, DAY, [internal('a'), internal('b')])).toMatchObject({ inserted: 2 });
    expect(await readProfile(lake.ledger, TENANT)).toMatchObject({ pinnedTenantId: 'T-0042' });
    expect(await load(lake, DAY, [internal('a'), event('c', '2026-07-03T10:00:00Z')])).toMatchObject({
      quarantined: 1,
    });
  });

  test('is pinned as the id in the path when the first page holds several', async () => {
    await using lake = await scratchLake();
    const other = (id: string): unknown[] => event(id, '2026-07-03T10:00:00Z', { tenant: 'else' });
    expect(await load(lake, DAY, [other('x'), other('y'), GOOD])).toMatchObject({ inserted: 1, quarantined: 2 });
    expect(await readProfile(lake.ledger, TENANT)).toMatchObject({ pinnedTenantId: TENANT });
  });

  test('may be empty: such a row is loaded', async () => {
    await using lake = await scratchLake();
    await load(lake, DAY, [GOOD, event('e', '2026-07-03T10:00:00Z', { tenant: '' })]);
    expect(await storedRows(lake.ledger, 'Events', TENANT, 'event_id, source_tenant_id')).toEqual([
      { event_id: 'e', source_tenant_id: null },
      { event_id: 'good', source_tenant_id: TENANT },
    ]);
  });
});

test('an engine error never repeats content of a row', async () => {
  await using lake = await scratchLake();
  const error = await lake.ledger.rawRows(`select 'secret-row'::integer`).catch((thrown: unknown) => thrown);
  expect(String(error)).not.toContain('secret-row');
});
