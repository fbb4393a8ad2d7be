/**
 * Answers that arrive complete and are wrong. An answer that can be recognised as wrong is fetched again, and a bad row is
 * quarantined. Any other is found by the account of its hour: the run ends `partial`, and the next run repairs it.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import type { FaultRule } from '../../sandbox/faults.ts';
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import { CAMPAIGN, LONG, caseOfMany } from '../support/campaign.ts';
import { CONTENT, COVERAGE } from './support/content.ts';
import { SOURCE, orderFaults, undisturbedContent } from './support/faulty.ts';
import { openWorld, reportOf } from './support/world.ts';

const SETTINGS = { page: { maxRows: 250 }, http: { timeoutSeconds: 2, stallSeconds: 1, maxBodyBytes: 8 << 20 } };

type Reply = FaultRule['reply'];
let sandbox: Sandbox;
let undisturbed: unknown;

beforeAll(async () => {
  sandbox = await startSandbox(SOURCE);
  undisturbed = await undisturbedContent(sandbox);
});
afterAll(() => sandbox.close());
beforeEach(() => order([]));

const order = (rules: FaultRule[]): Promise<void> => orderFaults(sandbox, rules);

const recognised: readonly (readonly [string, Reply])[] = [
  ['an error object inside the rows', { kind: 'error-in-rows', form: 'one-api-errors' }],
  ['exceptions inside the rows', { kind: 'error-in-rows', form: 'exceptions' }],
  ...(['error', 'errors', 'exceptions', 'OneApiErrors'] as const).map(
    (member) => [`${member} next to the rows`, { kind: 'top-level-error', member }] as const,
  ),
  ['a failure announced in the last frame', { kind: 'deferred-failure', form: 'v2' }],
  ['a failure announced in a status table', { kind: 'deferred-failure', form: 'v1' }],
  ['a result too large by rows', { kind: 'too-large', by: 'rows' }],
  ['a result too large by bytes', { kind: 'too-large', by: 'bytes' }],
  ['a result too large, refused with 400', { kind: 'too-large', by: 'rows', mode: 'error-400' }],
  ['a result too large, announced next to the rows', { kind: 'too-large', by: 'rows', mode: 'top-level' }],
  ['rows that stop without an error', { kind: 'silent-truncation', rows: 7 }],
  ['no rows at all', { kind: 'silent-truncation', rows: 0 }],
  ['columns in another order, with names', { kind: 'reordered-columns' }],
  ['a replica that lags behind', { kind: 'stale-replica', share: 0.1 }],
  ['every row twice', { kind: 'duplicate-rows' }],
  // These do not match the digests that come with the rows.
  ['ids that come twice, with different content', { kind: 'duplicate-ids', rows: 3 }],
  ['ids that are null', { kind: 'null-id', rows: 3 }],
  ['timestamps that cannot be parsed', { kind: 'bad-datetime', rows: 3 }],
  ['timestamps outside the requested window', { kind: 'outside-window', rows: 3 }],
  ['other text', { kind: 'altered-text', rows: 3 }],
];

const REPRESENTATIVES = ['rows with a cell too many'];

describe('a wrong answer that is recognised', () => {
  for (const [index, [name, reply]] of recognised.entries()) {
    const options = caseOfMany(index, REPRESENTATIVES.includes(name));
    it(`${name}: the run ends verified, and the lake equals that of an undisturbed run`, options, async () => {
      await using world = await openWorld(sandbox);
      await order([{ match: { kind: 'page' }, after: 1, reply }]);
      const report = await world.run({ tables: ['Events'] }, SETTINGS);
      expect(reportOf(report, 'Events')).toMatchObject({ outcome: 'verified', hours: { partial: 0 } });
      expect(report.exitCode).toBe(EXIT.ok);
      expect(await world.sql(CONTENT)).toEqual(undisturbed);
    });
  }
});

const hidden: readonly (readonly [string, Reply])[] = [
  ['rows with a cell too many', { kind: 'malformed-rows', width: 1, rows: 3 }],
  ['rows without their first cell', { kind: 'malformed-rows', width: -1, rows: 3 }],
];

describe('a wrong answer that only the account reveals', () => {
  for (const [name, reply] of hidden) {
    const options = REPRESENTATIVES.includes(name) ? CAMPAIGN : LONG;
    it(`${name}: the run ends partial, and the next run repairs it`, options, async () => {
      await using world = await openWorld(sandbox);
      await order([{ match: { kind: 'page' }, after: 1, reply }]);
      // One page at a time: the altered rows are always the same, and lie in one hour.
      const report = await world.run({ tables: ['Events'] }, { ...SETTINGS, inFlight: 1 });
      const table = reportOf(report, 'Events');
      expect(report.exitCode).toBe(EXIT.partial);
      expect(table).toMatchObject({ outcome: 'partial', hours: { partial: 1 } });
      expect(table.quarantined + table.duplicates).toBe(3);
      expect(await world.sql(COVERAGE)).toContainEqual({ state: 'partial', hours: 1 });
      // The rest of the page is loaded: a bad row loses only itself.
      const [{ n } = {}] = await world.sql('select count(*)::int as n from events');
      expect(Number(n)).toBeGreaterThanOrEqual(595 - 3);

      expect((await world.run({ tables: ['Events'] }, SETTINGS)).exitCode).toBe(EXIT.ok);
      expect(await world.sql(CONTENT)).toEqual(undisturbed);
      expect(await world.sql('select sum(quarantined_rows)::int as n from coverage')).toEqual([{ n: 0 }]);
    });
  }
});

describe('unusual content under the right ids', () => {
  it('a text nested a million levels deep is stored as received and can be read', LONG, async () => {
    await using world = await openWorld(sandbox);
    await order([{ match: { kind: 'page' }, times: null, reply: { kind: 'deep-nesting', at: 'text' } }]);
    const report = await world.run({ tables: ['Events'] }, SETTINGS);
    expect(reportOf(report, 'Events')).toMatchObject({ outcome: 'verified', quarantined: 0 });
    expect(await world.sql('select length(properties::varchar)::int as n from events order by 1 desc limit 1')).toEqual(
      [{ n: 2_000_000 }],
    );
    const [{ n } = {}] = await world.sql(`select count(properties->>'$.passId')::int as n from events`);
    expect(Number(n)).toBeGreaterThan(100);
  });
});
