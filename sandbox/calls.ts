import { closeSync, openSync, writeSync } from 'node:fs';

/** One call to the query endpoint, with any outcome. */
export interface CallRecord {
  /** Real time of arrival, ISO with milliseconds; `received` is the same. */
  readonly time: string;
  readonly received: string;
  /** When the last byte was sent or the connection ended. */
  finished: string;
  readonly tenant: string;
  /** 0 when no status line was sent. */
  status: number;
  rows: number;
  /** Bytes of the body before compression. */
  bytes: number;
  query: string;
  /** The kind of the fault that was applied to the call. */
  fault?: string;
}

/** Keeps finished calls in the order in which they ended. Appends each to `file`, if given, as one NDJSON line. */
export function createCallLog(file: string | undefined) {
  const calls: CallRecord[] = [];
  let descriptor = file === undefined ? undefined : openSync(file, 'a');
  return {
    calls,
    add(call: CallRecord): void {
      calls.push(call);
      // In one synchronous write, so that a reader of the file sees complete lines at any time.
      if (descriptor !== undefined) writeSync(descriptor, `${JSON.stringify(call)}\n`);
    },
    close(): void {
      if (descriptor !== undefined) closeSync(descriptor);
      descriptor = undefined;
    },
  };
}
