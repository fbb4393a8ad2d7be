/**
 * What a lake of a given size costs: calls, hours, bytes, memory and requests to an object store. A model for planning before there is any
 * row; `plan` without `--simulate` counts at the source instead. Pure.
 *
 * The factors in MEASURED come from `npm run scale`, which also shows how far the model is off (docs/scale.md).
 */
import { TABLE_NAMES } from './tables.ts';
import type { TableName } from './tables.ts';

export interface Workload {
  readonly tenants: number;
  /** Rows of one tenant on one day, all tables together. */
  readonly rowsPerDay: number;
  /** Years of history, which the first load fetches and the lake holds. */
  readonly years: number;
  /** Bytes of a row as a page is planned: 150 and its properties. */
  readonly bytesPerRow: number;
  /** The source's limit for one tenant. */
  readonly callsPerMinute: number;
  /** Workers that share the tenants (`--shard`). */
  readonly shards: number;
  /** US dollars; the defaults are what Amazon S3 Standard listed in us-east-1 when this was written. */
  readonly dollarsPerGBMonth: number;
  readonly dollarsPer1000Writes: number;
}

export const WORKLOAD: Workload = {
  tenants: 1,
  rowsPerDay: 10_000,
  years: 1,
  bytesPerRow: 380,
  callsPerMinute: 60,
  shards: 1,
  dollarsPerGBMonth: 0.023,
  dollarsPer1000Writes: 0.005,
};

/** The share of each table in a tenant's rows, as the sandbox makes them. */
const SHARES: Readonly<Record<TableName, number>> = { Events: 0.85, Logs: 0.1, Metrics: 0.05 };
/** Days that the source keeps a row (docs: the Logs table). A first load finds no older ones. */
const SOURCE_KEEPS: Readonly<Partial<Record<TableName, number>>> = { Logs: 45 };
/** Most rows and bytes of one call: the defaults of `page.maxRows` and `page.maxBytes`. */
const CALL = { rows: 500_000, bytes: 60_000_000 };
/** Where a month becomes one file (load/merge/units.ts, load/maintenance/compact.ts). */
const MONTH = { days: 365 / 12, rows: 10_000, smallBytes: 1_000_000, closedAfterDays: 35 };
/** Files of marts that a night with new rows writes, and files under fixed names that a mirror then replaces. */
const PER_PUSH = 130;

/** Seconds are seconds of one core. A table is a table of a tenant; days and hours are those with rows or without. */
const MEASURED = {
  lakeBytesPerRow: 48,
  lakeBytesPerFile: 1_500,
  ledgerBytes: { base: 8_100_000, perHour: 142 },
  catalogueBytes: { base: 2_850_000, perHour: 8, perTenant: 40_000 },
  manifestBytes: { base: 16_000, perFile: 550, perTenant: 2_200 },
  firstLoad: {
    cpu: { base: 3.2, perTable: 0.32, perDay: 0.017, perRow: 0.000_026 },
    memory: { base: 225, perTable: 1.6, perDay: 0.4, perRow: 0.000_1 },
  },
  night: {
    cpu: { base: 3.4, perTable: 0.37, perDay: 0.003, perRow: 0.000_12 },
    memory: { base: 275, perTable: 2.8, perDay: 0.3, perRow: 0.000_1 },
  },
  idle: {
    cpu: { base: 0.7, perTable: 0.062, perDay: 0.001_5, perRow: 0 },
    memory: { base: 190, perTable: 1.8, perDay: 0.25, perRow: 0 },
  },
  mostMemory: 620,
} as const;

/** Of one worker: beyond it, a limit is near that more workers move away. */
const LIMITS = {
  nightHours: 6,
  files: 200_000,
  ledgerBytes: 8e9,
  manifestBytes: 200e6,
} as const;

export interface Forecast {
  readonly workload: Workload;
  /** Rows in the lake at the end of `years`, of all tenants. */
  readonly rows: number;
  readonly firstLoad: Phase;
  /** A night with one day of new rows. */
  readonly night: Phase;
  /** A night with nothing new. */
  readonly idle: Phase;
  /** Parquet files with rows. */
  readonly files: number;
  readonly lakeBytes: number;
  readonly ledgerBytes: number;
  readonly catalogueBytes: number;
  readonly manifestBytes: number;
  readonly mirror: {
    /** Requests that write, in a month of nights. */
    readonly writesPerMonth: number;
    readonly dollarsPerMonth: number;
  };
  /** What one worker cannot hold or do in a night, each with the number of workers that can. */
  readonly limits: readonly Limit[];
}

export interface Phase {
  /** Of all tenants. */
  readonly calls: number;
  /** Of the tenant's own limit: tenants do not wait for each other. */
  readonly minutesAtLimit: number;
  /** Seconds of one core, of all tenants. */
  readonly cpuSeconds: number;
  /** Of one worker. */
  readonly peakMB: number;
}

