/** Splits a page into disjoint parts that together request exactly the same rows. Pure. */
import { SECOND, floorTo } from '../../kernel/instant.ts';
import type { Window } from '../../kernel/instant.ts';
import { totalLength } from '../../kernel/windows.ts';
import { HASH_BUCKETS } from '../../model/page.ts';
import type { HashRange, Page } from '../../model/page.ts';

/**
 * Splits into about `parts` children: by time at whole seconds, or by hash ranges when the page is a single second. A
 * page of one hash bucket contains one id many times (or rows without an id), so it is split by time. `undefined` when
 * it is also a single second: only `slicePage` divides it further.
 */
export function splitPage(page: Page, parts = 2): Page[] | undefined {
  if (page.slice) return slicePage(page, page.rows ?? 0, Math.ceil((page.rows ?? 0) / parts));
  const seconds = Number(totalLength(page.windows) / SECOND);
  const children =
    page.hash || seconds <= 1 ? byHash(page, page.hash ?? { from: 0, to: HASH_BUCKETS }, parts) : undefined;
  if (children || seconds <= 1) return children;
  const hash = page.hash ? { hash: page.hash } : {};
  return labelled(
    page,
    byTime(page, Math.min(parts, seconds)).map((child) => ({ ...child, ...hash })),
  );
}

/** Cuts a page into slices of `size` rows. `rows`: how many the source counts in it. `undefined` when there is nothing to cut. */
export function slicePage(page: Page, rows: number, size: number): Page[] | undefined {
  const count = Math.ceil(rows / Math.max(1, size));
  if (count <= 1) return undefined;
  const { from, to } = page.slice ?? { from: 0 };
  const children = Array.from({ length: count }, (_, k) => {
    const isLast = k === count - 1;
    const end = isLast ? to : from + (k + 1) * size;
    const own = isLast ? rows - k * size : size;
    // The last slice is open where the page is: a row that arrives in the meantime belongs into it.
    const slice = { from: from + k * size, ...(end === undefined ? {} : { to: end }) };
    const { windows, hash } = page;
    return { windows, ...(hash ? { hash } : {}), slice, rows: own, bytes: (page.bytes * own) / rows };
  });
  return labelled(page, children);
}

/**
 * Names children after their parent. They keep the count of the counted page, so that they can be checked together; parts of a
 * parent without a count keep their own.
 */
export function labelled(parent: Page, children: readonly Omit<Page, 'id'>[]): Page[] {
  const inherited = {
    ...(parent.atRetentionEdge ? { atRetentionEdge: true } : {}),
    ...(parent.isUnhashed ? { isUnhashed: true } : {}),
  };
  const counted = parent.counted ?? (parent.rows === undefined ? undefined : { id: parent.id, rows: parent.rows });
  return children.map((child, k) => {
    const own = child.counted ? { ...child.counted, id: `${parent.id}.${child.counted.id}` } : undefined;
    const origin = counted ?? own;
    return { ...child, ...inherited, ...(origin ? { counted: origin } : {}), id: `${parent.id}.${k}` };
  });
}

function byHash(page: Page, range: HashRange, parts: number): Page[] | undefined {
  if (page.isUnhashed) return undefined;
  const width = range.to - range.from;
  if (width <= 1) return undefined;
  const count = Math.min(parts, width);
  const at = (k: number): number => range.from + Math.floor((k * width) / count);
  const children = Array.from({ length: count }, (_, k) => {
    const hash = { from: at(k), to: at(k + 1) };
    return { windows: page.windows, hash, rows: undefined, bytes: page.bytes / count };
  });
  return labelled(page, children);
}

/** Cuts the windows, laid end to end, into parts of about equal length. */
function byTime(page: Page, count: number): Omit<Page, 'id'>[] {
  const total = totalLength(page.windows);
  const children: Omit<Page, 'id'>[] = [];
  let list: Window[] = [];
  let passed = 0n;
  let taken = 0n;
  const close = (): void => {
    if (list.length > 0)
      children.push({ windows: list, rows: undefined, bytes: (page.bytes * Number(taken)) / Number(total) });
    list = [];
    taken = 0n;
  };
  for (const window of page.windows) {
    let { from } = window;
    while (from < window.to) {
      const cut = (total * BigInt(children.length + 1)) / BigInt(count);
      const reach = floorTo(from + (cut - passed), SECOND);
      const to = children.length === count - 1 || reach >= window.to ? window.to : reach;
      if (to <= from) {
        close();
        continue;
      }
      list.push({ from, to });
      taken += to - from;
      passed += to - from;
      if (to < window.to) close();
      from = to;
    }
  }
  close();
  return children;
}
