/**
 * Decides what to do about a failed call. Pure. There are four outcomes: retry after a wait, split the request, stop this
 * table, or stop this tenant.
 */
import { meaningOf } from './statuses.ts';

/** What went wrong with one call, as the client saw it. */
export type Trouble =
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly retryAfterMs: number | undefined;
      readonly text: string;
      /** The answer is a web page: it comes from a firewall, a proxy or another server, not from the source. */
      readonly edge?: boolean;
    }
  /** The engine reported a failure inside a successful answer. */
  | { readonly kind: 'engine'; readonly text: string }
  /** The body exceeds our own size limit. */
  | { readonly kind: 'oversized' }
  /** No response within the time limit; the query is probably too heavy. */
  | { readonly kind: 'timeout' }
  /** The connection failed, or the body stalled, ended early or was not an answer. A retry may succeed. */
  | { readonly kind: 'broken'; readonly reason: string }
  /** The server's certificate was rejected; `reason` is Node's code. */
  | { readonly kind: 'certificate'; readonly reason: string }
  /** The answer is complete but cannot be understood. A retry would not change that. */
  | { readonly kind: 'unexpected'; readonly reason: string; readonly hint?: string | undefined };

export interface RetryState {
  /** The text of the query: a rejection counts only if it names a part of it. */
  readonly query: string;
  /** Calls made, including the failed one. */
  readonly attempt: number;
  /** Calls that one query may take. */
  readonly attempts: number;
  /** Milliseconds left for the query. */
  readonly leftMs: number;
  /** [0, 1) */
  readonly random: number;
  /** Milliseconds to the next full minute, when the source may start a new count. */
  readonly toNextMinuteMs: number;
}

export type Decision =
  | {
      readonly next: 'retry';
      readonly afterMs: number;
      /** All calls of the tenant wait. */ readonly throttled: boolean;
    }
  | { readonly next: 'split'; readonly by: 'rows' | 'bytes' | 'timeout' }
  | {
      readonly next: 'stop-table';
      readonly why: 'spent' | 'refused' | 'unusable' | 'unexpected' | 'certificate' | 'edge';
    }
  | { readonly next: 'stop-tenant'; readonly why: 'key' | 'scope' | 'tenant' };

const TOO_LARGE = /E_QUERY_RESULT_SET_TOO_LARGE|80DA0003|-2133196797|E_RUNAWAY_QUERY|80DA0001/i;
const DATA_SIZE = /data size/i;
const LOW_MEMORY = /80DA0007|E_LOW_MEMORY_CONDITION/i;
/** The engine could not parse the query, or knows a name in it as something else or not at all. */
const REJECTION = /\b(?:SYN|SEM)\d{4}\b|\b(?:syntax|semantic) error\b/i;
/** The engine's word for a request that it will never answer. */
const BAD_REQUEST = /\bBad ?Request/i;
/** A line of a query is recognised from this length on. */
const LEAST_LINE = 12;

const FIRST_WAIT_MS = 1000;
/** The limit of our own back-off. The server may ask for a longer wait. */
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
      return retry(state, 0);
    case 'status':
      return byStatus(trouble, state);
    case 'engine':
      break;
  }
  const decision = byText(trouble.text, state);
  if (decision) return decision;
  // A retry of what the engine calls a bad request would only repeat it.
  return REJECTION.test(trouble.text) || BAD_REQUEST.test(trouble.text) ? UNUSABLE : retry(state, 0);
}

function byStatus(trouble: Trouble & { kind: 'status' }, state: RetryState): Decision {
  const { status, text, retryAfterMs, edge } = trouble;
  const meaning = meaningOf(status);
  switch (meaning) {
    case 'key':
    case 'scope':
    case 'tenant':
      // Only the source itself can say anything about the key and the tenant.
      return edge === true ? { next: 'stop-table', why: 'edge' } : { next: 'stop-tenant', why: meaning };
    case 'oversized':
      return { next: 'split', by: 'bytes' };
    case 'timeout':
      return { next: 'split', by: 'timeout' };
    case 'throttled':
      return retry(state, retryAfterMs ?? state.toNextMinuteMs, true);
    case 'answer':
    case 'retry':
    case 'failure':
      break;
  }
  const decision = byText(text, state);
  if (decision) return decision;
  if (meaning === 'retry') return retry(state, retryAfterMs ?? 0);
  return edge === true ? { next: 'stop-table', why: 'edge' } : UNUSABLE;
}

const UNUSABLE: Decision = { next: 'stop-table', why: 'unusable' };

function byText(text: string, state: RetryState): Decision | undefined {
  if (TOO_LARGE.test(text)) return { next: 'split', by: DATA_SIZE.test(text) ? 'bytes' : 'rows' };
  // The engine is short of memory: wait once, then split.
  if (LOW_MEMORY.test(text)) {
    const waited = retry(state, FIRST_WAIT_MS);
    return state.attempt > 1 || waited.next !== 'retry' ? { next: 'split', by: 'bytes' } : waited;
  }
  if (isRejection(text, state.query)) return { next: 'stop-table', why: 'refused' };
  return undefined;
}

/**
 * True when the engine says that it cannot run this very query: a syntax or semantic error that names one of its functions or
 * quotes one of its lines. Any other text may be about something else, such as a proxy or another request.
 */
function isRejection(text: string, query: string): boolean {
  if (!REJECTION.test(text)) return false;
  const words = new Set(text.match(/\w+/g));
  const functions = [...query.matchAll(/\b([a-z_]\w*)\(/gi)].map(([, name = '']) => name);
  return (
    functions.some((name) => words.has(name)) ||
    query.split('\n').some((line) => line.length >= LEAST_LINE && text.includes(line))
  );
}

/** Backs off with full jitter, but not for less than the server asks. Stops when attempts or time are used up. */
function retry(state: RetryState, serverMs: number, throttled = false): Decision {
  const ceiling = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (state.attempt - 1));
  const afterMs = Math.ceil(Math.max(serverMs, ceiling * state.random));
  if (state.attempt >= state.attempts || afterMs > state.leftMs) return { next: 'stop-table', why: 'spent' };
  return { next: 'retry', afterMs, throttled };
}

const HTTP_DATE = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/;

/** Reads `Retry-After`, whole seconds or an HTTP date, as milliseconds from `nowMs`. Any other value is ignored. */
export function parseRetryAfter(value: string | null, nowMs: number): number | undefined {
  const text = value?.trim() ?? '';
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  if (!HTTP_DATE.test(text)) return undefined;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}
