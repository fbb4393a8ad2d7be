/**
 * What to do about a call that failed: one pure decision. Four outcomes: ask again after a wait, ask for less, give up this
 * table, give up this tenant.
 */

/** What went wrong with one call, as the client saw it. */
export type Trouble =
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly retryAfterMs: number | undefined;
      readonly text: string;
    }
  /** A failure that the engine reports inside a successful answer. */
  | { readonly kind: 'engine'; readonly text: string }
  /** A body beyond our own bound. */
  | { readonly kind: 'oversized' }
  /** No response within the time limit: the query is probably too heavy. */
  | { readonly kind: 'timeout' }
  /** Refused or broken connection, a body that stalls, ends early or is no answer: the next one may be whole. */
  | { readonly kind: 'broken'; readonly reason: string }
  /** The server's certificate was rejected; `reason` is Node's code. */
  | { readonly kind: 'certificate'; readonly reason: string }
  /** A whole answer that cannot be read; it will not be better next time. */
  | { readonly kind: 'unexpected'; readonly reason: string };

export interface RetryState {
  /** Calls made, the failed one included. */
  readonly attempt: number;
  /** Calls that one query may take. */
  readonly attempts: number;
  /** Milliseconds left for the query. */
  readonly leftMs: number;
  /** [0, 1) */
  readonly random: number;
  /** Milliseconds to the next full minute, when the source may begin to count anew. */
  readonly toNextMinuteMs: number;
}

export type Decision =
  | {
      readonly next: 'retry';
      readonly afterMs: number;
      /** All calls of the tenant wait. */ readonly throttled: boolean;
    }
  | { readonly next: 'split'; readonly by: 'rows' | 'bytes' | 'timeout' }
  | { readonly next: 'stop-table'; readonly why: 'spent' | 'refused' | 'unexpected' | 'certificate' }
  | { readonly next: 'stop-tenant'; readonly why: 'key' | 'scope' | 'tenant' };

const TOO_LARGE = /E_QUERY_RESULT_SET_TOO_LARGE|80DA0003|-2133196797|E_RUNAWAY_QUERY|80DA0001/i;
const DATA_SIZE = /data size/i;
const LOW_MEMORY = /80DA0007|E_LOW_MEMORY_CONDITION/i;
const OUR_FAULT = /BadRequest_|\bSYN\d|\bSEM\d|Syntax error|Semantic error/i;
const RETRYABLE = new Set([408, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524]);

const FIRST_WAIT_MS = 1000;
/** The cap of our own back-off; a wait that the server asks for may be longer. */
const LONGEST_WAIT_MS = 60_000;

export function decide(trouble: Trouble, state: RetryState): Decision {
  switch (trouble.kind) {
    case 'unexpected':
      return { next: 'stop-table', why: 'unexpected' };
    case 'oversized':
      return { next: 'split', by: 'bytes' };
    case 'timeout':
      return { next: 'split', by: 'timeout' };
    case 'certificate':
      // The server's identity cannot be verified. A retry would not change that.
      return { next: 'stop-table', why: 'certificate' };
    case 'broken':
      return again(state, 0);
    case 'status':
      return byStatus(trouble, state);
    case 'engine':
      break;
  }
  return byText(trouble.text, state) ?? again(state, 0);
}

function byStatus(trouble: Trouble & { kind: 'status' }, state: RetryState): Decision {
  const { status, text, retryAfterMs } = trouble;
  if (status === 401) return { next: 'stop-tenant', why: 'key' };
  if (status === 403) return { next: 'stop-tenant', why: 'scope' };
  if (status === 404) return { next: 'stop-tenant', why: 'tenant' };
  if (status === 413) return { next: 'split', by: 'bytes' };
  if (status === 504) return { next: 'split', by: 'timeout' };
  if (status === 429) {
    const wait = retryAfterMs ?? state.toNextMinuteMs;
    return again(state, wait, true);
  }
  const told = byText(text, state);
  if (told) return told;
  if (RETRYABLE.has(status)) return again(state, retryAfterMs ?? 0);
  return { next: 'stop-table', why: 'refused' };
}

function byText(text: string, state: RetryState): Decision | undefined {
  if (TOO_LARGE.test(text)) return { next: 'split', by: DATA_SIZE.test(text) ? 'bytes' : 'rows' };
  // The engine is short of memory now: wait once, then ask for less.
  if (LOW_MEMORY.test(text)) {
    const waited = again(state, FIRST_WAIT_MS);
    return state.attempt > 1 || waited.next !== 'retry' ? { next: 'split', by: 'bytes' } : waited;
  }
  if (OUR_FAULT.test(text)) return { next: 'stop-table', why: 'refused' };
  return undefined;
}

/** Back-off with full jitter, never shorter than the server asks; given up when attempts or total time are spent. */
function again(state: RetryState, serverMs: number, throttled = false): Decision {
  const ceiling = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (state.attempt - 1));
  const afterMs = Math.ceil(Math.max(serverMs, ceiling * state.random));
  if (state.attempt >= state.attempts || afterMs > state.leftMs) return { next: 'stop-table', why: 'spent' };
  return { next: 'retry', afterMs, throttled };
}

const HTTP_DATE = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/;

/** `Retry-After` as whole seconds or an HTTP date, in milliseconds from `nowMs`; anything else is as if it were absent. */
export function parseRetryAfter(value: string | null, nowMs: number): number | undefined {
  const text = value?.trim() ?? '';
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  if (!HTTP_DATE.test(text)) return undefined;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}
