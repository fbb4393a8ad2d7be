/**
 * Compares the source with what has been loaded: which cells differ, and whether too many rows vanished for anything to be
 * changed. Pure.
 *
 * Two rules protect loaded data. Rows that the source drops at its retention edge were not erased. And a cell that was
 * loaded further than the source's clock now reaches (the clock stepped back) cannot be compared.
 */
import { EMPTY, sameIds, sameRows } from '../../model/fingerprint.ts';
import type { Fingerprint } from '../../model/fingerprint.ts';
import { DAY, HOUR, floorTo } from '../../kernel/instant.ts';
import type { Instant, Window } from '../../kernel/instant.ts';
import { contains } from '../../kernel/windows.ts';
import { isWeaker } from '../../model/coverage.ts';
import type { StaleReason } from '../../model/coverage.ts';
import { isMassLoss } from '../../model/mass-loss.ts';
import type { LossLimit } from '../../model/mass-loss.ts';
import type { Cell } from '../../model/page.ts';
import { UNIT_TICKS } from '../source/kql.ts';
import type { SourceCell, SourceView } from './reconcile.ts';

/** A longer gap is not bridged, because every hour of a bridged gap is recorded: rows with wrong times may be centuries apart. */
const LONGEST_BRIDGE = 31n * DAY;

/** What has been loaded of one cell: lake + duplicates + quarantined. */
export interface HeldCell {
  readonly account: Fingerprint;
  /** The cell was loaded up to this instant. */
  readonly coveredTo: Instant;
  /** An older version did not load some of its rows, although the account counts them: the cell is stale. @default false */
  readonly lacksRows?: boolean;
}

export interface StaleCell extends Cell {
  readonly heldRows: number;
  readonly reason: StaleReason;
  /** Its rows are expiring at the source. */
  readonly atRetentionEdge: boolean;
}

export interface Diff {
  readonly stale: readonly StaleCell[];
  /** Starts of the cells in which source and account are equal. */
  readonly balanced: readonly Instant[];
  /** Starts of the cells that cannot be compared now and are left unchanged. */
  readonly notComparable: readonly Instant[];
  /** Short stretches between stale cells in which neither side has rows: a page may extend across them at no cost. */
  readonly emptyGaps: readonly Window[];
}

export interface CompareOptions {
  /** Cells whose content was never compared are stale. @default false */
  readonly proveContent?: boolean | undefined;
  /** Every cell with rows is stale. @default false */
  readonly refetch?: boolean | undefined;
  /** The source's clock minus its retention: older rows are expiring. */
  readonly retentionEdge?: Instant;
}

/** The limit applies to each day, and to the whole range. */
export interface MassLossOptions extends CompareOptions, LossLimit {}

/** A day, or the whole range, that lost too many rows. */
export interface Loss extends Window {
  readonly heldRows: number;
  readonly lostRows: number;
}

/** `held` is keyed by the start of the cell; cells outside the range of the view are ignored. */
export function diff(view: SourceView, held: ReadonlyMap<Instant, HeldCell>, options: CompareOptions = {}): Diff {
  // Without counts there are no cells, which does not mean that the source is empty.
  if (view.grade === 'none') return { stale: [], balanced: [], notComparable: [], emptyGaps: [] };
  const stale: StaleCell[] = [];
  const balanced: Instant[] = [];
  const notComparable: Instant[] = [];
  const emptyGaps: Window[] = [];
  let previous: StaleCell | undefined;
  for (const pair of compared(view, held, options)) {
    const verdict = judge(pair, view, options);
    const cell = verdict === 'balanced' || verdict === 'not comparable' ? undefined : staleCell(pair, verdict);
    if (cell) {
      if (previous && previous.to < cell.from && cell.from - previous.to <= LONGEST_BRIDGE)
        emptyGaps.push({ from: previous.to, to: cell.from });
      stale.push(cell);
    } else if (verdict === 'balanced') balanced.push(pair.from);
    else notComparable.push(pair.from);
    // A cell that has rows but is not stale ends a gap; an empty one does not.
    if (cell || rowsOf(pair) > 0) previous = cell;
  }
  return { stale, balanced, notComparable, emptyGaps };
}

