import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/kernel/errors.ts';
import { dueSlot, nextSlot, parseSchedule } from '../../src/schedule/cron.ts';

const QUARTER_MS = 15 * 60_000;

const utc = (text: string): number => Date.parse(text);
const iso = (ms: number | undefined): string | undefined =>
  ms === undefined ? undefined : new Date(ms).toISOString().slice(0, 19) + 'Z';

/** Slots after an instant and up to another, as the loop would see them. */
function slots(cron: string, timeZone: string, from: string, to: string): string[] {
  const found: string[] = [];
  for (let slot = nextSlot({ cron, timeZone }, utc(from)); slot <= utc(to); slot = nextSlot({ cron, timeZone }, slot)) {
    found.push(iso(slot) ?? '');
    if (found.length > 1000) throw new Error('the slots never end');
  }
  return found;
}

describe('the next slot', () => {
  it('is after the instant, never at the instant itself', () => {
    const daily = { cron: '0 3 * * *', timeZone: 'UTC' };
    expect(iso(nextSlot(daily, utc('2026-03-01T02:59:59.500Z')))).toBe('2026-03-01T03:00:00Z');
    expect(iso(nextSlot(daily, utc('2026-03-01T03:00:00Z')))).toBe('2026-03-02T03:00:00Z');
    expect(iso(nextSlot(daily, utc('2026-03-01T03:00:00.999Z')))).toBe('2026-03-02T03:00:00Z');
  });

  it('follows the zone of the expression, not the zone of the machine', () => {
    const before = process.env['TZ'];
    try {
      for (const machine of ['UTC', 'Asia/Tokyo', 'America/New_York']) {
        process.env['TZ'] = machine;
        expect(slots('0 3 * * *', 'Europe/Paris', '2026-07-01T00:00:00Z', '2026-07-02T12:00:00Z')).toEqual([
          '2026-07-01T01:00:00Z',
          '2026-07-02T01:00:00Z',
        ]);
      }
    } finally {
      if (before === undefined) delete process.env['TZ'];
      else process.env['TZ'] = before;
    }
  });

  it('comes once in the night when clocks go back', () => {
    expect(slots('0 3 * * *', 'Europe/Paris', '2026-10-24T12:00:00Z', '2026-10-26T12:00:00Z')).toEqual([
      '2026-10-25T02:00:00Z',
      '2026-10-26T02:00:00Z',
    ]);
    expect(slots('15 2 * * *', 'America/New_York', '2026-10-31T12:00:00Z', '2026-11-02T12:00:00Z')).toEqual([
      '2026-11-01T07:15:00Z',
      '2026-11-02T07:15:00Z',
    ]);
  });

  it('comes once in the night when clocks go forward, after the hour that is missing', () => {
    expect(slots('30 2 * * *', 'Europe/Paris', '2026-03-28T12:00:00Z', '2026-03-30T12:00:00Z')).toEqual([
      '2026-03-29T01:00:00Z',
      '2026-03-30T00:30:00Z',
    ]);
  });
});

