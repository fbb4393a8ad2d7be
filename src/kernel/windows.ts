/** Arithmetic on half-open windows. Lists are sorted and disjoint unless a function says otherwise. */
import { floorTo } from './instant.ts';
import type { Instant, Window } from './instant.ts';

export function contains({ from, to }: Window, instant: Instant): boolean {
  return instant >= from && instant < to;
}

/** True when one of the windows contains the instant; they are sorted and disjoint. */
export function isInside(windows: readonly Window[], instant: Instant): boolean {
  let [low, high] = [0, windows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((windows[middle]?.to ?? 0n) <= instant) low = middle + 1;
    else high = middle;
  }
  return instant >= (windows[low]?.from ?? instant + 1n);
}

/** True when the window shares an instant with one of the others, which may be in any order. */
export function overlaps({ from, to }: Window, others: readonly Window[]): boolean {
  return others.some((other) => other.from < to && from < other.to);
}

/** What two windows have in common; `undefined` when that is nothing. */
export function intersection(a: Window, b: Window): Window | undefined {
  const from = a.from > b.from ? a.from : b.from;
  const to = a.to < b.to ? a.to : b.to;
  return from < to ? { from, to } : undefined;
}

/** What is left of the windows without the holes, which may be in any order and overlap. */
export function subtract(windows: readonly Window[], holes: readonly Window[]): Window[] {
  let left = [...windows];
  for (const hole of holes)
    left = left.flatMap(({ from, to }) => {
      if (hole.to <= from || to <= hole.from) return [{ from, to }];
      return [...(from < hole.from ? [{ from, to: hole.from }] : []), ...(hole.to < to ? [{ from: hole.to, to }] : [])];
    });
  return left;
}

/** Sorts windows and joins those that touch or overlap. */
export function joinWindows(windows: readonly Window[]): Window[] {
  const joined: { from: Instant; to: Instant }[] = [];
  for (const { from, to } of windows.toSorted(byStart)) {
    const last = joined.at(-1);
    if (!last || from > last.to) joined.push({ from, to });
    else if (to > last.to) last.to = to;
  }
  return joined;
}

/** Ticks that the windows cover together. */
export function totalLength(windows: readonly Window[]): bigint {
  return windows.reduce((sum, { from, to }) => sum + to - from, 0n);
}

/**
 * Two lists with about half of the windows each; a single window is cut at a multiple of `unit`. `undefined` when it is
 * too short for that.
 */
export function halve(windows: readonly Window[], unit: bigint): readonly [Window[], Window[]] | undefined {
  const [first] = windows;
  if (!first) return undefined;
  if (windows.length > 1) {
    const middle = windows.length >> 1;
    return [windows.slice(0, middle), windows.slice(middle)];
  }
  const middle = floorTo((first.from + first.to) / 2n, unit);
  if (middle <= first.from) return undefined;
  return [[{ from: first.from, to: middle }], [{ from: middle, to: first.to }]];
}

/**
 * The windows in portions of at most `maxWindows` windows and `maxTicks` ticks. Long windows are cut at multiples of
 * `unit`.
 */
export function portions(
  windows: readonly Window[],
  limits: { readonly maxWindows: number; readonly maxTicks: bigint; readonly unit: bigint },
): Window[][] {
  const lists: Window[][] = [];
  let list: Window[] = [];
  let room = limits.maxTicks;
  const close = (): void => {
    if (list.length > 0) lists.push(list);
    list = [];
    room = limits.maxTicks;
  };
  for (const window of windows) {
    let { from } = window;
    while (from < window.to) {
      if (list.length === limits.maxWindows || room <= 0n) close();
      const reach = from + room;
      const cut = reach >= window.to ? window.to : floorTo(reach, limits.unit);
      if (cut <= from && list.length > 0) {
        close();
        continue;
      }
      const to = cut > from ? cut : window.to;
      list.push({ from, to });
      room -= to - from;
      from = to;
    }
  }
  close();
  return lists;
}

/** Compares by start, for sorting. */
export function byStart(a: Pick<Window, 'from'>, b: Pick<Window, 'from'>): number {
  return a.from < b.from ? -1 : a.from > b.from ? 1 : 0;
}
