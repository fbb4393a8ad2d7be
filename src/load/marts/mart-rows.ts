/**
 * What the days of reports are computed from: temporary views and tables with the names that reports use, over the rows and
 * hours of a span. They are dropped when the work on the span is done.
 */
import { CARRIED, createSql, readsFrom } from '../../query/definitions.ts';
import type { Definition } from '../../query/definitions.ts';
import { TABLES } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';
import { sqlText } from '../../kernel/sql.ts';
import { DROP_OPENING, carryOver, divideOpening } from './opening-rows.ts';
import type { OpeningOf } from './opening-rows.ts';
import { SHARED_TABLES } from './shared-periods.ts';
import { rowsOf } from '../store/current-files.ts';
import { COVERAGE_SQL, HISTORY_LIMITS_SQL } from '../ledger/coverage.ts';
import type { CurrentFile } from '../store/current-files.ts';
import type { Ledger } from '../ledger/ledger.ts';

/** Read once for all spans. */
export interface RowsSource {
  readonly files: readonly CurrentFile[];
  readonly definitions: readonly Definition[];
}

export interface RowsSpan {
  /** yyyy-mm-dd, `to` exclusive. */
  readonly from: string;
  readonly to: string;
  /** Coverage has the hours of all days and not only those of the span, because figures depend on the past. */
  readonly wholeCoverage?: boolean;
  readonly tables: readonly TableName[];
  /** A select of tenants, in brackets. */
  readonly tenants: string;
  /** The opening that replaces all rows before the span. */
  readonly opening?: OpeningOf | undefined;
}

/**
 * A function that creates the shared definitions that a statement reads. A view on other views becomes a table: several reports
 * read it, and planning through three views takes longer than reading a day's rows. A view that reads only the lake stays a view,
 * because a copy of a large day would take too much memory.
 */
export function definer(ledger: Ledger, definitions: readonly Definition[]): (sql: string) => Promise<void> {
  const isDefined = new Set<string>();
  const define = async (sql: string): Promise<void> => {
    for (const definition of definitions) {
      if (isDefined.has(definition.name) || !readsFrom(sql, definition.name)) continue;
      isDefined.add(definition.name);
      await define(definition.select);
      await ledger.run(
        isCopied(definition)
          ? `create or replace temp table ${definition.name} as ${definition.select}`
          : createSql(definition, 'create or replace temp'),
      );
    }
  };
  return define;
}

/** The `tenants` of a span. */
export function tenantsSql(names: readonly string[]): string {
  return `(select unnest([${names.map(sqlText).join(', ')}]))`;
}

/** Runs `work` over a span. Its `define` creates the shared definitions that a statement reads. */
export async function overRows<T>(
  ledger: Ledger,
  { files, definitions }: RowsSource,
  span: RowsSpan,
  work: (define: (sql: string) => Promise<void>) => Promise<T>,
): Promise<T> {
  const { opening } = span;
  const defined = opening === undefined ? definitions : definitions.filter(({ name }) => name !== CARRIED);
  const define = definer(ledger, defined);
  try {
    await ledger.run(`create or replace temp view snapshot as select ${ledger.nowSql()} as published_at`);
    for (const table of span.tables) await createRows(ledger, table, files, span);
    await createCoverage(ledger, span);
    if (opening !== undefined) {
      const read = await divideOpening(ledger, opening);
      for (const table of span.tables) await createRows(ledger, table, files, span, read);
      await carryOver(ledger, opening, define);
    }
    return await work(define);
  } finally {
    const carried = opening === undefined ? [] : [`drop table if exists temp.${CARRIED}`];
    await ledger.run([...dropDefinitions(defined), ...carried, ...dropRows()].join(';\n'));
    await ledger.release();
  }
}

/** Whether a `definer` makes a table of it. */
export function isCopied({ kind, uses }: Definition): boolean {
  return kind === 'view' && uses.length > 0;
}

/** Statements that drop whatever a `definer` of these definitions has created. */
export function dropDefinitions(definitions: readonly Definition[]): string[] {
  return definitions.map((definition) => {
    const kind = isCopied(definition) ? 'table' : definition.kind;
    return `drop ${kind} if exists temp.${definition.name}`;
  });
}

function dropRows(): string[] {
  return [
    ...Object.values(TABLES).map(({ lakeName }) => `drop view if exists temp.${lakeName}`),
    'drop table if exists temp.coverage',
    ...DROP_OPENING,
    ...SHARED_TABLES.map((name) => `drop table if exists temp.${name}`),
    'drop view if exists temp.history_limits',
    'drop view if exists temp.snapshot',
  ];
}

/** A temporary view with the table's name. Reports read few of its columns; a copy would hold a whole day in memory. */
async function createRows(
  ledger: Ledger,
  name: TableName,
  files: readonly CurrentFile[],
  { from, to, tenants }: RowsSpan,
  opening?: string,
): Promise<void> {
  const table = ledger.settings.tables[name];
  const inSpan = files.filter((file) => file.table === name && file.from < to && file.to > from);
  const before = opening === undefined ? '' : ` union all by name ${rowsOfOpening(name, opening)}`;
  await ledger.run(
    `create or replace temp view ${table.lakeName} as
     select * from (${rowsOf(table, inSpan)})
     where "timestamp" >= ${sqlText(from)}::timestamptz and "timestamp" < ${sqlText(to)}::timestamptz and tenant_id in ${tenants}
     ${before}`,
  );
}

/** The rows of a table in an opening (`queries/openings/rows.sql`). */
function rowsOfOpening(name: TableName, opening: string): string {
  return name === 'Metrics'
    ? `select tenant_id, metric_type, timestamp, properties::json as properties, pass_type, value::json as value, value_number
       from ${opening} where metric_type is not null`
    : `select * exclude (metric_type, properties, value, value_number, carried) from ${opening} where metric_type is null`;
}

/**
 * Always includes each table's first and last hour of all coverage: reports need them to know which periods are complete. The ends of
 * each stretch show where coverage begins (`queries/views/beginnings.sql`, whose stretches are as long).
 */
async function createCoverage(ledger: Ledger, { from, to, tenants, wholeCoverage }: RowsSpan): Promise<void> {
  const part = `window ends as (partition by tenant_id, table_name, epoch_us(hour) // 17280000000000)
     qualify (hour >= ${sqlText(from)}::timestamptz and hour < ${sqlText(to)}::timestamptz)
       or hour in (min(hour) over ends, max(hour) over ends)`;
  await ledger.run(
    `create or replace temp view history_limits as ${HISTORY_LIMITS_SQL};
     create or replace temp table coverage as select * from (${COVERAGE_SQL}) where tenant_id in ${tenants}
     ${wholeCoverage === true ? '' : part}`,
  );
}
