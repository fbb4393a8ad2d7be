/** The arithmetic of the limiter. Pure: times are passed in as milliseconds of a monotonic clock. */

/** A little more than a minute, to allow for clock drift and for servers that round. */
const WINDOW_MS = 60_100;

interface Call {
  /** Infinity while in flight. */
  endedMs: number;
}

export class SlidingMinute {
  readonly #limit: number;
  #calls: Call[] = [];
  #pausedUntilMs = -Infinity;
  #slowed: { readonly limit: number; readonly atMs: number } | undefined;

  /** `limit` 0 = no limit; pauses still apply. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Milliseconds until a call may start. 0 = now; Infinity = not before a call in flight has ended. */
  waitMs(nowMs: number): number {
    const pause = Math.max(0, this.#pausedUntilMs - nowMs);
    if (this.#limit === 0) return pause;
    this.#calls = this.#calls.filter((call) => call.endedMs + WINDOW_MS > nowMs);
    const surplus = this.#calls.length - this.limitAt(nowMs) + 1;
    if (surplus <= 0) return pause;
    const ends = this.#calls.map((call) => call.endedMs).sort((a, b) => a - b);
    const freeing = ends[surplus - 1] ?? Infinity;
    return Math.max(pause, freeing + WINDOW_MS - nowMs);
  }

  /** Starts a call, which holds its slot until one minute after `end`. */
  start(): object {
    const call: Call = { endedMs: Infinity };
    if (this.#limit > 0) this.#calls.push(call);
    return call;
  }

  end(call: object, nowMs: number): void {
    const found = this.#calls.find((other) => other === call);
    if (found) found.endedMs = nowMs;
  }

  /** Adds a call of an earlier run that ended `agoMs` ago. */
  recall(nowMs: number, agoMs: number): void {
    // After the wall clock was set back, an earlier call seems to end in the future. It counts as ending now.
    if (this.#limit > 0) this.#calls.push({ endedMs: nowMs - Math.max(0, agoMs) });
  }

  /** After a 429: pauses, and lowers the limit by a tenth. Several calls in flight that get a 429 lower it only once. */
  throttle(nowMs: number, afterMs: number): void {
    const paused = nowMs < this.#pausedUntilMs;
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, nowMs + afterMs);
    if (paused || this.#limit === 0) return;
    const slower = Math.floor(this.limitAt(nowMs) * 0.9);
    this.#slowed = { limit: Math.max(1, Math.ceil(this.#limit / 4), slower), atMs: nowMs };
  }

  /** The current limit. After a 429 it recovers by a fiftieth (at least one call) each minute. */
  limitAt(nowMs: number): number {
    if (!this.#slowed) return this.#limit;
    const minutes = Math.floor((nowMs - this.#slowed.atMs) / 60_000);
    return Math.min(this.#limit, this.#slowed.limit + minutes * Math.max(1, Math.ceil(this.#limit / 50)));
  }
}
