/**
 * One tenant's connection to the source: query text in, rows out. Handles credentials, the rate limit, time limits,
 * retries, aborts and the shapes of answers. Callers get rows, "too large", or a typed error.
 */
import { AuthError, InsightsError, StoppedError } from '../../kernel/errors.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import type { Budget } from './budget.ts';
import { sendOnce } from './call.ts';
import type { Credential, Sink } from './call.ts';
import { startDeadline } from './deadline.ts';
import type { Deadline } from './deadline.ts';
import type { EnvelopeResult } from './envelope.ts';
import { isJsonObject, parseJson } from '../../kernel/json.ts';
import type { Limiter } from './limiter.ts';
import type { SourceAddress } from './network-reason.ts';
import { describe, refusal } from './refusal.ts';
import type { Place } from './refusal.ts';
import { decide } from './retry.ts';

export interface ClientSettings {
  /** Milliseconds to wait for the head of a response. */
  readonly timeoutMs: number;
  /** Milliseconds without a byte of the body after which the call counts as broken. */
  readonly stallMs: number;
  /** Calls for one query, retries included. */
  readonly attempts: number;
  /** Milliseconds for one query, with its waits and retries. */
  readonly totalMs: number;
  /** Bytes that a body may have after decompression. */
  readonly maxBodyBytes: number;
  /** Milliseconds that a call in flight may go on after a stop was requested. */
  readonly graceMs: number;
}

/** Counters of one tenant since the process started. */
interface ClientStats {
  calls: number;
  retries: number;
  /** Milliseconds spent waiting for the rate limit and between attempts. */
  waitedMs: number;
  /** Bytes of bodies received, after decompression. */
  bytes: number;
}

export type TooLarge = {
  readonly kind: 'too-large';
  readonly by: 'rows' | 'bytes' | 'timeout';
  /** Rows received before the source stopped; this is its cap, if it stops at a row cap. */
  readonly rowsSeen: number;
  /** Bytes of the body received. */
  readonly bytesSeen: number;
};

export interface Downloaded<S> extends Omit<EnvelopeResult, 'failure'> {
  readonly kind: 'rows';
  /** Has the lines; the caller commits or discards it. */
  readonly sink: S;
}

export interface SmallAnswer {
  readonly kind: 'rows';
  readonly rows: readonly (readonly unknown[])[];
  /** The answer named its columns. */
  readonly named: boolean;
  readonly form: 'arrays' | 'objects';
}

export interface ClientOptions {
  readonly tenant: string;
  /** Without a trailing slash. */
  readonly baseUrl: string;
  /** Reads the secret. Read again once when the source rejects it, because token files are rotated. */
  readonly credential: () => Promise<Credential>;
  readonly limiter: Limiter;
  /** Checked before each call. @default no limits */
  readonly budget?: Budget;
  readonly settings: ClientSettings;
  readonly runtime: Runtime;
}

export interface Client {
  readonly tenant: string;
  readonly at: SourceAddress;
  readonly stats: Readonly<ClientStats>;
  /** Calls left in the budget, without those that are reserved. */
  readonly callsLeft: number;
  /** Keeps this many calls of the budget for later. */
  reserve(calls: number): void;
  /**
   * Reads a small answer into memory (up to 64 MB). `columns` are the names that the query projects; cells come in their
   * order. Throws AuthError (stop the tenant), SourceError (stop the table), StoppedError (aborted), or BudgetError (no
   * call may be sent now).
   */
  ask(query: string, columns: readonly string[], signal?: AbortSignal): Promise<SmallAnswer | TooLarge>;
  /** Streams an answer's rows as lines into a sink; `open` makes a new one for each attempt. Throws like `ask`. */
  download<S extends Sink>(
    query: string,
    columns: readonly string[],
    open: () => Promise<S>,
    signal?: AbortSignal,
  ): Promise<Downloaded<S> | TooLarge>;
}

const MAX_SMALL_BYTES = 64 * 1024 * 1024;

