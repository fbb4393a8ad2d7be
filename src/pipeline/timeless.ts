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
import { LEAST_ROW_CAP } from '../model/page.ts';
import { TABLES } from '../model/tables.ts';
import { capsOf } from './table-work.ts';
import type { TableWork } from './table-work.ts';

/** Of more rows, the rest is only counted: they are read into memory, and a source may have millions of them. */
const MOST_ROWS = 10_000;

/** Sends no call when nothing has changed, and one otherwise. What the source does not deliver is left to the next run. */
export async function quarantineTimeless(work: TableWork, { outside, grade }: SourceView): Promise<void> {
  const { ledger, tenant, table, run, record, runtime } = work;
  if (!outside) return;
  if (!(await isTimelessChanged(work, outside))) return;
  const { rows: rowCap } = await capsOf(work);
  const most = Math.min(rowCap, MOST_ROWS, outside.noTimestamp + outside.impossible);
  const columns = pageColumns(table, { digests: grade === 'content' });
  const rows = most === 0 ? [] : await fetchRows(work, columns, most);
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
 * `undefined` when the source delivers fewer rows than it has just counted, or none, or when no call may be sent now. Answers that twice
 * end at the same number of rows are cut at a cap: more rows do not fit into one.
 */
async function fetchRows(
  { client, table, settings, signal }: TableWork,
  columns: readonly string[],
  most: number,
): Promise<readonly TimelessRow[] | undefined> {
  const digests = columns.length > TABLES[table].columns.length;
  let [size, cutAt] = [most, 0];
  try {
    while (size > 0) {
      const query = timelessQuery(table, size, { dropKeys: settings.drop, digests });
      const answer = await client.ask(query, columns, signal);
      if (answer.kind === 'rows') {
        const { rows } = answer;
        const isCap = rows.length >= LEAST_ROW_CAP && rows.length === cutAt;
        if (rows.length >= size || isCap) return rows.map((cells) => rowOf(cells, columns, TABLES[table].id));
        if (cutAt > 0 || rows.length < LEAST_ROW_CAP) return undefined;
        cutAt = rows.length;
      } else if (answer.by === 'timeout') return undefined;
      else size = Math.floor(size / 2);
    }
    return undefined;
  } catch (error) {
    if (error instanceof SourceError || error instanceof BudgetError) return undefined;
    throw error;
  }
}

function rowOf(cells: readonly unknown[], columns: readonly string[], idColumn: string): TimelessRow {
  const cell = (name: string): string | undefined => {
    const value = cells[columns.indexOf(name)];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  return { id: cell(idColumn), timestamp: cell('timestamp'), digest: cell(DIGEST_CELL), raw: JSON.stringify(cells) };
}
