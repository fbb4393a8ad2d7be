/** Publishes what a run has merged: from time to time while the run goes on, and once at its end. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseInstant } from '../kernel/instant.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Runtime } from '../kernel/runtime.ts';
import type { Ledger } from '../load/ledger/ledger.ts';
import { compactMonths } from '../load/maintenance/compact.ts';
import { publish } from '../load/publish/publish.ts';
import { CATALOGUE_FILE } from '../model/data-dir.ts';
import type { CheckResult, Drift, TableReport } from '../model/report.ts';
import { createPublishPace } from './publish-pace.ts';

export interface Publisher extends AsyncDisposable {
  /** Publishes at once if the last publish is long enough ago, else later: merged rows never wait for a slow tenant. */
  afterMerge(): Promise<void>;
  /** Publishes the end of the run, with the links of the head. */
  atEnd(tables: readonly TableReport[]): Promise<Published>;
}

interface Published {
  /** Readers see something new. */
  readonly published: boolean;
  /** A stop left marts or checks to the next run. */
  readonly isBehind: boolean;
  /** Changes in the shape of the rows, over all publishes of the run. */
  readonly drift: readonly Drift[];
  /** Results of the checks, over all publishes of the run. */
  readonly checks: readonly CheckResult[];
}

export function createPublisher(ledger: Ledger, run: string, runtime: Runtime, signal: AbortSignal): Publisher {
  const drift: Drift[] = [];
  const checks: CheckResult[] = [];
  let published = false;
  const pace = createPublishPace(runtime);
  let timer: NodeJS.Timeout | undefined;
  let later: Promise<void> = Promise.resolve();
  const publishNow = async (head: boolean): Promise<{ readonly isBehind: boolean }> => {
    const result = await publish(ledger, { run, head, signal });
    drift.push(...result.drift);
    checks.push(...result.checks);
    published ||= result.changed;
    return result;
  };
  const publishMerged = async (): Promise<void> => {
    await pace.timed(() => publishNow(false));
  };
  const settle = async (): Promise<void> => {
    clearTimeout(timer);
    await later;
  };
  return {
    async afterMerge() {
      const waitMs = pace.waitMs();
      if (waitMs <= 0) return publishMerged();
      timer ??= setTimeout(() => {
        timer = undefined;
        // Ignore: the final publish hits and reports the same error.
        later = publishMerged().catch(() => {});
      }, waitMs);
    },
    async atEnd(tables) {
      await settle();
      // A new data directory gets no empty catalogue. An existing one shows what is no longer proven.
      const isNothingLoaded = tables.every(({ outcome, changed }) => outcome === 'failed' && !changed);
      if (isNothingLoaded && !existsSync(join(ledger.dataDir, CATALOGUE_FILE)))
        return { published, isBehind: false, drift, checks };
      const at = earliest(tables.flatMap(({ sourceAt }) => (sourceAt === undefined ? [] : [parseInstant(sourceAt)])));
      if (at !== undefined) await compactMonths(ledger, { run, at, signal });
      const { isBehind } = await publishNow(true);
      return { published, isBehind, drift, checks };
    },
    [Symbol.asyncDispose]: settle,
  };
}

function earliest(instants: readonly (Instant | undefined)[]): Instant | undefined {
  return instants.reduce(
    (first, at) => (first === undefined || (at !== undefined && at < first) ? at : first),
    undefined,
  );
}
