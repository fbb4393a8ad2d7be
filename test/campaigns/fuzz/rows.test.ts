/**
 * Rows damaged in every way we could think of, through the real path: landed file, stage, merge, read-back. Each row ends in the
 * lake, as a recorded copy of an equal row or in quarantine, and the account of its hour equals a count made beforehand.
 */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EMPTY, combine } from '../../../src/model/fingerprint.ts';
import type { Fingerprint } from '../../../src/model/fingerprint.ts';
import { formatInstant } from '../../../src/kernel/instant.ts';
import type { Instant } from '../../../src/kernel/instant.ts';
import { text as textOf } from '../../support/cells.ts';
import { heldHours } from '../../../src/load/ledger/hours.ts';
import { mergeBatch } from '../../../src/load/merge/merge.ts';
import { updateProfile } from '../../../src/load/ledger/profile.ts';
import { replayQuarantined } from '../../../src/load/merge/replay.ts';
import type { LandedPage } from '../../../src/model/page.ts';
import { scratchLake, storedRows } from '../../load/support/lake.ts';
import { CAMPAIGN } from '../../support/campaign.ts';
import { chanceOf, ROWS, SEED } from './support/chance.ts';
import { TENANT, WINDOW, makeLines } from './support/lines.ts';
import type { Line } from './support/lines.ts';

const PAGE_ROWS = 2000;

async function land(dir: string, id: string, lines: readonly Line[]): Promise<LandedPage> {
  const file = join(dir, 'landing', `${id}.ndjson`);
  await mkdir(join(dir, 'landing'), { recursive: true });
  const feed = Buffer.from('\n');
  const parts = lines.flatMap(({ bytes }) => [bytes, feed]);
  await writeFile(file, Buffer.concat([Buffer.from('#{"page":1}\n'), ...parts, Buffer.from('#{"rows":1}\n')]));
  const largestRow = lines.reduce((most, { bytes }) => Math.max(most, bytes.length), 0);
  const page = { id, windows: [WINDOW], rows: lines.length, bytes: 0 };
  return { page, file, rows: lines.length, bytes: 0, largestRow };
}

/** The source's fingerprints by hour: every row whose hour is known, under its id in lower case. */
function expectedHours(lines: readonly Line[]): Map<Instant, Fingerprint> {
  const hours = new Map<Instant, Fingerprint>();
  for (const { counted } of lines) {
    if (!counted) continue;
    const hex = createHash('md5').update(counted.id.toLowerCase()).digest('hex');
    const part = (from: number, to: number): bigint => BigInt(`0x${hex.slice(from, to)}`);
    const own = { rows: 1n, sum0: part(0, 8), sum1: part(8, 16), xor: part(16, 31), content: undefined };
    hours.set(counted.hour, combine(hours.get(counted.hour) ?? EMPTY, own));
  }
  return hours;
}

describe.each(['Events', 'Metrics'] as const)('%s', (table) => {
  it(`seed ${SEED}: rows in = lake + copies + quarantine, in total and in each hour`, CAMPAIGN, async () => {
    await using lake = await scratchLake({
      quarantine: { maxShare: 1, minRows: 0 },
      deletes: { maxShare: 1, minRows: 0 },
    });
    const { ledger } = lake;
    await updateProfile(ledger, TENANT, { pinnedTenantId: TENANT });
    const pages = Math.max(2, Math.round(ROWS / PAGE_ROWS / 2));
    for (let number = 0; number < pages; number++) {
      const chance = chanceOf(SEED * 1_000_003 + number);
      const lines = makeLines(table, Math.min(PAGE_ROWS, Math.ceil(ROWS / 2 / pages)), chance, number % 2 === 1);
      const page = await land(lake.dir, `p${number}`, lines);
      const batch = { id: `b${number}`, tenant: TENANT, table, windows: [WINDOW], pages: [page.page] };
      const result = await mergeBatch(ledger, batch, [page], { run: 'fuzz' });

      const [quarantine] = await ledger.rawRows(
        `select count(*)::int as n, count(hour)::int as counted, count(raw)::int as texts from quarantine`,
      );
      const counted = lines.filter((line) => line.counted);
      const loading = lines.flatMap((line) => (line.counted && line.loads ? [line.counted] : []));
      const copies = loading.length - new Set(lines.flatMap((line) => (line.counted && line.loads ? [line.bytes.toString('latin1')] : []))).size; // oxfmt-ignore
      const hours = await heldHours(ledger, TENANT, table);
      const expected = expectedHours(lines);
      const wrong = [...hours].flatMap(([hour, { account }]) => {
        const should = expected.get(hour) ?? EMPTY;
        return JSON.stringify(account, String) === JSON.stringify(should, String) ? [] : [formatInstant(hour)];
      });
      const where = `page ${number} of seed ${SEED}`;
      expect(await misjudged(lines), `at ${where}`).toEqual([]);
      expect(wrong, `${where}: hours whose account is not the source's`).toEqual([]);
      expect(quarantine, `at ${where}`).toEqual({
        n: lines.length - loading.length,
        counted: counted.length - loading.length,
        texts: lines.length - loading.length,
      });
      const stored = await storedRows(ledger, table, TENANT, 'hash(columns(* exclude (row_digest)))');
      expect(stored.length, `at ${where}`).toBe(loading.length - result.duplicates);
      expect(new Set(stored.map((row) => JSON.stringify(row))).size, `${where}: no row twice`).toBe(stored.length);
      // The same bytes are the same row; other bytes may be too, such as another spelling of the same instant.
      expect(copies, `at ${where}`).toBeGreaterThan(0);
      expect(result.duplicates, `at ${where}`).toBeGreaterThanOrEqual(copies);
      expect(result.duplicates, `at ${where}`).toBeLessThan(2 * copies);

      // Judged again by the same rules, each row stays in quarantine.
      const [again] = await replayQuarantined(ledger, {}, `again-${number}`);
      expect(again, `at ${where}`).toMatchObject({ judged: lines.length - loading.length, loaded: 0, copies: 0 });
      expect([...(await heldHours(ledger, TENANT, table))], `at ${where}`).toEqual([...hours]);
    }

    /** Lines with another outcome than expected, with their damage. */
    async function misjudged(lines: readonly Line[]): Promise<string[]> {
      const rows = await ledger.rawRows(`select raw, reason || ' ' || (hour is not null) as verdict from quarantine`);
      const quarantined = new Map(rows.map((row) => [textOf(row, 'raw'), textOf(row, 'verdict')]));
      return lines
        .filter(({ fault }) => fault !== 'raw bytes')
        .flatMap(({ bytes, fault, counted, loads }) => {
          // The binding drops a byte order mark at the beginning of a text.
          const verdict = quarantined.get(bytes.toString().replace(/^\uFEFF/, ''));
          const right = counted
            ? loads
              ? verdict === undefined
              : verdict?.endsWith('true')
            : verdict?.endsWith('false');
          return right === true ? [] : [`${fault}: ${verdict ?? 'loaded'}: ${bytes.toString().slice(0, 200)}`];
        });
    }
  });
});
