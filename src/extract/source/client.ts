/**
 * One tenant's way to the source: query text in, rows out. Credential, rate, time limits, retries, abort and the
 * shapes of answers are dealt with in here; callers see rows, "ask for less", or a typed error.
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
import { describe, refusal } from './refusal.ts';
import { decide } from './retry.ts';
import type { Trouble } from './retry.ts';

export interface ClientSettings {
  /** Milliseconds to wait for the head of a response; the source's own limit is set per tenant. @default 300_000 */
  readonly timeoutMs: number;
  /** Milliseconds without a byte of the body until the call counts as broken. @default 60_000 */
  readonly stallMs: number;
  /** Calls for one query. @default 8 */
  readonly attempts: number;
  /** Milliseconds for one query with all its waits and calls. @default 1_800_000 */
  readonly totalMs: number;
  /** Bytes that a body may have after decompression. @default 1_000_000_000 */
  readonly maxBodyBytes: number;
  /** Milliseconds that a call under way may go on after a stop was asked for. @default 0 */
  readonly graceMs?: number;
}

export const CLIENT_DEFAULTS: ClientSettings = {
  timeoutMs: 300_000,
  stallMs: 60_000,
  attempts: 8,
  totalMs: 1_800_000,
  maxBodyBytes: 1_000_000_000,
};

/** Counters of one tenant since the start. */
interface ClientStats {
  calls: number;
  retries: number;
  /** Milliseconds waited for the rate limit and between attempts. */
  waitedMs: number;
  /** Bytes of bodies received, after decompression. */
  bytes: number;
}

export type TooLarge = {
  readonly kind: 'too-large';
  readonly by: 'rows' | 'bytes' | 'timeout';
  /** Rows that came before the source stopped; its cap, where it stops at a cap of rows. */
  readonly rowsSeen: number;
  /** Bytes of body that came in vain. */
  readonly bytesSeen: number;
};

export interface Downloaded<S> extends Omit<EnvelopeResult, 'failure'> {
  readonly kind: 'rows';
  /** Holds the lines; the caller commits or discards it. */
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
  /** Without a slash at its end. */
  readonly baseUrl: string;
  /** Reads the secret; asked again once when the source refuses it, because token files are replaced. */
  readonly credential: () => Promise<Credential>;
  readonly limiter: Limiter;
  /** Asked before each call. @default without bounds */
  readonly budget?: Budget;
  readonly settings: ClientSettings;
  readonly runtime: Runtime;
}

export interface Client {
  readonly tenant: string;
  readonly stats: Readonly<ClientStats>;
  /** Calls that may still be sent. */
  readonly callsLeft: number;
  /**
   * A small answer in memory (up to 64 MB): cells in the order of `columns`, which are the names that the query projects.
   * Throws AuthError (stop the tenant), SourceError (stop the table), StoppedError (aborted), BudgetError (no call now).
   */
  ask(query: string, columns: readonly string[], signal?: AbortSignal): Promise<SmallAnswer | TooLarge>;
  /** Streams an answer's rows as lines into a sink that `open` makes anew for each attempt. Throws as `ask`. */
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
  const stats: ClientStats = { calls: 0, retries: 0, waitedMs: 0, bytes: 0 };
  let credential: Promise<Credential> | undefined;

  async function waiting<T>(wait: () => Promise<T>): Promise<T> {
    const from = runtime.monotonic();
    try {
      return await wait();
    } finally {
      stats.waitedMs += runtime.monotonic() - from;
    }
  }

  /** A slot of the limiter, for a call that the budget allows at the instant at which it is sent. */
  async function admitted(signal: AbortSignal | undefined): Promise<() => void> {
    budget?.take();
    let release: (() => void) | undefined;
    try {
      release = await waiting(() => limiter.acquire(signal));
      budget?.check(0);
      return release;
    } catch (error) {
      release?.();
      budget?.giveBack();
      throw error;
    }
  }

  /** Whether the source of the secret now gives another one. */
  async function rotated(refused: Credential): Promise<boolean> {
    credential = readCredential(options);
    return (await credential).value !== refused.value;
  }

