/** What the page reads, and what its worker and its window say to each other. */

import type { Grain } from './periods.ts';

export type Cell = string | number | boolean | null;
export type Row = Readonly<Record<string, Cell>>;

/** A report's header. */
export interface ReportText {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly formula?: string;
  readonly unit?: string;
  readonly caveats: readonly string[];
  readonly chart?: string;
  /** Which of pass_type and platform its figures can be filtered by. */
  readonly filters: readonly string[];
}

export interface TenantSpan {
  readonly id: string;
  /** The first day of which anything is known, and the day after the last one that is over. */
  readonly from: string;
  readonly to: string;
  /** The day after the last one in the marts, which may be open. */
  readonly end: string;
}

export interface Snapshot {
  readonly number: number;
  readonly publishedAt: string;
  readonly tenants: readonly TenantSpan[];
  readonly reports: readonly ReportText[];
  readonly hasMarts: boolean;
  /** Its marts also hold weeks, months, pass types and platforms. */
  readonly hasSplits: boolean;
  /** Of the hours that are over, all tenants and tables: the share proven by content, and the number of those not proven at all. */
  readonly byContent: number;
  readonly unproven: number;
}

export interface Range {
  /** Inclusive, as YYYY-MM-DD. */
  readonly from: string;
  /** Exclusive. */
  readonly to: string;
}

/** The rows of a mart, or why they cannot be shown. */
export type Loaded =
  | { readonly rows: readonly Row[]; readonly before: readonly Row[]; readonly columns: readonly string[] }
  | { readonly error: string; readonly file: string }
  /** The report has no such figures, and why. */
  | { readonly absent: string };

/** Which figures of a tenant. */
export interface Choice {
  readonly tenant: string;
  readonly grain: Grain;
  /** Empty: all of them. */
  readonly passType: string;
  readonly platform: string;
}

/** What the filters offer. */
export interface Options {
  readonly passTypes: readonly string[];
  readonly platforms: readonly string[];
}

export interface Answer {
  readonly snapshot: Snapshot;
  readonly choice: Choice;
  readonly range: Range;
  /** While it is being read, some are missing. */
  readonly reports: Readonly<Record<string, Loaded>>;
  readonly isWhole: boolean;
}

/** Of an answer about marts: first what it is about, then the reports one after another. */
export type Part = Omit<Answer, 'reports' | 'isWhole'> | { readonly name: string; readonly loaded: Loaded };

export interface Hours {
  readonly hour: readonly number[];
  readonly kind: readonly string[];
  readonly source: readonly number[];
  readonly lake: readonly number[];
  readonly duplicates: readonly number[];
  readonly quarantined: readonly number[];
  readonly proof: readonly number[];
}

export interface Proof {
  readonly snapshot: number;
  readonly tenant: string;
  readonly proofs: readonly { readonly at: number; readonly run: string | null }[];
  readonly tables: Readonly<Record<string, Hours>>;
  readonly logsRetentionDays: number | null;
  readonly runs: readonly Row[];
  readonly quarantine: readonly Row[];
  readonly drift: readonly Row[];
  readonly checks: readonly Row[];
}

export type Question =
  | { readonly kind: 'snapshot' }
  | {
      readonly kind: 'marts';
      readonly choice: Choice;
      readonly range: Range;
      readonly before: Range | null;
      readonly reports: readonly string[];
    }
  | { readonly kind: 'options'; readonly tenant: string }
  | { readonly kind: 'proof'; readonly tenant: string };

export interface Answers {
  readonly snapshot: Snapshot;
  readonly options: Options;
  readonly proof: { readonly snapshot: Snapshot; readonly proof: Proof };
}
