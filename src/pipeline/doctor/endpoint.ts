/**
 * What `doctor` checks of an endpoint besides address, key and clock, in a limited number of calls. The results are kept in the
 * tenant's profile. When the configuration does not fit the endpoint, the check says which key to change.
 */
import type { TenantConfig } from '../../config/config.ts';
import { SourceError } from '../../kernel/errors.ts';
import type { Client, SmallAnswer, TooLarge } from '../../extract/source/client.ts';
import {
  columnsOf,
  delayQuestion,
  extentQuestion,
  formsQuestion,
  orderQuestion,
  parametersQuestion,
  rowsQuestion,
  schemaQuestion,
} from '../../extract/source/questions.ts';
import type { Question } from '../../extract/source/questions.ts';
import { DAY, formatInstant, parseInstant } from '../../kernel/instant.ts';
import type { TenantProfile } from '../../load/ledger/profile.ts';
import type { TableName } from '../../model/tables.ts';
import type { DoctorCheck } from '../../model/report.ts';

type Facts = {
  -readonly [key in keyof NonNullable<TenantProfile['endpoint']>]: NonNullable<TenantProfile['endpoint']>[key];
};

export interface Endpoint {
  readonly client: Client;
  readonly tenant: TenantConfig;
  /** The most rows that a page may have (`page.maxRows`). */
  readonly maxRows: number;
  readonly settleMinutes: number;
  readonly signal: AbortSignal;
  /** Filled by the checks. */
  readonly facts: Facts;
  /** How many rows came when the endpoint cut an answer without saying so. Infinity: a whole page came. */
  shownCap?: number;
}

/** The most useful checks first: the calls may run out. */
export async function* examineEndpoint(to: Endpoint): AsyncGenerator<DoctorCheck> {
  const tables = [...to.tenant.tables.keys()];
  for (const table of tables) yield await schemaCheck(to, table);
  for (const table of tables) yield await extentCheck(to, table);
  yield await rowsCheck(to);
  yield await formsCheck(to);
  const [first = 'Events'] = tables;
  yield await delayCheck(to, tables.includes('Events') ? 'Events' : first);
  yield await parametersCheck(to);
  yield await orderCheck(to);
}

/**
 * Undefined when the endpoint refuses the question, which no run depends on. Throws when the source does not answer at all, since
 * nothing can be said about it then, and BudgetError.
 */
async function ask({ client, signal }: Endpoint, question: Question): Promise<SmallAnswer | TooLarge | undefined> {
  try {
    return await client.ask(question.query, question.columns, signal);
  } catch (error) {
    if (isRefusal(error)) return undefined;
    throw error;
  }
}

/** The source answered, though not with what was asked for. */
function isRefusal(error: unknown): boolean {
  return error instanceof SourceError && error.reason !== 'spent' && error.reason !== 'certificate';
}

async function rowsOf(to: Endpoint, question: Question): Promise<readonly (readonly unknown[])[] | undefined> {
  const answer = await ask(to, question);
  return answer?.kind === 'rows' ? answer.rows : undefined;
}

async function schemaCheck(to: Endpoint, table: TableName): Promise<DoctorCheck> {
  const name = `columns of ${table}`;
  const rows = await rowsOf(to, schemaQuestion(table));
  if (!rows) return { name, ok: true, detail: 'the endpoint does not list them' };
  const actual = new Map(rows.map(([column, type]) => [String(column), String(type)]));
  const expected = columnsOf(table);
  const missing = [...expected.keys()].filter((column) => !actual.has(column));
  const other = [...expected].filter(([column, type]) => actual.has(column) && actual.get(column) !== type);
  const extra = [...actual.keys()].filter((column) => !expected.has(column));
  const parts = [
    ...(missing.length > 0 ? [`missing: ${missing.join(', ')}`] : []),
    ...other.map(([column, type]) => `${column} is ${actual.get(column)}, expected ${type}`),
    ...(extra.length > 0 ? [`not loaded: ${extra.join(', ')}`] : []),
  ];
  if (missing.length > 0)
    return {
      name,
      ok: false,
      detail: parts.join('; '),
      hint: `This version cannot load ${table} without them. Set tables.${table}.enabled to false and look for a newer version.`,
    };
  return {
    name,
    ok: true,
    detail: parts.length === 0 ? `all ${expected.size} are there, and no others` : parts.join('; '),
  };
}

async function extentCheck(to: Endpoint, table: TableName): Promise<DoctorCheck> {
  const name = `rows of ${table}`;
  const [row] = (await rowsOf(to, extentQuestion(table))) ?? [];
  const [n, lo = '', hi = '', at = '', lost = '0', future = '0'] = (row ?? []).map(String);
  const [first, last, now] = [lo, hi, at].map(parseInstant);
  if (n === undefined) return { name, ok: true, detail: 'the endpoint does not count the whole table at once' };
  if (n === '0') return { name, ok: true, detail: 'none' };
  const outside =
    (lost === '0' ? '' : `; ${lost} without a possible time, which go to quarantine`) +
    (future === '0' ? '' : `; ${future} in the future, which are loaded once their hour is over`);
  if (first === undefined || last === undefined) return { name, ok: true, detail: `${n} rows${outside}` };
  const detail = `${n} rows, from ${formatInstant(first).slice(0, 16)}Z to ${formatInstant(last).slice(0, 16)}Z${outside}`;
  const kept = to.tenant.tables.get(table)?.retentionDays;
  // By the source's clock, because this machine's clock may be wrong.
  const age = Number(((now ?? last) - first) / DAY);
  // One day of tolerance: the source deletes old rows in steps.
  if (kept !== undefined && age > kept + 1)
    return {
      name,
      ok: true,
      detail,
      hint: `The source keeps rows for at least ${age} days. Set tables.${table}.retentionDays to load all of them.`,
    };
  return { name, ok: true, detail };
}