describe('every day of a year has one slot of a daily expression', () => {
  const zones = [
    'UTC', 'Europe/Paris', 'Europe/London', 'America/New_York', 'America/Los_Angeles', 'America/Sao_Paulo',
    'America/St_Johns', 'Africa/Cairo', 'Asia/Kolkata', 'Asia/Tokyo', 'Asia/Kathmandu', 'Australia/Sydney',
    'Australia/Adelaide', 'Pacific/Auckland', 'Pacific/Chatham', 'Pacific/Apia', 'America/Santiago', 'Asia/Beirut',
  ]; // oxfmt-ignore

  /** Local time as `2026-10-25 03:00` from Intl, which the code under test does not use. */
  function wall(timeZone: string): (ms: number) => string {
    const format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'short' });
    return (ms) => format.format(ms);
  }

  /** The days around the changes of offset in 2026: nothing can go wrong on other days. */
  function changes(timeZone: string): number[] {
    const at = wall(timeZone);
    const found: number[] = [];
    for (let ms = utc('2026-01-01T00:00:00Z'); ms < utc('2027-01-01T00:00:00Z'); ms += 86_400_000)
      if (at(ms).slice(11) !== at(ms + 86_400_000).slice(11)) found.push(ms);
    return found.length > 0 ? found : [utc('2026-06-01T00:00:00Z')];
  }

  it.each(zones)('%s', (timeZone) => {
    const at = wall(timeZone);
    for (const change of changes(timeZone)) {
      const [from, to] = [change - 2 * 86_400_000, change + 3 * 86_400_000];
      const quarters: [ms: number, day: string, time: string][] = [];
      for (let ms = from + QUARTER_MS; ms <= to; ms += QUARTER_MS) {
        const [day = '', time = ''] = at(ms).split(' ');
        quarters.push([ms, day, time]);
      }
      for (const [hour, minute] of [
        [0, 0],
        [0, 30],
        [1, 15],
        [2, 0],
        [2, 30],
        [3, 0],
        [4, 0],
        [12, 0],
      ] as const) {
        const found = slots(
          `${minute} ${hour} * * *`,
          timeZone,
          new Date(from).toISOString(),
          new Date(to).toISOString(),
        );
        // The oracle goes through the quarters: the first with the expected time on a day is the slot of that day.
        const expectedTime = `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`;
        const first = new Map<string, string>();
        for (const [ms, day, time] of quarters)
          if (time === expectedTime && !first.has(day)) first.set(day, iso(ms) ?? '');
        const expected = [...first.values()];
        // A day whose expected time falls into the missing hour has its slot right after that hour.
        const moved = found.filter((slot) => !expected.includes(slot));
        const wrong = moved.filter((slot) => {
          const [day = '', time = ''] = at(utc(slot)).split(' ');
          return first.has(day) || time < expectedTime;
        });
        const missing = expected.filter((slot) => !found.includes(slot));
        expect({ timeZone, expectedTime, wrong, missing }).toEqual({ timeZone, expectedTime, wrong: [], missing: [] });
      }
    }
  });
});

describe('the slot that is due', () => {
  const daily = { cron: '0 3 * * *', timeZone: 'UTC' };

  it('nothing is due between slots', () => {
    expect(dueSlot(daily, utc('2026-03-01T03:00:00Z'), utc('2026-03-02T02:59:59Z'))).toBeUndefined();
  });

  it('a slot is due from its own instant on', () => {
    expect(iso(dueSlot(daily, utc('2026-03-01T03:00:00Z'), utc('2026-03-02T03:00:00Z')))).toBe('2026-03-02T03:00:00Z');
  });

  it('several missed slots are caught up by one, the newest', () => {
    expect(iso(dueSlot(daily, utc('2026-03-01T03:00:00Z'), utc('2026-03-08T12:00:00Z')))).toBe('2026-03-08T03:00:00Z');
  });

  it('a clock that was set back makes no slot due twice', () => {
    expect(dueSlot(daily, utc('2026-03-08T03:00:00Z'), utc('2026-03-05T12:00:00Z'))).toBeUndefined();
  });

  it('a rare slot is found after a long pause', () => {
    const leap = { cron: '0 0 29 2 *', timeZone: 'UTC' };
    expect(iso(dueSlot(leap, 0, utc('2026-03-08T12:00:00Z')))).toBe('2024-02-29T00:00:00Z');
  });

  it('a pause of years over an expression of every minute takes no noticeable time', () => {
    const started = performance.now();
    expect(iso(dueSlot({ cron: '* * * * *', timeZone: 'Europe/Paris' }, 0, utc('2026-03-08T12:00:30Z')))).toBe(
      '2026-03-08T12:00:00Z',
    );
    expect(performance.now() - started).toBeLessThan(2000);
  });
});

describe('an unusable expression is refused with the reason', () => {
  it.each([
    ['61 * * * *', /^The cron expression "61 \* \* \* \*" cannot be used: .*out of range/],
    ['often', /^The cron expression "often" cannot be used: Unknown alias/],
    ['0 0 31 2 *', /^The cron expression "0 0 31 2 \*" cannot be used: no date ever matches it/],
  ])('%s', (cron, message) => {
    let refused: unknown;
    try {
      parseSchedule({ cron, timeZone: 'UTC' });
    } catch (error) {
      refused = error;
    }
    expect(refused).toBeInstanceOf(ConfigError);
    expect(refused).toMatchObject({ message: expect.stringMatching(message) });
  });
});
