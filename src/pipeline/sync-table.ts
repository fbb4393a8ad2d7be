/**
 * Makes one table of one tenant equal to the source: compare, fetch what differs, merge, and compare again where it still
 * differs. There is no watermark: first load, nightly increment, late data, erasures and crash recovery are this one loop.
 *
 * It sends one call to compare, then one for each page. A second comparison is sent only if some hour does not balance
 * against the first, because rows came or went in the meantime; an hour that balances against the first is proven already.
 */
import { join } from 'node:path';
import { BudgetError, ConfigError } from '../kernel/errors.ts';
import { sameRows } from '../model/fingerprint.ts';
import { diff } from '../extract/compare/diff.ts';
import type { Diff } from '../extract/compare/diff.ts';
import type { ClockRange } from '../extract/source/kql.ts';
import { openLandings } from '../extract/fetch/land.ts';
import type { Landing } from '../extract/fetch/land.ts';
import { readSource } from '../extract/compare/reconcile.ts';
import type { SourceView } from '../extract/compare/reconcile.ts';
import { BEGINNING, DAY, HOUR, floorTo, formatInstant, fromEpochMs } from '../kernel/instant.ts';
import type { Instant, Window } from '../kernel/instant.ts';
import { isInside, joinWindows, subtract } from '../kernel/windows.ts';
import { heldHours, recordComparison } from '../load/ledger/hours.ts';
import type { HeldHour, SourceComparison } from '../load/ledger/hours.ts';
import { readProfile, updateProfile } from '../load/ledger/profile.ts';
import { beginningOf, countHours, reachOf, unprovenFrom } from '../load/ledger/reach.ts';
import { BEST_GRADE, isWeaker } from '../model/coverage.ts';
import type { Grade, HourCounts } from '../model/coverage.ts';
import { LANDING_FOLDER } from '../model/data-dir.ts';
import { isAltered, loadBatches } from './load-batches.ts';
import { batchesOf, pagesOf } from './plan-pages.ts';
import { dueHistory, earlyHistory, historyOf, olderHours, recentOf } from './history.ts';
import { leftOf, leftUncompared } from './left.ts';
import { lossOfHistory, refuseMassLoss } from './mass-loss.ts';
import { recordedWindows } from './recorded.ts';
import { withoutParts } from './refused-parts.ts';
import type { RefusedPart } from './refused-parts.ts';
import { NO_HOURS } from './table-report.ts';
import { uncountedPages } from './uncounted.ts';
import { capsOf, comparisonOf, edgeOf, timed, unchangedHours } from './table-work.ts';
import type { TableWork } from './table-work.ts';
import { quarantineTimeless } from './timeless.ts';

/** Fetching again helps where rows came in the meantime, never where rows cannot be loaded. */
const MAX_PASSES = 3;

/** Throws what the stages throw; what was done until then has been recorded. */
export async function syncTable(work: TableWork): Promise<void> {
  let view: SourceView | undefined;
  try {
    const looked = await firstLook(work);
    ({ view } = looked);
    const first = view.grade === 'none' ? undefined : await comparedNow(work, view, true, looked);
    const lost = first && lossOfHistory(work, view, first);
    if (lost) view = recentOf(view, work.settings.depthDays);
    await loadTable(work, view, lost ? undefined : first);
    if (lost) throw lost;
  } catch (error) {
    if (error instanceof BudgetError) await recordLeft(work, view);
    throw error;
  }
}

/** What the ledger holds of the hours of a view. */
interface Held {
  readonly held: ReadonlyMap<Instant, HeldHour>;
  /** Where coverage begins. */
  readonly begins: Instant | undefined;
}

/** What the ledger holds, and how it differs from the view. */
interface Compared extends Held {
  readonly found: Diff;
}

async function heldNow({ ledger, tenant, table }: TableWork, view: SourceView): Promise<Held> {
  const held = await heldHours(ledger, tenant, table, view.covers);
  return { held, begins: await beginningOf(ledger, tenant, table) };
}

/** `isFirst`: before anything was fetched. `known`: what was read with the view, if nothing was merged since. */
async function comparedNow(
  work: TableWork,
  view: SourceView,
  isFirst: boolean,
  known?: Pick<Looked, 'begins' | 'held'>,
): Promise<Compared> {
  const { ledger, tenant, table } = work;
  const held = known?.held ?? (await heldHours(ledger, tenant, table, view.covers));
  const found = compareWith(work, view, held, isFirst);
  return { held, found, begins: known?.begins ?? (await beginningOf(ledger, tenant, table)) };
}

