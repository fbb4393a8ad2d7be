/**
 * Runs one compiled query and decides what the client gets: the rows, or a failure in the form of the limit mode. The whole
 * body is kept in memory until the outcome is known, because the status line is sent first; the byte cap limits its size.
 */
import { problem, type Answer } from './problem.ts';
import type { Store } from './store.ts';
import { envelope, indented, rowsAsJson, type ResultColumn, type WireOptions } from './wire.ts';

/**
 * How the source reports that an answer exceeds a cap. Each form has been documented or observed: an error object as the
 * last element of `rows` in a 200, an error next to the rows in a 200, a 400, or no report at all: the rows just end.
 */
export type LimitMode = 'one-api-errors' | 'exceptions' | 'top-level' | 'error-400' | 'silent';
export const LIMIT_MODES: readonly LimitMode[] = ['one-api-errors', 'exceptions', 'top-level', 'error-400', 'silent'];

export interface Limits {
  /** Rows that an answer may hold; Infinity = no cap. */
  readonly rows: number;
  /** Bytes of row text that an answer may hold; Infinity = no cap, and then an answer of any size is kept in memory. */
  readonly bytes: number;
  readonly mode: LimitMode;
  readonly timeoutMs: number;
}

export interface Question {
  readonly sql: string;
  readonly columns: readonly ResultColumn[];
  readonly limits: Limits;
  readonly wire: WireOptions;
  /** How a fault changes each row's JSON text. */
  readonly editRow?: ((row: string, index: number, columns: readonly ResultColumn[]) => string) | undefined;
  /** An error that a fault adds to the rows or next to them. */
  readonly failure?: { readonly where: 'rows' | 'after-rows'; readonly json: string } | undefined;
}

/** A cap as options give it: 0 means none. */
export function cap(value: number): number {
  return value === 0 ? Infinity : value;
}

type Cap = 'rows' | 'bytes';

/** Aborting `signal` (because the client disconnected) interrupts the query and rejects. */
export async function answerQuery(store: Store, question: Question, signal: AbortSignal): Promise<Answer> {
  const { limits, wire, columns, editRow, failure } = question;
  const timeout = AbortSignal.timeout(limits.timeoutMs);
  const stop = AbortSignal.any([signal, timeout]);
  const sql =
    rowsAsJson(question.sql, columns, wire) + (Number.isFinite(limits.rows) ? ` limit ${limits.rows + 1}` : '');
  const body: Buffer[] = [];
  let rows = 0;
  let bytes = 0;
  let over: Cap | undefined;
  try {
    for await (const chunk of store.stream(sql, stop)) {
      const taken = editRow ? chunk.map((row, index) => editRow(row, rows + index, columns)) : chunk;
      let text = Buffer.from(taken.join(','));
      let count = taken.length;
      if (rows + count > limits.rows) over = 'rows';
      else if (bytes + text.length > limits.bytes) over = 'bytes';
      if (over) {
        count = fitting(taken, limits.rows - rows, limits.bytes - bytes);
        text = Buffer.from(taken.slice(0, count).join(','));
      }
      if (count > 0) {
        if (rows > 0) body.push(Buffer.from(','));
        body.push(text);
      }
      rows += count;
      bytes += text.length;
      if (over) break;
    }
  } catch (error) {
    if (timeout.aborted)
      return problem(504, 'The query was stopped: it ran longer than the time limit (E_QUERY_TIMEOUT).');
    throw error;
  }
  const { before, after } = envelope(columns, wire);
  const inRows = (json: string): Buffer => Buffer.from(rows > 0 ? `,${json}` : json);
  const finish = (extra: readonly Buffer[], trailer?: string): Answer => {
    const whole = Buffer.concat([Buffer.from(before), ...body, ...extra, Buffer.from(after(trailer))]);
    return {
      status: 200,
      contentType: 'application/json; charset=utf-8',
      body: wire.layout === 'indented' ? Buffer.from(indented(whole.toString())) : whole,
      rows,
    };
  };
  if (over) {
    switch (limits.mode) {
      case 'silent':
        return finish([]);
      case 'one-api-errors':
        return finish([inRows(oneApiErrors(over))]);
      case 'exceptions':
        return finish([inRows(JSON.stringify({ Exceptions: [tooLargeText(over)] }))]);
      case 'top-level':
        return finish([], `"error":${JSON.stringify({ code: 'LimitsExceeded', message: tooLargeText(over) })}`);
      case 'error-400':
        return problem(400, `BadRequest_LimitsExceeded: ${tooLargeText(over)}`);
    }
  }
  if (failure?.where === 'rows') return finish([inRows(failure.json)]);
  if (failure?.where === 'after-rows') return finish([], failure.json);
  return finish([]);
}

/** How many of the rows fit into both caps. */
function fitting(rows: readonly string[], maxRows: number, maxBytes: number): number {
  let bytes = 0;
  let count = 0;
  for (const row of rows) {
    bytes += Buffer.byteLength(row) + (count > 0 ? 1 : 0);
    if (count >= maxRows || bytes > maxBytes) break;
    count++;
  }
  return count;
}

function tooLargeText(cap: Cap): string {
  const reason = cap === 'rows' ? 'the number of records' : 'the total data size';
  return (
    `Query result set has exceeded the internal ${cap === 'rows' ? 'record count' : 'data size'} limit (E_QUERY_RESULT_SET_TOO_LARGE; ` +
    `0x80DA0003): ${reason} is above the limit. See https://aka.ms/kustoquerylimits for more information and possible solutions.`
  );
}

function oneApiErrors(cap: Cap): string {
  return JSON.stringify({
    OneApiErrors: [
      {
        error: {
          code: 'LimitsExceeded',
          message: 'Request is invalid and cannot be executed.',
          '@type': 'Kusto.Data.Exceptions.KustoServicePartialQueryFailureLimitsExceededException',
          '@message': tooLargeText(cap),
          '@permanent': false,
        },
      },
    ],
  });
}
