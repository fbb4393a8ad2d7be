/** Days that begin while clocks change, in every zone that has one in 2024 to 2028. Expected values come from Node's zone data. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listChecks, listReports } from '../../../src/query/report.ts';
import { shown } from './support/cases.ts';
import { openLake, type Lake } from './support/lake.ts';
import { HOUR } from './support/random.ts';

const DAY = 24 * HOUR;
const [START, END] = [Date.UTC(2024, 0, 1), Date.UTC(2029, 0, 1)];

/** What a zone's clock shows, as if it were UTC. */
function clockOf(zone: string): (at: number) => number {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric',
  }); // oxfmt-ignore
  return (at) => {
    const part: Record<string, number> = {};
    for (const { type, value } of format.formatToParts(at)) part[type] = Number(value);
    return Date.UTC(part['year'] ?? 0, (part['month'] ?? 1) - 1, part['day'], part['hour'], part['minute'], part['second']); // oxfmt-ignore
  };
}

/** The first whole second in `(from, to]` for which a condition holds that does not hold before it. */
function firstIn(from: number, to: number, holds: (at: number) => boolean): number {
  let [low, high] = [from, to];
  while (high - low > 1000) {
    const middle = Math.floor((low + high) / 2000) * 1000;
    if (holds(middle)) high = middle;
    else low = middle;
  }
  return high;
}

const dayOf = (wall: number): string => new Date(wall).toISOString().slice(0, 10);

interface Change {
  readonly zone: string;
  /** Local days: the one before the change of the clock, and the one that begins near it. */
  readonly days: readonly string[];
  readonly at: number;
}

/** The changes of clocks between, from or to a midnight. */
function changesAtMidnight(zone: string): Change[] {
  const clock = clockOf(zone);
  const found: Change[] = [];
  let offset = clock(START) - START;
  for (let at = START; at < END; at += 10 * DAY) {
    if (clock(at) - at === offset) continue;
    const before = offset;
    const change = firstIn(at - 10 * DAY, at, (instant) => clock(instant) - instant !== before);
    offset = clock(at) - at;
    const clocks = [change + before, clock(change)];
    const midnight = Math.ceil(Math.min(...clocks) / DAY) * DAY;
    if (midnight <= Math.max(...clocks))
      found.push({ zone, at: change, days: [dayOf(midnight - DAY), dayOf(midnight), dayOf(midnight + DAY)] });
  }
  return found;
}

const changes = Intl.supportedValuesOf('timeZone').flatMap(changesAtMidnight);
/** One change forward and one back of some zones. Events lie half an hour apart. */
const asked = ['Atlantic/Azores', 'Africa/Cairo', 'America/Havana'].flatMap((zone) =>
  changes.filter((change) => change.zone === zone).slice(0, 2),
);
const halfHours = ({ at }: Change): number[] => Array.from({ length: 200 }, (_, nth) => at + (nth - 100) * (HOUR / 2));
const iso = (at: number): string => new Date(at).toISOString();

let lake: Lake;
beforeAll(async () => {
  lake = await openLake({
    happenings: asked.flatMap((change, which) =>
      halfHours(change).map((at, nth) => ({
        table: 'events' as const, tenant: `t${which}`, time: iso(at), type: 'Pass:Installed', properties: `{"passId":"${nth}","device":"apple"}`, id: `${which}-${nth}`,
      })),
    ), // oxfmt-ignore
    metrics: [],
    coverage: asked.map(({ at }, which) => ({
      tenant: `t${which}`, table: 'events', from: iso(Math.floor((at - 3 * DAY) / HOUR) * HOUR), to: iso(Math.floor((at + 3 * DAY) / HOUR) * HOUR), state: 'verified',
    })), // oxfmt-ignore
  });
});
afterAll(() => lake[Symbol.asyncDispose]());

describe('a day that begins while clocks change', () => {
  it('starts with its first instant, in every zone that changes its clock at midnight', async () => {
    const moments = JSON.stringify(changes.map(({ zone, at }) => ({ zone, moment: iso(at) })));
    const clocks = await lake.select(
      `select zone, epoch_ms(moment::timestamptz at time zone zone) as wall from (select unnest($given::json::struct(zone varchar, moment varchar)[], recursive := true))`,
      { given: moments },
    );
    // Node and the engine may have different editions of the zone data, which the states of the world change every year.
    const known = changes.filter(({ zone, at }, index) => Number(clocks[index]?.['wall']) === clockOf(zone)(at));
    const zones = new Set(known.map(({ zone }) => zone));
    expect([...zones]).toEqual(expect.arrayContaining(['Atlantic/Azores', 'America/Havana', 'Africa/Cairo', 'Asia/Beirut', 'America/Santiago'])); // oxfmt-ignore
    const expected = known.flatMap(({ zone, days, at }) => {
      const clock = clockOf(zone);
      return days.map((day) => {
        const start = firstIn(at - 4 * DAY, at + 4 * DAY, (instant) => dayOf(clock(instant)) >= day);
        return { zone, day, starts_at: iso(start).slice(0, 19), period: `${dayOf(clock(start))} 00:00:00` };
      });
    });
    const found = await lake.select(
      `select zone, day, strftime(day_start(day, zone) at time zone 'UTC', '%Y-%m-%dT%H:%M:%S') as starts_at, period_of(day_start(day, zone), zone, 'day') as period
       from (select unnest($given::json::struct(zone varchar, day varchar)[], recursive := true))`,
      { given: JSON.stringify(expected.map(({ zone, day }) => ({ zone, day }))) },
    );
    expect(found).toEqual(expected);
  });

  it('has all of its events and hours in a report, and a range of one day loses none', async () => {
    for (const [which, change] of asked.entries()) {
      const clock = clockOf(change.zone);
      const of = (instants: readonly number[]): Record<string, number> => {
        const counts: Record<string, number> = {};
        for (const at of instants) counts[dayOf(clock(at))] = (counts[dayOf(clock(at))] ?? 0) + 1;
        return counts;
      };
      const [first = '', day = '', next = ''] = change.days;
      const installs = of(halfHours(change));
      for (const [from, to] of [
        [first, day],
        [day, next],
      ] as const) {
        // oxfmt-ignore
        const words = [`tenant=t${which}`, `zone=${change.zone}`, `from=${from}`, `to=${to}`];
        const rows = await lake.ask('gross_installs', words);
        const { zone } = change;
        const short = rows.map((row) => [zone, shown(row['period']), row['installs'], row['is_cut'], row['coverage']]);
        expect(short).toEqual([[zone, from, String(installs[from]), false, 'verified']]);
      }
    }
  });

  it('is cut by no statement of its own: every query takes periods and ranges from the shared macros', async () => {
    const others = [...(await listReports()), ...(await listReports('views')), ...(await listChecks())]
      .filter(({ name }) => name !== 'day_start' && name !== 'period_of')
      .filter(({ sql }) => /at time zone (\$zone|in_zone)|date_trunc\((\$grain|by_grain)/.test(sql));
    expect(others.map(({ name }) => name)).toEqual([]);
  });
});
