/**
 * Which hours of a comparison are recorded. Every hour since coverage begins is, empty or not. Coverage begins where no row was for a
 * long time before: rows with an old default as their time, such as 1600 or 1970, do not make the centuries after them part of it. Of
 * the time before the beginning, only the days with rows are recorded. Pure.
 */
import { DAY, HOUR, floorTo } from '../kernel/instant.ts';
import type { Instant, Window } from '../kernel/instant.ts';
import { intersection, joinWindows } from '../kernel/windows.ts';
import { LONGEST_GAP } from '../model/coverage.ts';

interface Compared {
  /** What was compared, in time order. */
  readonly covers: readonly Window[];
  /** Hours in it that have rows at the source, or that the ledger knows; in any order. */
  readonly hours: Iterable<Instant>;
  /** Where the coverage that the ledger knows begins; undefined when it knows no hour. */
  readonly begins: Instant | undefined;
  /** Record the whole range even if there is no row at its start: a backfill names where it begins. */
  readonly isNamed: boolean;
}

/** The windows to record, in time order, each from a whole hour on. */
export function recordedWindows({ covers, hours, begins, isNamed }: Compared): Window[] {
  const last = covers.at(-1);
  if (!last) return [];
  const known = [...new Set(hours)].sort((a, b) => (a < b ? 1 : -1));
  const from =
    begins !== undefined && begins <= last.from ? earlier(begins, known, covers) : beginning(last, known, isNamed);
  if (from === undefined) return [];
  const days = known.filter((hour) => hour < from).map((hour) => floorTo(hour, DAY));
  const old = days.map((day) => ({ from: day, to: day + DAY < from ? day + DAY : from }));
  const windows = joinWindows([...old, { from, to: last.to }]);
  return covers.flatMap((window) => {
    const whole = { from: floorTo(window.from, HOUR), to: window.to };
    return windows.flatMap((part) => intersection(whole, part) ?? []);
  });
}

/** Rows that came late before the beginning move it back, unless the gap is too long or was not compared. `known`: newest first. */
function earlier(begins: Instant, known: readonly Instant[], covers: readonly Window[]): Instant {
  let first = begins;
  for (const hour of known) {
    const isCovered = covers.some(({ from, to }) => from <= hour && first <= to);
    if (hour < first && (first - hour > LONGEST_GAP || !isCovered)) break;
    if (hour < first) first = hour;
  }
  return first;
}

/** Goes back from the end of the range as long as no gap is too long. `known`: newest first. */
function beginning({ from, to }: Window, known: readonly Instant[], isNamed: boolean): Instant | undefined {
  const steps = isNamed ? [...known, floorTo(from, HOUR)] : known;
  if (steps.length === 0) return undefined;
  let first = floorTo(to - 1n, HOUR);
  for (const hour of steps) {
    if (first - hour > LONGEST_GAP) break;
    if (hour < first) first = hour;
  }
  return first;
}
