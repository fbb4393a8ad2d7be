/**
 * When one HTTP call must end: its time limits, and the caller's wish to stop. Timers run on Node's monotonic clock.
 */
import { StoppedError } from '../../kernel/errors.ts';

/** head: no response yet. stall: the body pauses. total: the time for the query, retries included, is used up. */
export type TimeLimit = 'head' | 'stall' | 'total';

export interface CallTimes {
  readonly timeoutMs: number;
  readonly stallMs: number;
  /** Milliseconds left for the query, retries included. */
  readonly remainingMs: number;
  /** How long a call in flight may go on after a StoppedError, so that an almost complete answer is not lost. */
  readonly graceMs: number;
}

export interface CallTimer {
  /** Aborts when a limit is reached or the call is stopped. */
  readonly signal: AbortSignal;
  /** The limit that ended the call. */
  readonly reached: TimeLimit | undefined;
  /** Ends the wait for the head and starts the wait for the body. */
  headArrived(): void;
  /** Restarts the wait for the body. */
  bytesArrived(): void;
  /** Throws the stop signal's reason once the call has been stopped; during the grace period it has not. */
  throwIfStopped(): void;
  /** Clears all timers and frees the connection of a body that was not read to its end. */
  close(): void;
}

/** Throws the reason of `stop` when it has already aborted. */
export function startCallTimer(times: CallTimes, stop: AbortSignal | undefined): CallTimer {
  stop?.throwIfAborted();
  const abort = new AbortController();
  const timers: NodeJS.Timeout[] = [];
  let stopped = false;
  let reached: TimeLimit | undefined;
  const limit = (name: TimeLimit, ms: number): NodeJS.Timeout => {
    const timer = setTimeout(() => {
      reached ??= name;
      abort.abort();
    }, ms);
    timers.push(timer);
    return timer;
  };
  const stopNow = (): void => {
    stopped = true;
    abort.abort();
  };
  // Only a person's wish to stop grants a grace period: after a failure the answer is of no use.
  const onStop = (): void => {
    if (stop?.reason instanceof StoppedError && times.graceMs > 0) timers.push(setTimeout(stopNow, times.graceMs));
    else stopNow();
  };
  stop?.addEventListener('abort', onStop, { once: true });
  limit('total', times.remainingMs);
  const head = limit('head', times.timeoutMs);
  let stall: NodeJS.Timeout | undefined;
  return {
    signal: abort.signal,
    get reached() {
      return reached;
    },
    headArrived() {
      clearTimeout(head);
      stall = limit('stall', times.stallMs);
    },
    bytesArrived() {
      stall?.refresh();
    },
    throwIfStopped() {
      if (stopped) stop?.throwIfAborted();
    },
    close() {
      for (const timer of timers) clearTimeout(timer);
      stop?.removeEventListener('abort', onStop);
      abort.abort();
    },
  };
}
