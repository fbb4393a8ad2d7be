/** What the pipeline reports: the events of a run as they happen, and the result of each command. Plain data, safe for JSON. */
import type { Failure } from '../kernel/errors.ts';
import type { Grade, HourCounts, StaleReason } from './coverage.ts';
import type { MirrorOutcome } from './mirror-report.ts';
import type { OutsideCounts } from './outside.ts';
import type { ShardStatus } from './shard.ts';
import type { TableName } from './tables.ts';

interface At {
  readonly tenant: string;
  readonly table: TableName;
}

export const PHASES = ['resume', 'reconcile', 'plan', 'fetch', 'verify', 'done', 'failed'] as const;

export type Phase = (typeof PHASES)[number];

export type ProgressEvent =
  | (At & { readonly kind: 'table'; readonly phase: Phase })
  | (At & { readonly kind: 'planned'; readonly pages: number; readonly rows: number; readonly bytes: number })
  | (At & { readonly kind: 'page'; readonly rows: number; readonly bytes: number })
  | (At & { readonly kind: 'merged'; readonly rows: number });

export type ProgressListener = (event: ProgressEvent) => void;

/** A failure as it may be shown and stored: without cause, stack and row content. */
export interface ReportedError {
  readonly failure: Failure;
  readonly message: string;
  readonly hint?: string;
  readonly where?: Readonly<Record<string, string | number>>;
}

/** What the budget left for the next run. */
export interface Left {
  /** false: the table was not compared, so it is not known what is missing. */
  readonly compared: boolean;
  readonly hours: number;
  /** Rows that have not landed yet. */
  readonly rows: number;
  /** Pages that have not landed yet, with the caps of the source that are known by now. Each run adds one comparison of the table. */
  readonly calls: number;
  /** When the source deletes the oldest of these rows, ISO 8601; absent where it keeps rows permanently. */
  readonly lostAt?: string;
}

export interface ComparedRange {
  /** Absent: from the first row on. */
  readonly from?: string;
  readonly to: string;
}

export interface TableReport extends At {
  /**
   * `partial`: loaded, but some hours do not balance. `refused`: so many rows vanished at the source that nothing was
   * changed. `unfinished`: the budget ended before the table was done.
   */
  readonly outcome: 'verified' | 'partial' | 'failed' | 'refused' | 'stopped' | 'unfinished';
  readonly grade: Grade;
  /** The source's clock at the last comparison, ISO 8601; absent when the table was not compared. */
  readonly sourceAt?: string;
  /** The range whose hours this run compared, ISO 8601: what `hours` counts, with the older ones; absent when nothing was compared. */
  readonly compared?: ComparedRange;
  /** All calls sent, retries included. */
  readonly calls: number;
  readonly retries: number;
  readonly waitedMs: number;
  /** Pages planned. Pages landed (`pages`) ≤ `planned` + `splits`, the page splits that the source forced. */
  readonly planned: number;
  readonly pages: number;
  readonly splits: number;
  readonly rowsFetched: number;
  readonly bytes: number;
  readonly inserted: number;
  readonly replaced: number;
  readonly removed: number;
  readonly duplicates: number;
  readonly quarantined: number;
  readonly hours: HourCounts;
  /** Hours before the last `reconcile.depthDays` days that were compared again, in rotation. */
  readonly olderHours: number;
  /** Rows at the source that lie in no hour that can be compared; absent where they were not counted. */
  readonly outside?: OutsideCounts;
  /** A file of the lake changed. */
  readonly changed: boolean;
  readonly seconds: Readonly<Record<string, number>>;
  readonly left?: Left;
  readonly error?: ReportedError;
}

/** The result of a check for a tenant, over the days that a run changed. */
export interface CheckResult {
  readonly check: string;
  readonly severity: 'error' | 'warning';
  readonly tenant: string;
  /** Days checked. */
  readonly days: number;
  /** Rows that the check returned for these days. */
  readonly failures: number;
  /** Why the check could not run. */
  readonly error?: string;
}

export const DRIFT_CHANGES = ['new_type', 'new_path', 'new_kind', 'stopped'] as const;

/** A change in the shape of a source's JSON. */
export interface Drift {
  readonly tenant: string;
  readonly table: TableName;
  readonly type: string;
  /** In the form that people read; empty for a new type. */
  readonly path: string;
  readonly change: (typeof DRIFT_CHANGES)[number];
  /** The kind of JSON value at the path. */
  readonly kind: string;
  /** The first row with what is new, or the last row with what stopped; ISO 8601. */
  readonly at: string;
}

/** Hours that the source deleted before they were proven: what the lake lacks of them is lost. */
export interface ExpiredHours extends At {
  readonly hours: number;
  /** The first and the last of these hours, ISO 8601. */
  readonly first: string;
  readonly last: string;
}