export function createClient(options: ClientOptions): Client {
  const { tenant, limiter, settings, runtime, budget } = options;
  const url = `${options.baseUrl}/api/${encodeURIComponent(tenant)}/insights/query`;
  const proxy = runtime.proxyOf?.(url);
  const at: SourceAddress = { address: new URL(url).origin, ...(proxy === undefined ? {} : { proxy }) };
  const place: Place = { tenant, attempts: 1, at };
  const stats: ClientStats = { calls: 0, retries: 0, waitedMs: 0, bytes: 0 };
  let credential: Promise<Credential> | undefined;

  async function countingWait<T>(wait: () => Promise<T>): Promise<T> {
    const from = runtime.monotonic();
    try {
      return await wait();
    } finally {
      stats.waitedMs += runtime.monotonic() - from;
    }
  }

  /** Waits for a slot and checks the budget again after the wait. Returns the function that frees the slot. */
  async function admit(signal: AbortSignal | undefined): Promise<() => void> {
    budget?.take();
    let release: (() => void) | undefined;
    try {
      release = await countingWait(() => limiter.acquire(signal));
      budget?.checkAfter(0);
      return release;
    } catch (error) {
      release?.();
      budget?.giveBack();
      throw error;
    }
  }

  /** Reads the credential again; true when it has changed. */
  async function wasRotated(refused: Credential): Promise<boolean> {
    credential = readCredential(options);
    return (await credential).value !== refused.value;
  }

  function logRetry(attempt: number, afterMs: number, trouble: string): void {
    const { attempts } = settings;
    runtime.log.warn({ event: 'call.retry', tenant, attempt, attempts, afterMs, trouble }, 'retrying a call');
  }

  async function execute<S extends Sink>(job: QueryJob<S>): Promise<Downloaded<S> | TooLarge> {
    const { signal, columns } = job;
    let deadline: Deadline | undefined;
    let renewed = false;
    for (let attempt = 1; ; attempt++) {
      credential ??= readCredential(options);
      const key = await credential;
      const release = await admit(signal);
      // The time limit of a query starts with its first call, not with the wait for a slot.
      deadline ??= startDeadline(runtime, settings.totalMs);
      stats.calls++;
      if (attempt > 1) stats.retries++;
      const limits = {
        ...settings,
        remainingMs: Math.max(1, deadline.leftMs()),
        maxBodyBytes: Math.min(job.maxBodyBytes, settings.maxBodyBytes),
      };
      const { sink, outcome } = await attemptInto(job, (sink) =>
        sendOnce({ url, at, credential: key, query: job.query, limits, sink, runtime, signal, onHead: release }),
      ).finally(release);
      stats.bytes += outcome.bytes;
      if (outcome.kind === 'answer') {
        const { failure: _, ...answer } = outcome.answer;
        const missing = answer.columns ? columns.filter((column) => !answer.columns?.includes(column)) : [];
        if (missing.length === 0) return { kind: 'rows', sink, ...answer };
        // There is no way to know which cell belongs to which column.
        await sink.discard();
        throw unreadable(`its columns lack ${missing.join(', ')}`, place);
      }
      await sink.discard();
      const { trouble, rowsSeen, bytes: bytesSeen } = outcome;
      if (trouble.kind === 'status' && trouble.status === 401 && !renewed && (await wasRotated(key))) {
        renewed = true;
        logRetry(attempt, 0, 'status 401; the key was read again and has changed');
        continue;
      }
      const state = {
        query: job.query,
        attempt,
        attempts: settings.attempts,
        leftMs: deadline.leftMs(),
        random: runtime.random(),
        toNextMinuteMs: 60_000 - (runtime.now() % 60_000),
      };
      const decision = decide(trouble, state);
      if (decision.next === 'split') {
        if (decision.by === 'timeout')
          runtime.log.warn(
            { event: 'call.timeout', tenant, attempt, trouble: describe(trouble) },
            'a call timed out: requesting fewer rows per call',
          );
        return { kind: 'too-large', by: decision.by, rowsSeen, bytesSeen };
      }
      if (decision.next !== 'retry') throw refusal(decision, trouble, { ...place, attempts: attempt });
      logRetry(attempt, decision.afterMs, describe(trouble));
      if (decision.throttled) {
        // The limiter delays all calls of the tenant, including the retry of this one.
        limiter.throttle(decision.afterMs);
        budget?.pause(decision.afterMs);
        continue;
      }
      budget?.checkAfter(decision.afterMs);
      await countingWait(() => runtime.sleep(decision.afterMs, signal));
    }
  }

  async function stoppable<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (!signal?.aborted || error instanceof InsightsError) throw error;
      throw new StoppedError('Stopped while querying the source.', { cause: error, where: { tenant } });
    }
  }

  return {
    tenant,
    at,
    stats,
    get callsLeft() {
      return budget?.left ?? Infinity;
    },
    reserve: (calls) => budget?.reserve(calls),
    async ask(query, columns, signal) {
      const open = async (): Promise<MemorySink> => new MemorySink();
      const job = { query, columns, open, signal, maxBodyBytes: MAX_SMALL_BYTES };
      const outcome = await stoppable(signal, execute(job));
      if (outcome.kind !== 'rows') return outcome;
      const lines = outcome.sink.lines();
      const rows = lines.map((line) => cellsOf(parseJson(line), columns, outcome.columns, place));
      return {
        kind: 'rows',
        rows,
        named: outcome.columns !== undefined,
        form: lines[0]?.startsWith('{') ? 'objects' : 'arrays',
      };
    },
    download(query, columns, open, signal) {
      return stoppable(signal, execute({ query, columns, open, signal, maxBodyBytes: Infinity }));
    },
  };
}

