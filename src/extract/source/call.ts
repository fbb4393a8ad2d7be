/** One HTTP call: sent, its answer streamed through the envelope scanner, everything that goes wrong told as a Trouble. */
import type { Runtime } from '../../kernel/runtime.ts';
import { startCallTimer } from './call-timer.ts';
import type { CallTimer, CallTimes, TimeLimit } from './call-timer.ts';
import { EnvelopeError } from './envelope-error.ts';
import { scanEnvelope } from './envelope.ts';
import type { EnvelopeResult } from './envelope.ts';
import { parseRetryAfter } from './retry.ts';
import type { Trouble } from './retry.ts';

export interface Credential {
  readonly header: 'X-API-KEY' | 'Authorization';
  readonly value: string;
}

/** Where the lines of an answer go; `write` resolves when more may come. */
export interface Sink {
  write(part: Buffer): Promise<void>;
  /** The answer is not to be used. */
  discard(): Promise<void>;
}

interface CallLimits extends CallTimes {
  readonly maxBodyBytes: number;
}

export interface Call {
  readonly url: string;
  readonly credential: Credential;
  readonly query: string;
  readonly limits: CallLimits;
  readonly sink: Sink;
  readonly runtime: Pick<Runtime, 'fetch' | 'now'>;
  readonly signal: AbortSignal | undefined;
  /** The head of the response is here, or the call failed before it: the source has counted the call or never will. */
  readonly onHead: () => void;
}

export type CallOutcome = { /** Of the body, as far as it was read. */ readonly bytes: number } & (
  | { readonly kind: 'answer'; readonly answer: EnvelopeResult }
  | { readonly kind: 'trouble'; readonly trouble: Trouble; readonly rowsSeen: number }
);

interface Seen {
  rows: number;
  bytes: number;
}

/** An error's body is only detail: more of it is not read. */
const MAX_ERROR_BYTES = 64 * 1024;

/**
 * Sends the query. Rejects with the signal's reason when aborted, with the sink's error when the disk refuses; all
 * else is an outcome.
 */
export async function sendOnce(call: Call): Promise<CallOutcome> {
  const timer = startCallTimer(call.limits, call.signal);
  const seen: Seen = { rows: 0, bytes: 0 };
  try {
    const response = await send(call, timer.signal).finally(call.onHead);
    timer.headArrived();
    if (!response.ok) return trouble(await readRefusal(call, response, timer.signal), seen);
    return await readAnswer(call, response, timer, seen);
  } catch (error) {
    timer.throwIfStopped();
    if (error instanceof SinkError) throw error.cause;
    return trouble(timer.reached ? LATE[timer.reached] : troubleOf(error), seen);
  } finally {
    timer.close();
  }
}

async function send(call: Call, signal: AbortSignal): Promise<Response> {
  const { header, value } = call.credential;
  return call.runtime.fetch(call.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json', [header]: value },
    // The request's schema is closed: nothing but the query is sent.
    body: JSON.stringify({ query: call.query }),
    redirect: 'manual',
    signal,
  });
}

async function readAnswer(call: Call, response: Response, timer: CallTimer, seen: Seen): Promise<CallOutcome> {
  let parts: Buffer[] = [];
  const scanner = scanEnvelope((part) => parts.push(part));
  for await (const chunk of chunksOf(response, timer.signal)) {
    timer.bytesArrived();
    seen.bytes += chunk.length;
    if (seen.bytes > call.limits.maxBodyBytes) return trouble({ kind: 'oversized' }, seen);
    scanner.push(chunk);
    seen.rows = scanner.rows;
    for (const part of parts) await writeTo(call.sink, part);
    parts = [];
  }
  const answer = scanner.end();
  for (const part of parts) await writeTo(call.sink, part);
  if (answer.failure !== undefined) return trouble({ kind: 'engine', text: withoutSecret(answer.failure, call) }, seen);
  return { kind: 'answer', answer, bytes: answer.bytes };
}

async function readRefusal(call: Call, response: Response, signal: AbortSignal): Promise<Trouble> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of chunksOf(response, signal)) {
    parts.push(chunk);
    bytes += chunk.length;
    if (bytes >= MAX_ERROR_BYTES) break;
  }
  // A date is the source's: measured by its own clock, a wrong one here makes no wait a day long.
  const sentMs = Date.parse(response.headers.get('date') ?? '');
  const nowMs = Number.isNaN(sentMs) ? call.runtime.now() : sentMs;
  const retryAfterMs = parseRetryAfter(response.headers.get('retry-after'), nowMs);
  const text = Buffer.concat(parts).subarray(0, MAX_ERROR_BYTES).toString();
  return { kind: 'status', status: response.status, retryAfterMs, text: withoutSecret(text, call) };
}

async function* chunksOf(response: Response, signal: AbortSignal): AsyncGenerator<Buffer> {
  if (!response.body) return;
  const reader: ReadableStreamDefaultReader<Uint8Array> = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await orAborted(reader.read(), signal);
      if (done) return;
      yield Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    }
  } finally {
    // Not awaited: a body left in the middle of its decompression may never confirm it (Node 20's fetch).
    reader.cancel().catch(() => {});
  }
}

/** A read inside of a compressed body may outlive the abort of its call: the wait for it must not. */
async function orAborted<T>(read: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(new Error('aborted'));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([read, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
    read.catch(() => {});
  }
}

/** Tells a refusal of the disk from one of the network. */
class SinkError extends Error {}

async function writeTo(sink: Sink, part: Buffer): Promise<void> {
  try {
    await sink.write(part);
  } catch (error) {
    throw new SinkError('The sink refused.', { cause: error });
  }
}

/** What a source says of a failure may repeat what it was sent. */
function withoutSecret(text: string, { credential }: Call): string {
  return text.replaceAll(credential.value.replace(/^Bearer /, ''), '[secret]');
}

function trouble(what: Trouble, seen: Seen): CallOutcome {
  return { kind: 'trouble', trouble: what, rowsSeen: seen.rows, bytes: seen.bytes };
}

const LATE: Readonly<Record<TimeLimit, Trouble>> = {
  head: { kind: 'timeout' },
  stall: { kind: 'broken', reason: 'the body stalled' },
  total: { kind: 'broken', reason: 'the time for one query was used up' },
};

/** The codes with which Node rejects a certificate. */
const CERTIFICATE_CODE = /CERT|^UNABLE_TO_(?:VERIFY|GET_ISSUER)|^HOSTNAME_MISMATCH$/;

function troubleOf(error: unknown): Trouble {
  if (error instanceof EnvelopeError) {
    if (error.fault === 'unexpected') return { kind: 'unexpected', reason: error.message };
    return { kind: 'broken', reason: error.message };
  }
  // fetch tells every failure of the network as a TypeError whose cause has a code. Its messages may quote a header,
  // so only codes are passed on; a failure without one is a mistake in the request itself.
  const code = codeOf(error) ?? codeOf(error instanceof Error ? error.cause : undefined);
  if (code === 'UND_ERR_HEADERS_TIMEOUT') return { kind: 'timeout' };
  if (code !== undefined) return { kind: CERTIFICATE_CODE.test(code) ? 'certificate' : 'broken', reason: code };
  if (error instanceof TypeError && error.message === 'terminated') return { kind: 'broken', reason: 'terminated' };
  return { kind: 'unexpected', reason: 'the request could not be sent' };
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