export interface RunReport {
  readonly run: string;
  readonly startedAt: string;
  readonly seconds: number;
  readonly tenants: readonly string[];
  readonly tables: readonly TableReport[];
  /** Hours that this run found lost; later runs do not report them again. */
  readonly expired: readonly ExpiredHours[];
  readonly published: boolean;
  /** Changes in the shape of the rows that this run found. */
  readonly drift: readonly Drift[];
  /** Checks that failed or could not run, over the days that this run changed. */
  readonly checks: readonly CheckResult[];
  /** The run was stopped after it had loaded rows, and left marts or checks to the next run. */
  readonly isBehind: boolean;
  /** What the push after the run did; absent without a mirror. */
  readonly mirror?: MirrorOutcome;
  /** Peak memory of the process. */
  readonly peakRssBytes: number;
  readonly exitCode: number;
}

/** How near a table is to losing hours at the source. */
export interface TableDeadline extends At {
  /** Hours that are not verified, or were never compared, and that the source forgets within the next days. */
  readonly hoursAtRisk: number;
  /** End of the last hour that was compared with the source, seconds since 1970. */
  readonly comparedUntil: number | undefined;
  /** Seconds that the source keeps a row; undefined = forever. */
  readonly retentionSeconds: number | undefined;
  /** Seconds within which all older days are compared again; undefined = never. */
  readonly rotationSeconds: number | undefined;
}

export interface TableProof extends At {
  /** When the verified hour with the oldest comparison was compared, ISO 8601. */
  readonly oldest: string;
}

export interface TablePlan extends At {
  readonly grade: Grade;
  /** Hours before the last `reconcile.depthDays` days that were compared in rotation, in the same call. */
  readonly olderHours: number;
  readonly staleHours: number;
  readonly rows: number;
  readonly bytes: number;
  /** Pages to fetch. */
  readonly pages: number;
  /**
   * Calls that the run would send after planning: one for each page, one if rows without a possible time are to be quarantined, and
   * one more comparison if the source changes in the meantime.
   */
  readonly calls: number;
  /** Minutes that the calls take at the configured rate; 0 without a limit. */
  readonly minutes: number;
  /** Hours by reason. */
  readonly reasons: Readonly<Record<StaleReason, number>>;
  /** What a run with the configured budget would leave for the next one. */
  readonly left?: Left;
  readonly error?: ReportedError;
}

export interface PlanReport {
  readonly tables: readonly TablePlan[];
  /** Calls that planning itself has sent. */
  readonly callsUsed: number;
  readonly exitCode: number;
}

export interface VerifyReport {
  readonly deep: boolean;
  readonly tables: readonly (At & {
    readonly filesRead: number;
    readonly filesDamaged: readonly { readonly file: string; readonly problem: string }[];
    /** All hours that are known. */
    readonly hours: HourCounts;
    /** The range that was compared with the source; absent when it was not. */
    readonly compared?: ComparedRange;
    readonly differing: readonly { readonly hour: string; readonly source: number; readonly lake: number }[];
    readonly error?: ReportedError;
  })[];
  /** Hours that this comparison found lost; no later command reports them again. */
  readonly expired: readonly ExpiredHours[];
  /** Files of marts. Damaged ones have been computed again. */
  readonly marts: {
    readonly filesRead: number;
    readonly filesDamaged: readonly { readonly file: string; readonly problem: string }[];
  };
  /** Delta logs. Those that do not have the files of the lake have been started again, except where another program has written. */
  readonly delta: {
    readonly logs: number;
    readonly faults: readonly { readonly table: string; readonly problem: string }[];
  };
  readonly exitCode: number;
}

export interface TableStatus extends At {
  readonly rows: number;
  readonly files: number;
  readonly bytes: number;
  readonly first: string | undefined;
  readonly last: string | undefined;
  /** Seconds between the newest loaded row and now. */
  readonly freshnessSeconds: number | undefined;
  readonly hours: HourCounts;
  readonly grades: Readonly<Record<Grade, number>>;
  readonly duplicates: number;
  readonly quarantined: number;
  /** Files that were written under other rules than today's: `rebuild` rewrites them. */
  readonly outdatedFiles: number;
  /** When the source deletes the oldest hour that is not verified or was never compared, ISO 8601. A time in the past means that it has begun. */
  readonly nextExpiry: string | undefined;
  /** When the verified hour with the oldest comparison was compared, ISO 8601. */
  readonly oldestProof: string | undefined;
}

/** For this many days `status` lists a change in the shape of the rows. */
export const DRIFT_DAYS = 30;

