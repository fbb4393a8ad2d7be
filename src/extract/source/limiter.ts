/**
 * Keeps each tenant's calls within the rate limit in every sliding minute *as the server counts them*, also across
 * consecutive runs.
 *
 * It is unknown when the server counts a call: at some time between sending it and receiving the response. So a call
 * keeps its slot while it is in flight, and for one minute after it has *ended* (headers or failure). Of any limit + 1
 * calls, the last is therefore sent at least a minute after another one was certainly counted.
 * Within a process, time is monotonic. Between runs, the calls of the last minute are read back from a small file.
 */
import { isMissing, onDisk, systemFiles, writeDurably } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { SlidingMinute } from './sliding-minute.ts';

export interface Limiter {
  /** Waits for a slot. Call the returned function when the call has ended. Rejects with the signal's reason. */
  acquire(signal?: AbortSignal): Promise<() => void>;
  /** After a 429: sends no call for `afterMs`, and fewer calls per minute from then on. */
  throttle(afterMs: number): void;
  close(): Promise<void>;
}

export interface LimiterOptions {
  /** Calls in any sliding minute; 0 = no limit. */
  readonly callsPerMinute: number;
  /** Where calls are recorded. The file and its folder are created when missing. */
  readonly file: string;
  readonly runtime: Pick<Runtime, 'now' | 'monotonic' | 'sleep' | 'files'>;
}

/** One tenant's limiter. Callers are served in the order of their requests. */
export async function openLimiter(options: LimiterOptions): Promise<Limiter> {
  const { callsPerMinute, file, runtime } = options;
  const minute = new SlidingMinute(callsPerMinute);
  const record = await openRecord(file, runtime, minute);
  const queue: symbol[] = [];
  let wake = deferred();
  let calls = 0;
  const wakeQueue = (): void => {
    wake.resolve();
    wake = deferred();
  };

  async function waitForTurn(ticket: symbol, signal: AbortSignal | undefined): Promise<void> {
    for (;;) {
      signal?.throwIfAborted();
      const waitMs = queue[0] === ticket ? minute.waitMs(runtime.monotonic()) : Infinity;
      if (waitMs <= 0) return;
      if (Number.isFinite(waitMs)) await runtime.sleep(waitMs, signal);
      else await abortable(wake.promise, signal);
    }
  }

  return {
    async acquire(signal) {
      const ticket = Symbol('ticket');
      queue.push(ticket);
      try {
        await waitForTurn(ticket, signal);
        // Written before the call is sent, so that after a crash the next run still counts it.
        const id = ++calls;
        const call = minute.start();
        let ended = false;
        const release = (): void => {
          if (ended) return;
          ended = true;
          minute.end(call, runtime.monotonic());
          // Losing this entry makes the next run wait longer, never less.
          record.write(`e ${id} ${runtime.now()}\n`).catch(() => {});
          wakeQueue();
        };
        try {
          await record.write(`s ${id} ${runtime.now()}\n`);
        } catch (error) {
          release();
          throw error;
        }
        return release;
      } finally {
        queue.splice(queue.indexOf(ticket), 1);
        wakeQueue();
      }
    },
    throttle(afterMs) {
      minute.throttle(runtime.monotonic(), afterMs);
      wakeQueue();
    },
    close: () => record.close(),
  };
}

/** Calls older than this are dropped from the file. Longer than the limiter's window, so dropping them has no effect. */
const FORGET_MS = 120_000;

interface CallRecord {
  write(line: string): Promise<void>;
  close(): Promise<void>;
}

/** Reads the recent calls into `minute`, rewrites the file with only those, and opens it for appending. */
async function openRecord(
  file: string,
  runtime: Pick<Runtime, 'now' | 'monotonic' | 'files'>,
  minute: SlidingMinute,
): Promise<CallRecord> {
  const files = runtime.files ?? systemFiles;
  return onDisk(file, async () => {
    const nowMs = runtime.now();
    const ends = callEnds(await readIfThere(files, file), nowMs).filter((end) => end > nowMs - FORGET_MS);
    for (const end of ends) minute.recall(runtime.monotonic(), nowMs - end);
    await writeDurably(file, ends.map((end, k) => `s r${k} ${end}\ne r${k} ${end}\n`).join(''), files);
    const handle = await files.open(file, 'a');
    // Writes are serialised, so that the end of a call never comes before its start.
    let last: Promise<void> = Promise.resolve();
    return {
      // Not flushed: written data survives the process, and after a power cut the file is out of date within a minute.
      write(line) {
        const write = last.then(() => onDisk(file, () => handle.appendFile(line)));
        last = write.catch(() => {});
        return write;
      },
      async close() {
        await last;
        await onDisk(file, () => handle.close());
      },
    };
  });
}

/** When each recorded call ended. A call without an end was interrupted by a crash and counts as ending now. */
function callEnds(text: string, nowMs: number): number[] {
  const ends = new Map<string, number>();
  for (const line of text.split('\n')) {
    const match = /^([se]) (\S+) (\d+)$/.exec(line);
    if (!match) continue;
    const [, kind, id = '', at] = match;
    ends.set(id, kind === 's' ? nowMs : Math.min(nowMs, Number(at)));
  }
  return [...ends.values()];
}

async function readIfThere(files: Files, file: string): Promise<string> {
  try {
    return await files.readFile(file, 'utf8');
  } catch (error) {
    if (isMissing(error)) return '';
    throw error;
  }
}

interface Deferred {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

function deferred(): Deferred {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/** Resolves with the promise, or rejects with the signal's reason if that comes first. */
async function abortable(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return promise;
  const aborted = deferred();
  signal.addEventListener('abort', aborted.resolve, { once: true });
  try {
    await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', aborted.resolve);
  }
  signal.throwIfAborted();
}
