/** What every step of the work on one table is given. */
import type { Config, TableConfig } from '../config/config.ts';
import type { SourceView } from '../extract/compare/reconcile.ts';
import type { Caps } from '../extract/plan/plan.ts';
import type { Client } from '../extract/source/client.ts';
import { BEGINNING, DAY, HOUR, floorTo, fromEpochMs } from '../kernel/instant.ts';
import type { Instant, Window } from '../kernel/instant.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { contains, intersection, isInside } from '../kernel/windows.ts';
import type { HeldHour, SourceComparison } from '../load/ledger/hours.ts';
import type { Ledger } from '../load/ledger/ledger.ts';
import { learntCaps, readProfile } from '../load/ledger/profile.ts';
import { EMPTY, sameIds } from '../model/fingerprint.ts';
import type { Fingerprint } from '../model/fingerprint.ts';
import type { TableName } from '../model/tables.ts';
import type { TableRequest } from './request.ts';
import type { TableFact } from './table-report.ts';

/** Bytes of an answer for each byte estimated, before any answer was seen: quotes inside JSON text are sent escaped. */
const FIRST_WIRE_RATIO = 1.25;

/** What all tables of a command have in common. */
export interface CommonWork {
  readonly config: Config;
  readonly request: TableRequest;
  readonly ledger: Ledger;
  /** Id of the run, or the name of the command. */
  readonly run: string;
  readonly runtime: Runtime;
  readonly signal: AbortSignal;
  /** Called after each merge; publishes from time to time. */
  readonly onMerged?: () => Promise<void>;
}

/** The work on one table of one tenant. */
export interface TableWork extends CommonWork {
  readonly client: Client;
  readonly tenant: string;
  readonly table: TableName;
  /** The tables of the tenant that come after this one. */
  readonly tablesAfter: number;
  readonly settings: TableConfig;
  /** Adds to the table's report and shows progress. */
  readonly record: (fact: TableFact) => void;
}

export interface SizedCaps extends Caps {
  /** Bytes of an answer for each byte estimated: an answer may have `bytes` times this. */
  readonly wireRatio: number;
}

/** The configured caps, or smaller ones learnt from the source. Their bytes are in the unit of the estimates. */
export async function capsOf({ settings: { page }, ledger, runtime, tenant, table }: TableWork): Promise<SizedCaps> {
  const profile = await readProfile(ledger, tenant);
  const { rowCap, byteCap } = learntCaps(profile, runtime.now());
  const wireRatio = profile.wireRatios?.[table] ?? FIRST_WIRE_RATIO;
  return {
    rows: Math.min(page.maxRows, rowCap ?? Infinity),
    bytes: Math.min(page.maxBytes, byteCap ?? Infinity) / wireRatio,
    wireRatio,
  };
}

/** The part of a view that the ledger records: the fingerprints of the hours that lie in the windows, which begin on the hour. */
export function comparisonOf(
  { settings, runtime }: Pick<TableWork, 'settings' | 'runtime'>,
  view: SourceView,
  windows: readonly Window[],
): SourceComparison {
  if (view.grade === 'none') throw new RangeError('A source that refuses to count gives nothing to record.');
  const current = floorTo(lastProof(view, runtime.now()), HOUR) + HOUR;
  const spans = view.covers.flatMap((covered) => {
    const begun = { from: covered.from, to: covered.to < current ? covered.to : current };
    return windows.flatMap((window) => intersection(window, begun) ?? []);
  });
  const hours = new Map<Instant, Fingerprint>();
  for (const [hour, cell] of view.cells) if (isInside(spans, hour)) hours.set(hour, cell.fingerprint);
  return {
    at: view.at,
    spans,
    grade: view.grade,
    hours,
    overTo: overTo(view, runtime.now()),
    ...edgeOf(view, settings.retentionDays),
    ...expiryOf(view, settings.retentionDays, runtime.now()),
  };
}

/** More parts than this make a condition that takes longer than recording each hour. */
const MOST_PARTS = 100;

/**
 * The parts of a comparison in which no hour changes but its date: lake and source are what they were when they were equal by content.
 * Almost all hours of a run are of this kind. `held`: what the ledger holds now, in time order.
 */
export function unchangedHours(
  { spans, grade, hours, overTo = BEGINNING }: SourceComparison,
  held: ReadonlyMap<Instant, HeldHour>,
): Window[] {
  if (grade !== 'content') return [];
  const parts: { from: Instant; to: Instant }[] = [];
  for (const [from, { isProven, account, coveredTo, state }] of held) {
    const span = spans.find((each) => contains(each, from));
    if (!isProven || !span || !isSame(account, hours.get(from) ?? EMPTY)) continue;
    const end = from + HOUR;
    const isWhole = end <= span.to;
    const isOver = isWhole && end <= overTo;
    const last = parts.at(-1);
    if (state === 'verified' && isOver && coveredTo === end) {
      if (last?.to === from) last.to = end;
      else parts.push({ from, to: end });
    } else if (state === 'open' && !isWhole && coveredTo <= span.to) parts.push({ from, to: span.to });
  }
  return parts.length > MOST_PARTS ? [] : parts;
}

/** Also in content, which both know. */
function isSame(a: Fingerprint, b: Fingerprint): boolean {
  return sameIds(a, b) && a.content !== undefined && a.content === b.content;
}

/**
 * An hour that ends later than this is not over. The source's clock must say that it is, and so must this machine's clock or a row of
 * a later hour: a clock that is wrong for one run would prove hours that are still to come.
 */
export function overTo(view: SourceView, nowMs: number): Instant {
  const last = lastProof(view, nowMs);
  return last < view.upper ? last : view.upper;
}

/** The latest instant of which something else than the source's clock says that it has come. */
function lastProof(view: SourceView, nowMs: number): Instant {
  let last = fromEpochMs(nowMs);
  for (const hour of view.cells.keys()) if (hour > last) last = hour;
  return last;
}

/** The instant before which the source has deleted its rows, by the source's own clock. */
export function edgeOf(view: SourceView, retentionDays: number | undefined): { retentionEdge?: Instant } {
  return retentionDays === undefined ? {} : { retentionEdge: view.at - BigInt(retentionDays) * DAY };
}

/**
 * The end of the hours that count as expired. As for `overTo`, something else than the source's clock must say so too: a clock that is
 * ahead for one run would report rows as lost that the source still has.
 */
function expiryOf(view: SourceView, retentionDays: number | undefined, nowMs: number): { expiredTo?: Instant } {
  if (retentionDays === undefined) return {};
  const last = lastProof(view, nowMs);
  return { expiredTo: (last < view.at ? last : view.at) - BigInt(retentionDays) * DAY };
}

/** Does a step and records how long it took, also when it fails. */
export async function timed<T>({ record, runtime }: TableWork, step: string, act: () => Promise<T>): Promise<T> {
  const startedMs = runtime.monotonic();
  try {
    return await act();
  } finally {
    record({ kind: 'timed', step, seconds: (runtime.monotonic() - startedMs) / 1000 });
  }
}