/** The latest result of a check for a tenant. */
export interface CheckStatus {
  readonly check: string;
  readonly severity: CheckResult['severity'];
  readonly tenant: string;
  /** Rows that the check returned, summed over the latest result of each day. */
  readonly failures: number;
  /** The first and the last UTC day with failures. */
  readonly firstDay: string | undefined;
  readonly lastDay: string | undefined;
  /** When, and in which run, the check last ran. */
  readonly checkedAt: string;
  readonly run: string;
  /** Why it could not run, if it could not. */
  readonly error: string | undefined;
}

/** A run that is going on. */
export interface RunningReport {
  readonly run: string;
  readonly startedAt: string;
  readonly tables: readonly (At & {
    readonly phase: Phase;
    readonly plannedRows: number;
    /** Fetched so far. */
    readonly rows: number;
    readonly bytes: number;
    readonly rowsPerSecond?: number;
    /** Until what is planned is fetched. */
    readonly secondsLeft?: number;
  })[];
}

export interface StatusReport {
  readonly dataDir: string;
  readonly running?: RunningReport;
  readonly shards?: readonly ShardStatus[];
  readonly lastRun:
    | {
        readonly run: string;
        readonly startedAt: string;
        readonly finishedAt: string | undefined;
        readonly exitCode: number | undefined;
        /** Tables that it compared with a weaker proof than the best one. */
        readonly lowered: readonly (At & { readonly grade: Grade })[];
        /** How old the proofs of each table of the lake were when it ended. */
        readonly proofs: readonly TableProof[];
        /** Tables that had rows outside of all hours when they were last compared. */
        readonly outside: readonly (At & OutsideCounts)[];
      }
    | undefined;
  readonly tables: readonly TableStatus[];
  /** Changes found in the last DRIFT_DAYS days; `insights-etl properties --drift` lists all. */
  readonly drift: readonly Drift[];
  /** Every check of every tenant, also those without failures. */
  readonly checks: readonly CheckStatus[];
}

export interface RebuildReport {
  /** Nothing was done: `tables` lists what a real run would rewrite. */
  readonly dryRun: boolean;
  /** Files rewritten, for each table that has any. */
  readonly tables: readonly (At & { readonly files: number; readonly rows: number })[];
  /** Quarantined rows whose text was removed because their table has privacy rules. */
  readonly forgotten: number;
  readonly published: boolean;
  readonly seconds: number;
  readonly exitCode: number;
}

export interface AuditReport {
  /** Number of rows of each type that were sampled. */
  readonly rowsOfAType: number;
  /** Sampled rows that could not be examined: their text is not valid JSON. */
  readonly notChecked: readonly { readonly table: TableName; readonly rows: number }[];
  /** Paths without a rule whose values look like personal data, the largest share first. */
  readonly paths: readonly {
    readonly table: TableName;
    readonly type: string;
    readonly path: string;
    readonly looksLike: string;
    /** Number of sampled values that look like it. */
    readonly values: number;
    /** Share of the sampled values at the path. */
    readonly share: number;
  }[];
}

export interface DoctorCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly hint?: string;
  /** Gives the exit code if the check is not ok; the default is that of its group. */
  readonly failure?: Failure;
}

export interface DoctorReport {
  /** Checks of this machine and the data directory. */
  readonly machine: readonly DoctorCheck[];
  readonly tenants: readonly {
    readonly tenant: string;
    readonly calls: number;
    /** The most calls that the doctor may send for a tenant. */
    readonly maxCalls: number;
    readonly checks: readonly DoctorCheck[];
  }[];
  readonly exitCode: number;
}

export interface QuarantineCount {
  readonly tenant: string;
  readonly table: TableName;
  /** UTC day, `yyyy-mm-dd`; the page's day where the row has no valid timestamp; `none` for reason no_timestamp. */
  readonly day: string;
  readonly reason: string;
  readonly rows: number;
  /** How many of these rows have no text, because it was dropped. */
  readonly dropped: number;
}

export interface QuarantinedRow {
  readonly tenant: string;
  readonly table: TableName;
  /** ISO 8601; the page's start where the row has no valid timestamp. */
  readonly at: string;
  readonly reason: string;
  readonly id: string | undefined;
  readonly page: string;
  readonly run: string | undefined;
  /** The row as the source sent it; undefined once it was dropped. */
  readonly text: string | undefined;
}

export interface ReplayCount {
  readonly tenant: string;
  readonly table: TableName;
  /** Rows whose text was validated again. */
  readonly judged: number;
  readonly loaded: number;
  /** Valid rows that are duplicates of a row in the lake, and counted as duplicates. */
  readonly copies: number;
  /** Rows that still cannot be loaded. */
  readonly refused: number;
}

export interface DropCount {
  readonly tenant: string;
  readonly table: TableName;
  /** Entries whose text was dropped. They still count in the account of their hour. */
  readonly emptied: number;
  /** Entries that were removed because the hour of their row is not known. */
  readonly removed: number;
}
