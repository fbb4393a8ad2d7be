/**
 * What `doctor` asks about an endpoint beyond the probe, one call each: shapes, limits and functions that the vendor's
 * documentation leaves open. None is needed for loading; an endpoint may refuse any of them.
 */
import { TABLES } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';

export interface Question {
  readonly query: string;
  /** Columns of the answer, in order. */
  readonly columns: readonly string[];
}

/** Cells of the types that rows hold, as the endpoint writes them: no `tostring` around them. */
export function formsQuestion(): Question {
  return {
    query:
      'print id = guid(6F1D2C9E-0B1A-4A55-9A51-0C5B7D1E0001), at = datetime(2026-03-01T08:15:02.1234567Z), ' +
      'bag = dynamic({"a":[1]}), att = tostring(datetime(2026-03-01T08:15:02.1234567Z))',
    columns: ['id', 'at', 'bag', 'att'],
  };
}

/** The columns that a table has, with their types. */
export function schemaQuestion(table: TableName): Question {
  return { query: `${table}\n| getschema\n| project ColumnName, ColumnType`, columns: ['ColumnName', 'ColumnType'] };
}

/** How much a table holds, from when to when, and what time it is there. */
export function extentQuestion(table: TableName): Question {
  return {
    query: `${table}\n| summarize n = count(), lo = min(timestamp), hi = max(timestamp)\n| project n = tostring(n), lo = tostring(lo), hi = tostring(hi), at = tostring(now())`,
    columns: ['n', 'lo', 'hi', 'at'],
  };
}

/** So many small rows, made by the engine itself: what comes back tells whether an answer is cut, with or without a sign. */
export function rowsQuestion(rows: number): Question {
  if (!Number.isSafeInteger(rows) || rows < 1) throw new RangeError('A number of rows must be a whole one.');
  return { query: `range x from 1 to ${rows} step 1\n| project x = tostring(x)`, columns: ['x'] };
}

/** Seconds between what a row says and its arrival, the longest of the last day; needs the table's ingestion time policy. */
export function delayQuestion(table: TableName): Question {
  return {
    query: `${table}\n| where timestamp > now() - 1d\n| extend delay = (ingestion_time() - timestamp) / 1s\n| summarize n = countif(isnotnull(delay)), s = max(delay)\n| project n = tostring(n), s = tostring(s)`,
    columns: ['n', 's'],
  };
}

/** Whether a query may declare parameters; none is sent. */
export function parametersQuestion(): Question {
  return { query: `declare query_parameters(p:string = 'default');\nprint p`, columns: ['p'] };
}

/** How the engine sorts ids: the lower of each pair comes first by its text, by its first bytes reversed, or neither. */
export function orderQuestion(): Question {
  return {
    query:
      'datatable(id:guid) [guid(01000000-0000-0000-0000-000000000000), guid(00000002-0000-0000-0000-000000000000)]\n' +
      '| sort by id asc\n| project id = tostring(id)',
    columns: ['id'],
  };
}

export function columnsOf(table: TableName): ReadonlyMap<string, string> {
  return new Map(TABLES[table].columns.map(({ name, type }) => [name, type]));
}
