/**
 * When a run is due: a pure function of the cron text, its time zone, the last slot that was done, and now.
 * Missed slots are caught up by one run, since a run always compares everything that is comparable.
 */
import { CronTime, validateCronExpression } from 'cron';
import { ConfigError, type ErrorDetail } from '../kernel/errors.ts';
import { offsetMs } from '../kernel/zone.ts';

export interface Schedule {
  readonly cron: string;
  /** IANA name; it is passed to every call of the library, which otherwise follows the machine's zone. */
  readonly timeZone: string;
}

const SECOND_MS = 1000;
const HOUR_MS = 3600 * SECOND_MS;
/** The longest gap between two slots that we believe in: 29 February comes every four years, 2096 to 2104 aside. */
const LOOK_BACK_MS = 5 * 366 * 24 * HOUR_MS;

/** Checks the expression. Throws ConfigError naming what is wrong and where it stands; also for one that never comes. */
export function parseSchedule(
  { cron, timeZone }: Schedule,
  where: ErrorDetail['where'] = { key: 'schedule.cron' },
): Schedule {
  const schedule = { cron, timeZone };
  const { valid, error } = validateCronExpression(cron);
  const reason = valid ? neverComes(schedule) : (error?.message ?? 'not a cron expression');
  if (reason !== undefined)
    throw new ConfigError(`The cron expression "${cron}" cannot be used: ${reason}.`, {
      hint: 'Write five fields, minute hour day month weekday, such as "0 3 * * *" for every day at 03:00.',
      where,
    });
  return schedule;
}

function neverComes(schedule: Schedule): string | undefined {
  try {
    nextSlot(schedule, Date.UTC(2024, 0, 1));
    return undefined;
  } catch {
    return 'no date ever matches it';
  }
}

/** The first slot after an instant (exclusive), both in milliseconds since 1970. */
export function nextSlot({ cron, timeZone }: Schedule, afterMs: number): number {
  const time = new CronTime(cron, timeZone);
  // A whole second: a slot that lies less than a second after its argument is returned, one at the argument is not.
  let slot = Math.floor(afterMs / SECOND_MS) * SECOND_MS;
  do slot = time.getNextDateFrom(new Date(slot), timeZone).toMillis();
  while (isAutumnGhost(cron, timeZone, slot));
  return slot;
}

/** The newest slot in `(last, now]`: what one run now catches up; undefined when nothing is due. */
export function dueSlot(schedule: Schedule, lastMs: number, nowMs: number): number | undefined {
  // Looking back further and further finds the newest slot without walking through all those of a long pause.
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
 * In the night when clocks go back, the library also gives a slot one hour too early: one whose reading on the wall is
 * not in the expression. Only that night is judged so: in spring a slot is rightly moved out of the hour that is missing.
 */
function isAutumnGhost(cron: string, timeZone: string, slotMs: number): boolean {
  const offset = offsetMs(timeZone, slotMs);
  const setBack = offsetMs(timeZone, slotMs - HOUR_MS) >= offset && offsetMs(timeZone, slotMs - 2 * HOUR_MS) > offset;
  if (!setBack) return false;
  // What the wall shows, read as UTC, where no clock ever changes: is it a slot there?
  const wall = slotMs + offset;
  return new CronTime(cron, 'UTC').getNextDateFrom(new Date(wall - SECOND_MS), 'UTC').toMillis() !== wall;
}
