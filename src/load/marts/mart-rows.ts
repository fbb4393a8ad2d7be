/**
 * What days of reports are computed from: temp views and tables under the names that reports use, over the rows and hours of a
 * span, gone when the work over them is done.
 */
import { createSql, readsFrom } from '../../query/definitions.ts';
import type { Definition } from '../../query/definitions.ts';
import { TABLES } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';
import { sqlText } from '../../kernel/sql.ts';
import { rowsOf } from '../store/current-files.ts';
import { COVERAGE_SQL } from '../ledger/coverage.ts';
import type { CurrentFile } from '../store/current-files.ts';
import type { Ledger } from '../ledger/ledger.ts';

/** Rows from which memory matters more than a second thread. */
const LARGE = 50_000;

/** Read once, for all spans. */
export interface RowsSource {
  readonly files: readonly CurrentFile[];
  readonly definitions: readonly Definition[];
}

export interface RowsSpan {
  /** yyyy-mm-dd, `to` exclusive. */
  readonly from: string;
  readonly to: string;
  /** Hours of all days, not those of the span alone. */
  readonly wholeCoverage?: boolean;
  readonly tables: readonly TableName[];
  /** Select of tenants in brackets. */
  readonly tenants: string;
  /** A temp table of rows before the span that stand for all of them. */
  readonly opening?: string;
  /** About how many. */
  readonly rows: number;
}

/** Runs `work` over a span; its `define` makes the shared definitions that a statement stands on. */
export async function overRows<T>(
  ledger: Ledger,
  { files, definitions }: RowsSource,
  span: RowsSpan,
  work: (define: (sql: string) => Promise<void>) => Promise<T>,
): Promise<T> {
  const isDefined = new Set<string>();
  // A view on views becomes a table: several reports read each, and a plan through three views costs more than a day's rows.
  // One that reads the lake alone stays a view: a copy of a large day costs more memory than anything else here.
  const define = async (sql: string): Promise<void> => {
    for (const definition of definitions) {
      if (isDefined.has(definition.name) || !readsFrom(sql, definition.name)) continue;
      isDefined.add(definition.name);
      await define(definition.select);
      if (!isCopied(definition)) {
        await ledger.run(createSql(definition, 'create or replace temp'));
        continue;
      }
      const copy = `create or replace temp table ${definition.name} as ${definition.select}`;
      // Each thread holds a part of a window's rows: over a large day one thread is the peak of a run the less.
      if (span.rows > LARGE) await ledger.onOneThread(() => ledger.run(copy));
      else await ledger.run(copy);
    }
  };
  try {
    await ledger.run(`create or replace temp view snapshot as select ${ledger.nowSql()} as published_at`);
    for (const table of span.tables) await takeRows(ledger, table, files, span);
    await takeCoverage(ledger, span);
    return await work(define);
  } finally {
    await ledger.run(dropTaken(definitions));
    await ledger.release();
  }
}

function isCopied({ arguments: of, uses }: Definition): boolean {
  return of === undefined && uses.length > 0;
}

function dropTaken(definitions: readonly Definition[]): string {
  const made = definitions.map((definition) => {
    const kind = definition.arguments !== undefined ? 'macro table' : isCopied(definition) ? 'table' : 'view';
    return `drop ${kind} if exists temp.${definition.name}`;
  });
  const taken = Object.values(TABLES).map(({ lakeName }) => `drop view if exists temp.${lakeName}`);
  return [...made, ...taken, 'drop table if exists temp.coverage', 'drop view if exists temp.snapshot'].join(';\n');
}

/** A temp view of the table's name. Reports read a few columns of it; a copy would cost a day's memory. */
async function takeRows(
  ledger: Ledger,
  name: TableName,
  files: readonly CurrentFile[],
  { from, to, tenants, opening }: RowsSpan,
): Promise<void> {
  const table = ledger.settings.tables[name];
  const inSpan = files.filter((file) => file.table === name && file.from < to && file.to > from);
  const before = opening === undefined ? '' : ` union all by name ${ofOpening(name, opening)}`;
  await ledger.run(
    `create or replace temp view ${table.lakeName} as
     select * from (${rowsOf(table, inSpan)})
     where "timestamp" >= ${sqlText(from)}::timestamptz and "timestamp" < ${sqlText(to)}::timestamptz and tenant_id in ${tenants}
     ${before}`,
  );
}

/** What `queries/openings.sql` keeps of a table. */
function ofOpening(name: TableName, opening: string): string {
  return name === 'Metrics'
    ? `select tenant_id, metric_type, timestamp from ${opening} where metric_type is not null`
    : `select * exclude (metric_type) from ${opening} where metric_type is null`;
}

/** The ends of all coverage are ends for a span too: what lies beyond them is not over. */
async function takeCoverage(ledger: Ledger, { from, to, tenants, wholeCoverage }: RowsSpan): Promise<void> {
  const part = `window ends as (partition by tenant_id, table_name)
     qualify (hour >= ${sqlText(from)}::timestamptz and hour < ${sqlText(to)}::timestamptz)
       or hour in (min(hour) over ends, max(hour) over ends)`;
  await ledger.run(
    `create or replace temp table coverage as select * from (${COVERAGE_SQL}) where tenant_id in ${tenants}
     ${wholeCoverage === true ? '' : part}`,
  );
}
