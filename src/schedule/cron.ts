/**
 * When a run is due: pure functions of cron expression, time zone, last completed slot, and now. One run catches up all
 * missed slots, because a run always compares everything that can be compared.
 */
import { CronTime, validateCronExpression } from 'cron';
import { ConfigError, type ErrorDetail } from '../kernel/errors.ts';
import { offsetMs } from '../kernel/zone.ts';

export interface Schedule {
  readonly cron: string;
  /** IANA name. It is passed to every call of the library, which would use the zone of the machine otherwise. */
  readonly timeZone: string;
}

const SECOND_MS = 1000;
const HOUR_MS = 3600 * SECOND_MS;
/** More than the longest gap between two slots: 29 February comes every four years, except from 2096 to 2104. */
const LOOK_BACK_MS = 5 * 366 * 24 * HOUR_MS;

/** Throws ConfigError if the expression is invalid or no date ever matches it. `where` is the place it came from. */
export function parseSchedule(
  { cron, timeZone }: Schedule,
  where: ErrorDetail['where'] = { key: 'schedule.cron' },
): Schedule {
  const schedule = { cron, timeZone };
  const { valid, error } = validateCronExpression(cron);
  const reason = valid ? neverMatches(schedule) : (error?.message ?? 'not a cron expression');
  if (reason !== undefined)
    throw new ConfigError(`The cron expression "${cron}" cannot be used: ${reason.replace(/\.$/, '')}.`, {
      hint: 'Write five fields: minute hour day month weekday, e.g. "0 3 * * *" for every day at 03:00.',
      where,
    });
  return schedule;
}

function neverMatches(schedule: Schedule): string | undefined {
  try {
    nextSlot(schedule, Date.UTC(2024, 0, 1));
    return undefined;
  } catch {
    return 'no date ever matches it';
  }
}

/** The first slot after an instant, exclusive; both in milliseconds since 1970. */
export function nextSlot({ cron, timeZone }: Schedule, afterMs: number): number {
  const time = new CronTime(cron, timeZone);
  // Whole seconds: the library returns a slot less than a second after its argument, but not one at its argument.
  let slot = Math.floor(afterMs / SECOND_MS) * SECOND_MS;
  do slot = time.getNextDateFrom(new Date(slot), timeZone).toMillis();
  while (isAutumnGhost(cron, timeZone, slot));
  return slot;
}

/** The newest slot in `(last, now]`, or undefined if nothing is due. */
export function dueSlot(schedule: Schedule, lastMs: number, nowMs: number): number | undefined {
  // Looking back in growing steps finds the newest slot without iterating over every slot of a long pause.
  for (let back = HOUR_MS; ; back *= 2) {
    const from = Math.max(lastMs, nowMs - Math.min(back, LOOK_BACK_MS));
    let slot = from < nowMs ? nextSlot(schedule, from) : Infinity;
    if (slot <= nowMs) {
      for (let later = nextSlot(schedule, slot); later <= nowMs; later = nextSlot(schedule, slot)) slot = later;
      return slot;
    }
    if (from <= lastMs || back >= LOOK_BACK_MS) return undefined;
  }
}

/**
 * In the night when clocks go back, the library also returns a slot one hour too early, whose local time does not match
 * the expression. Only that night is checked: in spring it correctly moves a slot out of the missing hour.
 */
function isAutumnGhost(cron: string, timeZone: string, slotMs: number): boolean {
  const offset = offsetMs(timeZone, slotMs);
  const setBack = offsetMs(timeZone, slotMs - HOUR_MS) >= offset && offsetMs(timeZone, slotMs - 2 * HOUR_MS) > offset;
  if (!setBack) return false;
  // Is the local time a slot of the same expression in UTC, where clocks never change?
  const local = slotMs + offset;
  return new CronTime(cron, 'UTC').getNextDateFrom(new Date(local - SECOND_MS), 'UTC').toMillis() !== local;
}
