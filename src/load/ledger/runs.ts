/** The ledger's list of runs: when each ran, how it ended, and its statistics as the pipeline reports them. */
import { asCount, asOptional, asText } from './cells.ts';
import type { Cell } from './cells.ts';
import type { Ledger } from './ledger.ts';

export interface RunRecord {
  readonly run: string;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly finishedAt: string | undefined;
  /** ok, partial or a failure's name; undefined while it runs, or when it was killed. */
  readonly outcome: string | undefined;
  readonly stats: unknown;
}

/** No landed page can be older, so a batch merged longer ago need not be remembered. */
const BATCHES_KEPT = `interval 90 days`;

export async function startRun(ledger: Ledger, run: string): Promise<void> {
  await ledger.exclusive(() =>
    ledger.transaction(async () => {
      await ledger.run(`insert into runs values ($1, ${ledger.nowSql()}, null, null, null)`, [run]);
      await ledger.run(`delete from batches where merged_at < ${ledger.nowSql()} - ${BATCHES_KEPT}`);
    }),
  );
}

/** `stats` is any JSON value without row content; bigints must be text already. */
export async function finishRun(ledger: Ledger, run: string, outcome: string, stats: unknown): Promise<void> {
  await ledger.exclusive(() =>
    ledger.run(`update runs set finished_at = ${ledger.nowSql()}, outcome = $2, stats = $3::json where run = $1`, [
      run,
      outcome,
      JSON.stringify(stats ?? null),
    ]),
  );
}

/** Seconds since 1970 as ISO 8601. */
const asSecond: Cell<string> = (value, column) =>
  `${new Date(asCount(value, column) * 1000).toISOString().slice(0, 19)}Z`;

/** The latest runs, newest first. */
export async function latestRuns(ledger: Ledger, limit = 10): Promise<RunRecord[]> {
  // Not `strftime`: formatting a timestamptz loads the calendars of the engine.
  const seconds = (instant: string): string => `(epoch_us(${instant}) // 1000000)::varchar`;
  const rows = await ledger.exclusive(() =>
    ledger.rows(
      `select
         run, ${seconds('started_at')} as "startedAt", ${seconds('finished_at')} as "finishedAt", outcome, stats::varchar as stats
       from runs order by started_at desc, run desc limit ${Math.trunc(limit)}`,
      {
        run: asText,
        startedAt: asSecond,
        finishedAt: asOptional(asSecond),
        outcome: asOptional(asText),
        stats: asOptional(asText),
      },
    ),
  );
  return rows.map(({ stats = 'null', ...run }) => ({ ...run, stats: JSON.parse(stats) as unknown }));
}