  async function request<S extends Sink>(asked: Asked<S>): Promise<Downloaded<S> | TooLarge> {
    const { signal, columns } = asked;
    let deadline: Deadline | undefined;
    let renewed = false;
    for (let attempt = 1; ; attempt++) {
      credential ??= readCredential(options);
      const key = await credential;
      const release = await admitted(signal);
      // Time starts with the first call: waiting for a slot costs a query nothing.
      deadline ??= startDeadline(runtime, settings.totalMs);
      stats.calls++;
      if (attempt > 1) stats.retries++;
      const limits = {
        ...settings,
        graceMs: settings.graceMs ?? 0,
        remainingMs: Math.max(1, deadline.leftMs()),
        maxBodyBytes: Math.min(asked.maxBodyBytes, settings.maxBodyBytes),
      };
      const { sink, outcome } = await attemptInto(asked, (sink) =>
        sendOnce({ url, credential: key, query: asked.query, limits, sink, runtime, signal, onHead: release }),
      ).finally(release);
      stats.bytes += outcome.bytes;
      if (outcome.kind === 'answer') {
        const { failure: _, ...answer } = outcome.answer;
        const missing = answer.columns ? columns.filter((column) => !answer.columns?.includes(column)) : [];
        if (missing.length === 0) return { kind: 'rows', sink, ...answer };
        // Its cells cannot be told apart.
        await sink.discard();
        throw unreadable(`its columns lack ${missing.join(', ')}`, tenant);
      }
      await sink.discard();
      const { trouble, rowsSeen, bytes: bytesSeen } = outcome;
      if (trouble.kind === 'status' && trouble.status === 401 && !renewed && (await rotated(key))) {
        renewed = true;
        continue;
      }
      const state = {
        attempt,
        attempts: settings.attempts,
        leftMs: deadline.leftMs(),
        random: runtime.random(),
        toNextMinuteMs: 60_000 - (runtime.now() % 60_000),
      };
      const decision = decide(trouble, state);
      if (decision.next === 'split') return { kind: 'too-large', by: decision.by, rowsSeen, bytesSeen };
      if (decision.next !== 'retry') throw refusal(decision, trouble, { tenant, attempts: attempt });
      runtime.log.warn(
        { event: 'call.retry', tenant, attempt, afterMs: decision.afterMs, trouble: describe(trouble) },
        'asking again',
      );
      if (decision.throttled) {
        // The limiter holds back all calls of the tenant, this one with them.
        limiter.throttle(decision.afterMs);
        budget?.paused(decision.afterMs);
        continue;
      }
      budget?.check(decision.afterMs);
      await waiting(() => runtime.sleep(decision.afterMs, signal));
    }
  }

  async function stoppable<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (!signal?.aborted || error instanceof InsightsError) throw error;
      throw new StoppedError('Stopped while asking the source.', { cause: error, where: { tenant } });
    }
  }

  return {
    tenant,
    stats,
    get callsLeft() {
      return budget?.left ?? Infinity;
    },
    async ask(query, columns, signal) {
      const open = async (): Promise<MemorySink> => new MemorySink();
      const asked = { query, columns, open, signal, maxBodyBytes: MAX_SMALL_BYTES };
      const outcome = await stoppable(signal, request(asked));
      if (outcome.kind !== 'rows') return outcome;
      const lines = outcome.sink.lines();
      const rows = lines.map((line) => cellsOf(parseJson(line), columns, outcome.columns, tenant));
      return {
        kind: 'rows',
        rows,
        named: outcome.columns !== undefined,
        form: lines[0]?.startsWith('{') ? 'objects' : 'arrays',
      };
    },
    download(query, columns, open, signal) {
      return stoppable(signal, request({ query, columns, open, signal, maxBodyBytes: Infinity }));
    },
  };
}

interface Asked<S extends Sink> {
  readonly query: string;
  readonly columns: readonly string[];
  readonly open: () => Promise<S>;
  readonly signal: AbortSignal | undefined;
  readonly maxBodyBytes: number;
}

/** Opens a sink for one attempt; it does not outlive an attempt that throws. */
async function attemptInto<S extends Sink, T>(
  asked: Asked<S>,
  send: (sink: S) => Promise<T>,
): Promise<{ sink: S; outcome: T }> {
  const sink = await asked.open();
  try {
    return { sink, outcome: await send(sink) };
  } catch (error) {
    await sink.discard();
    throw error;
  }
}

/** A header takes printable ASCII; anything else would fail later with a message that quotes the secret. */
async function readCredential({ credential, tenant }: ClientOptions): Promise<Credential> {
  const read = await credential();
  if (/^[\x20-\x7e]+$/.test(read.value)) return read;
  throw new AuthError(`The key of tenant "${tenant}" is empty or holds characters that cannot be sent.`, {
    hint: 'Check where it is read from: a line break or a byte order mark may have been copied with it.',
    where: { tenant },
  });
}

function cellsOf(
  row: unknown,
  columns: readonly string[],
  named: readonly string[] | undefined,
  tenant: string,
): readonly unknown[] {
  if (isJsonObject(row)) return columns.map((column) => row[column]);
  const order = named ?? columns;
  if (!Array.isArray(row) || row.length !== order.length)
    throw unreadable(`a row without exactly ${order.length} cells`, tenant);
  const cells: readonly unknown[] = row;
  return named ? columns.map((column) => cells[named.indexOf(column)]) : cells;
}

function unreadable(reason: string, tenant: string): InsightsError {
  const trouble: Trouble = { kind: 'unexpected', reason };
  return refusal({ next: 'stop-table', why: 'unexpected' }, trouble, { tenant, attempts: 1 });
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
