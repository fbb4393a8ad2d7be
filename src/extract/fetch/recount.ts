/**
 * Compares landed pages with what the source had counted, before they are merged: a page with fewer rows would remove rows of the
 * lake. Such a page is counted again. If the source now counts no more than it delivered, rows have vanished or expired in the
 * meantime. Otherwise the answer was not complete: it is fetched again in parts, or refused.
 */
import type { LimitFunction } from 'p-limit';
import { PartError } from '../../kernel/errors.ts';
import { formatInstant } from '../../kernel/instant.ts';
import { joinWindows, overlaps } from '../../kernel/windows.ts';
import { HASH_BUCKETS } from '../../model/page.ts';
import type { Batch, LandedPage, Page } from '../../model/page.ts';
import { MAX_WINDOWS } from '../plan/histogram.ts';
import type { SourceDrop } from '../../model/privacy.ts';
import type { TableName } from '../../model/tables.ts';
import type { Client } from '../source/client.ts';
import { COUNT_COLUMNS, countQuery } from '../source/kql.ts';
import type { Landing } from './land.ts';

/** Whom to ask for finer counts, and of what. */
export interface Counting {
  readonly client: Client;
  readonly limit: LimitFunction;
  readonly dropKeys: readonly SourceDrop[];
  readonly table: TableName;
  readonly signal: AbortSignal;
}

/** The size of an answer. */
export type AnswerSize = Pick<LandedPage, 'rows' | 'bytes' | 'largestRow'>;

/** A page whose answer had fewer rows than the source counts in it. */
export interface CutPart {
  readonly page: Page;
  readonly answer: AnswerSize;
  readonly counted: number;
}

/** The landed parts of a counted page, if they have fewer rows than the source counts. */
export interface ShortGroup {
  /** Id of the counted page. */
  readonly origin: string;
  /** Rows of all parts. */
  readonly rows: number;
  readonly parts: readonly LandedPage[];
  /** Rows that the source now counts in each part; `undefined` when it gives no numbers. */
  readonly counts: readonly number[] | undefined;
  /** Other parts of the counted page are missing. */
  readonly isIncomplete: boolean;
}

/**
 * `failed`: ids of pages of the batch that could not be fetched. `accepted`: counted pages whose rows have vanished; the function
 * adds those that it finds.
 */
export async function findShortGroups(
  counting: Counting,
  batch: Batch,
  pages: readonly LandedPage[],
  failed: ReadonlySet<string>,
  accepted: Set<string>,
): Promise<{ readonly short: readonly ShortGroup[]; readonly calls: number }> {
  const missing = batch.pages.filter(({ id }) => failed.has(id));
  const incomplete = new Set(missing.map(originOf));
  // If a part of a window is missing, this run merges none of the window's parts, so they need no check.
  const holes = missing.flatMap(({ windows }) => windows);
  const waits = ({ page }: LandedPage): boolean => page.windows.some((window) => overlaps(window, holes));
  const short: ShortGroup[] = [];
  let calls = 0;
  for (const [origin, parts] of groups(pages.filter((page) => !waits(page)))) {
    const isIncomplete = incomplete.has(origin);
    const rows = rowsOf(parts);
    if (accepted.has(origin) || rows >= expectedRows(parts, isIncomplete)) continue;
    const counted = await countRows(
      counting,
      parts.map(({ page }) => page),
    );
    calls += counted.calls;
    if (counted.counts && sum(counted.counts) <= rows) accepted.add(origin);
    else short.push({ origin, rows, parts, counts: counted.counts, isIncomplete });
  }
  return { short, calls };
}

export function pagesOf({ parts }: ShortGroup): readonly Page[] {
  return parts.map(({ page }) => page);
}

/** The parts to fetch again. None if that would not make the page whole. */
export function cutParts({ parts, counts = [], isIncomplete }: ShortGroup): readonly CutPart[] {
  if (isIncomplete) return [];
  const all = parts.map(({ page, ...answer }, k) => ({ page, answer, counted: counts[k] ?? 0 }));
  return all.filter(({ answer, counted }) => answer.rows < counted);
}

/** Gives the group up: removes its pages from disk, so that the next run fetches them again, and returns an error for each. */
export async function refuseGroup(landing: Landing, group: ShortGroup): Promise<PartError[]> {
  const { rows, counts, isIncomplete } = group;
  const pages = pagesOf(group);
  const instead = isIncomplete ? pages : [wholeOf(pages)];
  await landing.takeBack(pages, instead);
  return instead.map((page) => shortAnswer(landing, page, rows, counts && sum(counts)));
}

