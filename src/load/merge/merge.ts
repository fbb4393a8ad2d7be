/**
 * Merges one complete batch of landed pages into the lake: stage, compare, write, read back, record. merge-tables.ts
 * describes the tables that these steps share.
 *
 * The new generation of a changed period is the old rows outside the batch's windows plus the staged rows, without copies
 * that are equal in every cell. Every new file is flushed and named before the one ledger transaction that makes all of them current. Files
 * that the ledger does not know are orphans, which `recover` removes. So a merge that is killed between any two steps has
 * happened completely or not at all, and running it again gives the same lake.
 */
import { InsightsError, PartError } from '../../kernel/errors.ts';
import type { Window } from '../../kernel/instant.ts';
import type { Batch, LandedPage } from '../../model/page.ts';
import { TABLES } from '../../model/tables.ts';
import { compareUnits } from './compare.ts';
import { planUnits } from './units.ts';
import { findHeldCopies } from './copies.ts';
import { refuseMassLoss } from './mass-loss.ts';
import { asCount } from '../ledger/cells.ts';
import { OutOfMemoryError } from '../ledger/engine-errors.ts';
import { clearDays, commitGeneration } from '../store/generation.ts';
import { copyChanges } from './write-unit.ts';
import type { Generation } from '../store/generation.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { EXCESS_COPIES } from './merge-tables.ts';
import { recordMerge } from './record.ts';
import { tableFilterSql } from '../ledger/sql.ts';
import { sqlText } from '../../kernel/sql.ts';
import { dropStage, stageBatch } from './staging.ts';
import type { Stage } from './staging.ts';

export interface MergeOptions {
  readonly run: string;
  /** Refuse a merge that removes more than `settings.deletes` of a day. @default true */
  readonly guard?: boolean;
  /** Windows at or before the retention edge: rows missing there have expired at the source and are kept. */
  readonly keepMissing?: readonly Window[];
  /** Load rows whose text does not match their digests, without the digests. @default false */
  readonly acceptAltered?: boolean;
  /** Called after each durable step, in order. If it throws, the merge stops there (crash tests). */
  readonly onStep?: (step: string) => void | Promise<void>;
}

export interface MergeResult {
  readonly inserted: number;
  /** Rows with other content than the lake's row of the same id and hour. */
  readonly replaced: number;
  /** Missing at the source. */
  readonly removed: number;
  readonly unchanged: number;
  /** Copies of a loaded row, equal in every cell, which are not in the lake. */
  readonly duplicates: number;
  readonly quarantined: number;
  /** Periods that were rewritten or became empty, and the bytes written. */
  readonly days: number;
  readonly bytes: number;
  /** An earlier run had merged the batch: nothing was done. */
  readonly already: boolean;
  readonly ms: Readonly<Record<'stage' | 'compare' | 'write' | 'readBack' | 'record', number>>;
}

/** Bytes of pages: the rows of a night of a small tenant. */
const SMALL_BATCH = 4_000_000;

/**
 * Merges a batch; `landed` must hold all of its pages. Throws PartError (a page was refused; its landed file is deleted so
 * that it will be fetched again), MassLossError, DiskError or DamagedError; the lake is then unchanged.
 */
export async function mergeBatch(
  ledger: Ledger,
  batch: Batch,
  landed: readonly LandedPage[],
  options: MergeOptions,
): Promise<MergeResult> {
  const work = async (): Promise<MergeResult> => {
    try {
      return await merge(ledger, batch, landed, options);
    } catch (caught) {
      const error = giantRow(caught, ledger, batch, landed) ?? caught;
      if (error instanceof PartError)
        await Promise.all(refusedFiles(error, landed).map((file) => ledger.files.rm(file, { force: true })));
      throw error;
    } finally {
      await dropStage(ledger);
    }
  };
  const bytes = landed.reduce((sum, page) => sum + page.bytes, 0);
  return bytes > SMALL_BATCH ? ledger.onAllThreads(work) : ledger.exclusive(work);
}

async function merge(
  ledger: Ledger,
  batch: Batch,
  landed: readonly LandedPage[],
  { run, guard = true, keepMissing = [], acceptAltered = false, onStep }: MergeOptions,
): Promise<MergeResult> {
  const ms = { ...NO_TIME };
  const merged = await ledger.row(
    `select count(*) as n from batches where ${tableFilterSql(batch.tenant, batch.table)} and id = ${sqlText(batch.id)}`,
    { n: asCount },
  );
  if (merged.n > 0) {
    return { ...NOTHING, already: true, ms };
  }
  requireComplete(batch, landed);
  const stage = await timer(ledger, ms)('stage', () => stageBatch(ledger, batch, landed, { acceptAltered }));
  await onStep?.('staged');
  return applyStage(ledger, batch, stage, {
    run,
    guard,
    keepMissing,
    ms,
    ...(onStep ? { onStep } : {}),
  });
}

interface ApplyOptions extends MergeOptions {
  readonly ms?: typeof NO_TIME;
  /** Moves rows between the lake and the quarantine, instead of replacing the quarantine of the windows; see record.ts. */
  readonly moveRows?: () => Promise<string>;
}

