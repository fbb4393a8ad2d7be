/** What the dashboard shows as proof of one tenant: every known hour, the runs, the quarantine, changes of shape, failed checks. */
import type { Json } from '@duckdb/node-api';
import type { Reader } from './reader.ts';

/** Columns of equal length, one entry per hour. Written so because five years are 44,000 hours a table. */
interface ProvenHours {
  /** Whole hours since 1970. */
  readonly hour: number[];
  /** The state, or for a verified hour its grade. */
  readonly kind: string[];
  readonly source: number[];
  readonly lake: number[];
  readonly duplicates: number[];
  readonly quarantined: number[];
  /** Which of `proofs` proved the hour; -1 for none. */
  readonly proof: number[];
}

export interface TenantProof {
  readonly snapshot: number;
  readonly tenant: string;
  /** `at`: milliseconds since 1970, by the clock of the source. `run`: null if it published nothing or was long ago. */
  readonly proofs: { readonly at: number; readonly run: string | null }[];
  readonly tables: Readonly<Record<string, ProvenHours>>;
  readonly runs: readonly object[];
  readonly quarantine: readonly object[];
  readonly drift: readonly object[];
  readonly checks: readonly object[];
}

type Cell = string | number | null;

const HOURS = `
  select table_name, (epoch_ms(hour) // 3600000)::double, if(state = 'verified', grade, state), source_rows::double,
    lake_rows::double, duplicate_rows::double, quarantined_rows::double, epoch_ms(verified_at)::double
  from coverage where tenant_id = $tenant order by table_name, hour`;

/** One row per run and table, the newest run first. */
const RUNS = `
  select run, epoch_ms(started_at)::double as started, epoch_ms(finished_at)::double as finished, outcome as run_outcome,
    lower(part ->> 'table') as table_name, part ->> 'outcome' as outcome, (part ->> 'calls')::double as calls,
    (part ->> 'waitedMs')::double as waited, (part ->> 'rowsFetched')::double as fetched,
    (part ->> 'inserted')::double as inserted, (part ->> 'replaced')::double as replaced,
    (part ->> 'removed')::double as removed, (part ->> 'quarantined')::double as quarantined,
    epoch_ms((part ->> 'sourceAt')::timestamptz)::double as source_at
  from (select *, unnest(from_json(stats -> 'tables', '["json"]')) as part from runs)
  where part ->> 'tenant' = $tenant
  order by started_at desc, table_name`;

const QUARANTINE = `
  select table_name, reason, count(*)::double as rows, epoch_ms(min(coalesce(hour, placed_at)))::double as first,
    epoch_ms(max(coalesce(hour, placed_at)))::double as last
  from quarantine where tenant_id = $tenant group by all order by rows desc, table_name, reason`;

const DRIFT = `
  select table_name, type, path, change, kind, epoch_ms(changed_at)::double as changed
  from property_drift where tenant_id = $tenant order by changed_at desc, type, path limit 100`;

const CHECKS = `
  select check_name, severity, count(*)::double as days, sum(failures)::double as failures, min(day)::varchar as first,
    max(day)::varchar as last
  from check_failures where tenant_id = $tenant group by all order by severity, check_name`;

/** Undefined when the catalogue shows another snapshot: the manifest that named this one has been replaced, or is about to be. */
export async function readProof(reader: Reader, snapshot: number, tenant: string): Promise<TenantProof | undefined> {
  const [shown] = await objects(reader, 'select snapshot::double as snapshot from snapshot');
  if (shown?.['snapshot'] !== snapshot) return undefined;
  const runs = await objects(reader, RUNS, tenant);
  const runAt = new Map(runs.map((run) => [`${run['table_name']} ${run['source_at']}`, String(run['run'])]));
  const proofs: { at: number; run: string | null }[] = [];
  const indexes = new Map<string, number>();
  const tables: Record<string, ProvenHours> = {};
  const proofOf = (table: string, at: number): number => {
    const run = runAt.get(`${table} ${at}`) ?? null;
    const key = `${at} ${run}`;
    if (!indexes.has(key)) indexes.set(key, proofs.push({ at, run }) - 1);
    return indexes.get(key) ?? -1;
  };
  for await (const batch of (await reader.query(HOURS, { tenant })).batches())
    for (const [table, hour, kind, source, lake, duplicates, quarantined, at] of batch) {
      const name = textOf(table);
      const hours = (tables[name] ??= {
        hour: [],
        kind: [],
        source: [],
        lake: [],
        duplicates: [],
        quarantined: [],
        proof: [],
      });
      hours.hour.push(Number(hour));
      hours.kind.push(textOf(kind));
      hours.source.push(Number(source));
      hours.lake.push(Number(lake));
      hours.duplicates.push(Number(duplicates));
      hours.quarantined.push(Number(quarantined));
      hours.proof.push(at === null ? -1 : proofOf(name, Number(at)));
    }
  return {
    snapshot,
    tenant,
    proofs,
    tables,
    runs: runs.slice(0, 150),
    quarantine: await objects(reader, QUARANTINE, tenant),
    drift: await objects(reader, DRIFT, tenant),
    checks: await objects(reader, CHECKS, tenant),
  };
}

async function objects(reader: Reader, sql: string, tenant?: string): Promise<Record<string, Cell>[]> {
  const result = await reader.query(sql, tenant === undefined ? {} : { tenant });
  const rows: Record<string, Cell>[] = [];
  for await (const batch of result.batches())
    for (const row of batch)
      rows.push(Object.fromEntries(result.columns.map(({ name }, nth) => [name, asCell(row[nth])])));
  return rows;
}

function asCell(value: Json | undefined): Cell {
  return typeof value === 'number' ? value : value === null || value === undefined ? null : textOf(value);
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? null);
}
