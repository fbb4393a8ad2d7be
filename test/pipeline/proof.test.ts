/** The proof of an hour is weakened only by the engine's own repeated rejection, only for one run, and never silently. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { pino } from 'pino';
import { metricsText, observed } from '../../src/commands/observe.ts';
import { EXIT } from '../../src/kernel/errors.ts';
import { BEST_GRADE } from '../../src/model/coverage.ts';
import type { RunReport } from '../../src/model/report.ts';
import { watchTraffic } from '../../src/operate/traffic.ts';
import { runSummary, statusSummary } from '../../src/output/summary.ts';
import { runPipeline } from '../../src/pipeline/run.ts';
import { lakeStatus } from '../../src/pipeline/status.ts';
import type { FaultRule } from '../../sandbox/faults.ts';
import { CAMPAIGN, LONG } from '../support/campaign.ts';
import { SOURCE, addEvent, orderFaults } from './support/faulty.ts';
import { loadOnce, openWorld, reportOf, type LoadedWorlds, type World } from './support/world.ts';

const EVENTS = { tables: ['Events'] } as const;
/** Matches every query that asks for the ids of the rows. */
const FINGERPRINT = { query: 'binary_all_xor' } as const;
const REJECTED: FaultRule = { times: null, reply: { kind: 'refused-function', name: 'binary_all_xor' } };
const UNCOUNTED: FaultRule = {
  match: { query: 'summarize' },
  times: null,
  reply: { kind: 'refused-function', name: 'count' },
};

const PROOFS = `
  select hour::varchar as hour, state, grade, verified_at::varchar as at from coverage where table_name = 'events' order by hour`;

let loaded: LoadedWorlds;
let world: World;
beforeAll(async () => {
  loaded = await loadOnce(SOURCE, EVENTS);
});
afterAll(() => loaded[Symbol.asyncDispose]());
beforeEach(async () => {
  world = await loaded.next();
});
afterEach(() => world[Symbol.asyncDispose]());

const order = (...rules: FaultRule[]) => orderFaults(world.sandbox, rules);
const gradesOfRows = (): Promise<unknown> =>
  world.sql(
    `select distinct grade from coverage where table_name = 'events' and state = 'verified' and source_rows > 0 order by 1`,
  );
const addRow = (n: number, timestamp: string) => addEvent(world.sandbox, n, timestamp);

const SEMANTIC = 'Semantic error';

const failures: readonly (readonly [string, FaultRule['reply']])[] = [
  ...[400, 402, 405, 409, 410, 415, 422, 451, 501, 505, 508].map(
    (status) => [`status ${status}`, { kind: 'status', status }] as const,
  ),
  ['a redirect', { kind: 'redirect', status: 302 }],
  ['a 400 that says "Semantic error"', { kind: 'status', status: 400, detail: SEMANTIC }],
  [
    'a 400 that rejects a function of another query',
    { kind: 'status', status: 400, detail: "Semantic error: SEM0260: Unknown function: 'geo_distance'." },
  ],
  [
    'a 200 that contains a BadRequest error',
    { kind: 'top-level-error', message: 'BadRequest: Request is invalid and cannot be processed.' },
  ],
  ['an answer without any row', { kind: 'silent-truncation', rows: 0 }],
];
const retried: readonly (readonly [string, FaultRule['reply']])[] = [
  ...[425, 499, 500, 507, 520, 525, 526, 527, 528, 529, 530, 598].map(
    (status) => [`status ${status}`, { kind: 'status', status }] as const,
  ),
  ['a 500 that says "Semantic error"', { kind: 'status', status: 500, detail: SEMANTIC }],
];