/** `first`: the view compared with the ledger, if that was done. */
async function loadTable(work: TableWork, view: SourceView, first: Compared | undefined): Promise<void> {
  refuseFuture(work, view);
  await noteLimit(work);
  const landings = await landingsOf(work);
  const resumed = (await resume(work, view, landings)).filter((part) => !isAltered(part));
  const unchanged = landings.length === 0 ? first : undefined;
  const { refused, outcome } =
    view.grade === 'none' ? await loadUncounted(work, view) : await loadUntilEqual(work, view, resumed, unchanged);
  await quarantineTimeless(work, view);
  // Everything that can be loaded is: now the table fails with the first part that cannot.
  const [part] = [...resumed, ...refused];
  if (part) throw part.error;
  if (!isLimited(work)) await setComparedFrom(work, undefined);
  work.record({ kind: 'done', outcome });
}

/** Whether a backfill leaves out older rows that the configuration includes. */
function isLimited({ request: { from }, settings: { start } }: TableWork): boolean {
  return from !== undefined && (start === undefined || from > start);
}

/** Remembers that nothing is known about the rows before a backfill into an empty lake. */
async function noteLimit(work: TableWork): Promise<void> {
  const { ledger, tenant, table, request } = work;
  if (!isLimited(work) || (await unprovenFrom(ledger, tenant, table)) !== undefined) return;
  await setComparedFrom(work, request.from);
}

async function setComparedFrom({ ledger, tenant, table }: TableWork, from: Instant | undefined): Promise<void> {
  const { comparedFrom } = await readProfile(ledger, tenant);
  const text = from === undefined ? undefined : formatInstant(from);
  if (comparedFrom?.[table] === text) return;
  await updateProfile(ledger, tenant, { comparedFrom: { ...comparedFrom, [table]: text } });
}

interface Loaded {
  readonly refused: readonly RefusedPart[];
  readonly outcome: 'verified' | 'partial';
}

/** `known`: the first view compared with what the ledger holds now. */
async function loadUntilEqual(
  work: TableWork,
  first: SourceView,
  resumed: readonly RefusedPart[],
  known: Compared | undefined,
): Promise<Loaded> {
  const { tenant, table, run, record } = work;
  const refused: RefusedPart[] = [];
  const loaded = ({ partial }: HourCounts): Loaded => ({ refused, outcome: partial > 0 ? 'partial' : 'verified' });
  let view = first;
  for (let pass = 1; ; pass++) {
    const compared = pass === 1 && known ? known : await comparedNow(work, view, pass === 1);
    const { held, found } = compared;
    if (found.stale.length > 0) refuseMassLoss(work, view, held);
    let hours = await recordView(work, view, compared);
    let isAgain = false;
    const missing = withoutParts(found, [...resumed, ...refused]);
    if (missing.stale.length > 0 && pass <= MAX_PASSES) {
      const pages = await timed(work, 'plan', () => pagesOf(work, missing, held, view.grade));
      // A page that does not match its digests is fetched once more, and then loaded without proof of its content.
      const parts = await loadBatches(work, view, batchesOf(work, pages, `${run}-${pass}`), {
        acceptAltered: pass > 1,
      });
      isAgain = parts.some(isAltered);
      refused.push(...parts.filter((part) => !isAltered(part)));
      hours = await timed(work, 'verify', async () => recordView(work, view, await heldNow(work, view)));
    }
    record({ kind: 'hours', hours });
    if (hours.partial === 0 || pass > MAX_PASSES) return loaded(hours);
    const onlyContent = await differsOnlyInContent(work, view);
    // Fetched twice, and the ids are equal: the source gives other text each time.
    if (onlyContent && pass > 1) {
      hours = await recordView(work, view, await heldNow(work, view), { acceptContent: true });
      work.runtime.log.warn(
        { event: 'content.unstable', tenant, table },
        'the source writes the same values as other text each time: some hours are proven by ids only',
      );
      record({ kind: 'hours', hours });
      return loaded(hours);
    }
    const before = view;
    ({ view } = await look(work, before.grade, before.grade, before));
    // It counts no longer: nothing more can be proven, and what the first comparison found holds.
    if (view.grade === 'none') return loaded(hours);
    if (isAgain || onlyContent || changedSince(before, view, missing)) continue;
    hours = await recordView(work, view, await heldNow(work, view));
    record({ kind: 'hours', hours });
    return loaded(hours);
  }
}

