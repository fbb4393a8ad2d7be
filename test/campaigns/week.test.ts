/**
 * Hourly runs over many tenants, three of them broken: a wrong key, an endless outage, rows without ids. The clock is
 * simulated: it advances only while a timer is pending and no call is in flight, so the measurement does not depend on this
 * machine.
 * `node test/bench/week.mjs` does a whole week with twenty tenants.
 */
import { afterEach, describe, expect, it } from 'vitest';
import type { Planned } from '../../src/schedule/agenda.ts';
import { runDaemon } from '../../src/schedule/daemon.ts';
import { runPipeline } from '../../src/pipeline/run.ts';
import type { RunReport, TableReport } from '../../src/model/report.ts';
import type { Runtime } from '../../src/kernel/runtime.ts';
import { TABLE_NAMES } from '../../src/model/tables.ts';
import { openWorld, type World } from '../pipeline/support/world.ts';
import { LONG } from '../support/campaign.ts';

const HOURS = Number(process.env['WEEK_HOURS'] ?? 2);
const TENANTS = Number(process.env['WEEK_TENANTS'] ?? 5);
const START = Date.parse('2026-10-25T00:30:00Z');
const HOUR_MS = 3_600_000;
const END = START + HOURS * HOUR_MS;
/** Low enough that runs wait for it. */
const CALLS_A_MINUTE = 4;
/** A long run says after each hour how far it is and what the hour cost. */
const TELLS = process.env['WEEK_HOURS'] !== undefined;
const BROKEN = ['badkey', 'outage', 'rotten'] as const;

let world: World;
afterEach(() => world[Symbol.asyncDispose]());

/** Sleepers wake one after the other in the order of their instants, but for busy times; time is that of the last one woken. */
function sleepersClock(startMs: number, isBusy: () => boolean) {
  let now = startMs;
  let sleepers: { readonly at: number; readonly wake: () => void }[] = [];
  let pumping = false;
  const pump = (): void => {
    if (isBusy()) {
      setTimeout(pump, 2);
      return;
    }
    const next = sleepers.toSorted((a, b) => a.at - b.at)[0];
    pumping = next !== undefined;
    if (!next) return;
    sleepers = sleepers.filter((other) => other !== next);
    now = Math.max(now, next.at);
    next.wake();
    setTimeout(pump, 2);
  };
  const sleep: Runtime['sleep'] = (ms, signal) =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const onAbort = (): void => {
        sleepers = sleepers.filter((other) => other !== sleeper);
        reject(signal?.reason);
      };
      const wake = (): void => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      const sleeper = { at: now + ms, wake };
      sleepers.push(sleeper);
      signal?.addEventListener('abort', onAbort, { once: true });
      if (!pumping) setTimeout(pump, 2);
      pumping = true;
    });
  return { now: () => now, monotonic: () => now, sleep };
}

interface Run {
  readonly slot: number;
  readonly endedMs: number;
  readonly report: RunReport;
}

/** Tables of healthy tenants that a run has not verified, or not within its interval. */
function lateIn({ slot, report }: Run, healthy: readonly string[]): object[] {
  return report.tables
    .filter(({ tenant }) => healthy.includes(tenant))
    .filter(({ outcome, sourceAt = '' }) => outcome !== 'verified' || Date.parse(sourceAt) >= slot + HOUR_MS)
    .map(({ tenant, table, outcome, sourceAt, error }) => ({
      slot,
      tenant,
      table,
      outcome,
      sourceAt,
      why: error?.message,
    }));
}

/** The most calls in any minute that begins with a call after `sinceMs`. */
function busiestMinute(at: readonly number[], sinceMs = 0): number {
  const late = at.filter((ms) => ms >= sinceMs);
  return Math.max(0, ...late.map((from) => late.filter((ms) => ms >= from && ms < from + 60_000).length));
}

type Sent = ReadonlyMap<string, readonly number[]>;

/** Calls of any tenant in its busiest minute since an instant. */
function busiestOf(sent: Sent, sinceMs = 0): { readonly tenant: string; readonly calls: number }[] {
  return [...sent].map(([tenant, at]) => ({ tenant, calls: busiestMinute(at, sinceMs) }));
}

let lastReport = { wall: performance.now(), cpu: process.cpuUsage() };

/** The source is in this process too, and has its share in these seconds. */
function tell(hour: number, run: Run, healthy: readonly string[], sent: Sent): void {
  const { user, system } = process.cpuUsage(lastReport.cpu);
  const wall = (performance.now() - lastReport.wall) / 1000;
  const busiest = Math.max(...busiestOf(sent, run.slot).map(({ calls }) => calls));
  const rows = run.report.tables.reduce((sum, { inserted }) => sum + inserted, 0);
  process.stderr.write(
    `hour ${hour} of ${HOURS}: ${healthy.length} healthy tenants, ${lateIn(run, healthy).length} tables late; ` +
      `ended ${Math.round((run.endedMs - run.slot) / 60_000)} minutes after its slot, busiest minute ${busiest} calls; ` +
      `${rows} rows; here ${wall.toFixed(1)} s, ${((user + system) / 1e6).toFixed(1)} s of CPU\n`,
  );
  for (const late of lateIn(run, healthy)) process.stderr.write(`  late: ${JSON.stringify(late)}\n`);
  lastReport = { wall: performance.now(), cpu: process.cpuUsage() };
}

