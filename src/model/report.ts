/** What a run says about itself: the events while it goes on, and the reports at its end. Plain data, JSON-safe. */
import type { Failure } from '../kernel/errors.ts';
import type { Grade, HourCounts } from './coverage.ts';
import type { TableName } from './tables.ts';

interface At {
  readonly tenant: string;
  readonly table: TableName;
}

export type Phase = 'resume' | 'reconcile' | 'plan' | 'fetch' | 'verify' | 'done';

export type ProgressEvent =
  | (At & { readonly kind: 'table'; readonly phase: Phase })
  | (At & { readonly kind: 'planned'; readonly pages: number; readonly rows: number; readonly bytes: number })
  | (At & { readonly kind: 'page'; readonly rows: number; readonly bytes: number })
  | (At & { readonly kind: 'merged'; readonly rows: number })
  | { readonly kind: 'waiting'; readonly tenant: string; readonly ms: number };

export type ProgressListener = (event: ProgressEvent) => void;

/** A failure as it may be shown and stored: no cause, no stack, no content. */
export interface ReportedError {
  readonly failure: Failure;
  readonly message: string;
  readonly hint?: string;
  readonly where?: Readonly<Record<string, string | number>>;
}

/** What the budget did not suffice for. */
export interface Left {
  /** false: the table was not reached, so that what it lacks is not known. */
  readonly compared: boolean;
  readonly hours: number;
  readonly rows: number;
  /** Calls that it needs, answers that are landed already included. */
  readonly calls: number;
  /** When the source forgets the oldest of it, ISO; absent where it keeps rows for good. */
  readonly lostAt?: string;
}

export interface TableReport extends At {
  /**
   * `refused`: a mass loss at the source was not mirrored. `partial`: loaded, but some hours do not balance.
   * `unfinished`: the budget ended before the table was done.
   */
  readonly outcome: 'verified' | 'partial' | 'failed' | 'refused' | 'stopped' | 'unfinished';
  readonly grade: Grade;
  /** The source's clock at the last comparison, ISO; absent when it was not reached. */
  readonly sourceAt?: string;
  /** Every call sent, retries included; `retries` of them were repetitions. */
  readonly calls: number;
  readonly retries: number;
  readonly waitedMs: number;
  /** Pages planned, pages landed, and splits that the source forced: landed ≤ planned + splits. */
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
  /** A file of the lake changed. */
  readonly changed: boolean;
  readonly seconds: Readonly<Record<string, number>>;
  readonly left?: Left;
  readonly error?: ReportedError;
}

/** What a check said of the days of a tenant that a run changed. */
export interface CheckResult {
  readonly check: string;
  readonly severity: 'error' | 'warning';
  readonly tenant: string;
  /** Days looked at. */
  readonly days: number;
  /** Rows that it returned for them. */
  readonly failures: number;
  /** Why it could not run. */
  readonly error?: string;
}

export interface Drift {
  readonly tenant: string;
  readonly table: TableName;
  readonly type: string;
  /** For people; empty for a new type. */
  readonly path: string;
  readonly change: 'new_type' | 'new_path' | 'new_kind' | 'stopped';
  /** Of the path. */
  readonly kind: string;
  /** First row with it, or last; ISO 8601. */
  readonly at: string;
}

export interface RunReport {
  readonly run: string;
  readonly startedAt: string;
  readonly seconds: number;
  readonly tenants: readonly string[];
  readonly tables: readonly TableReport[];
  readonly published: boolean;
  /** What this run found changed in the shape of the rows. */
  readonly drift: readonly Drift[];
  /** Checks that failed, or could not run, over the days that this run changed. */
  readonly checks: readonly CheckResult[];
  /** A stop came when rows were loaded, and left marts or checks to the next run. */
  readonly isBehind: boolean;
  /** The most memory the process has held. */
  readonly peakRssBytes: number;
  readonly exitCode: number;
}

