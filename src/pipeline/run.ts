import type { Config } from '../config.ts';
import type { Instant } from '../instant.ts';
import type { Runtime } from '../runtime.ts';
import type { TableName } from '../tables.ts';
import type { PlanReport, ProgressListener, RunReport } from './report.ts';

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

export async function runPipeline(
  config: Config,
  request: RunRequest,
  runtime: Runtime,
  signal: AbortSignal,
  onProgress: ProgressListener = () => {},
): Promise<RunReport> {
  throw new Error('in the making');
}

export async function planRun(
  config: Config,
  request: RunRequest,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<PlanReport> {
  throw new Error('in the making');
}
