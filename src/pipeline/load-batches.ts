/**
 * Takes batches through fetch, merge and comparison. One batch is fetched while the previous one is merged, so that the
 * source and the disk are busy at the same time, and at most two batches are on disk however large a backfill is.
 */
import { dirname, join } from 'node:path';
import pLimit from 'p-limit';
import { fetchBatch } from '../extract/fetch/fetch.ts';
import type { Fetched } from '../extract/fetch/fetch.ts';
import { createLanding } from '../extract/fetch/land.ts';
import type { Landing } from '../extract/fetch/land.ts';
import type { SourceView } from '../extract/compare/reconcile.ts';
import type { Caps } from '../extract/plan/plan.ts';
import { AlteredPageError, BudgetError, PartError, StoppedError } from '../kernel/errors.ts';
import { onDisk } from '../kernel/files.ts';
import type { Files } from '../kernel/files.ts';
import { HOUR, ceilTo, floorTo } from '../kernel/instant.ts';
import type { Window } from '../kernel/instant.ts';
import { joinWindows } from '../kernel/windows.ts';
import { recordComparison } from '../load/ledger/hours.ts';
import { splitMonths } from '../load/maintenance/split.ts';
import { mergeBatch } from '../load/merge/merge.ts';
import { capsLesson, readProfile, updateProfile } from '../load/ledger/profile.ts';
import { KEPT_FOLDER, LANDING_FOLDER } from '../model/data-dir.ts';
import type { Batch, LandedPage } from '../model/page.ts';
import { reported } from './failure.ts';
import { remainderOf, withoutPage } from './refused-parts.ts';
import type { Loadable, RefusedPart } from './refused-parts.ts';
import { capsOf, comparisonOf, edgeOf, timed } from './table-work.ts';
import type { SizedCaps, TableWork } from './table-work.ts';

interface FetchedBatch {
  readonly landing: Landing;
  readonly fetched: Fetched;
}

/**
 * After this many batches in a row that give nothing to load, the fault lies with the source and not with the part, and
 * loading stops. Batches that an earlier run has seen refused do not count.
 */
const MAX_FRUITLESS_BATCHES = 3;

/** `acceptAltered`: load rows that do not match their digests, without proof of their content. @default false */
export interface MergeChoice {
  readonly acceptAltered?: boolean;
}

interface BatchChoice extends MergeChoice {
  /** The caller compares its hours. */
  readonly isLast: boolean;
}

/**
 * Loads batches in order; a batch that an earlier run left comes as its landing. A part that cannot be delivered or loaded
 * is skipped, so that it does not block the others, and returned. The hours of each batch but the last are compared with the view: the
 * caller compares all hours next. Throws what else the stages throw.
 */
export async function loadBatches(
  work: TableWork,
  view: SourceView,
  batches: readonly (Batch | Landing)[],
  options: MergeChoice = {},
): Promise<readonly RefusedPart[]> {
  if (batches.length === 0) return [];
  work.record({ kind: 'phase', phase: 'fetch' });
  const stop = new AbortController();
  const signal = AbortSignal.any([work.signal, stop.signal]);
  const fetchNext = createFetcher(work, view.grade === 'content', signal);
  const refused: RefusedPart[] = [];
  let fruitless = 0;
  let next = fetchNext(batches[0]);
  for (const [k, given] of batches.entries()) {
    let current: FetchedBatch | undefined;
    const { isRemainder = false, windows } = 'batch' in given ? given.batch : given;
    const counted = isRemainder ? 0 : 1;
    try {
      current = await timed(work, 'fetch', () => next);
    } catch (error) {
      if (!(error instanceof PartError)) throw error;
      fruitless += counted;
      if (fruitless >= MAX_FRUITLESS_BATCHES) throw error;
      refused.push(logRefused(work, error, windows));
    }
    next = fetchNext(batches[k + 1]);
    // Its failure is handled when its turn comes, and dropped if the merge of the current batch fails.
    next.catch(() => {});
    try {
      if (!current) continue;
      const isLast = k === batches.length - 1;
      const { parts, isLoaded } = await load(work, view, current, { ...options, isLast });
      refused.push(...parts);
      fruitless = isLoaded ? 0 : fruitless + counted;
      const [part] = parts;
      if (part && !isAltered(part) && fruitless >= MAX_FRUITLESS_BATCHES) throw part.error;
    } catch (error) {
      stop.abort(error);
      await next.catch(() => {});
      throw error;
    }
  }
  return refused;
}

