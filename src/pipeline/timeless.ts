/**
 * Rows without a possible time go to quarantine. No page of an hour can have them, so they are fetched by a query of their own, and
 * only when the comparison shows that they are others than those in quarantine.
 */
import type { SourceView } from '../extract/compare/reconcile.ts';
import { pageColumns, timelessQuery } from '../extract/source/kql.ts';
import { BudgetError, SourceError } from '../kernel/errors.ts';
import { readProfile } from '../load/ledger/profile.ts';
import { replaceTimeless } from '../load/merge/timeless.ts';
import type { TimelessRow } from '../load/merge/timeless.ts';
import { DIGEST_CELL } from '../model/fingerprint.ts';
import type { OutsideRows } from '../model/outside.ts';
import { MAX_SORTED } from '../model/page.ts';
import { TABLES } from '../model/tables.ts';
import { capsOf } from './table-work.ts';
import type { TableWork } from './table-work.ts';

/** Of more rows, the rest is only counted: they are read into memory, and a source may have millions of them. */
const MOST_ROWS = 10_000;
const MOST_CALLS = 64;

/** Sends no call when nothing has changed, and otherwise one, or several where an answer cannot hold the rows. What the source does not deliver is left to the next run. */
export async function quarantineTimeless(work: TableWork, { outside, grade }: SourceView): Promise<void> {
  const { ledger, tenant, table, run, record, runtime } = work;
  if (!outside) return;
  if (!(await isTimelessChanged(work, outside))) return;
  const total = outside.noTimestamp + outside.impossible;
  const most = Math.min(MOST_ROWS, total);
  const columns = pageColumns(table, { digests: grade === 'content' });
  const rows = most === 0 ? [] : await fetchRows(work, columns, most, total <= MAX_SORTED);
  if (rows === undefined) {
    runtime.log.warn(
      { event: 'timeless.left', tenant, table, rows: most },
      'rows without a possible time were not delivered: the next run fetches them again',
    );
    return;
  }
  await replaceTimeless(ledger, tenant, table, { rows, columns, key: outside.key, run });
  record({ kind: 'timeless', rows: rows.length });
}

/** Whether the source has other rows without a possible time than those that were last quarantined. */
export async function isTimelessChanged({ ledger, tenant, table }: TableWork, { key }: OutsideRows): Promise<boolean> {
  const { timeless } = await readProfile(ledger, tenant);
  return key !== (timeless?.[table] ?? '');
}

/**
 * In one call, or in slices if an answer cannot hold that many rows. Rows beyond what MOST_CALLS slices hold are only counted. `undefined` when the source does not deliver what it has just counted, or when no call may be sent now.
 */
async function fetchRows(
  work: TableWork,
  columns: readonly string[],
  most: number,
  isSortable: boolean,
): Promise<readonly TimelessRow[] | undefined> {
  const { client, table, settings, signal } = work;
  const { rows: rowCap } = await capsOf(work);
  const options = { dropKeys: settings.drop, digests: columns.length > TABLES[table].columns.length };
  const rows: (readonly unknown[])[] = [];
  let size = Math.min(rowCap, most);
  try {
    for (let calls = 0; rows.length < most && calls < MOST_CALLS; calls++) {
      const slice = { from: rows.length, to: Math.min(most, rows.length + size) };
      const query = timelessQuery(table, size, options, isSortable && size < most ? slice : undefined);
      const answer = await client.ask(query, columns, signal);
      if (answer.kind === 'rows') {
        const isWhole = answer.rows.length >= slice.to - slice.from;
        if (isWhole || !isSortable) rows.push(...answer.rows);
        if (!isSortable) break;
        // The answer was cut. Slices of as many rows as it had must arrive whole.
        if (!isWhole) size = answer.rows.length;
      } else if (answer.by === 'timeout') return undefined;
      else size = Math.floor(size / 2);
      if (size === 0) return undefined;
    }
  } catch (error) {
    if (error instanceof SourceError || error instanceof BudgetError) return undefined;
    throw error;
  }
  return rows.length === 0 ? undefined : rows.map((cells) => rowOf(cells, columns, TABLES[table].id));
}

function rowOf(cells: readonly unknown[], columns: readonly string[], idColumn: string): TimelessRow {
  const cell = (name: string): string | undefined => {
    const value = cells[columns.indexOf(name)];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  return { id: cell(idColumn), timestamp: cell('timestamp'), digest: cell(DIGEST_CELL), raw: JSON.stringify(cells) };
}
