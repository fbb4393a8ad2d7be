import type { Runtime } from '../../kernel/runtime.ts';

/** The end of a time limit. It lies on the monotonic clock, so that setting the wall clock does not move it. */
export interface Deadline {
  /** Milliseconds until the limit is reached; negative after it. */
  leftMs(): number;
}

/** `startMs` is a reading of the monotonic clock. @default now */
export function startDeadline(
  runtime: Pick<Runtime, 'monotonic'>,
  limitMs: number,
  startMs = runtime.monotonic(),
): Deadline {
  return { leftMs: () => startMs + limitMs - runtime.monotonic() };
}
