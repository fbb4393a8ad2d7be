/** The metrics: state of the lake, outcomes of runs and calls, as families of the Prometheus format. */
import type { StatusReport, TableDeadline } from '../model/report.ts';
import type { Family } from './exposition.ts';
import { addCalls, type Outcomes } from './outcomes.ts';
import type { Traffic } from './traffic.ts';

export interface Measured {
  /** Undefined while nothing is published. */
  readonly status: StatusReport | undefined;
  readonly deadlines: readonly TableDeadline[];
  readonly outcomes: Outcomes;
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

const one = (value: number | undefined): Family['samples'] => (value === undefined ? [] : [{ value }]);

/** All families in a fixed order. Alert rules depend on their names and labels. */
export function families(measured: Measured): Family[] {
  const { outcomes, traffic, schedule, diskFreeBytes } = measured;
  const calls = addCalls(outcomes.calls, traffic?.counts() ?? new Map());
  const counts = Object.entries(calls).flatMap(([tenant, byStatus]) =>
    Object.entries(byStatus).map(([status, value]) => ({ labels: { tenant, status }, value })),
  );
  const throttled = Object.entries(calls).map(([tenant, byStatus]) => ({
    labels: { tenant },
    value: byStatus['429'] ?? 0,
  }));
  const last = outcomes.last;
  return [
    ...lakeFamilies(measured),
    ...outcomeFamilies(outcomes),
    gauge(
      'last_run_timestamp_seconds',
      'Time when the last run ended, seconds since 1970.',
      one(last && last.finishedMs / 1000),
    ),
    gauge('last_run_exit_code', 'Exit code of the last run.', one(last?.exitCode)),
    gauge('last_run_duration_seconds', 'Duration of the last run.', one(last?.seconds)),
    {
      name: 'insights_etl_calls_total',
      help: 'Calls sent to the source, by HTTP status of the answer; "failed" if no answer came.',
      type: 'counter',
      samples: counts,
    },
    { name: 'insights_etl_throttled_total', help: 'Calls answered with 429.', type: 'counter', samples: throttled },
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

function lakeFamilies({ status, deadlines }: Measured): Family[] {
  const tables = (status?.tables ?? []).map((table) => ({
    ...table,
    labels: { tenant: table.tenant, table: table.table },
  }));
  const each = (valueOf: (table: (typeof tables)[number]) => number | undefined): Family['samples'] =>
    tables.flatMap((table) => {
      const value = valueOf(table);
      return value === undefined ? [] : [{ labels: table.labels, value }];
    });
  const limits = (valueOf: (deadline: TableDeadline) => number | undefined): Family['samples'] =>
    deadlines.flatMap((deadline) => {
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
  const checks = (status?.checks ?? []).map((check) => ({
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
      each((table) => table.hours.partial),
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
      each(({ oldestProof }) => (oldestProof === undefined ? undefined : Date.parse(oldestProof) / 1000)),
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

function outcomeFamilies({ tables }: Outcomes): Family[] {
  const labelled = tables.map((entry) => ({ ...entry, labels: { tenant: entry.tenant, table: entry.table } }));
  return [
    gauge(
      'last_success_timestamp_seconds',
      'Time of the last run that verified the whole table, seconds since 1970.',
      labelled.flatMap(({ labels, successMs }) =>
        successMs === undefined ? [] : [{ labels, value: successMs / 1000 }],
      ),
    ),
    gauge(
      'last_run_failed',
      '1 if the last run of the table did not verify it, otherwise 0.',
      labelled.map(({ labels, verified }) => ({ labels, value: verified ? 0 : 1 })),
    ),
    gauge(
      'last_run_proof_lowered',
      '1 if the source rejected the best proof in the last run of the table, otherwise 0.',
      labelled.map(({ labels, lowered }) => ({ labels, value: Number(lowered) })),
    ),
  ];
}
