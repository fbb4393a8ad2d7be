/**
 * A stop signal. A page that is being fetched is landed within the grace period, and the next run does not fetch it again.
 * Wherever else a run is stopped, the next run completes the lake. `npm run stops` stops the real process in each of its stages.
 */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { EXIT, StoppedError } from '../../src/kernel/errors.ts';
import { isOpeningsFile } from '../support/files.ts';
import { runPipeline } from '../../src/pipeline/run.ts';
import type { RunReport } from '../../src/model/report.ts';
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import { CAMPAIGN, LONG } from '../support/campaign.ts';
import { bytesBelow, openWorld, reportOf, sourceRows, type World } from './support/world.ts';
import { watchedFiles } from '../campaigns/soak/support/disk.ts';

const SOURCE = { rows: 900, days: 2, seed: 6, now: '2026-11-01T00:30:00Z', frozen: true } as const;
const ONE_AT_A_TIME = {
  page: { maxRows: 200 },
  inFlight: 1,
  tables: { Logs: { enabled: false }, Metrics: { enabled: false } },
};

let world: World;
afterEach(() => world[Symbol.asyncDispose]());

/** Calls `stop` when the first page is being fetched. Returns the page queries in the order in which they were sent. */
async function runWith(stop: () => void, signal: AbortSignal, graceSeconds: number) {
  const pages: string[] = [];
  const fetch: typeof globalThis.fetch = (url, init) => {
    const body = typeof init?.body === 'string' ? init.body : '';
    const answer = globalThis.fetch(url, init);
    if (body.includes('take ')) {
      pages.push(body);
      // Deferred, so that the call is under way and cannot be held back.
      if (pages.length === 1) setImmediate(stop);
    }
    return answer;
  };
  const config = world.config({ ...ONE_AT_A_TIME, http: { graceSeconds } });
  const report: RunReport = await runPipeline(config, {}, { ...world.runtime, fetch }, signal);
  return { pages, report };
}

const stopped = (): StoppedError => new StoppedError('Stopped by SIGTERM.');

describe('a stop while a page is being fetched', () => {
  it('lands the page within the grace period, sends no other call, and the next run does not fetch it again', async () => {
    world = await openWorld(SOURCE);
    const stop = new AbortController();
    const first = await runWith(() => stop.abort(stopped()), stop.signal, 20);
    expect(first.report.exitCode).toBe(EXIT.stopped);
    expect(reportOf(first.report, 'Events')).toMatchObject({ outcome: 'stopped', pages: 1 });
    expect(first.pages).toHaveLength(1);
    const second = await runWith(() => {}, new AbortController().signal, 20);
    expect(second.report.exitCode).toBe(EXIT.ok);
    expect(second.pages.length).toBeGreaterThan(0);
    expect(second.pages).not.toContain(first.pages[0]);
  });

  it('without a grace period drops the page at once, and the next run loads it', CAMPAIGN, async () => {
    world = await openWorld(SOURCE);
    const stop = new AbortController();
    const first = await runWith(() => stop.abort(stopped()), stop.signal, 0);
    expect(reportOf(first.report, 'Events')).toMatchObject({ outcome: 'stopped', pages: 0 });
    const second = await runWith(() => {}, new AbortController().signal, 0);
    expect(second.report.exitCode).toBe(EXIT.ok);
    expect(await bytesBelow(`${world.dataDir}/landing`).catch(() => '')).toBe('');
  });
});

describe('a stop while', () => {
  let source: Sandbox;
  beforeAll(async () => {
    source = await startSandbox({ ...SOURCE, rows: 300, rate: 0, memory: true });
  });
  afterAll(() => source.close());

  /** The file operation that each stage begins with, and the exit code of a run that is stopped there. */
  const stages: [string, RegExp, number][] = [
    ['a page is landed', /^rename landing.*\.ndjson$/, EXIT.stopped],
    ['a generation is named', /^rename store.events.*\.parquet$/, EXIT.stopped],
    ['landed pages are removed', /^rm landing/, EXIT.stopped],
    ['a mart is named', /^rename store.marts.*\.parquet$/, EXIT.stopped],
    ['the catalogue is named', /^rename insights\.duckdb$/, EXIT.ok],
    ['the manifest is named', /^rename manifest\.json$/, EXIT.ok],
    ['the head is linked', /^link work.head-events-links/, EXIT.ok],
  ];
  const REPRESENTATIVES = ['the catalogue is named'];
  for (const [name, stage, exitCode] of stages)
    it(
      `${name} ends the run, and the next run completes the lake and leaves no other file`,
      REPRESENTATIVES.includes(name) ? CAMPAIGN : LONG,
      async () => {
        world = await openWorld(source, {
          tables: { Logs: { enabled: false } },
          lake: { keepHours: 0, marts: stage.test('rename store/marts/a/1.parquet') },
        });
        const stop = new AbortController();
        const files = watchedFiles(world.dataDir, {
          before: ({ name, path }) => {
            if (stage.test(`${name} ${path}`)) stop.abort(stopped());
          },
        });
        const first = await runPipeline(world.config(), {}, { ...world.runtime, files }, stop.signal);
        expect(stop.signal.aborted).toBe(true);
        expect(first.exitCode).toBe(exitCode);
        expect(first.isBehind).toBe(exitCode !== EXIT.ok);

        expect((await world.run()).exitCode).toBe(EXIT.ok);
        const rows = await sourceRows(source);
        expect(
          await world.sql(
            `select lower(table_name) as name, sum(source_rows)::int as rows, sum(lake_rows + duplicate_rows + quarantined_rows)::int as account,
           count(*) filter (where state in ('partial', 'unchecked'))::int as unproven
         from coverage group by 1 order by 1`,
          ),
        ).toEqual(
          ['Events', 'Metrics'].map((table) => {
            const n = rows.get(`${source.tenants[0] ?? ''} ${table}`);
            return { name: table.toLowerCase(), rows: n, account: n, unproven: 0 };
          }),
        );
        const manifest = await readFile(join(world.dataDir, 'manifest.json'), 'utf8');
        const names = (await readdir(world.dataDir, { recursive: true })).map((name) => name.replaceAll('\\', '/'));
        expect(names.filter((name) => /\.tmp$|^landing.*\.ndjson$/.test(name))).toEqual([]);
        const stored = names.filter((name) => /^store(?!.*_delta_log).*\.parquet$/.test(name) && !isOpeningsFile(name));
        expect(stored.length).toBeGreaterThan(0);
        expect(stored.filter((name) => !manifest.includes(name))).toEqual([]);
      },
    );
});
