/** The metrics: state of the lake, outcomes of runs and calls, as families of the Prometheus format. */
import type { StatusReport, TableDeadline } from '../model/report.ts';
import type { Family } from './exposition.ts';
import { addCalls, type Outcomes } from './outcomes.ts';
import type { Traffic } from './traffic.ts';

interface TableId {
  readonly tenant: string;
  readonly table: string;
}

export interface Measured {
  /** Version of the program. */
  readonly version: string;
  /**
   * The tables that are to be loaded. Each has its series from the start, so that an alert notices a table that is never loaded; a
   * table that is not loaded any more has none of those that alerts are about. Undefined: the tables of the lake.
   */
  readonly configured: readonly TableId[] | undefined;
  /** Undefined while nothing is published. */
  readonly status: StatusReport | undefined;
  /** The published lake is there and cannot be read. */
  readonly isUnreadable: boolean;
  readonly deadlines: readonly TableDeadline[];
  readonly outcomes: Outcomes;
  /** Runs push what they publish to a mirror. */
  readonly isMirrored: boolean;
  readonly diskFreeBytes: number | undefined;
  /** The calls of this process, added to the recorded ones. */
  readonly traffic?: Traffic | undefined;
  readonly schedule?: { readonly running: boolean; readonly nextMs: number | undefined } | undefined;
}

const gauge = (name: string, help: string, samples: Family['samples']): Family => ({
  name: `insights_etl_${name}`,
  help,
  type: 'gauge',
  samples,
});

const counter = (name: string, help: string, samples: Family['samples']): Family => ({
  ...gauge(name, help, samples),
  type: 'counter',
});

const one = (value: number | undefined): Family['samples'] => (value === undefined ? [] : [{ value }]);

/** All families in a fixed order. Alert rules depend on their names and labels. */
export function families(measured: Measured): Family[] {
  const { version, outcomes, traffic, schedule, diskFreeBytes, isUnreadable, isMirrored } = measured;
  const calls = addCalls(outcomes.calls, traffic?.counts() ?? new Map());
  const counts = Object.entries(calls).flatMap(([tenant, byStatus]) =>
    Object.entries(byStatus).map(([status, value]) => ({ labels: { tenant, status }, value })),
  );
  const tenants = new Set([...Object.keys(calls), ...(measured.configured ?? []).map(({ tenant }) => tenant)]);
  const throttled = [...tenants].map((tenant) => ({ labels: { tenant }, value: calls[tenant]?.['429'] ?? 0 }));
  const last = outcomes.last;
  return [
    gauge('build_info', 'Always 1; the version of the program.', [{ labels: { version }, value: 1 }]),
    ...lakeFamilies(measured),
    gauge('lake_unreadable', '1 if the published lake cannot be read, otherwise 0.', one(Number(isUnreadable))),
    ...outcomeFamilies(measured),
    gauge(
      'last_run_timestamp_seconds',
      'Time when the last run ended, seconds since 1970.',
      one(last && last.finishedMs / 1000),
    ),
    gauge('last_run_exit_code', 'Exit code of the last run.', one(last?.exitCode)),
    gauge('last_run_duration_seconds', 'Duration of the last run.', one(last?.seconds)),
    gauge(
      'mirrored_timestamp_seconds',
      'Time when a run last left the mirror up to date, seconds since 1970; 0 if none did. Absent without a mirror.',
      one(isMirrored ? (outcomes.mirroredMs ?? 0) / 1000 : undefined),
    ),
    counter(
      'calls_total',
      'Calls sent to the source, by HTTP status of the answer; "failed" if no answer came.',
      counts,
    ),
    counter('throttled_total', 'Calls answered with 429.', throttled),
    gauge(
      'calls_per_minute',
      'Calls that this process sent in the last minute.',
      [...(traffic?.perMinute() ?? [])].map(([tenant, value]) => ({ labels: { tenant }, value })),
    ),
    gauge('schedule_running', '1 while a run is in progress, otherwise 0.', one(schedule && Number(schedule.running))),
    gauge(
      'schedule_next_run_timestamp_seconds',
      'Time of the next slot, seconds since 1970.',
      one(schedule?.nextMs === undefined ? undefined : schedule.nextMs / 1000),
    ),
    gauge('disk_free_bytes', 'Free space on the file system of the data directory.', one(diskFreeBytes)),
  ];
}

const keyOf = ({ tenant, table }: TableId): string => `${tenant} ${table}`;

/** A table of which the lake has nothing. */
const NOTHING = {
  rows: 0,
  files: 0,
  bytes: 0,
  freshnessSeconds: undefined,
  hours: { verified: 0, partial: 0, open: 0, expired: 0 },
  quarantined: 0,
  oldestProof: undefined,
} as const;

