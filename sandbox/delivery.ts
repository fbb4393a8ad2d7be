/** Sends an answer, intact or deliberately damaged. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { deflate, gzip } from 'node:zlib';
import type { CallRecord } from './calls.ts';
import type { Answer } from './problem.ts';

/**
 * How to damage the delivery of an answer. `reset` and `stall` happen before its first byte, within the headers, or after
 * half of the body. `end`: the body ends half-way. `length`: the announced length differs from what is sent.
 */
export type Delivery =
  | { readonly how: 'reset'; readonly at: 'before' | 'headers' | 'body' }
  | { readonly how: 'stall'; readonly at: 'before' | 'body'; readonly resumeAfterMs?: number | undefined }
  | { readonly how: 'end'; readonly contentLength: boolean }
  | { readonly how: 'length'; readonly by: number }
  | { readonly how: 'drip'; readonly bytes: number; readonly everyMs: number }
  | { readonly how: 'encoded'; readonly form: Encoding };

type Encoding = 'gzip' | 'deflate' | 'chunked' | 'gzip-chunked' | 'corrupt-gzip' | 'cut-gzip' | 'not-gzip';

export interface Sending {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly answer: Answer;
  readonly call: CallRecord;
  /** Records the call. Done before the last byte is sent, so that a client that has the answer finds the record. */
  readonly record: () => Promise<void>;
  readonly gzip: boolean;
  readonly delivery: Delivery | undefined;
}

/** True when no part of the answer will be sent, so that the query need not run. */
export function isNeverSent(delivery: Delivery | undefined): boolean {
  if (delivery?.how === 'stall') return delivery.at === 'before' && delivery.resumeAfterMs === undefined;
  return delivery?.how === 'reset' && delivery.at !== 'body';
}

/** Resolves when everything was sent or the connection has ended. */
export async function send(sending: Sending): Promise<void> {
  const { request, response, answer, call, record, delivery } = sending;
  const { socket } = request;
  if (delivery?.how === 'reset' && delivery.at !== 'body') {
    await record();
    if (delivery.at === 'before') return void socket.resetAndDestroy();
    // A reset discards buffered bytes, so it must wait until they have been sent.
    return void socket.write('HTTP/1.1 200 OK\r\nContent-Type: appli', () =>
      setTimeout(() => socket.resetAndDestroy(), 5),
    );
  }
  if (delivery?.how === 'stall' && delivery.at === 'before' && !(await pause(response, delivery.resumeAfterMs))) return;
  call.status = answer.status;
  call.rows = answer.rows;
  call.bytes = answer.body.length;
  if (answer.stream) return sendStream(sending, answer.stream);
  const { body, headers, chunked } = await packed(sending);
  const length = { 'content-length': body.length };
  const half = Math.floor(body.length / 2);
  switch (delivery?.how) {
    case 'reset':
      await begin(response, answer.status, { ...headers, ...length }, body.subarray(0, half));
      await record();
      return void socket.resetAndDestroy();
    case 'end':
      await begin(
        response,
        answer.status,
        { ...headers, ...(delivery.contentLength ? length : {}) },
        body.subarray(0, half),
      );
      await record();
      // With a content length, the client can see that bytes are missing; without one, the body just ends.
      return void (delivery.contentLength ? socket.end() : response.end());
    case 'drip':
      return drip(sending, { ...headers, ...length }, body);
    case 'length': {
      const announced = Math.max(1, body.length + delivery.by);
      response.strictContentLength = false;
      await record();
      await begin(response, answer.status, { ...headers, 'content-length': announced, connection: 'close' }, body);
      return void socket.end();
    }
    case 'stall':
      if (delivery.at === 'before') break;
      await begin(response, answer.status, { ...headers, ...length }, body.subarray(0, half));
      if (!(await pause(response, delivery.resumeAfterMs))) return;
      await record();
      return void response.end(body.subarray(half));
    case 'encoded':
    case undefined:
      break;
  }
  await record();
  response.writeHead(answer.status, { ...headers, ...(chunked ? {} : length) });
  if (chunked) for (let at = 0; at < half; at += 1024) response.write(body.subarray(at, Math.min(half, at + 1024)));
  response.end(chunked ? body.subarray(half) : body);
}

interface Packed {
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
  readonly chunked: boolean;
}

/** The body in the encoding that a fault requires or that the client accepts. */
async function packed({ request, answer, gzip: isEnabled, delivery }: Sending): Promise<Packed> {
  const form = delivery?.how === 'encoded' ? delivery.form : undefined;
  const agreed = isEnabled && /\bgzip\b/.test(request.headers['accept-encoding'] ?? '');
  const base = { 'content-type': answer.contentType, ...answer.headers };
  const chunked = form?.endsWith('chunked') ?? false;
  if (form === 'chunked' || (form === undefined && !agreed)) return { body: answer.body, headers: base, chunked };
  const encoding = form === 'deflate' ? 'deflate' : 'gzip';
  const headers = { ...base, 'content-encoding': encoding };
  if (form === 'not-gzip') return { body: answer.body, headers, chunked };
  // Level 1, because each page is compressed and read only once, on the same machine.
  const body = await promisify(encoding === 'gzip' ? gzip : deflate)(answer.body, { level: 1 });
  if (form === 'corrupt-gzip') body.fill(0xff, Math.floor(body.length / 2), Math.floor(body.length / 2) + 16);
  return { body: form === 'cut-gzip' ? body.subarray(0, Math.floor(body.length / 2)) : body, headers, chunked };
}

/** Sends the head and the first bytes. */
async function begin(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string | number>>,
  bytes: Buffer,
): Promise<void> {
  response.writeHead(status, headers);
  await new Promise<void>((resolve) => response.write(bytes, () => resolve()));
}

async function drip(
  { response, answer, record, delivery }: Sending,
  headers: Readonly<Record<string, string | number>>,
  body: Buffer,
): Promise<void> {
  if (delivery?.how !== 'drip') return;
  response.writeHead(answer.status, headers);
  let at = 0;
  for (; at + delivery.bytes < body.length; at += delivery.bytes) {
    response.write(body.subarray(at, at + delivery.bytes));
    if (!(await pause(response, delivery.everyMs))) return;
  }
  await record();
  response.end(body.subarray(at));
}

/** Sends a stream without a content length, no faster than the client reads it. */
async function sendStream(
  { response, answer, call, record }: Sending,
  stream: NonNullable<Answer['stream']>,
): Promise<void> {
  response.writeHead(answer.status, { 'content-type': answer.contentType, ...answer.headers });
  for await (const piece of stream()) {
    if (response.destroyed) return;
    call.bytes += piece.length;
    if (!response.write(piece) && !(await drained(response))) return;
  }
  await record();
  response.end();
}

async function drained(response: ServerResponse): Promise<boolean> {
  return new Promise((resolve) => {
    const done = (open: boolean) => (): void => {
      response.off('drain', onDrain);
      response.off('close', onClose);
      resolve(open);
    };
    const [onDrain, onClose] = [done(true), done(false)];
    response.once('drain', onDrain);
    response.once('close', onClose);
    if (response.destroyed) onClose();
  });
}

/** Waits until the client disconnects (false) or, if a time is given, until it has passed (true). */
async function pause(response: ServerResponse, ms: number | undefined): Promise<boolean> {
  if (response.destroyed) return false;
  return new Promise((resolve) => {
    const onClose = (): void => {
      clearTimeout(timer);
      resolve(false);
    };
    const timer =
      ms === undefined
        ? undefined
        : setTimeout(() => {
            response.off('close', onClose);
            resolve(true);
          }, ms);
    response.once('close', onClose);
  });
}
