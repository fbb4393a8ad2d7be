import { closeSync, openSync, writeSync } from 'node:fs';

/** One call to the query endpoint, whatever became of it. */
export interface CallRecord {
  /** Real time of arrival, ISO with milliseconds; `received` is the same. */
  readonly time: string;
  readonly received: string;
  /** When the last byte was handed over or the connection ended. */
  finished: string;
  readonly tenant: string;
  /** 0 when no status line was sent. */
  status: number;
  rows: number;
  /** Bytes of the body before compression. */
  bytes: number;
  query: string;
  /** The kind of the fault rule that this call met. */
  fault?: string;
}

/** Keeps the finished calls in order of their ends and, if asked to, appends each to a file as one NDJSON line. */
export function createCallLog(file: string | undefined) {
  const calls: CallRecord[] = [];
  let descriptor = file === undefined ? undefined : openSync(file, 'a');
  return {
    calls,
    add(call: CallRecord): void {
      calls.push(call);
      // At once and in one write: whoever reads the file sees whole lines, also while calls are under way.
      if (descriptor !== undefined) writeSync(descriptor, `${JSON.stringify(call)}\n`);
    },
    close(): void {
      if (descriptor !== undefined) closeSync(descriptor);
      descriptor = undefined;
    },
  };
}
