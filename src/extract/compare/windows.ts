/** Arithmetic on sorted, disjoint lists of windows. */
import { floorTo } from '../../kernel/instant.ts';
import type { Window } from '../../kernel/instant.ts';

/** Joins windows that touch or overlap; sorts first. */
export function coalesce(windows: readonly Window[]): Window[] {
  const joined: { from: bigint; to: bigint }[] = [];
  const sorted = windows.toSorted((a, b) => (a.from < b.from ? -1 : a.from > b.from ? 1 : 0));
  for (const { from, to } of sorted) {
    const last = joined.at(-1);
    if (!last || from > last.to) joined.push({ from, to });
    else if (to > last.to) last.to = to;
  }
  return joined;
}

/**
 * Two lists that hold about half each: whole windows where there are several, else a cut on a whole `unit`.
 * `undefined` when there is no such cut.
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

/** Lists of at most `maxWindows` windows that span at most `maxTicks` together; long windows are cut on whole `unit`s. */
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
