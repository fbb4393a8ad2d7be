/** Puts an answer on the wire, whole or damaged on purpose. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { CallRecord } from './calls.ts';
import type { Delivery } from './faults.ts';
import type { Answer } from './problem.ts';

export interface Sending {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly answer: Answer;
  readonly call: CallRecord;
  /** Writes the call down; done before the last byte, so that whoever has the answer finds the record. */
  readonly record: () => Promise<void>;
  readonly gzip: boolean;
  readonly delivery: Delivery | undefined;
}

const compress = promisify(gzip);

/** Resolves when everything was handed over or the connection has ended. */
export async function send({ request, response, answer, call, record, gzip, delivery }: Sending): Promise<void> {
  if (delivery?.at === 'before') {
    if (delivery.cut === 'reset') {
      await record();
      request.socket.resetAndDestroy();
      return;
    }
    if (!(await stall(response, delivery.resumeAfterMs))) return;
  }
  const packed = gzip && /\bgzip\b/.test(request.headers['accept-encoding'] ?? '');
  // Level 1: a page is packed once and read once on the same machine.
  const body = packed ? await compress(answer.body, { level: 1 }) : answer.body;
  const headers = {
    'content-type': answer.contentType,
    ...(packed ? { 'content-encoding': 'gzip' } : {}),
    ...answer.headers,
  };
  call.status = answer.status;
  call.rows = answer.rows;
  call.bytes = answer.body.length;
  if (delivery?.at !== 'body') {
    await record();
    response.writeHead(answer.status, { ...headers, 'content-length': body.length });
    response.end(body);
    return;
  }
  const half = body.subarray(0, Math.floor(body.length / 2));
  const announced = delivery.cut === 'end' && !delivery.contentLength ? {} : { 'content-length': body.length };
  response.writeHead(answer.status, { ...headers, ...announced });
  await new Promise<void>((resolve) => response.write(half, () => resolve()));
  switch (delivery.cut) {
    case 'stall':
      if (await stall(response, delivery.resumeAfterMs)) {
        await record();
        response.end(body.subarray(half.length));
      }
      return;
    case 'reset':
      await record();
      request.socket.resetAndDestroy();
      return;
    case 'end':
      await record();
      // With a content length the client can see that bytes are missing; without one the body simply ends.
      if (delivery.contentLength) request.socket.end();
      else response.end();
  }
}

/** Waits until the client gives up (false) or, if a time is given, until it has passed (true). */
async function stall(response: ServerResponse, ms: number | undefined): Promise<boolean> {
  if (response.destroyed) return false;
  return new Promise((resolve) => {
    const timer = ms === undefined ? undefined : setTimeout(() => resolve(true), ms);
    response.once('close', () => {
      clearTimeout(timer);
      resolve(false);
    });
  });
}