/** Merges what is staged: compare, write, read back, record. Call it inside `ledger.exclusive`. */
export async function applyStage(
  ledger: Ledger,
  batch: Batch,
  stage: Stage,
  { run, guard = true, keepMissing = [], onStep, moveRows, ms = { ...NO_TIME } }: ApplyOptions,
): Promise<MergeResult> {
  const table = TABLES[batch.table];
  const timed = timer(ledger, ms);
  const changes = await timed('compare', async () => {
    const planned = await planUnits(ledger, batch, stage.days);
    const units = batch.windows.length === 0 ? await findHeldCopies(ledger, table, planned) : planned;
    const compared = await compareUnits(ledger, table, units, keepMissing);
    if (guard) await refuseMassLoss(ledger, batch, compared.values());
    return [...compared].map(([unit, comparison]) => ({ unit, comparison }));
  });
  await onStep?.('compared');

  const changed = changes.filter(({ comparison }) => comparison.changed);
  const generations: Generation[] = [];
  await timed('write', async () => {
    const kept = changed.filter(({ comparison }) => comparison.rowsAfter > 0);
    const copies = await copyChanges(ledger, batch, kept, keepMissing);
    for (const { period } of copies) await onStep?.(`copied ${period.name}`);
    for (let k = 0; k < copies.length; k += COMMITTED_TOGETHER) {
      const some = copies.slice(k, k + COMMITTED_TOGETHER);
      generations.push(...(await Promise.all(some.map((copy) => commitGeneration(ledger, copy)))));
      await onStep?.(`named ${generations.length}`);
    }
    await clearDays(ledger);
  });

  await timed('record', () =>
    recordMerge(ledger, {
      batch,
      run,
      keepMissing,
      changed: changed.map(({ unit }) => unit),
      generations,
      pin: stage.pin,
      moveRows,
      readBackMs: (spent) => {
        ms.readBack += spent;
        ms.record -= spent;
      },
      onStep,
    }),
  );
  await onStep?.('recorded');

  const total = (key: 'inserted' | 'replaced' | 'removed' | 'unchanged'): number =>
    changes.reduce((sum, { comparison }) => sum + comparison[key], 0);
  const skipped = await ledger.row(`select count(*) as copies from ${EXCESS_COPIES}`, { copies: asCount });
  return {
    inserted: total('inserted'),
    replaced: total('replaced'),
    removed: total('removed'),
    unchanged: total('unchanged'),
    duplicates: skipped.copies,
    quarantined: stage.quarantined,
    days: changed.length,
    bytes: generations.reduce((sum, generation) => sum + generation.bytes, 0),
    already: false,
    ms,
  };
}

/** Files flushed at the same time, so that the disk can order the writes: 1,800 small days then take half as long. */
const COMMITTED_TOGETHER = 16;

const NO_TIME = { stage: 0, compare: 0, write: 0, readBack: 0, record: 0 };

function timer(
  { runtime }: Ledger,
  ms: typeof NO_TIME,
): <T>(step: keyof typeof NO_TIME, work: () => Promise<T>) => Promise<T> {
  return async (step, work) => {
    const startMs = runtime.monotonic();
    const result = await work();
    ms[step] += runtime.monotonic() - startMs;
    return result;
  };
}

const NOTHING = {
  inserted: 0,
  replaced: 0,
  removed: 0,
  unchanged: 0,
  duplicates: 0,
  quarantined: 0,
  days: 0,
  bytes: 0,
} as const;

/** Merging part of a batch would remove the rows of its missing pages. A caller that tries has a defect. */
function requireComplete(batch: Batch, landed: readonly LandedPage[]): void {
  const have = new Set(landed.map(({ page }) => page.id));
  const missing = batch.pages.filter((page) => !have.has(page.id)).length;
  if (missing === 0 && landed.length === batch.pages.length) return;
  throw new InsightsError(
    'unexpected',
    `Batch ${batch.id} is not complete: ${landed.length} of ${batch.pages.length} pages are landed`,
  );
}

/** From this size on, a row can exhaust the engine's memory. Measured: 384 MB are enough for a row of 20 MB, not for 30 MB. */
const GIANT_ROW = 4 << 20;

/** The engine never spills a single value, so a giant row makes a merge fail. Refusing its page lets the other pages load. */
function giantRow(error: unknown, ledger: Ledger, batch: Batch, landed: readonly LandedPage[]): PartError | undefined {
  if (!(error instanceof OutOfMemoryError)) return undefined;
  const [page] = [...landed].sort((a, b) => b.largestRow - a.largestRow);
  if (page === undefined || page.largestRow < GIANT_ROW) return undefined;
  const megabytes = Math.round(page.largestRow / 1e6);
  return new PartError(
    `A row of ${megabytes} MB needs more memory than the engine's limit of ${ledger.settings.memoryLimit}: its page was refused`,
    {
      hint: `Raise engine.memoryLimit to about ${megabytes * 20} MB, or drop the large key with a privacy rule if you do not need it (docs/privacy.md). The next run fetches the page again.`,
      where: { tenant: batch.tenant, table: batch.table },
      page: page.page.id,
    },
  );
}

function refusedFiles(error: PartError, landed: readonly LandedPage[]): string[] {
  return landed.filter(({ page }) => page.id === error.page).map(({ file }) => file);
}
