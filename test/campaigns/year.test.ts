/**
 * A year of the schedule on a clock of our own: the machine is switched off, its clock steps, runs fail, take days or are
 * cut off, the zone is changed. What is due is reckoned here from the wall clock, with no part in the code under test.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pino } from 'pino';
import { LONG } from '../support/campaign.ts';
import type { Due, Planned } from '../../src/schedule/agenda.ts';
import { runDaemon } from '../../src/schedule/daemon.ts';
import { EXIT } from '../../src/kernel/errors.ts';
import type { Runtime } from '../../src/kernel/runtime.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const START = Date.parse('2026-01-01T12:00:00Z');
const END = Date.parse('2027-01-01T12:00:00Z');

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'insights-year-'));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

interface Done {
  readonly table: string;
  readonly slot: number;
  readonly after: number;
  /** By the machine's clock. */
  readonly at: number;
}

/** mulberry32: chance that can be repeated. */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** First instants at which the wall shows one of `times`, each once a day, as a person reads a clock. */
function wallSlots(timeZone: string, times: readonly string[], from: number, to: number): number[] {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'short' });
  const seen = new Set<string>();
  const slots: number[] = [];
  for (let ms = Math.floor((from - 2 * HOUR) / (HOUR / 2)) * (HOUR / 2); ms <= to; ms += HOUR / 2) {
    const shown = format.format(ms);
    if (!times.includes(shown.slice(11)) || seen.has(shown)) continue;
    seen.add(shown);
    if (ms > from) slots.push(ms);
  }
  return slots;
}

const ZONES = ['Europe/Paris', 'America/New_York', 'Australia/Sydney'] as const;
const LOGS = { cron: '30 4 * * *', times: ['04:30'] };
const EVENTS = { cron: '0 0,12 * * *', times: ['00:00', '12:00'] };

function plannedIn(timeZone: string): Planned[] {
  return [
    { tenant: 'demo', table: 'Logs', schedule: { cron: LOGS.cron, timeZone } },
    { tenant: 'demo', table: 'Events', schedule: { cron: EVENTS.cron, timeZone } },
  ];
}

/** Lives through the year; returns the runs that counted, and what zone held from when (machine clock). */
async function live(seed: number, jitterMs: number, end: number) {
  const random = chance(seed);
  let now = START;
  /** Highest instant the machine's clock has shown. */
  let highest = now;
  const done: Done[] = [];
  const zones: { from: number; zone: string }[] = [];
  let running = 0;
  let [cut, failed, off, stepped] = [0, 0, 0, 0];
  for (let life = 0; now < end; life++) {
    const zone = ZONES[Math.min(ZONES.length - 1, Math.floor((now - START) / (120 * DAY)))] ?? 'UTC';
    if (zones.at(-1)?.zone !== zone) zones.push({ from: now, zone });
    const stop = new AbortController();
    const killAt = Math.min(end, now + random() * 12 * DAY);
    const pass = (ms: number): void => {
      now += ms;
      highest = Math.max(highest, now);
      if (now >= killAt) stop.abort();
    };
    const runtime: Runtime = {
      now: () => now,
      monotonic: () => now,
      async sleep(ms, signal) {
        signal?.throwIfAborted();
        pass(ms);
        // A clock that is put right: by minutes mostly, by most of a day sometimes, back as often as forward.
        if (random() < 0.02) {
          now += (random() - 0.5) * (random() < 0.2 ? 40 * HOUR : 20 * 60_000);
          stepped++;
        }
        signal?.throwIfAborted();
      },
      random,
      fetch: globalThis.fetch,
      log: pino({ level: 'silent' }),
    };
    const run = async (due: readonly Due[]): Promise<number> => {
      expect(++running).toBe(1);
      const at = now;
      pass(random() < 0.02 ? random() * 3 * DAY : random() * HOUR);
      running--;
      if (stop.signal.aborted) {
        cut++;
        return EXIT.stopped;
      }
      for (const { table, slot, after } of due) done.push({ table, slot, after, at });
      if (random() > 0.1) return EXIT.ok;
      failed++;
      throw new Error('outage');
    };
    await runDaemon({ planned: plannedIn(zone), dataDir, once: false, jitterMs, run }, runtime, stop.signal);
    // Off for a while, now and then for weeks.
    const pause = random() < 0.3 ? random() * 15 * DAY : random() * HOUR;
    now += pause;
    highest = Math.max(highest, now);
    off++;
  }
  return { done, zones, highest, counts: { cut, failed, off, stepped } };
}

describe('a year of outages, clock steps, restarts and changes of zone', () => {
  it('accounts for each slot of each table exactly once', LONG, async () => {
    const { done, zones, counts } = await live(1, 0, END);
    expect(zones.length).toBe(ZONES.length);
    expect(Math.min(...Object.values(counts))).toBeGreaterThan(0);
    for (const [table, { times }] of Object.entries({ Logs: LOGS, Events: EVENTS })) {
      const runs = done.filter((entry) => entry.table === table);
      const slots = new Map(
        ZONES.map((zone) => [zone as string, wallSlots(zone, times, START - 2 * DAY, END + 20 * DAY)]),
      );
      // Each run covers (after, slot]; together they leave no gap and no overlap.
      expect(runs[0]?.after).toBe(START);
      const broken = runs.filter(({ after }, index) => index > 0 && after !== runs[index - 1]?.slot);
      expect(broken).toEqual([]);
      expect(runs.filter(({ slot, after }) => slot <= after)).toEqual([]);
      // Never before its time, and at the newest slot that the wall clock of the zone in force had shown.
      expect(runs.filter(({ slot, at }) => at < slot)).toEqual([]);
      const wrong = runs.filter(({ slot, at }) => {
        const held = zones.filter(({ from }) => from <= at + 2 * DAY).map(({ zone }) => zone);
        return !held.some((zone) => slots.get(zone)?.findLast((shown) => shown <= at) === slot);
      });
      expect(wrong).toEqual([]);
      expect(runs.length).toBeGreaterThan(table === 'Logs' ? 100 : 200);
    }
  });

  it('jitter delays every slot by the share of this installation, and loses none', LONG, async () => {
    const { done } = await live(4, 3 * HOUR, START + 60 * DAY);
    const runs = done.filter(({ table }) => table === 'Events');
    expect(runs.filter(({ after }, index) => index > 0 && after !== runs[index - 1]?.slot)).toEqual([]);
    const delays = runs.map(({ at, slot }) => at - slot);
    const least = Math.min(...delays);
    expect(least).toBeGreaterThan(0);
    expect(least).toBeLessThan(3 * HOUR);
    // Undisturbed slots all have the same delay.
    expect(delays.filter((delay) => delay === least).length).toBeGreaterThan(runs.length / 3);
  });
});
