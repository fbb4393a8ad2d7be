/**
 * Compares landed pages with what the source had counted, before they are merged: a page with fewer rows would remove rows of the
 * lake. Such a page is counted again. If the source now counts no more than it delivered, rows have vanished or expired in the
 * meantime. Otherwise the answer was not complete, and the page is refused.
 */
import { PartError } from '../../kernel/errors.ts';
import { formatInstant } from '../../kernel/instant.ts';
import { joinWindows, overlaps } from '../../kernel/windows.ts';
import type { LandedPage, Page } from '../../model/page.ts';
import { MAX_WINDOWS } from '../plan/histogram.ts';
import { COUNT_COLUMNS, countQuery } from '../source/kql.ts';
import type { Counting } from './divide.ts';
import type { Landing } from './land.ts';

export interface Checked {
  readonly landed: readonly LandedPage[];
  /** One error for each page that was refused. */
  readonly refused: readonly PartError[];
  readonly calls: number;
}

/** `failed`: ids of pages of the batch that could not be fetched. Refused pages are removed from disk, so that they are fetched again. */
export async function refuseShortPages(
  counting: Counting,
  landing: Landing,
  pages: readonly LandedPage[],
  failed: ReadonlySet<string>,
): Promise<Checked> {
  const missing = landing.batch.pages.filter(({ id }) => failed.has(id));
  const incomplete = new Set(missing.map(originOf));
  // If a part of a window is missing, this run merges none of the window's parts, so they need no check.
  const holes = missing.flatMap(({ windows }) => windows);
  const waits = ({ page }: LandedPage): boolean => page.windows.some((window) => overlaps(window, holes));
  const dropped = new Set<LandedPage>();
  const refused: PartError[] = [];
  let calls = 0;
  for (const [origin, parts] of groups(pages.filter((page) => !waits(page)))) {
    const expected = expectedRows(parts, incomplete.has(origin));
    const rows = parts.reduce((sum, part) => sum + part.rows, 0);
    if (rows >= expected) continue;
    const counted = await countRows(
      counting,
      parts.map(({ page }) => page),
    );
    calls += counted.calls;
    if (counted.rows !== undefined && counted.rows <= rows) continue;
    for (const part of parts) dropped.add(part);
    for (const page of await takeBack(landing, parts, incomplete.has(origin)))
      refused.push(shortAnswer(landing, page, rows, counted.rows));
  }
  return { landed: pages.filter((page) => !dropped.has(page)), refused, calls };
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

/** The rows that the parts should have at least. `isIncomplete`: other parts of the page are missing, so its count says nothing. */
function expectedRows(parts: readonly LandedPage[], isIncomplete: boolean): number {
  const [first] = parts;
  if (!first) return 0;
  const { counted, rows = 0 } = first.page;
  if (!counted) return rows;
  return isIncomplete ? Infinity : counted.rows;
}

/** `rows` is undefined when the source does not give a number. */
async function countRows(
  { client, limit, table, signal }: Counting,
  pages: readonly Page[],
): Promise<{ readonly rows: number | undefined; readonly calls: number }> {
  let rows = 0;
  let calls = 0;
  for (const portion of portionsOf(pages)) {
    const answer = await limit(() => client.ask(countQuery(table, portion), COUNT_COLUMNS, signal));
    const [n] = answer.kind === 'rows' && answer.rows.length === 1 ? (answer.rows[0] ?? []) : [];
    calls++;
    if (!/^\d+$/.test(String(n))) return { rows: undefined, calls };
    rows += Number(n);
  }
  return { rows, calls };
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

/** Returns the pages that replace the parts: the counted page if all of its parts have landed, otherwise the same parts. */
async function takeBack(
  landing: Landing,
  parts: readonly LandedPage[],
  isIncomplete: boolean,
): Promise<readonly Page[]> {
  const pages = parts.map(({ page }) => page);
  const instead = isIncomplete ? pages : [wholeOf(pages)];
  await landing.takeBack(pages, instead);
  return instead;
}

/** The counted page, put together from its parts. */
function wholeOf(parts: readonly Page[]): Page {
  const [first] = parts;
  if (!first) throw new RangeError('A page has at least one part.');
  if (!first.counted) return first;
  const { counted, hash: _, ...rest } = first;
  // A page without a hash range may have been cut by time first, and only some of its parts by hash.
  const hashes = parts.flatMap((part) => (part.hash ? [part.hash] : []));
  const isHashed = hashes.length === parts.length;
  const hash = { from: Math.min(...hashes.map(({ from }) => from)), to: Math.max(...hashes.map(({ to }) => to)) };
  return {
    ...rest,
    id: counted.id,
    windows: joinWindows(parts.flatMap(({ windows }) => windows)),
    ...(isHashed ? { hash } : {}),
    rows: counted.rows,
    bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
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
