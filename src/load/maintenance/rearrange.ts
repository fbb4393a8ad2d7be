/** Replaces the files of a month by others with the same rows: its days by one file, or one file by its days. */
import { sqlText, sqlTexts } from '../../kernel/sql.ts';
import type { Batch } from '../../model/page.ts';
import type { Period } from '../../model/period.ts';
import { asCount } from '../ledger/cells.ts';
import { GENERATION_FLOOR_SQL } from '../ledger/generation-floor.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { tableFilterSql } from '../ledger/sql.ts';
import { dropFileFingerprints, insertPartitions, readBack } from '../store/file-fingerprints.ts';
import type { Generation } from '../store/generation.ts';
import { requireSameHours } from './same-hours.ts';

type Key = Pick<Batch, 'tenant' | 'table'>;

/** The last generation of a period, or the floor if that is higher. A month and its days share the numbers: of files with the same rows, the newest has the highest. */
export async function lastGeneration(ledger: Ledger, { tenant, table }: Key, { name }: Period): Promise<number> {
  const month = name.slice(0, 7);
  const sharing = name === month ? `period[:7] = ${sqlText(month)}` : `period in (${sqlTexts([name, month])})`;
  const { last } = await ledger.row(
    `select greatest(max(generation), ${GENERATION_FLOOR_SQL}) as last from partitions where ${tableFilterSql(tenant, table)} and ${sharing}`,
    { last: asCount },
  );
  return last;
}

export interface Rearrangement {
  readonly month: Period;
  /** Periods of the files that are replaced. */
  readonly old: readonly string[];
  /** The new files. */
  readonly generations: readonly Generation[];
  readonly run: string;
  readonly onStep: ((step: string) => void | Promise<void>) | undefined;
}

/**
 * Proves that the new files hold the rows of each hour, and makes them current in one transaction. A kill at any point leaves the old
 * files current or the new ones; the others are removed as unknown or superseded.
 */
export async function replaceFiles(
  ledger: Ledger,
  key: Key,
  { month, old, generations, run, onStep }: Rearrangement,
): Promise<void> {
  await onStep?.(`named ${month.name}`);
  await readBack(ledger, key, generations);
  await requireSameHours(ledger, key, month);
  await ledger.transaction(async () => {
    await ledger.run(
      `update partitions set superseded_at = ${ledger.nowSql()}
       where ${tableFilterSql(key.tenant, key.table)} and superseded_at is null and period in (${sqlTexts(old)})`,
    );
    await insertPartitions(ledger, key, generations, run);
    await onStep?.(`recording ${month.name}`);
  });
  await dropFileFingerprints(ledger);
  await onStep?.(`recorded ${month.name}`);
}