/** The parts of each counted page, or the page itself, by the id of the counted page. */
function groups(pages: readonly LandedPage[]): ReadonlyMap<string, readonly LandedPage[]> {
  const byOrigin = new Map<string, LandedPage[]>();
  for (const landed of pages) {
    const group = byOrigin.get(originOf(landed.page)) ?? [];
    byOrigin.set(originOf(landed.page), group);
    group.push(landed);
  }
  return byOrigin;
}

function originOf(page: Page): string {
  return page.counted?.id ?? page.id;
}

function rowsOf(parts: readonly LandedPage[]): number {
  return sum(parts.map(({ rows }) => rows));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, n) => total + n, 0);
}

/** The rows that the parts should have at least. `isIncomplete`: other parts of the page are missing, so its count says nothing. */
function expectedRows(parts: readonly LandedPage[], isIncomplete: boolean): number {
  const [first] = parts;
  if (!first) return 0;
  const { counted, rows = 0 } = first.page;
  if (!counted) return rows;
  return isIncomplete ? Infinity : counted.rows;
}

/** The rows of each page. `counts` is undefined when the source does not give numbers. */
export async function countRows(
  { client, limit, table, signal }: Counting,
  pages: readonly Page[],
): Promise<{ readonly counts: readonly number[] | undefined; readonly calls: number }> {
  const counts: number[] = [];
  let calls = 0;
  for (const portion of portionsOf(pages)) {
    const answer = await limit(() => client.ask(countQuery(table, portion), COUNT_COLUMNS, signal));
    const [n] = answer.kind === 'rows' && answer.rows.length === 1 ? (answer.rows[0] ?? []) : [];
    calls++;
    const numbers = String(n).split(' ');
    if (numbers.length !== portion.length || !numbers.every((text) => /^\d+$/.test(text)))
      return { counts: undefined, calls };
    counts.push(...portion.map((page, k) => rowsInSlice(page, Number(numbers[k]))));
  }
  return { counts, calls };
}

/** How many of a page's rows lie in its slice, out of `rows` without regard to it. */
function rowsInSlice({ slice }: Page, rows: number): number {
  if (!slice) return rows;
  return Math.max(0, Math.min(rows, slice.to ?? rows) - slice.from);
}

/** Pages that one query can count: more windows would make its text too long. */
function portionsOf(pages: readonly Page[]): readonly (readonly Page[])[] {
  const portions: Page[][] = [];
  let windows = MAX_WINDOWS;
  for (const page of pages) {
    windows += page.windows.length;
    if (windows > MAX_WINDOWS) {
      portions.push([]);
      windows = page.windows.length;
    }
    portions.at(-1)?.push(page);
  }
  return portions;
}

/** The counted page, put together from its parts. */
function wholeOf(parts: readonly Page[]): Page {
  const [first] = parts;
  if (!first) throw new RangeError('A page has at least one part.');
  if (!first.counted) return first;
  const { counted, hash: _, slice: __, ...rest } = first;
  // A page without a hash range may have been cut by time first, and only some of its parts by hash.
  const hashes = parts.flatMap((part) => (part.hash ? [part.hash] : []));
  const hash = { from: Math.min(...hashes.map(({ from }) => from)), to: Math.max(...hashes.map(({ to }) => to)) };
  const isHashed = hashes.length === parts.length && hash.to - hash.from < HASH_BUCKETS;
  return {
    ...rest,
    id: counted.id,
    windows: joinWindows(parts.flatMap(({ windows }) => windows)),
    ...(isHashed ? { hash } : {}),
    rows: counted.rows,
    bytes: sum(parts.map(({ bytes }) => bytes)),
  };
}

function shortAnswer({ batch }: Landing, page: Page, rows: number, counted: number | undefined): PartError {
  const { tenant, table } = batch;
  const [from, to] = [page.windows[0]?.from ?? 0n, page.windows.at(-1)?.to ?? 0n];
  const count = counted === undefined ? 'does not count them again' : `counts ${counted} there`;
  return new PartError(
    `The source delivered ${rows} rows of ${table} from ${formatInstant(from)} to ${formatInstant(to)}, fewer than it had counted, and ${count}: they were not merged.`,
    {
      hint: 'Run again later: the next run fetches them again. If the error persists, ask the vendor why the answers differ.',
      where: { tenant, table },
      page: page.id,
    },
  );
}
