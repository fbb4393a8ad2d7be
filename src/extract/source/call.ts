/** Sends one HTTP call, streams the answer through the envelope scanner, and reports any failure as a Trouble. */
import { InsightsError } from '../../kernel/errors.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { startCallTimer } from './call-timer.ts';
import type { CallTimer, CallTimes, TimeLimit } from './call-timer.ts';
import { EnvelopeError } from './envelope-error.ts';
import { scanEnvelope } from './envelope.ts';
import type { EnvelopeResult } from './envelope.ts';
import { parseRetryAfter } from './retry.ts';
import type { Trouble } from './retry.ts';
import { isHtml, networkReason } from './network-reason.ts';
import type { SourceAddress } from './network-reason.ts';
import { meaningOf } from './statuses.ts';

export interface Credential {
  readonly header: 'X-API-KEY' | 'Authorization';
  readonly value: string;
}

/** Receives the lines of an answer; `write` resolves when it can take more. */
export interface Sink {
  write(part: Buffer): Promise<void>;
  /** Drops what was written: the answer will not be used. */
  discard(): Promise<void>;
}

interface CallLimits extends CallTimes {
  readonly maxBodyBytes: number;
}

export interface Call {
  readonly url: string;
  readonly at: SourceAddress;
  readonly credential: Credential;
  readonly query: string;
  readonly limits: CallLimits;
  readonly sink: Sink;
  readonly runtime: Pick<Runtime, 'fetch' | 'now'>;
  readonly signal: AbortSignal | undefined;
  /** Called when the head of the response arrives or the call fails: by then the source has counted it, or never will. */
  readonly onHead: () => void;
}

export type CallOutcome = { /** Bytes of the body that were read. */ readonly bytes: number } & (
  | { readonly kind: 'answer'; readonly answer: EnvelopeResult }
  | { readonly kind: 'trouble'; readonly trouble: Trouble; readonly rowsSeen: number }
);

interface Seen {
  rows: number;
  bytes: number;
}

/** The body of an error response is only used for its message, so no more of it is read. */
const MAX_ERROR_BYTES = 64 * 1024;

/**
 * Sends the query. Rejects with the signal's reason when aborted, and with the sink's error when writing fails. Every
 * other failure is an outcome.
 */
export async function sendOnce(call: Call): Promise<CallOutcome> {
  const timer = startCallTimer(call.limits, call.signal);
  const seen: Seen = { rows: 0, bytes: 0 };
  try {
    const response = await send(call, timer.signal).finally(call.onHead);
    timer.headArrived();
    if (meaningOf(response.status) !== 'answer') return failed(await readRefusal(call, response, timer.signal), seen);
    return await readAnswer(call, response, timer, seen);
  } catch (error) {
    timer.throwIfStopped();
    if (error instanceof SinkError) throw error.cause;
    if (error instanceof InsightsError) throw error;
    return failed(timer.reached ? TIME_LIMIT_TROUBLE[timer.reached] : troubleOf(error, call.at), seen);
  } finally {
    timer.close();
  }
}

async function send(call: Call, signal: AbortSignal): Promise<Response> {
  const { header, value } = call.credential;
  return call.runtime.fetch(call.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json',
      // A repeated count would look like a source where nothing has changed.
      'cache-control': 'no-cache',
      [header]: value,
    },
    // The endpoint rejects unknown keys: the body holds only the query.
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
    if (seen.bytes > call.limits.maxBodyBytes) return failed({ kind: 'oversized' }, seen);
    scanner.push(chunk);
    seen.rows = scanner.rows;
    for (const part of parts) await writeTo(call.sink, part);
    parts = [];
  }
  const answer = scanner.end();
  for (const part of parts) await writeTo(call.sink, part);
  if (answer.failure !== undefined) return failed({ kind: 'engine', text: withoutSecret(answer.failure, call) }, seen);
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
  // A Retry-After date is compared with the source's own clock: with a wrong local clock the wait could last a day.
  const sentMs = Date.parse(response.headers.get('date') ?? '');
  const nowMs = Number.isNaN(sentMs) ? call.runtime.now() : sentMs;
  const retryAfterMs = parseRetryAfter(response.headers.get('retry-after'), nowMs);
  const text = Buffer.concat(parts).subarray(0, MAX_ERROR_BYTES).toString();
  return {
    kind: 'status',
    status: response.status,
    retryAfterMs,
    text: withoutSecret(text, call),
    ...(isWebPage(response.headers, text) ? { edge: true } : {}),
  };
}

