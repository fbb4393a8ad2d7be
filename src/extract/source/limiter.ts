/**
 * Never more than `limit` calls in any sliding minute *at the server*, per tenant, also across runs that follow each other.
 *
 * When the server counts a call is unknown: somewhere between our sending it and its response. So a slot is freed a
 * minute after the call has *ended* (headers or failure), and a call in flight holds its slot. Then of any limit + 1
 * calls, the one sent last was sent at least a minute after some other had certainly been counted.
 * Within a process time is monotonic; between runs the calls of the last minute are read back from a small file.
 */
import { isMissing, onDisk, systemFiles, writeDurably } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { SlidingMinute } from './sliding-minute.ts';

export interface Limiter {
  /** Waits for a slot; the returned function says that the call has ended. Rejects with the signal's reason. */
  acquire(signal?: AbortSignal): Promise<() => void>;
  /** The source said 429: no call before `afterMs` have passed, and fewer a minute from then on. */
  throttle(afterMs: number): void;
  /** Milliseconds spent waiting for slots so far, over all callers. */
  readonly waitedMs: number;
  close(): Promise<void>;
}

export interface LimiterOptions {
  /** Calls in any sliding minute; 0 = no limit. */
  readonly callsPerMinute: number;
  /** Record of calls; made with its folder when missing. */
  readonly file: string;
  readonly runtime: Pick<Runtime, 'now' | 'monotonic' | 'sleep' | 'files'>;
}

/** One tenant's limiter. Waiting callers are served in the order they came. */
export async function openLimiter(options: LimiterOptions): Promise<Limiter> {
  const { callsPerMinute, file, runtime } = options;
  const minute = new SlidingMinute(callsPerMinute);
  const record = await openRecord(file, runtime, minute);
  const queue: symbol[] = [];
  let wake = deferred();
  let waitedMs = 0;
  let calls = 0;
  const changed = (): void => {
    wake.resolve();
    wake = deferred();
  };

  async function turn(ticket: symbol, signal: AbortSignal | undefined): Promise<void> {
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
      const asked = runtime.monotonic();
      try {
        await turn(ticket, signal);
        // Written before the call is sent: a call that a crash forgets would not be counted by the next run.
        const id = ++calls;
        const call = minute.start();
        let ended = false;
        const release = (): void => {
          if (ended) return;
          ended = true;
          minute.end(call, runtime.monotonic());
          // A lost end makes the next run wait longer, never shorter.
          record.write(`e ${id} ${runtime.now()}\n`).catch(() => {});
          changed();
        };
        try {
          await record.write(`s ${id} ${runtime.now()}\n`);
        } catch (error) {
          release();
          throw error;
        }
        return release;
      } finally {
        waitedMs += runtime.monotonic() - asked;
        queue.splice(queue.indexOf(ticket), 1);
        changed();
      }
    },
    throttle(afterMs) {
      minute.throttle(runtime.monotonic(), afterMs);
      changed();
    },
    get waitedMs() {
      return waitedMs;
    },
    close: () => record.close(),
  };
}

/** Older calls matter no more; more than the limiter's window, so that only age decides and not this file. */
const FORGET_MS = 120_000;

interface CallRecord {
  write(line: string): Promise<void>;
  close(): Promise<void>;
}

/** Reads the calls of the last minute into `minute`, rewrites the file with those alone, and opens it for more. */
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
    // One write after the other: the end of a call must not stand before its start.
    let last: Promise<void> = Promise.resolve();
    return {
      // No flush: what the kernel has outlives the process, and a minute after a power cut nothing here matters.
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

/** When each recorded call ended; one that has no end was cut off by a crash and counts as ending now. */
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

/** The promise, or the signal's reason if that comes first. */
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