function lakeFamilies({ status, deadlines, configured }: Measured): Family[] {
  const inLake = status?.tables ?? [];
  const known = new Set(inLake.map(keyOf));
  const neverLoaded = (configured ?? []).filter((id) => !known.has(keyOf(id))).map((id) => ({ ...NOTHING, ...id }));
  const tables = [...inLake, ...neverLoaded].map((table) => ({
    ...table,
    labels: { tenant: table.tenant, table: table.table },
  }));
  const wanted = configured && new Set(configured.map(keyOf));
  const isWatched = (id: TableId): boolean => wanted?.has(keyOf(id)) ?? true;
  const isWatchedTenant = (tenant: string): boolean => configured?.some((id) => id.tenant === tenant) ?? true;
  const each = (valueOf: (table: (typeof tables)[number]) => number | undefined): Family['samples'] =>
    tables.flatMap((table) => {
      const value = valueOf(table);
      return value === undefined ? [] : [{ labels: table.labels, value }];
    });
  const limits = (valueOf: (deadline: TableDeadline) => number | undefined): Family['samples'] =>
    deadlines.filter(isWatched).flatMap((deadline) => {
      const value = valueOf(deadline);
      return value === undefined ? [] : [{ labels: { tenant: deadline.tenant, table: deadline.table }, value }];
    });
  const lost = status?.lastRun?.outside ?? [];
  const outside = tables.flatMap(({ labels, tenant, table }) => {
    const counts = lost.find((other) => other.tenant === tenant && other.table === table);
    const kinds = { no_timestamp: counts?.noTimestamp, impossible: counts?.impossible, future: counts?.future };
    return Object.entries(kinds).map(([kind, value = 0]) => ({ labels: { ...labels, kind }, value }));
  });
  const hours = tables.flatMap(({ labels, hours: states }) =>
    Object.entries(states).map(([state, value]) => ({ labels: { ...labels, state }, value })),
  );
  const checks = (status?.checks ?? [])
    .filter(({ tenant }) => isWatchedTenant(tenant))
    .map((check) => ({
      ...check,
      labels: { tenant: check.tenant, check: check.check, severity: check.severity },
    }));
  return [
    gauge(
      'check_failures',
      'Failing rows that a check found, over all days as each was last checked.',
      checks.map(({ labels, failures }) => ({ labels, value: failures })),
    ),
    gauge(
      'check_refused',
      '1 if the check could not run the last time, otherwise 0.',
      checks.map(({ labels, error }) => ({ labels, value: Number(error !== undefined) })),
    ),
    gauge(
      'rows',
      'Rows in the lake.',
      each(({ rows }) => rows),
    ),
    gauge(
      'files',
      'Parquet files in the lake.',
      each(({ files }) => files),
    ),
    gauge(
      'lake_bytes',
      'Size of the published Parquet files.',
      each(({ bytes }) => bytes),
    ),
    gauge(
      'freshness_seconds',
      'Age of the newest row.',
      each(({ freshnessSeconds }) => freshnessSeconds),
    ),
    gauge('hours', 'Hours by state: verified, partial, open or expired.', hours),
    gauge(
      'hours_unverified',
      'Compared hours that do not balance.',
      each((table) => (isWatched(table) ? table.hours.partial : undefined)),
    ),
    gauge(
      'hours_at_risk',
      'Hours not verified or never compared that the source forgets within 3 days.',
      limits((d) => d.hoursAtRisk),
    ),
    gauge(
      'compared_until_timestamp_seconds',
      'End of the last compared hour, seconds since 1970.',
      limits((d) => d.comparedUntil),
    ),
    gauge(
      'retention_seconds',
      'Time that the source keeps a row.',
      limits((d) => d.retentionSeconds),
    ),
    gauge(
      'oldest_proof_timestamp_seconds',
      'When the verified hour was compared that was not compared for the longest time, seconds since 1970.',
      each((table) =>
        table.oldestProof === undefined || !isWatched(table) ? undefined : Date.parse(table.oldestProof) / 1000,
      ),
    ),
    gauge(
      'rotation_seconds',
      'Time within which all older days are compared again.',
      limits((d) => d.rotationSeconds),
    ),
    gauge(
      'quarantined_rows',
      'Rows in quarantine.',
      each(({ quarantined }) => quarantined),
    ),
    gauge('rows_outside_hours', 'Rows at the source that lie in no hour: no_timestamp, impossible or future.', outside),
  ];
}

function outcomeFamilies({ outcomes, configured }: Measured): Family[] {
  const recorded = new Map(outcomes.tables.map((entry) => [keyOf(entry), entry]));
  const never = { verified: false, lowered: false, rowsLoaded: 0, retries: 0, expiredHours: 0 };
  const tables = (configured ?? outcomes.tables).map(({ tenant, table }) => ({
    ...never,
    ...recorded.get(keyOf({ tenant, table })),
    labels: { tenant, table },
  }));
  const each = (valueOf: (table: (typeof tables)[number]) => number): Family['samples'] =>
    tables.map((table) => ({ labels: table.labels, value: valueOf(table) }));
  return [
    gauge(
      'last_success_timestamp_seconds',
      'Time of the last run that verified the whole table, seconds since 1970; 0 if there was none.',
      each(({ successMs = 0 }) => successMs / 1000),
    ),
    gauge(
      'last_run_failed',
      '0 if the last run of the table verified it, otherwise 1, also before its first run.',
      each(({ verified }) => Number(!verified)),
    ),
    gauge(
      'last_run_proof_lowered',
      '1 if the source rejected the best proof in the last run of the table, otherwise 0.',
      each(({ lowered }) => Number(lowered)),
    ),
    gauge(
      'last_run_expired_hours',
      'Hours that the last run found lost: the source deleted them before they were proven.',
      each(({ expiredHours }) => expiredHours),
    ),
    counter(
      'rows_loaded_total',
      'Rows that runs added to the lake or replaced in it.',
      each(({ rowsLoaded }) => rowsLoaded),
    ),
    counter(
      'retries_total',
      'Calls that runs sent again, because the first attempt failed.',
      each(({ retries }) => retries),
    ),
  ];
}