/** True for a part that may be intact when it is fetched again. */
export function isAltered({ error }: RefusedPart): boolean {
  return error instanceof AlteredPageError;
}

function logRefused({ tenant, table, runtime }: TableWork, error: PartError, windows: readonly Window[]): RefusedPart {
  const { failure, message, hint, where } = reported(error);
  runtime.log.warn({ event: 'part.refused', tenant, table, failure, message, hint, where }, 'part skipped');
  return { error, windows };
}

/** Fetches batches one by one. What one batch teaches about the source's caps holds for the next. */
function createFetcher(
  work: TableWork,
  digests: boolean,
  signal: AbortSignal,
): (batch: Batch | Landing | undefined) => Promise<FetchedBatch | undefined> {
  const { config, client, ledger, settings, run, record } = work;
  const limit = pLimit(settings.inFlight);
  const size = { estimated: 0, received: 0 };
  const onPage = ({ page, rows, bytes }: LandedPage): void => {
    size.estimated += page.bytes;
    size.received += bytes;
    record({ kind: 'page', rows, bytes });
  };
  let caps: SizedCaps | undefined;
  return async (batch) => {
    if (batch === undefined) return undefined;
    const isLanding = 'batch' in batch;
    if (isLanding)
      record({ kind: 'resumed', pages: batch.batch.pages.filter((page) => !batch.landed.has(page.id)).length });
    const landing = isLanding
      ? batch
      : await createLanding(join(config.dataDir, LANDING_FOLDER), batch, run, ledger.files);
    const before = (caps ??= await capsOf(work));
    const { maxRows, maxBytes } = settings.page;
    const most = { rows: maxRows, bytes: maxBytes / caps.wireRatio };
    let met: Caps = caps;
    const onLearn = (learnt: Caps): void => void (met = learnt);
    const options = { client, caps, most, limit, dropKeys: settings.drop, digests, onPage, onLearn, signal };
    const fetched = await fetchBatch(landing, options).catch(async (error: unknown) => {
      // Without these lessons, runs with a small budget would spend it on the same refusals every time.
      if (error instanceof BudgetError || error instanceof StoppedError)
        await keepLessons(work, before, { ...met, wireRatio: before.wireRatio }, size, true);
      // Nothing is landed: the next run plans the batch again, without the small parts that this one tried in vain.
      if (landing.landed.size === 0 && !landing.batch.isRemainder) await landing.remove();
      throw error;
    });
    record({ kind: 'split', splits: fetched.splits });
    // A row that is too large for any answer says nothing about the caps for other rows.
    caps = fetched.refused.length === 0 ? { ...fetched.caps, wireRatio: before.wireRatio } : before;
    await keepLessons(work, before, caps, size);
    return { landing, fetched };
  };
}

/** Below this many bytes received, the ratio of bytes received to bytes estimated is left to chance. */
const MIN_SAMPLE_BYTES = 1_000_000;

/** Stores for later runs what fetching taught about the source: its caps, and how large its answers are. */
async function keepLessons(
  { ledger, tenant, table, runtime, settings }: TableWork,
  before: SizedCaps,
  after: SizedCaps,
  { estimated, received }: { readonly estimated: number; readonly received: number },
  isDoubtful = false,
): Promise<void> {
  const known = await readProfile(ledger, tenant);
  const mostBytes = settings.page.maxBytes / after.wireRatio;
  const met = {
    rowCap: after.rows === before.rows ? undefined : after.rows < settings.page.maxRows ? after.rows : Infinity,
    byteCap:
      after.bytes === before.bytes
        ? undefined
        : after.bytes < mostBytes
          ? Math.round(after.bytes * after.wireRatio)
          : Infinity,
  };
  // The ratio rises at once and falls slowly: a page that is too large costs calls, one that is too small costs little.
  const ratio = Math.max(received / estimated, (known.wireRatios?.[table] ?? 0) * 0.9);
  const isSampled = received > MIN_SAMPLE_BYTES && estimated > 0;
  await updateProfile(ledger, tenant, {
    ...(isSampled ? { wireRatios: { ...known.wireRatios, [table]: ratio } } : {}),
    ...capsLesson(known, met, runtime.now(), isDoubtful),
  });
}