/** Whether the lake, as it is now, has the ids of the view in every hour, and other content in some. */
async function differsOnlyInContent(work: TableWork, view: SourceView): Promise<boolean> {
  const { stale } = (await comparedNow(work, view, false)).found;
  return stale.length > 0 && stale.every(({ reason }) => reason === 'content');
}

/** Loads without comparing; every hour stays unproven. */
async function loadUncounted(work: TableWork, view: SourceView): Promise<Loaded> {
  const { ledger, tenant, table, run, record } = work;
  const pages = await uncountedPages(work, view);
  // A batch for each day: the size of its rows is not known.
  const batches = pages.flatMap((page) => batchesOf(work, [page], `${run}-1-${page.id}`));
  const refused = await loadBatches(work, view, batches);
  record({ kind: 'hours', hours: await countHours(ledger, tenant, table) });
  return { refused, outcome: 'partial' };
}

/** Records what the budget left, and the hours that are proven by what was merged so far. */
async function recordLeft(work: TableWork, view: SourceView | undefined): Promise<void> {
  const { settings, record } = work;
  if (view === undefined || view.grade === 'none') {
    record({ kind: 'left', left: await leftUncompared(work) });
    return;
  }
  const compared = await comparedNow(work, view, true);
  record({ kind: 'hours', hours: await recordView(work, view, compared) });
  const left = leftOf(compared.found, await landingsOf(work), await capsOf(work), settings.retentionDays);
  if (left) record({ kind: 'left', left });
}

/** Compares without fetching: what `plan` and `verify` need. */
export async function compareTable(work: TableWork): Promise<Compared & { readonly view: SourceView }> {
  const looked = await firstLook(work);
  return { view: looked.view, ...(await comparedNow(work, looked.view, true, looked)) };
}

interface Looked {
  readonly view: SourceView;
  /** Where coverage begins. */
  readonly begins: Instant | undefined;
  /** What the ledger holds of the hours of the view; undefined if that was not read yet. */
  readonly held: ReadonlyMap<Instant, HeldHour> | undefined;
}

/** Asks for the best proof, whatever the source gave the last time: a weaker proof holds for one run. */
async function firstLook(work: TableWork): Promise<Looked> {
  const { ledger, tenant, table } = work;
  const { grades } = await timed(work, 'reconcile', () => readProfile(ledger, tenant));
  return look(work, BEST_GRADE, grades?.[table] ?? BEST_GRADE);
}

/**
 * Asks the source for the fingerprints of the range, in one call. `lastGrade`: the proof that it gave the last time. `again`: a
 * view whose older history to compare. @default the part that is due
 */
async function look(work: TableWork, grade: Grade, lastGrade: Grade, again?: SourceView): Promise<Looked> {
  const { ledger, client, tenant, table, settings, signal, runtime, record } = work;
  record({ kind: 'phase', phase: 'reconcile' });
  return timed(work, 'reconcile', async () => {
    const { begins, unproven } = await reachOf(ledger, tenant, table);
    const recent = await rangeOf(work, begins, unproven);
    const range = { ...recent, older: again ? historyOf(again, begins) : await dueHistory(work, recent) };
    const request = { table, unit: 'hour', range, grade, lastGrade, dropKeys: settings.drop } as const;
    // Read while the source answers. A failure comes again where the hours are needed.
    const windows = again ? [] : likelyCovers(range, fromEpochMs(runtime.now()));
    const [read, answer] = await Promise.allSettled([
      heldHours(ledger, tenant, table, windows),
      readSource(client, request, signal),
    ]);
    if (answer.status === 'rejected') throw answer.reason;
    const view = answer.value;
    record({
      kind: 'compared',
      grade: view.grade,
      at: view.at,
      from: view.lower,
      to: view.upper,
      olderHours: olderHours(view, begins),
      outside: view.outside,
    });
    if (range.older.length > 0 && historyOf(view, begins).length === 0)
      runtime.log.warn(
        { event: 'rotation.skipped', tenant, table, windows: range.older.length },
        'the source did not compare the share of older history that is due: the next run tries again',
      );
    if (isWeaker(view.grade, grade))
      runtime.log.warn(
        { event: 'proof.lowered', tenant, table, grade: view.grade, rejected: grade },
        'the source rejects the better proof: this run compares with a weaker one',
      );
    if (view.grade !== lastGrade) {
      const { grades } = await readProfile(ledger, tenant);
      await updateProfile(ledger, tenant, { grades: { ...grades, [table]: view.grade } });
    }
    const isKnown = read.status === 'fulfilled' && subtract(view.covers, windows).length === 0;
    const held = isKnown ? new Map([...read.value].filter(([hour]) => isInside(view.covers, hour))) : undefined;
    return { view, begins, held };
  });
}

