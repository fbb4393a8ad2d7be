/** How far an hour is proven: words, and which kind speaks for a day. */
import type { Hours, Range } from './types.ts';

/** The worst first: a day is shown as its worst hour. */
export const KINDS = ['expired', 'partial', 'none', 'unchecked', 'open', 'count', 'checksum', 'content'] as const;
export type Kind = (typeof KINDS)[number];

export const KIND_WORDS: Readonly<Record<Kind, string>> = {
  content: 'proven by content',
  checksum: 'proven by ids',
  count: 'proven by count',
  open: 'open: not over yet',
  unchecked: 'loaded, not compared since',
  none: 'not comparable',
  partial: 'partial: differs from the source',
  expired: 'expired: lost at the source unread',
};

const HOUR = 3_600_000;

export function kindOf(text: string | undefined): Kind | undefined {
  return KINDS.find((kind) => kind === text);
}

/** For each hour of the range, its index in `hours`; -1 where nothing is known. */
export function hoursIn({ hour }: Hours, { from, to }: Range): number[] {
  const [first, end] = [Date.parse(from) / HOUR, Date.parse(to) / HOUR];
  const found = Array.from({ length: Math.max(0, end - first) }, () => -1);
  for (const [nth, at] of hour.entries()) if (at >= first && at < end) found[at - first] = nth;
  return found;
}

export function countKinds(hours: Hours, found: readonly number[]): Map<Kind, number> {
  const counts = new Map<Kind, number>();
  for (const nth of found) {
    const kind = nth < 0 ? undefined : kindOf(hours.kind[nth]);
    if (kind) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}

/** The kind of each day; undefined where no hour is known. */
export function dayKinds(hours: Hours, found: readonly number[]): (Kind | undefined)[] {
  return Array.from({ length: Math.ceil(found.length / 24) }, (_, day) => {
    const known = found.slice(day * 24, day * 24 + 24).map((nth) => (nth < 0 ? undefined : kindOf(hours.kind[nth])));
    return KINDS.find((kind) => known.includes(kind));
  });
}