export interface TablePlan extends At {
  readonly grade: Grade;
  readonly staleHours: number;
  readonly rows: number;
  readonly bytes: number;
  /** Pages to fetch. */
  readonly pages: number;
  /** Calls that the run would still send: pages, and one more look at the source if something changes meanwhile. */
  readonly calls: number;
  /** Minutes that the calls need at the configured rate; 0 without a limit. */
  readonly minutes: number;
  /** Hours by reason. */
  readonly reasons: { readonly new: number; readonly changed: number; readonly vanished: number };
  /** What a run with this budget would leave for the next. */
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
    readonly hours: HourCounts;
    readonly differing: readonly { readonly hour: string; readonly source: number; readonly lake: number }[];
    readonly error?: ReportedError;
  })[];
  /** Files of marts; what is damaged there was made anew. */
  readonly marts: {
    readonly filesRead: number;
    readonly filesDamaged: readonly { readonly file: string; readonly problem: string }[];
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
  /** Files that were written under other rules than today's: `rebuild` is due. */
  readonly outdatedFiles: number;
  /** When the oldest hour that is not verified is lost at the source. */
  readonly nextExpiry: string | undefined;
}

/** Days for which `status` tells a change of shape after it was found. */
export const DRIFT_DAYS = 30;

/** What a check knows of a tenant. */
export interface CheckStatus {
  readonly check: string;
  readonly severity: CheckResult['severity'];
  readonly tenant: string;
  /** Rows that it returned, over all days as each was last looked at. */
  readonly failures: number;
  /** The first and the last UTC day that has some. */
  readonly firstDay: string | undefined;
  readonly lastDay: string | undefined;
  /** When, and by which run, it was last asked. */
  readonly checkedAt: string;
  readonly run: string;
  /** Why it could not run then. */
  readonly error: string | undefined;
}

export interface StatusReport {
  readonly dataDir: string;
  readonly lastRun:
    | {
        readonly run: string;
        readonly startedAt: string;
        readonly finishedAt: string | undefined;
        readonly exitCode: number | undefined;
      }
    | undefined;
  readonly tables: readonly TableStatus[];
  /** Changes of shape found in the last DRIFT_DAYS days; `insights-etl properties --drift` has all. */
  readonly drift: readonly Drift[];
  /** Every check of every tenant, those without failures too. */
  readonly checks: readonly CheckStatus[];
}

export interface RebuildReport {
  /** Nothing was done: `tables` says what is due. */
  readonly dryRun: boolean;
  /** Files written anew; tables without any are left out. */
  readonly tables: readonly (At & { readonly files: number; readonly rows: number })[];
  /** Texts of unloadable rows that were removed, since their table has privacy rules. */
  readonly forgotten: number;
  readonly published: boolean;
  readonly seconds: number;
  readonly exitCode: number;
}

export interface AuditReport {
  /** So many rows of a type were looked at. */
  readonly rowsOfAType: number;
  /** Paths without a rule whose values look like personal data, the largest share first. */
  readonly paths: readonly {
    readonly table: TableName;
    readonly type: string;
    readonly path: string;
    readonly looksLike: string;
    /** So many of the values that were looked at. */
    readonly values: number;
    /** Of the values at the path. */
    readonly share: number;
  }[];
}

export interface DoctorCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly hint?: string;
}

export interface DoctorReport {
  /** Of this machine and the data directory. */
  readonly machine: readonly DoctorCheck[];
  readonly tenants: readonly {
    readonly tenant: string;
    readonly calls: number;
    /** Calls that it might have sent. */
    readonly maxCalls: number;
    readonly checks: readonly DoctorCheck[];
  }[];
  readonly exitCode: number;
}

export interface QuarantineCount {
  readonly tenant: string;
  readonly table: TableName;
  /** UTC day, `yyyy-mm-dd`; of the page where the row itself has no instant. */
  readonly day: string;
  readonly reason: string;
  readonly rows: number;
  /** Those of them whose text was given up. */
  readonly dropped: number;
}

export interface QuarantinedRow {
  readonly tenant: string;
  readonly table: TableName;
  /** ISO 8601; of the page where the row itself has no instant. */
  readonly at: string;
  readonly reason: string;
  readonly id: string | undefined;
  readonly page: string;
  readonly run: string | undefined;
  /** The row as the source sent it; undefined once it was given up. */
  readonly text: string | undefined;
}

export interface ReplayCount {
  readonly tenant: string;
  readonly table: TableName;
  /** Rows whose text was judged again. */
  readonly judged: number;
  readonly loaded: number;
  /** Passed, and a copy of a row of the lake: counted as such. */
  readonly copies: number;
  /** Still cannot be loaded. */
  readonly refused: number;
}

export interface DropCount {
  readonly tenant: string;
  readonly table: TableName;
  /** Entries that lost their text and stay in their hour's account. */
  readonly emptied: number;
  /** Entries of rows without a known hour: removed. */
  readonly removed: number;
}