const isLoaded =
  (id: string) =>
  ({ tenant, outcome, inserted }: TableReport): boolean =>
    tenant === id && outcome === 'verified' && inserted > 0;

describe(`${HOURS} hours of hourly runs with ${TENANTS} tenants, ${BROKEN.length} of them broken`, () => {
  it(
    'the others are verified in every interval, and no tenant is asked more often than it may be',
    { ...LONG, timeout: 300_000 + HOURS * TENANTS * 3000 },
    async () => {
      const healthy = Array.from({ length: TENANTS - BROKEN.length }, (_, k) => `t${String(k).padStart(2, '0')}`);
      const tenants = [...BROKEN, ...healthy];
      const days = Math.ceil(HOURS / 24) + 1;
      world = await openWorld({
        tenants,
        rows: days * 120,
        days,
        now: new Date(END).toISOString(),
        frozen: true,
        replay: true,
        faults: [
          { match: { tenant: 'outage' }, times: null, reply: { kind: 'status', status: 503 } },
          { match: { tenant: 'rotten', kind: 'page' }, times: null, reply: { kind: 'null-id', rows: 100_000 } },
        ],
      });
      let underWay = 0;
      const clock = sleepersClock(START, () => underWay > 0);
      const sent = new Map(tenants.map((tenant) => [tenant, [] as number[]]));
      const fetch: Runtime['fetch'] = async (url, init) => {
        const tenant = /api\/([^/]+)\/insights/.exec(typeof url === 'string' ? url : '')?.[1] ?? '';
        sent.get(tenant)?.push(clock.now());
        // The service's clock is ours.
        await world.sandbox.apply({ action: 'clock', set: new Date(clock.now()).toISOString() });
        underWay++;
        return globalThis.fetch(url, init).finally(() => underWay--);
      };
      let seed = 1;
      const random = (): number => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647;
      const runtime: Runtime = { ...world.runtime, ...clock, fetch, random };
      const config = world.config({
        callsPerMinute: CALLS_A_MINUTE,
        tenants: tenants.map((id) => ({
          id,
          // All others keep the patience that a few unusable rows are given.
          ...(id === 'rotten' ? { quarantine: { minRows: 1 } } : {}),
          apiKey: { env: `KEY_${(id === 'badkey' ? 't00' : id).toUpperCase()}` },
        })),
      });
      const schedule = { cron: '0 * * * *', timeZone: 'UTC' };
      const planned: Planned[] = tenants.flatMap((tenant) => TABLE_NAMES.map((table) => ({ tenant, table, schedule })));
      const stop = new AbortController();
      const runs: Run[] = [];
      await runDaemon(
        {
          planned,
          dataDir: world.dataDir,
          once: false,
          jitterMs: 0,
          async run(due) {
            const slot = Math.max(...due.map((entry) => entry.slot));
            const report = await runPipeline(config, {}, runtime, new AbortController().signal);
            const ended = { slot, endedMs: clock.now(), report };
            runs.push(ended);
            if (TELLS) tell(runs.length, ended, healthy, sent);
            if (runs.length === HOURS) stop.abort();
            return report.exitCode;
          },
        },
        runtime,
        stop.signal,
      );

      // Every hour has its run, and no run reaches into the next.
      const slots = Array.from({ length: HOURS }, (_, k) => START + HOUR_MS / 2 + k * HOUR_MS);
      expect(runs.map(({ slot }) => slot)).toEqual(slots);
      expect(runs.filter(({ slot, endedMs }) => endedMs >= slot + HOUR_MS)).toEqual([]);
      expect(runs.flatMap((run) => lateIn(run, healthy))).toEqual([]);

      // The broken ones are broken: refused at the first call, given up after some, kept out of the lake.
      const outcomes = new Map(BROKEN.map((id) => [id, new Set(runs.flatMap(({ report }) => report.tables).filter(({ tenant }) => tenant === id).map(({ error }) => error?.failure))])); // oxfmt-ignore
      expect(outcomes.get('badkey')).toEqual(new Set(['auth']));
      expect(outcomes.get('outage')).toEqual(new Set(['source']));
      expect(sent.get('badkey')).toHaveLength(HOURS);
      expect(runs.flatMap(({ report }) => report.tables.filter(isLoaded('rotten')))).toEqual([]);
      expect(await world.sql(`select count(*)::int as n from events where tenant_id = 'rotten'`)).toEqual([{ n: 0 }]);

      // Any minute of any tenant.
      expect(busiestOf(sent).filter(({ calls }) => calls > CALLS_A_MINUTE)).toEqual([]);
    },
  );
});
