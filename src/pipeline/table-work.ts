/** The work on one table of one tenant: what every step of it is handed, and the few things that all of them say. */
import type { Config, TableConfig } from '../config/config.ts';
import type { Client } from '../extract/source/client.ts';
import type { Caps } from '../extract/plan/plan.ts';
import type { SourceView } from '../extract/compare/reconcile.ts';
import type { Fingerprint } from '../model/fingerprint.ts';
import { DAY } from '../kernel/instant.ts';
import type { Instant } from '../kernel/instant.ts';
import type { SourceComparison } from '../load/ledger/hours.ts';
import type { Ledger } from '../load/ledger/ledger.ts';
import { learntCaps, readProfile } from '../load/ledger/profile.ts';
import type { Runtime } from '../kernel/runtime.ts';
import type { TableName } from '../model/tables.ts';
import type { Phase, ProgressListener, TableReport } from '../model/report.ts';

/** What an answer takes for each byte estimated, before any was seen: quotes inside of JSON text are sent escaped. */
const FIRST_WIRE_RATIO = 1.25;

/** What a run is asked for; everything left out means "all". */
export interface RunRequest {
  readonly tenants?: readonly string[];
  readonly tables?: readonly TableName[];
  /** Backfill: compare exactly `[from, to)`, whatever `reconcile.depthDays` says. */
  readonly from?: Instant;
  readonly to?: Instant;
  /** Compare the whole range of the source, not only `reconcile.depthDays`. */
  readonly deep?: boolean;
  /** Mirror a mass disappearance instead of refusing it. */
  readonly allowDeletes?: boolean;
}

export interface TableWork {
  readonly config: Config;
  readonly request: RunRequest;
  readonly ledger: Ledger;
  readonly client: Client;
  readonly tenant: string;
  readonly table: TableName;
  readonly settings: TableConfig;
  readonly run: string;
  readonly runtime: Runtime;
  readonly signal: AbortSignal;
  readonly onProgress: ProgressListener;
  /** When a run began, on the monotonic clock: calls and minutes of its budget count from there. Absent = no run. */
  readonly sinceMs?: number;
  /** Tenants that failed in the run before: their turn comes last, so that waiting for them delays no other. */
  readonly ailing?: ReadonlySet<string>;
  /** Called after each merge; publishes now and then. */
  readonly merged: () => Promise<void>;
  /** Filled as the work goes on, so that a failure leaves what was done. */
  readonly report: TableReport;
}

/** What the tables of one command have in common. */
export type CommandWork = Omit<TableWork, 'client' | 'tenant' | 'table' | 'settings' | 'report'>;

/** For commands that only look: nobody watches, and nothing is merged. */
export const ONLY_LOOKING = { onProgress: () => {}, merged: async () => {} } as const;

export interface SizedCaps extends Caps {
  /** Bytes of an answer for each byte estimated: `bytes` times this is what the source is held to. */
  readonly wireRatio: number;
}

/** Configured caps or the smaller ones that the source taught us, with bytes in the unit of the estimates. */
export async function capsOf({ settings: { page }, ledger, runtime, tenant, table }: TableWork): Promise<SizedCaps> {
  const profile = await readProfile(ledger, tenant);
  const { rowCap, byteCap } = learntCaps(profile, runtime.now());
  const wireRatio = profile.wireRatios?.[table] ?? FIRST_WIRE_RATIO;
  return {
    rows: Math.min(page.maxRows, rowCap ?? Infinity),
    bytes: Math.min(page.maxBytes, byteCap ?? Infinity) / wireRatio,
    wireRatio,
  };
}

/** The part of a view that `load` records: fingerprints of `[lower, upper)`, as far as the view reaches. */
export function comparisonOf(
  view: SourceView,
  range: { readonly lower: Instant; readonly upper?: Instant },
  retentionDays: number | undefined,
): SourceComparison {
  if (view.grade === 'none') throw new RangeError('A source that does not count gives nothing to record.');
  const { lower } = range;
  const upper = range.upper !== undefined && range.upper < view.upper ? range.upper : view.upper;
  const hours = new Map<Instant, Fingerprint>();
  for (const [hour, cell] of view.cells) if (hour >= lower && hour < upper) hours.set(hour, cell.fingerprint);
  return {
    at: view.at,
    lower,
    upper,
    grade: view.grade,
    hours,
    ...edgeOf(view, retentionDays),
  };
}

/** The instant behind which the source has forgotten its rows, by its own clock. */
export function edgeOf(view: SourceView, retentionDays: number | undefined): { retentionEdge?: Instant } {
  return retentionDays === undefined ? {} : { retentionEdge: view.at - BigInt(retentionDays) * DAY };
}

export function phase({ tenant, table, onProgress }: TableWork, name: Phase): void {
  onProgress({ kind: 'table', tenant, table, phase: name });
}

export async function timed<T>({ report, runtime }: TableWork, stage: string, step: () => Promise<T>): Promise<T> {
  const startMs = runtime.monotonic();
  try {
    return await step();
  } finally {
    report.seconds[stage] = (report.seconds[stage] ?? 0) + (runtime.monotonic() - startMs) / 1000;
  }
}
