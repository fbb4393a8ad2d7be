/**
 * The loop of the schedule. It does one run at a time, so runs never overlap. The last completed slot of each table is
 * recorded in the data directory, so that a restart neither repeats nor forgets a slot. A failed run is logged and the next
 * slot tries again. If another process holds the data directory, the slot stays due and is retried soon.
 */
import { agenda, keyOf, type Due, type Planned } from './agenda.ts';
import { EXIT, InsightsError, errorCode } from '../kernel/errors.ts';
import { quietUntil } from '../model/quiet.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { readSlots, writeSlots } from './slots.ts';

export interface Daemon {
  readonly planned: readonly Planned[];
  readonly dataDir: string;
  /** Do what is due now and return, for an external timer. A table without a record is due. */
  readonly once: boolean;
  /** The largest delay of this installation's slots. Its random share is drawn once. */
  readonly jitterMs: number;
  /** Loads the due tables; resolves to the exit code. */
  run(due: readonly Due[]): Promise<number>;
  /** Called at each step, for health and metrics. */
  watch?(step: DaemonStep): void;
}

export type DaemonStep =
  | { readonly kind: 'waiting'; readonly untilMs: number }
  | { readonly kind: 'running'; readonly sinceMonotonicMs: number }
  | { readonly kind: 'ended'; readonly exitCode: number };

/** Read the clock at least hourly: timers overflow at 24.8 days, and the clock jumps when a machine was suspended. */
const LONGEST_SLEEP_MS = 3_600_000;
const LOCKED_SLEEP_MS = 60_000;
/**
 * A slot recorded further in the future than this was written under a wrong clock, and now replaces it: waiting for it
 * could mean years without a run. Anything nearer means that the clock was set back, and no slot may fire twice.
 */
const WRONG_CLOCK_MS = 24 * 3_600_000;

/**
 * Runs until the signal. Resolves to the exit code of the run that it stopped, or to 0 if it was waiting. With `once`, throws what the
 * run threw, after its slot is recorded: there is no next slot, so the command ends as `run` does.
 */
export async function runDaemon(daemon: Daemon, runtime: Runtime, signal: AbortSignal): Promise<number> {
  const { planned, once, jitterMs } = daemon;
  const record = await Slots.open(daemon, runtime);
  const delayMs = Math.floor(record.share * jitterMs);
  if (once) {
    await record.replaceFutureSlots();
    // The external timer fires at the slot itself: wait here for the delay.
    const { due } = agenda(planned, record.slots, runtime.now() + delayMs, delayMs);
    const startMs = Math.max(...due.map(({ slot }) => slot)) + delayMs;
    if (delayMs > 0 && due.length > 0 && runtime.now() < startMs) await sleepUntil(startMs, runtime, signal);
    return due.length === 0 || signal.aborted ? EXIT.ok : attempt(daemon, due, record, runtime, signal);
  }
  while (!signal.aborted) {
    await record.replaceFutureSlots();
    const { due, nextMs } = agenda(planned, record.slots, runtime.now(), delayMs);
    if (due.length > 0) {
      const code = await attempt(daemon, due, record, runtime, signal);
      if (signal.aborted) return code;
      if (code === EXIT.locked) {
        await sleepUntil(runtime.now() + LOCKED_SLEEP_MS, runtime, signal);
        await record.refresh();
      }
      continue;
    }
    daemon.watch?.({ kind: 'waiting', untilMs: nextMs });
    runtime.log.info({ event: 'slot.wait', next: new Date(nextMs).toISOString() }, 'waiting for the next slot');
    await sleepUntil(nextMs, runtime, signal);
  }
  return EXIT.ok;
}