/** The source answers with JSON or text. A web page, or a challenge of Cloudflare, is the answer of something in front of it. */
function isWebPage(headers: Headers, text: string): boolean {
  if (headers.has('cf-mitigated')) return true;
  return /^text\/html\b/i.test(headers.get('content-type') ?? '') || isHtml(text);
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
    // Not awaited: with Node 20's fetch, cancelling a partly decompressed body may never resolve.
    reader.cancel().catch(() => {});
  }
}

/** Stops waiting for a read when the call is aborted: the read of a compressed body may never settle. */
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

/** Marks a failure of the sink (the disk), as opposed to one of the network. */
class SinkError extends Error {}

async function writeTo(sink: Sink, part: Buffer): Promise<void> {
  try {
    await sink.write(part);
  } catch (error) {
    throw new SinkError('The answer could not be written.', { cause: error });
  }
}

/** An error message of the source may quote the credential it was sent. */
function withoutSecret(text: string, { credential }: Call): string {
  return text.replaceAll(credential.value.replace(/^Bearer /, ''), '[secret]');
}

function failed(trouble: Trouble, seen: Seen): CallOutcome {
  return { kind: 'trouble', trouble, rowsSeen: seen.rows, bytes: seen.bytes };
}

const TIME_LIMIT_TROUBLE: Readonly<Record<TimeLimit, Trouble>> = {
  head: { kind: 'timeout' },
  stall: { kind: 'broken', reason: 'the body stalled' },
  total: { kind: 'broken', reason: 'the time for one query was used up' },
};

/** The codes with which Node rejects a certificate. */
const CERTIFICATE_CODE = /CERT|^UNABLE_TO_(?:VERIFY|GET_ISSUER)|^HOSTNAME_MISMATCH$/;

function troubleOf(error: unknown, at: SourceAddress): Trouble {
  if (error instanceof EnvelopeError) {
    if (error.fault === 'unexpected') return { kind: 'unexpected', reason: error.message, hint: error.hint };
    return { kind: 'broken', reason: error.message };
  }
  // fetch reports every network failure as a TypeError whose causes have a code. Their messages may quote a header, so only
  // codes are passed on. A failure without a code is a mistake in the request itself.
  const code = codeOf(error);
  if (code === 'UND_ERR_HEADERS_TIMEOUT') return { kind: 'timeout' };
  if (code !== undefined && CERTIFICATE_CODE.test(code)) return { kind: 'certificate', reason: code };
  if (code !== undefined) return { kind: 'broken', reason: networkReason(code, at, proxyStatusOf(error)) };
  if (error instanceof TypeError && error.message === 'terminated') return { kind: 'broken', reason: 'terminated' };
  return { kind: 'unexpected', reason: 'the request could not be sent' };
}

function causesOf(error: unknown): Error[] {
  return error instanceof Error ? [error, ...causesOf(error.cause)] : [];
}

function codeOf(error: unknown): string | undefined {
  return causesOf(error)
    .map((cause) => ('code' in cause ? cause.code : undefined))
    .find((code) => typeof code === 'string');
}

/** The status with which the proxy refused to open a connection. undici only has it in its message. */
function proxyStatusOf(error: unknown): number | undefined {
  const [status] = causesOf(error).flatMap(({ message }) => /^Proxy response \((\d{3})\)/.exec(message)?.[1] ?? []);
  return status === undefined ? undefined : Number(status);
}
