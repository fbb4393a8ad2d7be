/**
 * Batches through fetch, merge and comparison, one being fetched while the one before is merged: the source and the disk
 * are busy together, and never more than two batches are landed at a time however large a backfill is.
 */
import { dirname, join } from 'node:path';
import pLimit from 'p-limit';
import { fetchBatch } from '../extract/fetch/fetch.ts';
import type { Fetched } from '../extract/fetch/fetch.ts';
import { createLanding } from '../extract/fetch/land.ts';
import type { Landing } from '../extract/fetch/land.ts';
import type { SourceView } from '../extract/compare/reconcile.ts';
import { PartError } from '../kernel/errors.ts';
import { onDisk } from '../kernel/files.ts';
import type { Files } from '../kernel/files.ts';
import { HOUR, ceilTo, floorTo } from '../kernel/instant.ts';
import type { Instant, Window } from '../kernel/instant.ts';
import { recordComparison } from '../load/ledger/hours.ts';
import { mergeBatch } from '../load/merge/merge.ts';
import { capsLesson, readProfile, updateProfile } from '../load/ledger/profile.ts';
import type { Batch, LandedPage } from '../model/page.ts';
import { reported } from './failure.ts';
import { remainderOf, withoutPage } from './refused-parts.ts';
import type { Loadable, RefusedPart } from './refused-parts.ts';
import { capsOf, comparisonOf, edgeOf, phase, timed } from './table-work.ts';
import type { SizedCaps } from './table-work.ts';
import type { TableWork } from './table-work.ts';

/** Answers on their way into the lake. */
export const LANDING_FOLDER = 'landing';
/** Answers that are loaded, where `landing.keep` is set: of tables without privacy rules, since they are as received. */
export const KEPT_FOLDER = 'kept';

interface OnItsWay {
  readonly landing: Landing;
  readonly fetched: Fetched;
}

/**
 * When so many batches in a row give nothing that can be loaded, it is the source and not the part: no more is asked. What is
 * known to be refused since an earlier run does not count.
 */
const MOST_IN_VAIN = 3;

/**
 * Loads batches in order; those that an earlier run left come as landings. A part that cannot be delivered or loaded is
 * left out, so that it is in the way of no other, and returned. Throws what else the stages throw.
 */
export async function loadBatches(
  work: TableWork,
  view: SourceView,
  batches: readonly (Batch | Landing)[],
): Promise<readonly RefusedPart[]> {
  if (batches.length === 0) return [];
  phase(work, 'fetch');
  const stop = new AbortController();
  const signal = AbortSignal.any([work.signal, stop.signal]);
  const fetchOne = fetcher(work, signal);
  const refused: RefusedPart[] = [];
  let inVain = 0;
  let next = fetchOne(batches[0]);
  for (const [k, wanted] of batches.entries()) {
    let current: OnItsWay | undefined;
    const { isRemainder = false, windows } = 'batch' in wanted ? wanted.batch : wanted;
    const vain = isRemainder ? 0 : 1;
    try {
      current = await timed(work, 'fetch', () => next);
    } catch (error) {
      if (!(error instanceof PartError)) throw error;
      inVain += vain;
      if (inVain >= MOST_IN_VAIN) throw error;
      refused.push(tellRefused(work, error, windows));
    }
    next = fetchOne(batches[k + 1]);
    // Its failure is met when its turn comes, or not at all if this merge fails.
    next.catch(() => {});
    try {
      if (!current) continue;
      const { parts, loaded } = await load(work, view, current);
      refused.push(...parts);
      inVain = loaded ? 0 : inVain + vain;
      const [part] = parts;
      if (part && inVain >= MOST_IN_VAIN) throw part.error;
    } catch (error) {
      stop.abort(error);
      await next.catch(() => {});
      throw error;
    }
  }
  return refused;
}

function tellRefused({ tenant, table, runtime }: TableWork, error: PartError, windows: readonly Window[]): RefusedPart {
  const { failure, message, hint, where } = reported(error);
  runtime.log.warn({ event: 'part.refused', tenant, table, failure, message, hint, where }, 'part left out');
  return { error, windows };
}

