/** A stop signal: the answer on its way is landed within the grace, and the next run does not ask for it again. */
import { afterEach, describe, expect, it } from 'vitest';
import { EXIT, StoppedError } from '../../src/errors.ts';
import { runPipeline } from '../../src/pipeline/run.ts';
import type { RunReport } from '../../src/pipeline/report.ts';
import { bytesBelow, openWorld, reportOf, type World } from '../pipeline/support/world.ts';

const SOURCE = { rows: 900, days: 2, seed: 6, now: '2026-11-01T00:30:00Z', frozen: true } as const;
const ONE_AT_A_TIME = {
  page: { maxRows: 200 },
  inFlight: 1,
  tables: { Logs: { enabled: false }, Metrics: { enabled: false } },
};

let world: World;
afterEach(() => world[Symbol.asyncDispose]());

/** The queries that ask for rows, in the order they were sent; `stop` is called when the first one is under way. */
async function runWith(stop: () => void, signal: AbortSignal, graceSeconds: number) {
  const pages: string[] = [];
  const fetch: typeof globalThis.fetch = (url, init) => {
    const body = typeof init?.body === 'string' ? init.body : '';
    const answer = globalThis.fetch(url, init);
    if (body.includes('take ')) {
      pages.push(body);
      // Deferred: the call is then on its way and cannot be held back any more.
      if (pages.length === 1) setImmediate(stop);
    }
    return answer;
  };
  const config = world.config({ ...ONE_AT_A_TIME, http: { graceSeconds } });
  const report: RunReport = await runPipeline(config, {}, { ...world.runtime, fetch }, signal);
  return { pages, report };
}

const stopped = (): StoppedError => new StoppedError('Stopped by SIGTERM.');

describe('a stop while a page is on its way', () => {
  it('lands the page within the grace, sends no other call, and the next run does not ask for it again', async () => {
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

  it('gives the page up at once without a grace, and the next run loads it', async () => {
    world = await openWorld(SOURCE);
    const stop = new AbortController();
    const first = await runWith(() => stop.abort(stopped()), stop.signal, 0);
    expect(reportOf(first.report, 'Events')).toMatchObject({ outcome: 'stopped', pages: 0 });
    const second = await runWith(() => {}, new AbortController().signal, 0);
    expect(second.report.exitCode).toBe(EXIT.ok);
    expect(await bytesBelow(`${world.dataDir}/landing`).catch(() => '')).toBe('');
  });
});
