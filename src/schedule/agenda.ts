/**
 * What is due: a pure function of each table's schedule, its last slot done, and now. Tables whose slots fall together are
 * due together, so that one run serves them all; a slot that was missed is covered by the newest one after it.
 */
import { quietUntil, type Quiet } from '../model/quiet.ts';
import { dueSlot, nextSlot, type Schedule } from './cron.ts';
import type { TableName } from '../model/tables.ts';

/** One table of one tenant, and when it is to be loaded. */
export interface Planned {
  readonly tenant: string;
  readonly table: TableName;
  readonly schedule: Schedule;
  /** A slot that falls due in here waits for its end. */
  readonly quiet?: Quiet;
}

export interface Due extends Planned {
  /** The slot to do, milliseconds since 1970. It covers every slot of the table in `(after, slot]`. */
  readonly slot: number;
  readonly after: number;
}

export interface Agenda {
  readonly due: readonly Due[];
  /** When to look again if nothing is due; Infinity without any table. */
  readonly nextMs: number;
}

/** The name under which a table's last slot is recorded. */
export function keyOf({ tenant, table }: Pick<Planned, 'tenant' | 'table'>): string {
  return `${tenant} ${table}`;
}

/**
 * `last` holds the last slot done by key; a table without one is due at once. `delayMs` (this installation's share of the
 * jitter) moves every slot by the same time: slots keep their distance, so that none starves.
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
  // A slot costs the library about a millisecond, and many tenants share one expression.
  const known = new Map<string, { slot: number | undefined; next: number }>();
  for (const entry of planned) {
    const { schedule } = entry;
    const after = last.get(keyOf(entry)) ?? 0;
    const name = JSON.stringify([schedule.cron, schedule.timeZone, after]);
    let found = known.get(name);
    if (!found) {
      // Reckoned from the slot done: after a clock that was set back, that one is not waited for again.
      const next = nextSlot(schedule, after);
      found = { slot: next <= shifted ? dueSlot(schedule, after, shifted) : undefined, next };
      known.set(name, found);
    }
    const until = found.slot === undefined ? undefined : quietUntil(entry.quiet, nowMs);
    if (found.slot !== undefined && until === undefined) due.push({ ...entry, slot: found.slot, after });
    nextMs = Math.min(nextMs, until ?? found.next + delayMs);
  }
  return { due, nextMs };
}