function fetcher(
  work: TableWork,
  signal: AbortSignal,
): (batch: Batch | Landing | undefined) => Promise<OnItsWay | undefined> {
  const { config, client, ledger, tenant, table, settings, run, runtime, report, onProgress } = work;
  const limit = pLimit(settings.inFlight);
  let caps: SizedCaps | undefined;
  const onPage = ({ page, rows, bytes }: LandedPage): void => {
    report.pages++;
    report.rowsFetched += rows;
    report.bytes += bytes;
    estimated += page.bytes;
    received += bytes;
    onProgress({ kind: 'page', tenant, table, rows, bytes });
  };
  let estimated = 0;
  let received = 0;
  return async (batch) => {
    if (batch === undefined) return undefined;
    const isLanding = 'batch' in batch;
    if (isLanding) report.planned += batch.batch.pages.filter((page) => !batch.landed.has(page.id)).length;
    const landing = isLanding
      ? batch
      : await createLanding(join(config.dataDir, LANDING_FOLDER), batch, run, ledger.files);
    const before = (caps ??= await capsOf(work));
    const { wireRatio } = before;
    const options = { client, caps, limit, dropKeys: settings.drop, onPage, signal };
    const fetched = await fetchBatch(landing, options).catch(async (error: unknown) => {
      // Nothing of it is landed: the next run plans it anew, not in the small parts that this one tried in vain.
      if (landing.landed.size === 0 && !landing.batch.isRemainder) await landing.remove();
      throw error;
    });
    report.splits += fetched.splits;
    // What a row teaches that is too large for any answer holds for no other.
    const isFair = fetched.refused.length === 0;
    caps = isFair ? { ...fetched.caps, wireRatio } : before;
    const known = await readProfile(ledger, tenant);
    const ratio = known.wireRatios?.[table];
    const met = {
      rowCap: caps.rows < before.rows ? caps.rows : undefined,
      byteCap: caps.bytes < before.bytes ? Math.round(caps.bytes * wireRatio) : undefined,
    };
    await updateProfile(ledger, tenant, {
      // Only a fair sample moves the ratio, and it moves up at once: an answer too large costs calls, a small one little.
      ...(received > 1_000_000 && estimated > 0
        ? { wireRatios: { ...known.wireRatios, [table]: Math.max(received / estimated, (ratio ?? 0) * 0.9) } }
        : {}),
      ...capsLesson(known, met, runtime.now()),
    });
    return { landing, fetched };
  };
}

/** Merges what can be merged, page by page refused less; returns the parts that were left out. */
async function load(
  work: TableWork,
  view: SourceView,
  { landing, fetched }: OnItsWay,
): Promise<{ readonly parts: readonly RefusedPart[]; readonly loaded: boolean }> {
  const parts: RefusedPart[] = [];
  const without = (whole: Loadable, error: PartError): Loadable | undefined => {
    const { rest, refused } = withoutPage(whole, error.page);
    parts.push(tellRefused(work, error, refused));
    return rest;
  };
  let rest: Loadable | undefined = fetched;
  for (const error of fetched.refused) rest &&= without(rest, error);
  const remainder = fetched.refused.length > 0 ? remainderOf(fetched.batch, rest?.batch) : undefined;
  while (rest) {
    try {
      await merge(work, view, rest);
      break;
    } catch (error) {
      if (!(error instanceof PartError)) throw error;
      rest = without(rest, error);
    }
  }
  const { config, ledger, settings } = work;
  const keeps = settings.keepsAnswers && config.lakeTables[work.table].privacy.length === 0;
  if (remainder) await landing.narrow(remainder);
  else if (keeps) await onDisk(landing.folder, () => keep(ledger.files, config.dataDir, landing));
  else await landing.remove();
  await work.merged();
  return { parts, loaded: rest !== undefined };
}

async function merge(work: TableWork, view: SourceView, { batch, landed }: Loadable): Promise<void> {
  const { ledger, tenant, table, settings, run, report, request, onProgress } = work;
  const keepMissing = behindEdge(batch.windows, view, settings.retentionDays);
  const result = await mergeBatch(ledger, batch, landed, { run, guard: request.allowDeletes !== true, keepMissing });
  for (const key of ['inserted', 'replaced', 'removed', 'duplicates', 'quarantined'] as const)
    report[key] += result[key];
  for (const [step, ms] of Object.entries(result.ms)) report.seconds[step] = (report.seconds[step] ?? 0) + ms / 1000;
  report.changed ||= result.days > 0;
  if (view.grade !== 'none')
    await timed(work, 'verify', async () => {
      const [lower, upper] = hoursAround(batch.windows);
      const comparison = comparisonOf(view, { lower, upper }, settings.retentionDays);
      await recordComparison(ledger, tenant, table, comparison, run);
    });
  onProgress({ kind: 'merged', tenant, table, rows: result.inserted });
}

/** Where the source forgets rows, a row that is missing has expired: it stays in the lake. */
function behindEdge(windows: readonly Window[], view: SourceView, retentionDays: number | undefined): Window[] {
  const { retentionEdge } = edgeOf(view, retentionDays);
  if (retentionEdge === undefined) return [];
  // The hour's grace of the comparison: a run takes time, and expiry goes on while it does.
  const edge = ceilTo(retentionEdge, HOUR) + HOUR;
  return windows.flatMap(({ from, to }) => (from < edge ? [{ from, to: to < edge ? to : edge }] : []));
}

function hoursAround(windows: readonly Window[]): [Instant, Instant] {
  const [first, last] = [windows[0], windows.at(-1)];
  return [floorTo(first?.from ?? 0n, HOUR), ceilTo(last?.to ?? 0n, HOUR)];
}

async function keep(files: Files, dataDir: string, landing: Landing): Promise<void> {
  const { tenant, table, id } = landing.batch;
  const folder = join(dataDir, KEPT_FOLDER, tenant, table, id);
  await files.mkdir(dirname(folder), { recursive: true });
  await files.rename(landing.folder, folder);
}
