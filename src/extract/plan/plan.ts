/**
 * Packs counted cells into as few pages as possible. Pure, and linear in the number of cells.
 *
 * Cells are packed greedily in time order up to the caps. A page may have several disjoint windows, so that scattered
 * late hours share a call. A cell over a cap is cut into hash ranges: along its counted buckets where they are known,
 * otherwise into equal ranges with a margin, because ids are spread evenly but not perfectly. Together, the pages cover
 * exactly the cells.
 */
import { HASH_BUCKETS, MAX_SORTED } from '../../model/page.ts';
import type { Cell, HashRange, Page } from '../../model/page.ts';
import type { Window } from '../../kernel/instant.ts';
import { MAX_WINDOWS } from './histogram.ts';
import type { BucketCount } from './histogram.ts';
import { labelled, slicePage } from './split.ts';

export interface Caps {
  /** Rows that an answer may hold. */
  readonly rows: number;
  /** Estimated bytes that an answer may hold. */
  readonly bytes: number;
}

/** A cell to be fetched; sorted and disjoint in a list. */
export interface PlanCell extends Cell {
  /** Known to be empty. Included only where it joins two cells of a page into one window. */
  readonly filler?: true;
  readonly atRetentionEdge?: boolean;
  /** Counts by hash bucket, for a cell over the caps. */
  readonly buckets?: readonly BucketCount[];
}

/** In standard deviations: one in 30,000 of the parts that are planned to fit will not. */
const MARGIN = 4;
/** Standard deviations below the mean that no part is expected to fall under. */
const FLOOR = 6;

export function planPages(
  cells: readonly PlanCell[],
  caps: Caps,
  {
    slices = false,
    isUnhashed = false,
  }: {
    /** Whether few rows over a cap become slices: fewer pages than hash ranges with their margin, but the source must sort. */
    readonly slices?: boolean;
    /** The engine rejects the hash function: only slices are left. */
    readonly isUnhashed?: boolean;
  } = {},
): Page[] {
  const pages: Page[] = [];
  const nextId = (): string => `p${(pages.length + 1).toString().padStart(5, '0')}`;
  const unhashed = isUnhashed ? { isUnhashed } : {};
  const add = (page: Omit<Page, 'id'>): void => {
    pages.push({ id: nextId(), ...page, ...unhashed });
  };
  let open: OpenPage | undefined;
  let filler: Window | undefined;
  const close = (): void => {
    if (open) add(closed(open));
    open = undefined;
  };
  for (const cell of cells) {
    if (cell.filler) {
      filler = cell;
      continue;
    }
    if (isOver(cell, caps)) {
      // The open page stays open: it may continue after this cell, with a second window.
      // Parts of a page that is not requested itself: its count shows whether together they are whole.
      const whole = { ...closed(openPage(cell)), ...unhashed, id: nextId() };
      const isSliced = isUnhashed || (slices && cell.rows <= MAX_SORTED);
      const sliced = isSliced ? slicePage(whole, cell.rows, rowsThatFit(cell, caps)) : undefined;
      pages.push(...(sliced ?? (isUnhashed ? [whole] : labelled(whole, hashParts(cell, caps)))));
      continue;
    }
    if (open && !addCell(open, cell, filler, caps)) close();
    open ??= openPage(cell);
    filler = undefined;
  }
  close();
  return pages;
}

export function isOver(cell: Cell, caps: Caps): boolean {
  return cell.rows > caps.rows || cell.bytes > caps.bytes;
}

function rowsThatFit({ rows, bytes }: Cell, caps: Caps): number {
  return Math.floor(Math.min(caps.rows, rows * (caps.bytes / Math.max(1, bytes))));
}

/** A lower bound for the calls of any plan. */
export function fewestPages(cells: readonly Cell[], caps: Caps): number {
  let rows = 0;
  let bytes = 0;
  for (const cell of cells) {
    rows += cell.rows;
    bytes += cell.bytes;
  }
  return Math.max(cells.length > 0 ? 1 : 0, Math.ceil(rows / caps.rows), Math.ceil(bytes / caps.bytes));
}

