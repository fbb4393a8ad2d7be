/**
 * One table of one tenant, made equal to the source: compare, fetch what differs, merge, compare again where it still
 * differs. There is no watermark: first load, nightly increment, late rows, erasures and crash recovery are this one loop.
 *
 * Calls: one to compare; then pages; and one more only if some hour does not balance against what the source said at
 * first, because rows came or went in the meantime. An hour that balances against the first answer is proven already.
 */
import { join } from 'node:path';
import type { TableConfig } from '../config/config.ts';
import { BudgetError, ConfigError, MassLossError } from '../kernel/errors.ts';
import { sameRows } from '../model/fingerprint.ts';
import { diff, massLoss } from '../extract/compare/diff.ts';
import type { Diff } from '../extract/compare/diff.ts';
import type { ClockRange } from '../extract/source/kql.ts';
import { openLandings } from '../extract/fetch/land.ts';
import { readSource } from '../extract/compare/reconcile.ts';
import type { SourceView } from '../extract/compare/reconcile.ts';
import { HOUR, floorTo, formatDay, formatInstant } from '../kernel/instant.ts';
import type { Instant } from '../kernel/instant.ts';
import { heldHours, recordComparison } from '../load/ledger/hours.ts';
import type { HeldHour, StateCounts } from '../load/ledger/hours.ts';
import { guardsOf } from '../load/ledger/ledger.ts';
import { readProfile, updateProfile } from '../load/ledger/profile.ts';
import { countHours, firstHour, unprovenFrom } from '../load/ledger/reach.ts';
import { LANDING_FOLDER, loadBatches } from './load-batches.ts';
import { batchesOf, pagesOf } from './plan-pages.ts';
import { leftOf, leftUncompared } from './left.ts';
import { withoutParts } from './refused-parts.ts';
import type { RefusedPart } from './refused-parts.ts';
import { uncountedPages } from './uncounted.ts';
import { capsOf, comparisonOf, edgeOf, phase, timed } from './table-work.ts';
import type { TableWork } from './table-work.ts';

/** Fetching again helps against rows that came meanwhile, never against rows that cannot be loaded. */
const MOST_PASSES = 3;

/** Throws what the stages throw; `work.report` then holds what was done until then. */
export async function syncTable(work: TableWork): Promise<void> {
  let view: SourceView | undefined;
  try {
    view = await firstLook(work);
    await untilEqual(work, view);
  } catch (error) {
    if (error instanceof BudgetError) await leave(work, view);
    throw error;
  }
}

async function untilEqual(work: TableWork, first: SourceView): Promise<void> {
  const { ledger, tenant, table, run, report } = work;
  let view = first;
  refuseFuture(work, view);
  const refused: RefusedPart[] = [...(await resume(work, view))];
  if (view.grade === 'none') return loadUncounted(work, view, refused);
  for (let pass = 1; ; pass++) {
    const held = await heldHours(ledger, tenant, table, view.lower, view.upper);
    const found = compareWith(view, held, work.settings);
    if (found.stale.length > 0) refuseMassLoss(work, view, held);
    let hours = await recordView(work, view, held);
    const wanted = withoutParts(found, refused);
    if (wanted.stale.length > 0 && pass <= MOST_PASSES) {
      const pages = await timed(work, 'plan', () => pagesOf(work, wanted, held));
      refused.push(...(await loadBatches(work, view, batchesOf(work, pages, `${run}-${pass}`))));
      hours = await timed(work, 'verify', () => recordView(work, view, held));
    }
    report.hours = { verified: hours.verified, partial: hours.partial, open: hours.open, expired: hours.expired };
    if (hours.partial === 0 || pass > MOST_PASSES) break;
    const before = view;
    view = await look(work);
    if (!changedSince(before, view, wanted)) {
      report.hours = await recordView(work, view, held);
      break;
    }
  }
  endWith(refused);
  report.outcome = report.hours.partial > 0 ? 'partial' : 'verified';
  phase(work, 'done');
}

