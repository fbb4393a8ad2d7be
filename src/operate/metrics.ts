/** What is measured, by name: the lake's state, the last runs and the traffic as families of the Prometheus format. */
import type { StatusReport } from '../model/report.ts';
import type { Family } from './exposition.ts';
import { added, type Outcomes } from './outcomes.ts';
import type { Traffic } from './traffic.ts';

/** What `status` does not hold of a table: its deadlines. */
interface Deadline {
  readonly tenant: string;
  readonly table: string;
  /** Hours not verified that the source forgets within the next days. */
  readonly hoursAtRisk: number;
  /** End of the last hour that was compared with the source, seconds since 1970. */
  readonly comparedUntil: number | undefined;
  /** Seconds that the source keeps a row; undefined = for good. */
  readonly retentionSeconds: number | undefined;
}

export interface Measured {
  /** Undefined while nothing is published. */
  readonly status: StatusReport | undefined;
  readonly deadlines: readonly Deadline[];
  readonly outcomes: Outcomes;
  readonly diskFreeBytes: number | undefined;
  /** Of this process; without it the counts of earlier runs alone are shown. */
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

/** All families, in a fixed order; names and labels are what alert rules rely on. */
export function families(measured: Measured): Family[] {
  const { outcomes, traffic, schedule, diskFreeBytes } = measured;
  const calls = added(outcomes.calls, traffic?.counts() ?? new Map());
  const counts = Object.entries(calls).flatMap(([tenant, byStatus]) =>
    Object.entries(byStatus).map(([status, value]) => ({ labels: { tenant, status }, value })),
  );
  const throttled = Object.entries(calls).map(([tenant, byStatus]) => ({
    labels: { tenant },
    value: byStatus['429'] ?? 0,
  }));
  const last = outcomes.last;
  return [
    ...ofLake(measured),
    ...ofOutcomes(outcomes),
    gauge('last_run_timestamp_seconds', 'When the last run ended.', one(last && last.finishedMs / 1000)),
    gauge('last_run_exit_code', 'Exit code of the last run.', one(last?.exitCode)),
    gauge('last_run_duration_seconds', 'Seconds that the last run took.', one(last?.seconds)),
    {
      name: 'insights_etl_calls_total',
      help: 'Calls sent to the source, by status of the answer; "failed" where none came.',
      type: 'counter',
      samples: counts,
    },
    { name: 'insights_etl_throttled_total', help: 'Calls answered with 429.', type: 'counter', samples: throttled },
    gauge(
      'calls_per_minute',
      'Calls sent in the last minute by this process.',
      [...(traffic?.perMinute() ?? [])].map(([tenant, value]) => ({ labels: { tenant }, value })),
    ),
    gauge('schedule_running', '1 while a run is under way.', one(schedule && Number(schedule.running))),
    gauge(
      'schedule_next_run_timestamp_seconds',
      'The next slot.',
      one(schedule?.nextMs === undefined ? undefined : schedule.nextMs / 1000),
    ),
    gauge('disk_free_bytes', 'Bytes free where the data directory lies.', one(diskFreeBytes)),
  ];
}

function ofLake({ status, deadlines }: Measured): Family[] {
  const tables = (status?.tables ?? []).map((table) => ({
    ...table,
    labels: { tenant: table.tenant, table: table.table },
  }));
  const each = (of: (table: (typeof tables)[number]) => number | undefined): Family['samples'] =>
    tables.flatMap((table) => {
      const value = of(table);
      return value === undefined ? [] : [{ labels: table.labels, value }];
    });
  const limits = (of: (deadline: Deadline) => number | undefined): Family['samples'] =>
    deadlines.flatMap((deadline) => {
      const value = of(deadline);
      return value === undefined ? [] : [{ labels: { tenant: deadline.tenant, table: deadline.table }, value }];
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
      'Rows that a check returned, over all days as each was last looked at.',
      checks.map(({ labels, failures }) => ({ labels, value: failures })),
    ),
    gauge(
      'check_refused',
      '1 where the check could not run when it was last asked.',
      checks.map(({ labels, error }) => ({ labels, value: Number(error !== undefined) })),
    ),
    gauge(
      'rows',
      'Rows in the lake.',
      each(({ rows }) => rows),
    ),
    gauge(
      'files',
      'Parquet files of the lake.',
      each(({ files }) => files),
    ),
    gauge(
      'lake_bytes',
      'Bytes of the published Parquet files.',
      each(({ bytes }) => bytes),
    ),
    gauge(
      'freshness_seconds',
      'Age of the newest row.',
      each(({ freshnessSeconds }) => freshnessSeconds),
    ),
    gauge('hours', 'Hours by state of their proof.', hours),
    gauge(
      'hours_unverified',
      'Hours compared that do not balance.',
      each((table) => table.hours.partial),
    ),
    gauge(
      'hours_at_risk',
      'Unverified hours that the source forgets within 3 days.',
      limits((d) => d.hoursAtRisk),
    ),
    gauge(
      'compared_until_timestamp_seconds',
      'End of the last hour compared.',
      limits((d) => d.comparedUntil),
    ),
    gauge(
      'retention_seconds',
      'How long the source keeps a row.',
      limits((d) => d.retentionSeconds),
    ),
    gauge(
      'quarantined_rows',
      'Rows in quarantine.',
      each(({ quarantined }) => quarantined),
    ),
  ];
}

function ofOutcomes({ tables }: Outcomes): Family[] {
  const labelled = tables.map((entry) => ({ ...entry, labels: { tenant: entry.tenant, table: entry.table } }));
  return [
    gauge(
      'last_success_timestamp_seconds',
      'When the table was last verified to its end.',
      labelled.flatMap(({ labels, successMs }) =>
        successMs === undefined ? [] : [{ labels, value: successMs / 1000 }],
      ),
    ),
    gauge(
      'last_run_failed',
      '1 where the last run of the table did not verify it.',
      labelled.map(({ labels, verified }) => ({ labels, value: verified ? 0 : 1 })),
    ),
  ];
}