interface QueryJob<S extends Sink> {
  readonly query: string;
  readonly columns: readonly string[];
  readonly open: () => Promise<S>;
  readonly signal: AbortSignal | undefined;
  readonly maxBodyBytes: number;
}

/** Opens a sink for one attempt and discards it when the attempt throws. */
async function attemptInto<S extends Sink, T>(
  job: QueryJob<S>,
  send: (sink: S) => Promise<T>,
): Promise<{ sink: S; outcome: T }> {
  const sink = await job.open();
  try {
    return { sink, outcome: await send(sink) };
  } catch (error) {
    await sink.discard();
    throw error;
  }
}

/** A header may hold only printable ASCII. Anything else would fail later, with a message that quotes the secret. */
async function readCredential({ credential, tenant }: ClientOptions): Promise<Credential> {
  const read = await credential();
  if (/^[\x20-\x7e]+$/.test(read.value)) return read;
  throw new AuthError(`The key of tenant "${tenant}" is empty or contains characters that cannot be sent.`, {
    hint: 'Check where the key is read from: a line break or a byte order mark may have been copied with it.',
    where: { tenant },
  });
}

function cellsOf(
  row: unknown,
  columns: readonly string[],
  named: readonly string[] | undefined,
  place: Place,
): readonly unknown[] {
  if (isJsonObject(row)) return columns.map((column) => row[column]);
  const order = named ?? columns;
  if (!Array.isArray(row) || row.length !== order.length)
    throw unreadable(`a row does not have exactly ${order.length} cells`, place);
  const cells: readonly unknown[] = row;
  return named ? columns.map((column) => cells[named.indexOf(column)]) : cells;
}

function unreadable(reason: string, place: Place): InsightsError {
  return refusal({ next: 'stop-table', why: 'unexpected' }, { kind: 'unexpected', reason }, place);
}

class MemorySink implements Sink {
  #parts: Buffer[] = [];

  async write(part: Buffer): Promise<void> {
    this.#parts.push(part);
  }

  async discard(): Promise<void> {
    this.#parts = [];
  }

  lines(): string[] {
    const text = Buffer.concat(this.#parts).toString();
    return text === '' ? [] : text.slice(0, -1).split('\n');
  }
}