/** All that can be loaded is: now the table fails with the first of the parts that cannot. */
function endWith([first]: readonly RefusedPart[]): void {
  if (first) throw first.error;
}

/** Says what the budget did not suffice for. Hours that balance by now are recorded so: what was merged is proven. */
async function leave(work: TableWork, view: SourceView | undefined): Promise<void> {
  const { ledger, tenant, table, settings, report } = work;
  if (view === undefined || view.grade === 'none') {
    report.left = await leftUncompared(work);
    return;
  }
  const held = await heldHours(ledger, tenant, table, view.lower, view.upper);
  const { verified, partial, open, expired } = await recordView(work, view, held);
  report.hours = { verified, partial, open, expired };
  const left = leftOf(compareWith(view, held, settings).stale, await capsOf(work), settings.retentionDays);
  if (left) report.left = left;
}

/** Loads without comparing; every hour stays unproven. */
async function loadUncounted(work: TableWork, view: SourceView, resumed: readonly RefusedPart[]): Promise<void> {
  const { ledger, tenant, table, run, report } = work;
  const pages = await uncountedPages(work, view);
  // A batch a day: of what size its rows are is not known.
  const refused = await loadBatches(
    work,
    view,
    pages.flatMap((page) => batchesOf(work, [page], `${run}-1-${page.id}`)),
  );
  report.hours = await countHours(ledger, tenant, table);
  endWith([...resumed, ...refused]);
  report.outcome = 'partial';
  phase(work, 'done');
}

/** Compares without fetching: what `plan` and `verify` need. */
export async function compareTable(
  work: TableWork,
): Promise<{ view: SourceView; held: ReadonlyMap<Instant, HeldHour>; found: Diff }> {
  const { ledger, tenant, table } = work;
  const view = await firstLook(work);
  const held = await heldHours(ledger, tenant, table, view.lower, view.upper);
  return { view, held, found: compareWith(view, held, work.settings) };
}

/** Begins with the proof that was had the last time. */
async function firstLook(work: TableWork): Promise<SourceView> {
  const { ledger, tenant, table, report } = work;
  await timed(work, 'reconcile', async () => {
    report.grade = (await readProfile(ledger, tenant)).grades?.[table] ?? 'checksum';
  });
  return look(work);
}

/** Asks the source for the fingerprints of the range, in one call. */
async function look(work: TableWork): Promise<SourceView> {
  const { ledger, client, tenant, table, settings, signal, report } = work;
  phase(work, 'reconcile');
  return timed(work, 'reconcile', async () => {
    const range = await rangeOf(work);
    const view = await readSource(
      client,
      { table, unit: 'hour', range, grade: report.grade, dropKeys: settings.drop },
      signal,
    );
    report.sourceAt = formatInstant(view.at);
    if (view.grade !== report.grade) {
      report.grade = view.grade;
      const { grades } = await readProfile(ledger, tenant);
      await updateProfile(ledger, tenant, { grades: { ...grades, [table]: view.grade } });
    }
    return view;
  });
}

/**
 * A first load and a deep run compare everything; a nightly run compares `reconcile.depthDays`, and further back if
 * there is an hour that was never proven.
 */
async function rangeOf({ request, ledger, tenant, table, settings }: TableWork): Promise<ClockRange> {
  const { start, retentionDays } = settings;
  const base: ClockRange = {
    settleMs: settings.settleMinutes * 60_000,
    ...(retentionDays === undefined ? {} : { retentionDays }),
  };
  if (request.from !== undefined || request.to !== undefined) {
    const lower = request.from ?? start;
    return {
      ...base,
      ...(lower === undefined ? {} : { lower }),
      ...(request.to === undefined ? {} : { upper: request.to }),
    };
  }
  const whole = { ...base, ...(start === undefined ? {} : { lower: start }) };
  if (request.deep === true) return whole;
  const unproven = await unprovenFrom(ledger, tenant, table);
  if (unproven === undefined) return whole;
  return { ...whole, depthDays: settings.depthDays, depthFrom: floorTo(unproven, HOUR) };
}