interface OpenPage {
  readonly windows: { from: bigint; to: bigint }[];
  rows: number;
  bytes: number;
  edge: boolean;
}

function openPage(cell: PlanCell): OpenPage {
  const { from, to, rows, bytes } = cell;
  return { windows: [{ from, to }], rows, bytes, edge: isEdge(cell) };
}

/** Adds a cell to a page if it fits. */
function addCell(page: OpenPage, cell: PlanCell, filler: Window | undefined, caps: Caps): boolean {
  if (page.rows + cell.rows > caps.rows || page.bytes + cell.bytes > caps.bytes) return false;
  const last = page.windows.at(-1);
  if (!last) return false;
  const bridged = filler !== undefined && last.to === filler.from && filler.to === cell.from;
  if (last.to === cell.from || bridged) last.to = cell.to;
  else if (page.windows.length < MAX_WINDOWS) page.windows.push({ from: cell.from, to: cell.to });
  else return false;
  page.rows += cell.rows;
  page.bytes += cell.bytes;
  page.edge ||= isEdge(cell);
  return true;
}

function closed({ windows, rows, bytes, edge }: OpenPage): Omit<Page, 'id'> {
  return { windows, rows, bytes, ...(edge ? { atRetentionEdge: true } : {}) };
}

function isEdge(cell: PlanCell): boolean {
  return cell.atRetentionEdge === true;
}

function hashParts(cell: PlanCell, caps: Caps): Omit<Page, 'id'>[] {
  const parts = cell.buckets?.length ? countedParts(cell.buckets, caps) : equalParts(cell, caps);
  return parts.map((part) => ({ windows: [{ from: cell.from, to: cell.to }], ...part }));
}

interface Part {
  readonly hash: HashRange;
  readonly rows: number | undefined;
  readonly bytes: number;
}

/** Packs counted buckets greedily. A single bucket over the caps becomes its own part; the source may still accept it. */
function countedParts(buckets: readonly BucketCount[], caps: Caps): Part[] {
  const parts: Part[] = [];
  let from = 0;
  let rows = 0;
  let bytes = 0;
  for (const bucket of buckets) {
    if (rows > 0 && (rows + bucket.rows > caps.rows || bytes + bucket.bytes > caps.bytes)) {
      parts.push({ hash: { from, to: bucket.bucket }, rows, bytes });
      from = bucket.bucket;
      rows = bytes = 0;
    }
    rows += bucket.rows;
    bytes += bucket.bytes;
  }
  parts.push({ hash: { from, to: HASH_BUCKETS }, rows, bytes });
  return parts;
}

function equalParts(cell: Cell, caps: Caps): Part[] {
  const count = partsNeeded(cell, caps);
  const mean = cell.rows / count;
  const least = Math.floor(mean - FLOOR * Math.sqrt(mean));
  // Not 0, which would mean that the part was counted and is empty.
  const rows = least > 0 ? least : undefined;
  return Array.from({ length: count }, (_, k) => {
    const hash = { from: Math.floor((k * HASH_BUCKETS) / count), to: Math.floor(((k + 1) * HASH_BUCKETS) / count) };
    return { hash, rows, bytes: cell.bytes / count };
  });
}

/** The number of equal hash ranges that makes each fit with a margin; at most one for each bucket. */
export function partsNeeded(cell: Pick<Cell, 'rows' | 'bytes'>, caps: Caps): number {
  const most = Math.max(2, Math.min(HASH_BUCKETS, cell.rows));
  let count = Math.max(2, Math.ceil(cell.rows / caps.rows), Math.ceil(cell.bytes / caps.bytes));
  for (; count < most; count++) {
    const mean = Math.max(1, cell.rows / count);
    const upper = 1 + MARGIN / Math.sqrt(mean);
    if (mean * upper <= caps.rows && (cell.bytes / count) * upper <= caps.bytes) break;
  }
  return Math.min(count, most);
}