/** What a view of this range covers if the clocks of the source and of this machine agree. */
function likelyCovers({ lower, upper, depthDays, depthFrom, early, older = [] }: ClockRange, now: Instant): Window[] {
  const depth = depthDays === undefined ? BEGINNING : floorTo(now - BigInt(depthDays + 1) * DAY, DAY);
  const from = depthFrom !== undefined && depthFrom < depth ? depthFrom : depth;
  const main = { from: lower !== undefined && lower > from ? lower : from, to: upper ?? now + DAY };
  return joinWindows([...(early ? [early] : []), ...older, main]);
}

/**
 * A first load and a deep run compare everything. Any other run compares the last `reconcile.depthDays` days, further back if there is
 * an hour that was never proven, and what `earlyHistory` says.
 */
async function rangeOf(
  { request, ledger, tenant, table, settings }: TableWork,
  begins: Instant | undefined,
  unproven: Instant | undefined,
): Promise<ClockRange> {
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
  if (request.deep === true || request.proveContent === true) return whole;
  const { comparedFrom } = await readProfile(ledger, tenant);
  // After a backfill into an empty lake, the first run loads the rest.
  if (unproven === undefined || comparedFrom?.[table] !== undefined) return whole;
  const early = earlyHistory(settings, begins);
  return { ...whole, ...(early ? { early } : {}), depthDays: settings.depthDays, depthFrom: floorTo(unproven, HOUR) };
}

/** Finishes the batches that an earlier run left: landed pages are never fetched again. */
async function resume(
  work: TableWork,
  view: SourceView,
  landings: readonly Landing[],
): Promise<readonly RefusedPart[]> {
  if (landings.length === 0) return [];
  work.record({ kind: 'phase', phase: 'resume' });
  return loadBatches(work, view, landings);
}

/** The batches that are landed in part, or not merged yet. */
function landingsOf({ config, ledger, tenant, table, run }: TableWork): Promise<Landing[]> {
  return openLandings(join(config.dataDir, LANDING_FOLDER), tenant, table, run, ledger.files);
}

/** `isFirst`: before anything was fetched, so that hours without a difference may be fetched too, if requested. */
function compareWith(
  { request, settings }: TableWork,
  view: SourceView,
  held: ReadonlyMap<Instant, HeldHour>,
  isFirst = false,
): Diff {
  const { proveContent, refetch } = isFirst ? request : {};
  return diff(view, held, { ...edgeOf(view, settings.retentionDays), proveContent, refetch });
}

/** Compares with the source's clock: this machine's may be wrong. */
function refuseFuture({ request, tenant, table }: TableWork, view: SourceView): void {
  if (request.from === undefined || request.from < view.at) return;
  throw new ConfigError(
    `The range lies in the future: the time at the source is ${formatInstant(view.at).slice(0, 19)}Z.`,
    {
      hint: 'Give a --from in the past.',
      where: { tenant, table },
    },
  );
}

/**
 * Records for the hours that the view covers (recorded.ts) whether the lake balances with the source. `held`, `begins`: what the ledger
 * holds now.
 */
export async function recordView(
  work: TableWork,
  view: SourceView,
  { held, begins }: Held,
  options: Pick<SourceComparison, 'onlyCompares' | 'acceptContent'> = {},
): Promise<HourCounts> {
  const { ledger, tenant, table, run } = work;
  if (view.grade === 'none') return NO_HOURS;
  const windows = recordedWindows({
    covers: view.covers,
    hours: [...view.cells.keys(), ...held.keys()],
    begins,
    isNamed: work.request.from !== undefined,
  });
  if (windows.length === 0) return NO_HOURS;
  const comparison = comparisonOf(work, view, windows);
  const unchanged = unchangedHours(comparison, held);
  return recordComparison(ledger, tenant, table, { ...comparison, ...options, unchanged }, run);
}

/** Whether the source has changed in the hours that were fetched, or has new hours: else fetching again changes nothing. */
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