describe('one odd answer to the query for fingerprints', () => {
  for (const [name, reply] of failures)
    it(
      `${name}: the table fails, no proof changes, and the next run proves by checksum`,
      /402/.test(name) ? CAMPAIGN : LONG,
      async () => {
        const before = await world.sql(PROOFS);
        await addRow(1, '2026-10-31T12:34:56Z');
        await order({ match: FINGERPRINT, reply });
        const report = await world.run(EVENTS);
        expect(report.exitCode).toBe(EXIT.source);
        expect(reportOf(report, 'Events')).toMatchObject({ outcome: 'failed', error: { failure: 'source' }, pages: 0 });
        expect(await world.sql(PROOFS)).toEqual(before);
        expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ outcome: 'verified', inserted: 1 });
        expect(await gradesOfRows()).toEqual([{ grade: BEST_GRADE }]);
      },
    );

  for (const [index, [name, reply]] of retried.entries())
    it(`${name}: is retried, and the run proves by checksum`, index === 0 ? CAMPAIGN : LONG, async () => {
      await addRow(1, '2026-10-31T12:34:56Z');
      await order({ match: FINGERPRINT, reply });
      const report = reportOf(await world.run(EVENTS), 'Events');
      expect(report).toMatchObject({ outcome: 'verified', grade: BEST_GRADE, retries: 1, inserted: 1 });
      expect(await gradesOfRows()).toEqual([{ grade: BEST_GRADE }]);
    });

  it(
    'a rejection by the engine that is not repeated costs one call, and the run proves by checksum',
    CAMPAIGN,
    async () => {
      await order({ ...REJECTED, times: 1 });
      const report = await world.run(EVENTS);
      expect(reportOf(report, 'Events')).toMatchObject({ outcome: 'verified', grade: BEST_GRADE, calls: 2 });
    },
  );

  it('sums that the engine does not compute, once, are requested again', CAMPAIGN, async () => {
    // Null sums arrive as empty fields: the engine accepted the functions without computing them.
    const fetch: typeof globalThis.fetch = async (url, init) => {
      const response = await globalThis.fetch(url, init);
      if (fetched++ > 0) return response;
      const body = (await response.text()).replaceAll(/(\d+ \d+ \d+) \d+ \d+ \d+(?=[;"])/g, '$1   ');
      return new Response(body, { status: response.status, headers: { 'content-type': 'application/json' } });
    };
    let fetched = 0;
    const report = await world.run(EVENTS, {}, { fetch });
    expect(reportOf(report, 'Events')).toMatchObject({ outcome: 'verified', grade: BEST_GRADE, calls: 2 });
  });
});

describe('a source that rejects the fingerprint functions', () => {
  it('is compared by count in each run, and costs two extra calls from the second run on', CAMPAIGN, async () => {
    await order(REJECTED);
    const first = reportOf(await world.run(EVENTS), 'Events');
    expect(first).toMatchObject({ outcome: 'verified', grade: 'count', calls: 5 });
    const second = reportOf(await world.run(EVENTS), 'Events');
    expect(second).toMatchObject({ outcome: 'verified', grade: 'count', calls: 3 });
    await order();
    expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ grade: BEST_GRADE, calls: 1 });
  });

  it('loads a second with more rows than a page holds, without the hash function', CAMPAIGN, async () => {
    await order({ times: null, reply: { kind: 'refused-function', name: 'hash_md5' } });
    const rows = Array.from({ length: 70 }, (_, n) => ({
      eventId: `b0000000-0000-4000-8000-${String(n % 60).padStart(12, '0')}`,
      timestamp: '2026-10-31T12:34:56Z',
      tenantId: 'demo',
      eventType: 'x',
    }));
    await world.sandbox.apply({ action: 'rows', table: 'Events', tenant: 'demo', rows });
    const report = reportOf(await world.run(EVENTS, { page: { maxRows: 25 } }), 'Events');
    expect(report).toMatchObject({ outcome: 'verified', grade: 'count', inserted: 60, duplicates: 10 });
    // A row that is exchanged for another is not seen: only the numbers are compared.
    const [{ eventId: erased } = { eventId: '' }] = rows.slice(30);
    await world.sandbox.apply({ action: 'erase', table: 'Events', tenant: 'demo', ids: [erased] });
    await addRow(1, '2026-10-31T12:34:56Z');
    expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ outcome: 'verified', pages: 0 });
  });

  it('hours that were proven by checksum keep that proof and its date', CAMPAIGN, async () => {
    const before = await world.sql(`from (${PROOFS}) where state = 'verified'`);
    expect(before.length).toBeGreaterThan(20);
    await order(REJECTED);
    await world.run(EVENTS);
    expect(await world.sql(`from (${PROOFS}) where state = 'verified'`)).toEqual(before);
  });

  it(
    'an hour that the count contradicts is fetched again, is proven by count, and later by checksum',
    CAMPAIGN,
    async () => {
      const hour = `select state, grade from coverage where table_name = 'events' and hour = '2026-10-31T12:00:00Z'`;
      await order(REJECTED);
      await addRow(1, '2026-10-31T12:34:56Z');
      const report = reportOf(await world.run(EVENTS), 'Events');
      expect(report).toMatchObject({ outcome: 'verified', grade: 'count', inserted: 1, pages: 1 });
      expect(await world.sql(hour)).toEqual([{ state: 'verified', grade: 'count' }]);
      await order();
      await world.run(EVENTS);
      // Its rows came without digests.
      expect(await world.sql(hour)).toEqual([{ state: 'verified', grade: 'checksum' }]);
    },
  );

  it(
    'the log, the summary, the status and the metrics say so, until a run has the better proof again',
    CAMPAIGN,
    async () => {
      const logged: Record<string, unknown>[] = [];
      const log = pino({ level: 'warn' }, { write: (line: string) => void logged.push(JSON.parse(line)) });
      const runtime = { ...world.runtime, log };
      const config = world.config();
      const { signal } = new AbortController();
      const run = async (): Promise<{ report: RunReport; metrics: string; status: string }> => {
        const traffic = watchTraffic(runtime);
        const report = await observed(config, runtime, { traffic, isRegular: true }, signal, () =>
          runPipeline(config, EVENTS, runtime, signal),
        );
        const status = statusSummary(await lakeStatus(config, runtime), { colour: false });
        return { report, metrics: await metricsText(config, runtime), status };
      };
      const metric = 'insights_etl_last_run_proof_lowered{tenant="demo",table="Events"}';
      await order(REJECTED);
      const lowered = await run();
      expect(logged.filter(({ event }) => event === 'proof.lowered')).toMatchObject([
        { tenant: 'demo', table: 'Events', grade: 'count', rejected: BEST_GRADE },
      ]);
      expect(runSummary(lowered.report, { colour: false })).toContain(
        `This run had a weaker proof than ${BEST_GRADE} for demo Events (count)`,
      );
      expect(lowered.status).toContain(`The last run had a weaker proof than ${BEST_GRADE} for demo Events (count)`);
      expect((await lakeStatus(config, runtime)).lastRun?.lowered).toEqual([
        { tenant: 'demo', table: 'Events', grade: 'count' },
      ]);
      expect(lowered.metrics).toContain(`${metric} 1\n`);
      await order();
      const restored = await run();
      expect(runSummary(restored.report, { colour: false })).not.toContain('weaker proof');
      expect(restored.status).not.toContain('weaker proof');
      expect(restored.metrics).toContain(`${metric} 0\n`);
    },
  );

  it('rows that differ under equal counts are found again as soon as the checksum is', LONG, async () => {
    await addRow(1, '2026-10-31T12:34:56Z');
    await world.run(EVENTS);
    await world.sandbox.apply({
      action: 'erase',
      table: 'Events',
      tenant: 'demo',
      ids: ['00000000-0000-4000-8000-000000000001'],
    });
    await addRow(2, '2026-10-31T12:34:56Z');
    await order(REJECTED);
    expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ pages: 0 });
    await order();
    expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ outcome: 'verified', inserted: 1, removed: 1 });
  });
});