export interface Limit {
  readonly what: 'a night' | 'files' | 'ledger' | 'manifest';
  readonly workers: number;
}

export function forecast(workload: Workload): Forecast {
  const { tenants, rowsPerDay, years, shards } = workload;
  const days = years * 365;
  const tables = TABLE_NAMES.map((name) => ({
    perDay: rowsPerDay * SHARES[name],
    loads: Math.min(days, SOURCE_KEEPS[name] ?? days),
  }));
  const each = (of: (table: (typeof tables)[number]) => number): number =>
    tenants * tables.reduce((sum, table) => sum + of(table), 0);
  const heldHours = each(() => days * 24);
  const rows = each(({ perDay }) => perDay * days);
  const loaded = each(({ perDay, loads }) => perDay * loads);
  const files = each(({ perDay }) => filesOf(perDay, days));
  const count = tenants * tables.length;
  const phase = (calls: number, { cpu, memory }: Factors, newRows: number): Phase => ({
    calls,
    minutesAtLimit: workload.callsPerMinute === 0 ? 0 : Math.ceil(calls / tenants / workload.callsPerMinute),
    cpuSeconds: shards * (cpu.base + cpu.perDay * days) + cpu.perTable * count + cpu.perRow * newRows,
    peakMB: Math.round(
      Math.min(
        MEASURED.mostMemory,
        memory.base + memory.perDay * days + (memory.perTable * count + memory.perRow * newRows) / shards,
      ),
    ),
  });
  const firstCalls = each(({ perDay, loads }) => callsOf(perDay * loads, workload));
  const firstLoad = phase(firstCalls, MEASURED.firstLoad, loaded);
  const nightCalls = each(({ perDay }) => callsOf(perDay, workload));
  const night = phase(nightCalls, MEASURED.night, tenants * rowsPerDay);
  const idle = phase(count, MEASURED.idle, 0);
  const { ledgerBytes, catalogueBytes, manifestBytes } = MEASURED;
  const sizes = {
    lakeBytes: MEASURED.lakeBytesPerRow * rows + MEASURED.lakeBytesPerFile * files,
    ledgerBytes: ledgerBytes.base * shards + ledgerBytes.perHour * heldHours,
    catalogueBytes:
      catalogueBytes.base * shards + catalogueBytes.perHour * heldHours + catalogueBytes.perTenant * tenants,
    manifestBytes: manifestBytes.base * shards + manifestBytes.perFile * files + manifestBytes.perTenant * tenants,
  };
  // What more workers divide among them.
  const nightWork = MEASURED.night.cpu.perTable * count + MEASURED.night.cpu.perRow * tenants * rowsPerDay;
  const writesPerMonth = Math.round(30 * (count + PER_PUSH * shards));
  const gigabytes = (sizes.lakeBytes + sizes.ledgerBytes + sizes.catalogueBytes) / 1e9;
  return {
    workload,
    rows: Math.round(rows),
    firstLoad,
    night,
    idle,
    files: Math.round(files),
    ...sizes,
    mirror: {
      writesPerMonth,
      dollarsPerMonth: gigabytes * workload.dollarsPerGBMonth + (writesPerMonth / 1000) * workload.dollarsPer1000Writes,
    },
    limits: limitsOf([
      ['a night', nightWork / 3600 / LIMITS.nightHours],
      ['files', files / LIMITS.files],
      ['ledger', sizes.ledgerBytes / LIMITS.ledgerBytes],
      ['manifest', sizes.manifestBytes / LIMITS.manifestBytes],
    ]),
  };
}

type Factors = (typeof MEASURED)['firstLoad' | 'night' | 'idle'];

/** One to compare, and the pages. */
function callsOf(rows: number, { bytesPerRow }: Workload): number {
  return 1 + Math.max(Math.ceil(rows / CALL.rows), Math.ceil((rows * bytesPerRow) / CALL.bytes));
}

/** Files of one table of one tenant: with few rows, at most one for each. */
function filesOf(rowsPerDay: number, days: number): number {
  return Math.min(filesOfPeriods(rowsPerDay, days), rowsPerDay * days);
}

/** If each period has a row. */
function filesOfPeriods(rowsPerDay: number, days: number): number {
  const months = Math.ceil(days / MONTH.days) + 1;
  if (rowsPerDay * MONTH.days <= MONTH.rows) return months;
  if (rowsPerDay * MEASURED.lakeBytesPerRow >= MONTH.smallBytes) return days + 1;
  // The days of the month that goes on and of the one that is not closed yet; older ones are compacted.
  const single = Math.min(days, MONTH.closedAfterDays + MONTH.days / 2);
  return single + 1 + Math.ceil(Math.max(0, days - single) / MONTH.days);
}

function limitsOf(shares: readonly (readonly [Limit['what'], number])[]): Limit[] {
  return shares.flatMap(([what, share]) => (share > 1 ? [{ what, workers: Math.ceil(share) }] : []));
}
