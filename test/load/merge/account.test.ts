/** Invariant 1: lake + duplicates + quarantined equal the source, for any rows and any sequence of batches. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { EMPTY, combine } from '../../../src/model/fingerprint.ts';
import { HOUR, MINUTE, formatInstant } from '../../../src/kernel/instant.ts';
import type { Window } from '../../../src/kernel/instant.ts';
import { heldHours, minuteFingerprints, recordComparison } from '../../../src/load/ledger/hours.ts';
import { LONG } from '../../support/campaign.ts';
import { at, event, load, scratchLake, sourceHours, storedRows, TENANT } from '../support/lake.ts';

const START = at('2026-07-03T22:00:00Z');
const HOURS = 4n;

/** Rows in four hours around midnight. There are few ids, so that copies are common; some ids are empty, some rows foreign. */
const sourceRow = fc
  .record({
    id: fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: 0, max: 12 }).map((n) => `Id-${n}`) },
      { weight: 3, arbitrary: fc.uuid() },
      { weight: 1, arbitrary: fc.constantFrom('', 'ü\n"x"', "it's", '\\', ' , ', '漢字', '#1', '\u0001') },
    ),
    tick: fc.bigInt({ min: 0n, max: HOURS * HOUR - 1n }),
    type: fc.constantFrom('pass.created', 'Pass:Installed', 'o\'clock\n"', ''),
    tenant: fc.oneof(
      { weight: 9, arbitrary: fc.constant(TENANT) },
      { weight: 1, arbitrary: fc.constantFrom('else', '') },
    ),
    properties: fc.oneof(fc.json(), fc.constantFrom('', '{"a":1.0}', '12345678901234567890123', 'plain text')),
  })
  .map(({ id, tick, type, tenant, properties }) =>
    event(id, formatInstant(START + tick), { type, tenant, properties }),
  );

/** Borders of batches, on whole minutes: a batch covers one or more hours or parts of hours. */
const borders = fc
  .uniqueArray(fc.integer({ min: 1, max: 239 }), { maxLength: 4 })
  .map((cuts) => [0, ...cuts.sort((a, b) => a - b), 240]);

for (const numRuns of [2, 25])
  test(
    `the account of every hour and minute balances after any sequence of batches (${numRuns} sequences)`,
    numRuns === 2 ? {} : LONG,
    async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(sourceRow, { maxLength: 60 }),
          borders,
          fc.infiniteStream(fc.nat()),
          async (rows, cuts, order) => {
            await using lake = await scratchLake({ quarantine: { maxShare: 1, minRows: 1 } });
            // The first answer pins the tenant id.
            await load(lake, { from: START - HOUR, to: START }, [event('pin', formatInstant(START - 1n))]);
            const windows = cuts.slice(1).map((cut, index): Window => ({ from: START + BigInt(cuts[index] ?? 0) * MINUTE, to: START + BigInt(cut) * MINUTE })); // oxfmt-ignore
            const shuffled = [...windows, ...windows.slice(0, 2)]
              .map((window) => ({ window, key: order.next().value }))
              .sort((a, b) => a.key - b.key);
            for (const { window } of shuffled) {
              const inside = rows.filter((row) => at(String(row[1])) >= window.from && at(String(row[1])) < window.to);
              // A page that holds only foreign rows is refused by design; the account covers pages that load.
              if (inside.length > 0 && inside.every((row) => row[2] === 'else')) return;
              await load(lake, window, inside, { guard: false });
            }

            const source = sourceHours(rows);
            const held = await heldHours(lake.ledger, TENANT, 'Events', [{ from: START, to: START + HOURS * HOUR }]);
            for (const [hour, { account }] of held) {
              expect({ hour, ...account }).toEqual({ hour, ...(source.get(hour) ?? EMPTY) });
            }
            expect(held.size).toBe(4);

            const minutes = await minuteFingerprints(lake.ledger, TENANT, 'Events', [...held.keys()]);
            let all = EMPTY;
            for (const fingerprint of minutes.values()) all = combine(all, fingerprint);
            expect(all).toEqual([...source.values()].reduce(combine, EMPTY));

            const { verified } = await recordComparison(lake.ledger, TENANT, 'Events', { at: START + 9n * HOUR, spans: [{ from: START, to: START + HOURS * HOUR }], grade: 'checksum', hours: source }, 'run'); // oxfmt-ignore
            expect(verified).toBe(4);

            const stored = await storedRows(
              lake.ledger,
              'Events',
              TENANT,
              `hash(columns(* exclude (row_digest))) as key`,
            );
            expect(new Set(stored.map((row) => JSON.stringify(row))).size, 'no row twice').toBe(stored.length);
          },
        ),
        { numRuns, seed: 20260703 },
      );
    },
  );