/** Finishes the batches that an earlier run left: what is landed is never asked for again. */
async function resume(work: TableWork, view: SourceView): Promise<readonly RefusedPart[]> {
  const { config, ledger, tenant, table, run } = work;
  const landings = await openLandings(join(config.dataDir, LANDING_FOLDER), tenant, table, run, ledger.files);
  if (landings.length === 0) return [];
  phase(work, 'resume');
  return loadBatches(work, view, landings);
}

function compareWith(view: SourceView, held: ReadonlyMap<Instant, HeldHour>, { retentionDays }: TableConfig): Diff {
  // No cell is an answer only where the source counts.
  if (view.grade === 'none') return { stale: [], balanced: [], notComparable: [], emptyGaps: [] };
  return diff(view, held, edgeOf(view, retentionDays));
}

/** Judged by the source's clock, the only one that counts. */
function refuseFuture({ request, tenant, table }: TableWork, view: SourceView): void {
  if (request.from === undefined || request.from < view.at) return;
  throw new ConfigError(`The range lies in the future: at the source it is ${formatInstant(view.at).slice(0, 19)}Z.`, {
    hint: 'Give a --from in the past.',
    where: { tenant, table },
  });
}

function refuseMassLoss(work: TableWork, view: SourceView, held: ReadonlyMap<Instant, HeldHour>): void {
  const { ledger, request, tenant, table, settings } = work;
  if (request.allowDeletes === true) return;
  const losses = massLoss(view, held, {
    ...guardsOf(ledger.settings, tenant).deletes,
    ...edgeOf(view, settings.retentionDays),
  });
  const [first] = losses;
  if (!first) return;
  const span = losses.length > 1 ? `${losses.length} days from ${formatDay(first.from)} on` : formatDay(first.from);
  throw new MassLossError(
    `${first.lostRows} of ${first.heldRows} rows of ${table} vanished at the source (${span}); nothing was changed.`,
    {
      hint: 'Ask the vendor what happened. If the rows are meant to be gone, run again with --allow-deletes.',
      where: { tenant, table, from: formatDay(first.from) },
    },
  );
}

/** Records what a view says of every hour of its range, against what the lake accounts for now. */
export async function recordView(
  work: TableWork,
  view: SourceView,
  held: ReadonlyMap<Instant, HeldHour>,
): Promise<StateCounts> {
  const { ledger, tenant, table, settings, run } = work;
  const nothing = { verified: 0, partial: 0, open: 0, expired: 0, unchecked: 0 };
  if (view.grade === 'none') return nothing;
  const lower = await lowerOf(work, view, held);
  if (lower === undefined || lower >= view.upper) return nothing;
  return recordComparison(ledger, tenant, table, comparisonOf(view, { lower }, settings.retentionDays), run);
}

/**
 * From where a view is recorded: from its own bound where a backfill set it or coverage reaches back beyond it, else from
 * the first hour that either side knows, because the empty hours before that say nothing. `undefined` = nothing at all.
 */
async function lowerOf(
  { request, ledger, tenant, table }: TableWork,
  view: SourceView,
  held: ReadonlyMap<Instant, HeldHour>,
): Promise<Instant | undefined> {
  if (view.lower !== undefined) {
    const begins = request.from ?? (await firstHour(ledger, tenant, table));
    if (begins !== undefined && begins <= view.lower) return floorTo(view.lower, HOUR);
  }
  let first: Instant | undefined;
  for (const hours of [view.cells, held]) {
    for (const hour of hours.keys()) if (first === undefined || hour < first) first = hour;
  }
  return first;
}

/** Whether the source now says something else of the hours that were fetched: else fetching again changes nothing. */
function changedSince(before: SourceView, after: SourceView, { stale }: Diff): boolean {
  const beyond = [...after.cells.keys()].some((hour) => !before.cells.has(hour));
  return (
    beyond ||
    stale.some(({ from }) => {
      const [a, b] = [before.cells.get(from)?.fingerprint, after.cells.get(from)?.fingerprint];
      return a === undefined || b === undefined ? a !== b : !sameRows(a, b);
    })
  );
}
