/** What the page reads, and what its worker and its window say to each other. */

import type { ChartContent, FigureContent } from './contents.ts';
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

/** The values that rows of a mart must have. */
export type Wanted = Readonly<Record<string, string>>;

/** Where rows are. A file's name is never used twice, so they are those of the snapshot that named it. */
export interface Source {
  readonly file: string;
  readonly bytes: number;
  readonly wanted: Wanted;
  /** A column that means nothing with this choice. */
  readonly without?: string;
}

export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
}

/** What is shown of a mart, or why it cannot be. */
export type Loaded<T> =
  | T
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

/** What an answer is about. */
export interface Head {
  readonly snapshot: Snapshot;
  readonly span: TenantSpan;
  readonly choice: Choice;
  readonly range: Range;
  /** What it is compared with. */
  readonly earlier: Range | null;
}

/** All that a page shows, of one snapshot. While it is being read, some of it is missing. */
export interface Answer extends Head {
  /** By the name of the chart. */
  readonly charts: Readonly<Record<string, Loaded<ChartContent>>>;
  /** By the label. */
  readonly figures: Readonly<Record<string, Loaded<FigureContent>>>;
  readonly proof?: Proof;
  readonly options: Options;
  readonly isWhole: boolean;
}

/** Of an answer: first what it is about, then the rest, one after another. */
export type Part =
  | { readonly head: Head }
  | { readonly chart: string; readonly loaded: Loaded<ChartContent> }
  | { readonly figure: string; readonly loaded: Loaded<FigureContent> }
  | { readonly proof: Proof }
  | { readonly options: Options };

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
  /** What the page shows at an address. The parts are the answer. */
  | { readonly kind: 'page'; readonly search: string }
  /** The number of the newest snapshot. */
  | { readonly kind: 'snapshot' }
  /** All columns of the rows behind a chart. */
  | { readonly kind: 'rows'; readonly source: Source; readonly range: Range };

export interface Answers {
  readonly page: undefined;
  readonly snapshot: number;
  readonly rows: Table;
}
