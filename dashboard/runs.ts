/** One line per run: the proof has one per run and table. */
import { numberOf } from './figures.ts';
import type { Row } from './types.ts';

export interface Run {
  readonly run: string;
  readonly started: number;
  readonly outcome: string;
  readonly isOk: boolean;
  /** Seconds; null while it is not known. */
  readonly took: number | null;
  readonly calls: number;
  readonly waited: number;
  readonly fetched: number;
  readonly inserted: number;
  readonly replaced: number;
  readonly removed: number;
}

/** Failures first, then the newest. */
export function runsOf(rows: readonly Row[]): Run[] {
  const byRun = new Map<string, Row[]>();
  for (const row of rows) {
    const id = String(row['run']);
    byRun.set(id, [...(byRun.get(id) ?? []), row]);
  }
  const runs = [...byRun].map(([run, parts]): Run => {
    const sum = (name: string): number => parts.reduce((total, row) => total + (numberOf(row, name) ?? 0), 0);
    const [started, finished] = [numberOf(parts[0], 'started') ?? 0, numberOf(parts[0], 'finished')];
    const outcome = String(parts[0]?.['run_outcome']);
    return {
      run,
      started,
      outcome,
      isOk: outcome === 'ok',
      took: finished === null ? null : (finished - started) / 1000,
      calls: sum('calls'),
      waited: sum('waited') / 1000,
      fetched: sum('fetched'),
      inserted: sum('inserted'),
      replaced: sum('replaced'),
      removed: sum('removed'),
    };
  });
  return runs.sort((a, b) => Number(a.isOk) - Number(b.isOk) || b.started - a.started).slice(0, 30);
}
