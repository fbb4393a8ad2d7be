/**
 * Which tables are due: a pure function of each table's schedule, its last completed slot, and now. Tables whose slots
 * coincide are due together, so that one run serves them all. The newest slot covers all missed slots before it.
 */
import { quietUntil, type Quiet } from '../model/quiet.ts';
import { dueSlot, nextSlot, type Schedule } from './cron.ts';
import type { TableName } from '../model/tables.ts';

/** One table of one tenant and its schedule. */
export interface Planned {
  readonly tenant: string;
  readonly table: TableName;
  readonly schedule: Schedule;
  /** A slot that falls into these hours waits until they end. */
  readonly quiet?: Quiet;
}

export interface Due extends Planned {
  /** Milliseconds since 1970. The run covers every slot of the table in `(after, slot]`. */
  readonly slot: number;
  readonly after: number;
}

export interface Agenda {
  readonly due: readonly Due[];
  /** When to look again if nothing is due; Infinity without tables. */
  readonly nextMs: number;
}

/** The key under which the last slot of a table is recorded. */
export function keyOf({ tenant, table }: Pick<Planned, 'tenant' | 'table'>): string {
  return `${tenant} ${table}`;
}

/**
 * `last` holds the last completed slot by key; a table without one is due at once. `delayMs` (this installation's share of
 * the jitter) moves every slot by the same time, so that slots keep their distance.
 */
export function agenda(
  planned: readonly Planned[],
  last: ReadonlyMap<string, number>,
  nowMs: number,
  delayMs: number,
): Agenda {
  const shifted = nowMs - delayMs;
  const due: Due[] = [];
  let nextMs = Infinity;
  // Computing a slot takes about a millisecond, and many tenants share one expression.
  const cache = new Map<string, { slot: number | undefined; next: number }>();
  for (const entry of planned) {
    const { schedule } = entry;
    const after = last.get(keyOf(entry)) ?? 0;
    const name = JSON.stringify([schedule.cron, schedule.timeZone, after]);
    let found = cache.get(name);
    if (!found) {
      // Counted from the completed slot, so that it does not come a second time after the clock was set back.
      const next = nextSlot(schedule, after);
      found = { slot: next <= shifted ? dueSlot(schedule, after, shifted) : undefined, next };
      cache.set(name, found);
    }
    const until = found.slot === undefined ? undefined : quietUntil(entry.quiet, nowMs);
    if (found.slot !== undefined && until === undefined) due.push({ ...entry, slot: found.slot, after });
    nextMs = Math.min(nextMs, until ?? found.next + delayMs);
  }
  return { due, nextMs };
}
