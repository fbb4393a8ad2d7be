/**
 * Source against account, pure: which cells do not balance, and whether so much vanished that nothing may be changed.
 *
 * Two rules keep good data: at the retention edge the source forgets rows, which is no erasure; and a cell that we hold
 * further than the source's clock now reaches (it stepped back) cannot be compared.
 */
import { EMPTY, sameRows } from '../../model/fingerprint.ts';
import type { Fingerprint } from '../../model/fingerprint.ts';
import { DAY, HOUR, floorTo } from '../../kernel/instant.ts';
import type { Instant, Window } from '../../kernel/instant.ts';
import { contains } from '../../kernel/windows.ts';
import type { Cell } from '../../model/page.ts';
import { UNIT_TICKS } from '../source/kql.ts';
import type { SourceCell, SourceView } from './reconcile.ts';

/** What we can account for of one cell: lake + duplicates + quarantined. */
export interface HeldCell {
  readonly account: Fingerprint;
  /** Rows of the cell before this instant were loaded. */
  readonly coveredTo: Instant;
  /** First and last instant held; compared where the source gives counts alone. */
  readonly first?: Instant;
  readonly last?: Instant;
}

export interface StaleCell extends Cell {
  readonly heldRows: number;
  readonly reason: 'new' | 'changed' | 'vanished';
  /** The source is forgetting rows of it just now. */
  readonly atRetentionEdge: boolean;
}

export interface Diff {
  readonly stale: readonly StaleCell[];
  /** Starts of the cells whose account balances. */
  readonly balanced: readonly Instant[];
  /** Starts of the cells that cannot be compared now, and are left as they are. */
  readonly leftAlone: readonly Instant[];
  /** Between stale cells, where neither side holds a row: a page may run across at no cost. */
  readonly emptyGaps: readonly Window[];
}

export interface CompareOptions {
  /** The source's clock less its retention: what is older is being forgotten. */
  readonly retentionEdge?: Instant;
}

export interface MassLossOptions extends CompareOptions {
  /** Share of the held rows of a day, or of all, that may vanish. @default 0.2 */
  readonly maxShare?: number;
  /** Fewer vanished rows than this are never too many. @default 100 */
  readonly minRows?: number;
}

/** A day, or the whole range, that lost too much. */
export interface Loss extends Window {
  readonly heldRows: number;
  readonly lostRows: number;
}

/** `held` by the start of the cell; cells outside of what the view covers are not looked at. */
export function diff(view: SourceView, held: ReadonlyMap<Instant, HeldCell>, options: CompareOptions = {}): Diff {
  const stale: StaleCell[] = [];
  const balanced: Instant[] = [];
  const leftAlone: Instant[] = [];
  const emptyGaps: Window[] = [];
  let previous: StaleCell | undefined;
  for (const pair of compared(view, held, options)) {
    const verdict = judge(pair, view);
    const cell = verdict === 'balanced' || verdict === 'left alone' ? undefined : staleCell(pair, verdict);
    if (cell) {
      if (previous && previous.to < cell.from) emptyGaps.push({ from: previous.to, to: cell.from });
      stale.push(cell);
    } else if (verdict === 'balanced') balanced.push(pair.from);
    else leftAlone.push(pair.from);
    // A cell with rows on either side that is not asked for ends a gap; an empty one does not.
    if (cell || rowsOf(pair) > 0) previous = cell;
  }
  return { stale, balanced, leftAlone, emptyGaps };
}

/** The days, and the whole range, of which more vanished at the source than may; empty when all is well. */
export function massLoss(
  view: SourceView,
  held: ReadonlyMap<Instant, HeldCell>,
  options: MassLossOptions = {},
): readonly Loss[] {
  const { maxShare = 0.2, minRows = 100 } = options;
  const days = new Map<Instant, { heldRows: number; lostRows: number }>();
  const all = { heldRows: 0, lostRows: 0 };
  let range: { from: Instant; to: Instant } | undefined;
  for (const pair of compared(view, held, options)) {
    if (!pair.held || judge(pair, view) === 'left alone') continue;
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
    sum.lostRows >= minRows && sum.lostRows > sum.heldRows * maxShare;
  const losses = [...days].filter(([, sum]) => tooMuch(sum)).map(([from, sum]) => ({ from, to: from + DAY, ...sum }));
  return range && losses.length === 0 && tooMuch(all) ? [{ ...range, ...all }] : losses;
}

interface Pair {
  readonly from: Instant;
  readonly to: Instant;
  readonly source: SourceCell | undefined;
  readonly held: HeldCell | undefined;
  readonly atEdge: boolean;
}

/** Every cell that either side knows of, in time order, inside of what the view covers. */
function* compared(view: SourceView, held: ReadonlyMap<Instant, HeldCell>, options: CompareOptions): Generator<Pair> {
  const unit = UNIT_TICKS[view.unit];
  const starts = new Set(view.cells.keys());
  for (const from of held.keys()) if (isCovered(view, from)) starts.add(from);
  for (const from of [...starts].sort((a, b) => (a < b ? -1 : 1))) {
    const end = from + unit;
    const to = end < view.upper ? end : view.upper;
    // An hour's grace: a run takes time, and expiry goes on while it does.
    const atEdge = options.retentionEdge !== undefined && from < options.retentionEdge + HOUR;
    yield { from, to, source: view.cells.get(from), held: held.get(from), atEdge };
  }
}

function isCovered(view: SourceView, from: Instant): boolean {
  if (view.windows) return view.windows.some((window) => contains(window, from));
  return from < view.upper && (view.lower === undefined || from >= view.lower);
}

function judge({ source, held, atEdge }: Pair, view: SourceView): StaleCell['reason'] | 'balanced' | 'left alone' {
  const there = source?.fingerprint ?? EMPTY;
  const here = held?.account ?? EMPTY;
  if (held && held.coveredTo > view.upper) return 'left alone';
  if (view.grade === 'checksum' ? sameRows(there, here) : there.rows === here.rows && sameEnds(source, held))
    return 'balanced';
  if (here.rows === 0n) return 'new';
  if (atEdge && there.rows <= here.rows) return 'left alone';
  return there.rows === 0n ? 'vanished' : 'changed';
}

function sameEnds(source: SourceCell | undefined, held: HeldCell | undefined): boolean {
  const known = source?.first !== undefined && held?.first !== undefined;
  return !known || (sameMicrosecond(source.first, held.first) && sameMicrosecond(source.last, held.last));
}

/** The lake keeps microseconds, the source ticks of 100 ns. */
function sameMicrosecond(a: Instant | undefined, b: Instant | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && floorTo(a, 10n) === floorTo(b, 10n));
}

function staleCell({ from, to, source, held, atEdge }: Pair, reason: StaleCell['reason']): StaleCell {
  const heldRows = Number(held?.account.rows ?? 0n);
  return { from, to, rows: source?.rows ?? 0, bytes: source?.bytes ?? 0, heldRows, reason, atRetentionEdge: atEdge };
}

function rowsOf({ source, held }: Pair): number {
  return (source?.rows ?? 0) + Number(held?.account.rows ?? 0n);
}
