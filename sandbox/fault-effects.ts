/** The effect of each kind of fault: another answer, a damaged delivery, or a change to the correct answer. */
import type { Limits, Question } from './answer.ts';
import type { Delivery } from './delivery.ts';
import { deepBody, endlessBody, giantRowBody, gzipBomb } from './fault-bodies.ts';
import type { FaultyCall, Reply } from './faults.ts';
import { problem, type Answer } from './problem.ts';
import { literal } from './store.ts';
import type { ResultColumn, WireOptions } from './wire.ts';

/** The changes that a fault makes. The server applies those that are present. */
export interface Fault {
  readonly name: Reply['kind'];
  readonly answer?: Answer;
  /** Changes the SQL of a table; gets the SQL and the name of the id column. */
  readonly relation?: (sql: string, id: string) => string;
  readonly limits?: Partial<Limits>;
  readonly wire?: Partial<WireOptions>;
  readonly reorder?: true;
  readonly editRow?: Question['editRow'];
  readonly editBody?: (body: Buffer) => Buffer;
  readonly failure?: Question['failure'];
  readonly delivery?: Delivery;
}

type Effects = {
  [Kind in Reply['kind']]: (reply: Extract<Reply, { kind: Kind }>, call: FaultyCall) => Omit<Fault, 'name'>;
};

/** A new kind of reply needs an entry here and one in the schema of the rules. */
const EFFECTS: Effects = {
  status: (reply, call) => ({ answer: statusAnswer(reply, call) }),
  html: ({ status }) => ({ answer: html(status) }),
  redirect: ({ status, location }, { tenant }) => ({
    answer: {
      ...html(status),
      headers: { location: location ?? `/api/${encodeURIComponent(tenant)}/insights/query` },
    },
  }),
  'refused-function': ({ name }) => ({
    answer: problem(
      400,
      `BadRequest_SemanticError: Request is invalid and cannot be processed: Semantic error: SEM0260: Unknown function: '${name}'.`,
    ),
  }),
  'endless-body': ({ form }) => ({ answer: streamed(() => endlessBody(form)) }),
  'deep-nesting': ({ at, levels }) =>
    at === 'text'
      ? { editRow: (row, index, columns) => (index === 0 ? edited(row, columns, isProperties, nested(levels)) : row) }
      : { answer: streamed(() => deepBody(at, levels)) },
  'giant-row': ({ bytes }) => ({ answer: streamed(() => giantRowBody(bytes)) }),
  'gzip-bomb': ({ bytes }) => ({
    answer: { ...streamed(() => gzipBomb(bytes)), headers: { 'content-encoding': 'gzip' } },
  }),
  reset: ({ at }) => ({ delivery: { how: 'reset', at } }),
  stall: ({ at, ms }) => ({ delivery: { how: 'stall', at, resumeAfterMs: ms } }),
  drip: ({ bytes, everyMs }) => ({ delivery: { how: 'drip', bytes, everyMs } }),
  'truncated-body': ({ contentLength }) => ({ delivery: { how: 'end', contentLength } }),
  'wrong-length': ({ by }) => ({ delivery: { how: 'length', by } }),
  encoding: ({ form }) => ({ delivery: { how: 'encoded', form } }),
  'silent-truncation': ({ rows }) => ({ limits: { rows, mode: 'silent' } }),
  'error-in-rows': ({ form }) => ({ failure: { where: 'rows', json: midwayFailure(form) } }),
  'top-level-error': ({ member, message }) => ({
    failure: { where: 'after-rows', json: trailingFailure(member, message) },
  }),
  'deferred-failure': ({ form }) =>
    form === 'v2'
      ? { wire: { shape: 'v2' }, failure: { where: 'after-rows', json: trailingFailure('OneApiErrors') } }
      : { wire: { shape: 'v1' }, editBody: withStatusTable },
  'too-large': ({ by, mode }) => ({ limits: { [by]: 1, ...(mode ? { mode } : {}) } }),
  'malformed-rows': ({ width, rows }) => ({ editRow: (row, index) => (index < rows ? reshape(row, width) : row) }),
  'reordered-columns': () => ({ wire: { shape: 'columns' }, reorder: true }),
  'wrong-tenant': ({ tenant }) => ({
    relation: (sql) => `(select * replace (${literal(tenant)} as "tenantId") from ${sql})`,
  }),
  'duplicate-rows': () => ({ relation: (sql) => `(select * from ${sql} union all select * from ${sql})` }),
  'duplicate-ids': ({ rows }) => ({
    editRow: (row, index, columns) =>
      index < rows ? `${row},${edited(row, columns, isProperties, '{"copy":"of another content"}')}` : row,
  }),
  'altered-text': ({ rows }) => ({ editRow: first(rows, isProperties, '{"altered":"on the way"}') }),
  'null-id': ({ rows }) => ({ editRow: first(rows, isId, '') }),
  'bad-datetime': ({ rows }) => ({ editRow: first(rows, isTime, '2026-02-30T25:61:00Z') }),
  'outside-window': ({ rows }) => ({ editRow: first(rows, isTime, '1999-12-31T23:59:59.0000000Z') }),
  'stale-replica': ({ share }) => ({
    relation: (sql, id) =>
      `(select * from ${sql} where hash(coalesce(${id}, '')) % 1000000 >= ${Math.round(share * 1_000_000)})`,
  }),
};