/** Sleeps in steps, so that a clock set forward is noticed after at most one of them. */
async function sleepUntil(ms: number, runtime: Runtime, signal: AbortSignal): Promise<void> {
  const startMs = runtime.now();
  try {
    for (let left = ms - startMs; left > 0; left = ms - runtime.now()) {
      await runtime.sleep(Math.min(left, LONGEST_SLEEP_MS), signal);
      // The clock was set back by more than the time slept: the caller must compute the next slot again.
      if (runtime.now() < startMs) return;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

async function attempt(
  daemon: Daemon,
  due: readonly Due[],
  record: Slots,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<number> {
  const newest = Math.max(...due.map(({ slot }) => slot));
  const oldest = Math.min(...due.map(({ after }) => after));
  const names = { slot: new Date(newest).toISOString(), after: new Date(oldest).toISOString(), tables: due.length };
  runtime.log.info({ event: 'slot.due', ...names }, 'run due');
  daemon.watch?.({ kind: 'running', sinceMonotonicMs: runtime.monotonic() });
  let thrown: { readonly error: unknown } | undefined;
  const code = await daemon.run(due).catch((error: unknown) => {
    thrown = { error };
    const known = error instanceof InsightsError ? error : undefined;
    const detail = known ? { failure: known.failure, hint: known.hint, where: known.where } : { error };
    // With `once`, whoever gets the error reports it.
    if (!daemon.once)
      runtime.log.error({ event: 'slot.failed', slot: names.slot, ...detail }, known?.message ?? 'the run failed');
    return known?.exitCode ?? EXIT.unexpected;
  });
  runtime.log.info({ event: 'slot.end', slot: names.slot, exitCode: code }, 'run ended');
  daemon.watch?.({ kind: 'ended', exitCode: code });
  // A slot that was interrupted, or that found the data directory locked, stays due.
  if (!signal.aborted && code !== EXIT.locked) {
    // A run that quiet hours interrupted continues when they end, not at the next slot.
    const isInterrupted = ({ quiet }: Due): boolean =>
      code === EXIT.budget && quietUntil(quiet, runtime.now()) !== undefined;
    await record.complete(due.filter((entry) => !isInterrupted(entry)));
  }
  if (daemon.once && thrown) throw thrown.error;
  return code;
}

/** The completed slots, in memory and on disk. */
class Slots {
  readonly share: number;
  readonly slots: Map<string, number>;
  readonly #dataDir: string;
  readonly #runtime: Runtime;

  private constructor(share: number, slots: Map<string, number>, dataDir: string, runtime: Runtime) {
    this.share = share;
    this.slots = slots;
    this.#dataDir = dataDir;
    this.#runtime = runtime;
  }

  /** A new table waits for its next slot. Its start is recorded so that a restart does not prolong the wait. */
  static async open({ planned, dataDir, once }: Daemon, runtime: Runtime): Promise<Slots> {
    const { slots, share, common } = await readSlots(dataDir);
    const known = new Map(slots);
    for (const entry of planned) {
      const start = common ?? (once ? undefined : runtime.now());
      if (!known.has(keyOf(entry)) && start !== undefined) known.set(keyOf(entry), start);
    }
    const record = new Slots(share ?? runtime.random(), known, dataDir, runtime);
    if (!once && (share === undefined || known.size > slots.size)) await record.#write();
    return record;
  }

  /** The process that held the directory may have been a schedule too and have completed the slots. */
  async refresh(): Promise<void> {
    const { slots } = await readSlots(this.#dataDir);
    for (const [key, slot] of slots) this.slots.set(key, Math.max(slot, this.slots.get(key) ?? 0));
  }

  /** Replaces slots recorded under a wrong clock by now, in memory and on disk. */
  async replaceFutureSlots(): Promise<void> {
    const nowMs = this.#runtime.now();
    const wrong = [...this.slots].filter(([, slot]) => slot > nowMs + WRONG_CLOCK_MS);
    if (wrong.length === 0) return;
    for (const [key] of wrong) this.slots.set(key, nowMs);
    this.#runtime.log.warn({ event: 'slot.clock', tables: wrong.length }, 'ignoring slots recorded in the future');
    await this.#write();
  }

  async complete(due: readonly Due[]): Promise<void> {
    for (const entry of due) this.slots.set(keyOf(entry), entry.slot);
    await this.#write();
  }

  /** A failure to write is logged: this process still knows its slots, and a full disk must not end the schedule. */
  async #write(): Promise<void> {
    try {
      await writeSlots(this.#dataDir, this.slots, this.share, this.#runtime.files);
    } catch (error) {
      const code = errorCode(error) ?? 'error';
      this.#runtime.log.error({ event: 'slot.unrecorded', code }, 'cannot write schedule.json');
    }
  }
}