/**
 * The days from which too many rows vanished at the source, or the whole range if only the total is too high. If the source has no
 * row in any hour for which rows were loaded, that is a mass loss even of a few rows: it may have lost the table, or answered for another.
 */
export function massLoss(
  view: SourceView,
  held: ReadonlyMap<Instant, HeldCell>,
  options: MassLossOptions,
): readonly Loss[] {
  const days = new Map<Instant, { heldRows: number; lostRows: number }>();
  const all = { heldRows: 0, lostRows: 0 };
  let range: { from: Instant; to: Instant } | undefined;
  for (const pair of compared(view, held, options)) {
    if (!pair.held || judge(pair, view, options) === 'not comparable') continue;
    const day = days.get(floorTo(pair.from, DAY)) ?? { heldRows: 0, lostRows: 0 };
    days.set(floorTo(pair.from, DAY), day);
    const heldRows = Number(pair.held.account.rows);
    for (const sum of [day, all]) {
      sum.heldRows += heldRows;
      sum.lostRows += Math.max(0, heldRows - (pair.source?.rows ?? 0));
    }
    range = { from: range?.from ?? pair.from, to: pair.to };
  }
  const tooMuch = (sum: { heldRows: number; lostRows: number }): boolean =>
    isMassLoss(sum.lostRows, sum.heldRows, options);
  const losses = [...days].filter(([, sum]) => tooMuch(sum)).map(([from, sum]) => ({ from, to: from + DAY, ...sum }));
  const isEmptied = all.heldRows > 0 && all.lostRows === all.heldRows;
  return range && losses.length === 0 && (isEmptied || tooMuch(all)) ? [{ ...range, ...all }] : losses;
}

interface Pair {
  readonly from: Instant;
  readonly to: Instant;
  readonly source: SourceCell | undefined;
  readonly held: HeldCell | undefined;
  readonly atEdge: boolean;
}

/** Every cell that either side has, in time order, within the range of the view. */
function* compared(view: SourceView, held: ReadonlyMap<Instant, HeldCell>, options: CompareOptions): Generator<Pair> {
  const unit = UNIT_TICKS[view.unit];
  const starts = new Set(view.cells.keys());
  for (const from of held.keys()) if (isCovered(view, from)) starts.add(from);
  for (const from of [...starts].sort((a, b) => (a < b ? -1 : 1))) {
    const end = from + unit;
    const to = end < view.upper ? end : view.upper;
    // One hour of tolerance, because rows keep expiring while a run is in progress.
    const atEdge = options.retentionEdge !== undefined && from < options.retentionEdge + HOUR;
    yield { from, to, source: view.cells.get(from), held: held.get(from), atEdge };
  }
}

function isCovered(view: SourceView, from: Instant): boolean {
  return view.covers.some((window) => contains(window, from));
}

function judge(
  { source, held, atEdge }: Pair,
  view: SourceView,
  { proveContent = false, refetch = false }: CompareOptions,
): StaleReason | 'balanced' | 'not comparable' {
  const there = source?.fingerprint ?? EMPTY;
  const here = held?.account ?? EMPTY;
  if (held && held.coveredTo > view.upper) return 'not comparable';
  const byIds = !isWeaker(view.grade, 'checksum');
  if (byIds ? sameRows(there, here) : there.rows === here.rows) {
    const isUnproven = there.content !== undefined && here.content === undefined;
    const isWanted = there.rows > 0n && (refetch || (proveContent && isUnproven) || held?.lacksRows === true);
    return isWanted && !atEdge ? 'unproven' : 'balanced';
  }
  if (here.rows === 0n) return 'new';
  if (atEdge && there.rows <= here.rows) return 'not comparable';
  if (byIds && sameIds(there, here)) return 'content';
  return there.rows === 0n ? 'vanished' : 'changed';
}

function staleCell({ from, to, source, held, atEdge }: Pair, reason: StaleCell['reason']): StaleCell {
  const heldRows = Number(held?.account.rows ?? 0n);
  return { from, to, rows: source?.rows ?? 0, bytes: source?.bytes ?? 0, heldRows, reason, atRetentionEdge: atEdge };
}

function rowsOf({ source, held }: Pair): number {
  return (source?.rows ?? 0) + Number(held?.account.rows ?? 0n);
}