/** The rows are counted as they arrive and not stored. */
async function rowsCheck(to: Endpoint): Promise<DoctorCheck> {
  const name = 'row cap';
  const { client, maxRows, signal } = to;
  const { query, columns } = rowsQuestion(maxRows);
  const sink = { write: async () => {}, discard: async () => {} };
  let rows: number | undefined;
  try {
    const answer = await client.download(query, columns, async () => sink, signal);
    if (answer.kind === 'too-large' && answer.by === 'timeout')
      return {
        name,
        ok: true,
        detail: `an answer of ${maxRows} rows does not arrive in time; runs ask for less at once`,
      };
    rows = answer.kind === 'rows' ? answer.rows : undefined;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return { name, ok: true, detail: 'the endpoint refuses queries that generate rows; runs find its cap' };
  }
  if (rows === undefined)
    return {
      name,
      ok: true,
      detail: `an answer of ${maxRows} rows is refused with an error; runs find the cap and remember it`,
    };
  to.facts.rowsAnswered = rows;
  to.shownCap = rows < maxRows ? rows : Infinity;
  if (rows >= maxRows) return { name, ok: true, detail: `an answer of ${maxRows} rows arrives complete` };
  return {
    name,
    ok: true,
    detail: `the endpoint cuts answers at ${rows} rows without saying so; pages are planned smaller from now on`,
    hint: `Set page.maxRows to ${rows}: this data directory knows the cap now, a new one would not.`,
  };
}

async function formsCheck(to: Endpoint): Promise<DoctorCheck> {
  const name = 'wire form';
  const answer = await ask(to, formsQuestion());
  const [row] = answer?.kind === 'rows' ? answer.rows : [];
  if (answer?.kind !== 'rows' || !row) return { name, ok: true, detail: 'the endpoint does not show it' };
  const [id, , bag, text] = row;
  to.facts.rowForm = answer.form;
  to.facts.columnsNamed = answer.named;
  to.facts.dynamicAs = typeof bag === 'string' ? 'text' : 'json';
  to.facts.datetimeDigits = /\.(\d+)/.exec(String(text))?.[1]?.length ?? 0;
  const { rowForm, columnsNamed, dynamicAs, datetimeDigits } = to.facts;
  const detail =
    `rows as ${rowForm}, columns ${columnsNamed ? 'named' : 'not named'}, dynamic values as ${dynamicAs === 'json' ? 'JSON' : 'text'}, ` +
    `timestamps with ${datetimeDigits} fractional digits, ids in ${String(id) === String(id).toLowerCase() ? 'lower' : 'upper'} case`;
  return { name, ok: true, detail };
}

async function delayCheck(to: Endpoint, table: TableName): Promise<DoctorCheck> {
  const name = 'arrival';
  const [row] = (await rowsOf(to, delayQuestion(table))) ?? [];
  to.facts.ingestionTime = row !== undefined;
  if (!row) return { name, ok: true, detail: 'the endpoint does not say when rows arrived (ingestion_time)' };
  const [n, seconds] = row.map(Number);
  if (!(n !== undefined && n > 0) || seconds === undefined || Number.isNaN(seconds))
    return { name, ok: true, detail: `no row of ${table} from the last day says when it arrived` };
  const minutes = Math.ceil(seconds / 60);
  const detail = `rows of ${table} arrived at most ${minutes} minutes late in the last day`;
  if (minutes <= to.settleMinutes) return { name, ok: true, detail };
  return {
    name,
    ok: true,
    detail,
    hint: `Set settleMinutes to ${minutes}, so that fewer hours are fetched twice. No rows are lost either way.`,
  };
}

async function parametersCheck(to: Endpoint): Promise<DoctorCheck> {
  const rows = await rowsOf(to, parametersQuestion());
  to.facts.parameters = rows?.[0]?.[0] === 'default';
  const detail = to.facts.parameters ? 'queries may declare parameters' : 'queries may not declare parameters';
  return { name: 'parameters', ok: true, detail: `${detail}; runs do not use them` };
}

async function orderCheck(to: Endpoint): Promise<DoctorCheck> {
  const name = 'order of ids';
  const rows = await rowsOf(to, orderQuestion());
  if (!rows) return { name, ok: true, detail: 'the endpoint does not show it; runs do not depend on it' };
  to.facts.guidOrder = String(rows[0]?.[0]).startsWith('00000002') ? 'text' : 'other';
  const detail = to.facts.guidOrder === 'text' ? 'ids sort as their text' : 'ids do not sort as their text';
  return { name, ok: true, detail: `${detail}; runs do not depend on it` };
}
