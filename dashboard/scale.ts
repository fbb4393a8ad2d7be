/** Scales, round ticks and paths of charts. */
import { shifted } from './periods.ts';

type Pair = readonly [number, number];
export type Scale = (value: number) => number;

/** Maps the first pair to the second one. */
export function linear([from, to]: Pair, [start, end]: Pair): Scale {
  const factor = to === from ? 0 : (end - start) / (to - from);
  return (value) => start + (value - from) * factor;
}

/** Round values, about `count` steps of 1, 2 or 5, that begin at or below the least value and end at or above the largest. */
export function roundTicks(least: number, most: number, count: number): readonly number[] {
  if (!(most > least)) return [least];
  const rough = (most - least) / count;
  const power = Math.floor(Math.log10(rough));
  const share = rough / 10 ** power;
  const factor = share >= Math.sqrt(50) ? 10 : share >= Math.sqrt(10) ? 5 : share >= Math.sqrt(2) ? 2 : 1;
  // Multiplied or divided by whole numbers: 3 * 0.1 would not be 0.3.
  const at = (nth: number): number => (power < 0 ? (nth * factor) / 10 ** -power : nth * factor * 10 ** power);
  const step = at(1);
  const [first, last] = [Math.floor(least / step), Math.ceil(most / step)];
  return Array.from({ length: last - first + 1 }, (_, nth) => at(first + nth));
}

/** Days that are marked: every one, every second, Mondays, or the first of months. About as many as there is room for, `most`. */
export function dayTicks(days: readonly string[], most: number): readonly string[] {
  const [first, last] = [days[0], days.at(-1)];
  if (first === undefined || last === undefined) return [];
  const each = days.length / most;
  if (each <= 2) return days.filter((_, nth) => nth % Math.ceil(each) === 0);
  if (each <= 14 || days.length < 90) {
    const monday = (8 - new Date(first).getUTCDay()) % 7;
    const step = [7, 14, 28].find((step) => each <= step) ?? 28;
    return days.filter((_, nth) => nth >= monday && (nth - monday) % step === 0);
  }
  const months = [1, 2, 3, 6, 12, 24, 60, 120].find((count) => each <= count * 30.4) ?? 240;
  const found: string[] = [];
  for (let at = `${first.slice(0, 4)}-01-01`; at <= last; at = shifted(at, 'month', months))
    if (at >= first) found.push(at);
  return found;
}

/** A tenth of a pixel is enough, and a path of five years is a third as long. */
const rounded = (value: number): number => Math.round(value * 10) / 10;

type At = (nth: number) => number;

/** A line through `length` points, interrupted where `y` is null. */
export function linePath(length: number, x: At, y: (nth: number) => number | null): string {
  let path = '';
  let isDown = false;
  for (let nth = 0; nth < length; nth++) {
    const at = y(nth);
    if (at !== null) path += `${isDown ? 'L' : 'M'}${rounded(x(nth))},${rounded(at)}`;
    isDown = at !== null;
  }
  return path;
}

/** The area between two lines, in pieces where `high` is null. */
export function areaPath(length: number, x: At, low: At, high: (nth: number) => number | null): string {
  let path = '';
  for (let from = 0; from < length; from++) {
    let back = '';
    let to = from;
    for (let at = high(to); to < length && at !== null; at = high(++to)) {
      path += `${to === from ? 'M' : 'L'}${rounded(x(to))},${rounded(at)}`;
      back = `L${rounded(x(to))},${rounded(low(to))}${back}`;
    }
    if (to > from) path += `${back}Z`;
    from = to;
  }
  return path;
}
