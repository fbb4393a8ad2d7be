import { StoppedError } from '../../kernel/errors.ts';

/**
 * The signal for a call under way: when a person asks to stop, it is aborted only `graceMs` later, so that an answer that
 * is nearly here is landed. Any other reason (the work has failed, its answer is of no use) aborts it at once.
 */
export async function lingering<T>(
  signal: AbortSignal | undefined,
  graceMs: number,
  call: (signal: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  if (!signal || graceMs <= 0) return call(signal);
  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const onAbort = (): void => {
    if (signal.reason instanceof StoppedError) timer = setTimeout(() => late.abort(signal.reason), graceMs);
    else late.abort(signal.reason);
  };
  signal.throwIfAborted();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await call(late.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}
