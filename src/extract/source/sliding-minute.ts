/** The limiter's arithmetic, pure: time goes in as milliseconds of one clock that never steps back. */

/** A little more than a minute, for clocks that tick at slightly different rates and servers that round. */
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

  /** `limit` 0 = none; pauses are obeyed all the same. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Milliseconds until a call may start; 0 = now; Infinity = not before one that is in flight has ended. */
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

  /** A call starts; it holds its slot until `end` and a minute more. */
  start(): object {
    const call: Call = { endedMs: Infinity };
    if (this.#limit > 0) this.#calls.push(call);
    return call;
  }

  end(call: object, nowMs: number): void {
    const found = this.#calls.find((other) => other === call);
    if (found) found.endedMs = nowMs;
  }

  /** A call of an earlier run, ended `agoMs` ago. */
  recall(nowMs: number, agoMs: number): void {
    // A clock that was set back makes the past look like the future: such a call counts as ending now.
    if (this.#limit > 0) this.#calls.push({ endedMs: nowMs - Math.max(0, agoMs) });
  }

  /** The source refused a call for its rate: pause, and go a tenth slower; calls in flight that are refused too count once. */
  throttle(nowMs: number, afterMs: number): void {
    const paused = nowMs < this.#pausedUntilMs;
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, nowMs + afterMs);
    if (paused || this.#limit === 0) return;
    const slower = Math.floor(this.limitAt(nowMs) * 0.9);
    this.#slowed = { limit: Math.max(1, Math.ceil(this.#limit / 4), slower), atMs: nowMs };
  }

  /** The limit in force: after a 429 it recovers by a fiftieth (at least one call) each minute. */
  limitAt(nowMs: number): number {
    if (!this.#slowed) return this.#limit;
    const minutes = Math.floor((nowMs - this.#slowed.atMs) / 60_000);
    return Math.min(this.#limit, this.#slowed.limit + minutes * Math.max(1, Math.ceil(this.#limit / 50)));
  }
}
