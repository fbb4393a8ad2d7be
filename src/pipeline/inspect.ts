import type { Config } from '../config.ts';
import type { Runtime } from '../runtime.ts';
import type { DoctorReport, StatusReport, VerifyReport } from './report.ts';
import type { RunRequest } from './run.ts';

/** Compares the lake with the source; `request.deep` re-reads every file and asks for the whole range. */
export async function verifyLake(config: Config, request: RunRequest, runtime: Runtime, signal: AbortSignal): Promise<VerifyReport> {
  throw new Error('in the making');
}

export async function lakeStatus(config: Config, runtime: Runtime): Promise<StatusReport> {
  throw new Error('in the making');
}

export async function doctor(config: Config, runtime: Runtime, signal: AbortSignal): Promise<DoctorReport> {
  throw new Error('in the making');
}

/** Rebuilds the ledger from the Parquet files alone. */
export async function repairLake(config: Config, runtime: Runtime): Promise<{ files: number; rows: number }> {
  throw new Error('in the making');
}