/** Merges a batch without the pages that are refused. Returns the refused parts, and whether anything was merged. */
async function load(
  work: TableWork,
  view: SourceView,
  { landing, fetched }: FetchedBatch,
  choice: BatchChoice,
): Promise<{ readonly parts: readonly RefusedPart[]; readonly isLoaded: boolean }> {
  const parts: RefusedPart[] = [];
  const without = (whole: Loadable, error: PartError): Loadable | undefined => {
    const { rest, refused } = withoutPage(whole, error.page);
    parts.push(logRefused(work, error, refused));
    return rest;
  };
  let rest: Loadable | undefined = fetched;
  for (const error of fetched.refused) rest &&= without(rest, error);
  const remainder = fetched.refused.length > 0 ? remainderOf(fetched.batch, rest?.batch) : undefined;
  while (rest) {
    try {
      await merge(work, view, rest, choice);
      break;
    } catch (error) {
      if (!(error instanceof PartError)) throw error;
      rest = without(rest, error);
    }
  }
  const { config, ledger, settings } = work;
  const isKept = settings.keepsAnswers && config.lakeTables[work.table].privacy.length === 0;
  if (remainder) await landing.narrow(remainder);
  else if (isKept) await onDisk(landing.folder, () => keep(ledger.files, config.dataDir, landing));
  else await landing.remove();
  await work.onMerged?.();
  return { parts, isLoaded: rest !== undefined };
}

async function merge(
  work: TableWork,
  view: SourceView,
  { batch, landed }: Loadable,
  { acceptAltered = false, isLast }: BatchChoice,
): Promise<void> {
  const { ledger, tenant, table, settings, run, request, record } = work;
  const keepMissing = windowsAtEdge(batch.windows, view, settings.retentionDays);
  const guard = request.allowDeletes !== true;
  const result = await mergeBatch(ledger, batch, landed, { run, guard, keepMissing, acceptAltered });
  // Before the next batch, which may have rows of the same month.
  if (result.days > 0) await splitMonths(ledger, batch, { run, at: view.at });
  record({ kind: 'merged', result });
  if (view.grade === 'none' || isLast) return;
  await timed(work, 'verify', async () => {
    const comparison = comparisonOf(work, view, wholeHours(batch.windows));
    await recordComparison(ledger, tenant, table, comparison, run);
  });
}

/** The windows in which the source deletes rows by now: a row that is missing there has expired and stays in the lake. */
function windowsAtEdge(windows: readonly Window[], view: SourceView, retentionDays: number | undefined): Window[] {
  const { retentionEdge } = edgeOf(view, retentionDays);
  if (retentionEdge === undefined) return [];
  // One hour more, as in the comparison: rows go on expiring while the run goes on.
  const edge = ceilTo(retentionEdge, HOUR) + HOUR;
  return windows.flatMap(({ from, to }) => (from < edge ? [{ from, to: to < edge ? to : edge }] : []));
}

function wholeHours(windows: readonly Window[]): Window[] {
  return joinWindows(windows.map(({ from, to }) => ({ from: floorTo(from, HOUR), to: ceilTo(to, HOUR) })));
}

async function keep(files: Files, dataDir: string, landing: Landing): Promise<void> {
  const { tenant, table, id } = landing.batch;
  const folder = join(dataDir, KEPT_FOLDER, tenant, table, id);
  await files.mkdir(dirname(folder), { recursive: true });
  await files.rename(landing.folder, folder);
}