export function effect(reply: Reply, call: FaultyCall): Fault {
  // The type of the table maps each kind to its reply; indexing by a union loses that relation.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the line above
  const make = EFFECTS[reply.kind] as unknown as (reply: Reply, call: FaultyCall) => Omit<Fault, 'name'>;
  return { name: reply.kind, ...make(reply, call) };
}

function statusAnswer(
  { status, retryAfter, body, detail }: Extract<Reply, { kind: 'status' }>,
  { now, credential }: FaultyCall,
): Answer {
  const later = {
    date: new Date(now.getTime() + 2000).toUTCString(),
    nonsense: 'in a little while',
  };
  const value = typeof retryAfter === 'string' ? later[retryAfter] : retryAfter?.toString();
  const headers = value === undefined ? {} : { 'retry-after': value };
  const answer = problem(status, detail, { headers });
  switch (body) {
    case 'problem':
      return answer;
    case 'problem-text':
      return { ...answer, contentType: 'text/plain; charset=utf-8' };
    case 'echo':
      return problem(status, `The request with the credential ${credential ?? 'none'} failed.`, { headers });
    case 'html':
      return { ...html(status), headers };
    case 'text':
    case 'empty':
    default:
      return { status, contentType: 'text/plain', body: Buffer.from(body === 'text' ? 'error' : ''), rows: 0, headers };
  }
}

function html(status: number): Answer {
  const page = `<!DOCTYPE html>\n<html><head><title>${status} | gateway</title></head><body><h1>Error ${status}</h1></body></html>`;
  return { status, contentType: 'text/html; charset=UTF-8', body: Buffer.from(page), rows: 0 };
}

function streamed(stream: () => Iterable<Buffer> | AsyncIterable<Buffer>): Answer {
  return { status: 200, contentType: 'application/json; charset=utf-8', body: Buffer.alloc(0), rows: 0, stream };
}

const LOW_MEMORY =
  'Query execution lacks memory resources to complete (80DA0007): Partial query failure: Low memory condition (E_LOW_MEMORY_CONDITION).';

function midwayFailure(form: 'one-api-errors' | 'exceptions'): string {
  if (form === 'exceptions') return JSON.stringify({ Exceptions: [LOW_MEMORY] });
  const error = { code: 'LowMemoryCondition', message: LOW_MEMORY, '@permanent': false };
  return JSON.stringify({ OneApiErrors: [{ error }] });
}

function trailingFailure(member: string, message?: string): string {
  const text = message ?? LOW_MEMORY;
  const error = { code: message === undefined ? 'LowMemoryCondition' : 'BadRequest', message: text };
  const value = { error, errors: { query: [text] }, exceptions: [text] }[member] ?? [{ error }];
  return `${JSON.stringify(member)}:${JSON.stringify(value)}`;
}

/** The engine's v1 form reports a failure after the first rows in a second table; severity 2 = error. */
function withStatusTable(body: Buffer): Buffer {
  const columns = ['Timestamp', 'Severity', 'SeverityName', 'StatusCode', 'StatusDescription'];
  const table = {
    TableName: 'Table_1',
    Columns: columns.map((name) => ({ ColumnName: name, DataType: 'String', ColumnType: 'string' })),
    Rows: [['2026-01-01T00:00:00Z', 2, 'Error', 'E_LOW_MEMORY_CONDITION', LOW_MEMORY]],
  };
  return Buffer.concat([body.subarray(0, body.length - 2), Buffer.from(`,${JSON.stringify(table)}]}`)]);
}

/** Adds a cell at the end or removes the first one. For rows that are objects, the same with members. */
function reshape(row: string, width: 1 | -1): string {
  const cells: unknown = JSON.parse(row);
  if (!Array.isArray(cells)) return width === 1 ? row.replace(/\}$/, ',"surplus":"surplus"}') : '{}';
  return JSON.stringify(width === 1 ? [...cells, 'surplus'] : cells.slice(1));
}

type Chosen = (column: ResultColumn) => boolean;
const isId: Chosen = ({ name }) => name === 'eventId' || name === 'metricId';
const isTime: Chosen = ({ name }) => name === 'timestamp';
const isProperties: Chosen = ({ name }) => name === 'properties';

function first(rows: number, chosen: Chosen, value: string): NonNullable<Fault['editRow']> {
  return (row, index, columns) => (index < rows ? edited(row, columns, chosen, value) : row);
}

/** Replaces the value of the given columns. A row without these columns is not changed. */
function edited(row: string, columns: readonly ResultColumn[], chosen: Chosen, value: string): string {
  const cells: unknown = JSON.parse(row);
  if (Array.isArray(cells)) {
    const list: readonly unknown[] = cells;
    return JSON.stringify(list.map((cell, k) => (columns[k] && chosen(columns[k]) ? value : cell)));
  }
  const names = columns.filter(chosen).map(({ name }) => [name, value]);
  return JSON.stringify(Object.assign({}, cells, Object.fromEntries(names)));
}

function nested(levels: number): string {
  return '['.repeat(levels) + ']'.repeat(levels);
}