describe('a source that starts to refuse to count', () => {
  it(
    'between two comparisons of one run leaves the table partial, with the hours that the first one found',
    LONG,
    async () => {
      await addRow(1, '2026-10-31T12:34:56Z');
      // The page lacks its row, so that the hour does not balance and is compared again.
      await order(
        { match: { kind: 'page' }, times: null, reply: { kind: 'null-id', rows: 1 } },
        { ...UNCOUNTED, after: 1 },
      );
      const table = reportOf(await world.run(EVENTS), 'Events');
      expect(table).toMatchObject({ outcome: 'partial', grade: 'none', hours: { partial: 1 } });
      expect(table.hours.verified).toBeGreaterThan(20);
      await order();
      expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ outcome: 'verified', grade: BEST_GRADE });
    },
  );

  it('while hours are compared by minutes removes no row', LONG, async () => {
    await addRow(1, '2026-10-31T12:34:56Z');
    await order({ ...UNCOUNTED, after: 1 });
    const table = reportOf(await world.run(EVENTS, { page: { maxRows: 3 } }), 'Events');
    expect(table.removed).toBe(0);
    await order();
    expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ outcome: 'verified', removed: 0 });
  });

  it('for one table without a start fails that table and no other one of the tenant', CAMPAIGN, async () => {
    await using fresh = await openWorld(SOURCE);
    await fresh.sandbox.apply({
      action: 'faults',
      rules: [{ ...UNCOUNTED, match: { query: 'summarize', table: 'Events' } }],
    });
    const report = await fresh.run();
    expect(report.exitCode).toBe(EXIT.config);
    expect(report.tables.map(({ table, outcome }) => [table, outcome])).toEqual([
      ['Logs', 'verified'],
      ['Events', 'failed'],
      ['Metrics', 'verified'],
    ]);
    expect(reportOf(report, 'Events').error?.hint).toContain('tables.Events.start');
  });
});
