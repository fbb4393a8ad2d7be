/**
 * The loop around the schedule: one run at a time, so that runs never overlap; the last slot done of each table is kept
 * beside the lake, so that a restart neither repeats nor forgets one. A run that fails is logged and the next slot tries
 * again; where another process holds the data directory, the slot stays due and is tried again soon.
 */
import { agenda, keyOf, type Due, type Planned } from './agenda.ts';
import { EXIT, InsightsError } from '../kernel/errors.ts';
import { quietUntil } from '../model/quiet.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { readSlots, writeSlots } from './slots.ts';

export interface Daemon {
  readonly planned: readonly Planned[];
  readonly dataDir: string;
  /** Do what is due now and end, for a timer that is not ours. A table without a record is due. */
  readonly once: boolean;
  /** The most by which this installation's slots are delayed; its share is drawn once. */
  readonly jitterMs: number;
  /** One run over what is due; resolves to its exit code. */
  run(due: readonly Due[]): Promise<number>;
  /** Told of each step; for health and metrics. */
  watch?(step: DaemonStep): void;
}

export type DaemonStep =
  | { readonly kind: 'waiting'; readonly untilMs: number }
  | { readonly kind: 'running'; readonly sinceMs: number }
  | { readonly kind: 'ended'; readonly exitCode: number };

/** Timers overflow at 24.8 days, and a suspended machine's clock jumps: look at the clock again at least hourly. */
const LONGEST_SLEEP_MS = 3_600_000;
const LOCKED_SLEEP_MS = 60_000;
/**
 * A record that lies further in the future than this was written under a wrong clock, and is taken for "now": to wait for
 * it could mean years without a run. Below it a clock was only set back, and nothing may fire twice.
 */
const WRONG_CLOCK_MS = 24 * 3_600_000;

/** Runs until the signal; resolves to the exit code of the run that was stopped, ok where it only waited. */
export async function runDaemon(daemon: Daemon, runtime: Runtime, signal: AbortSignal): Promise<number> {
  const { planned, once, jitterMs } = daemon;
  const record = await Slots.open(daemon, runtime);
  const delayMs = Math.floor(record.share * jitterMs);
  if (once) {
    await record.mend();
    // The slot's own instant has come by the timer that called us: what is due without the delay is waited for.
    const { due } = agenda(planned, record.slots, runtime.now() + delayMs, delayMs);
    const startMs = Math.max(...due.map(({ slot }) => slot)) + delayMs;
    if (delayMs > 0 && due.length > 0 && runtime.now() < startMs) await sleepUntil(startMs, runtime, signal);
    return due.length === 0 || signal.aborted ? EXIT.ok : attempt(daemon, due, record, runtime, signal);
  }
  while (!signal.aborted) {
    await record.mend();
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

/** Sleeps in portions; a clock that is set forward meanwhile is noticed at the end of one, one set back just sleeps on. */
async function sleepUntil(ms: number, runtime: Runtime, signal: AbortSignal): Promise<void> {
  const startMs = runtime.now();
  try {
    for (let left = ms - startMs; left > 0; left = ms - runtime.now()) {
      await runtime.sleep(Math.min(left, LONGEST_SLEEP_MS), signal);
      // Set back by more than was slept: what is next is to be reckoned anew.
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
  daemon.watch?.({ kind: 'running', sinceMs: runtime.now() });
  const code = await daemon.run(due).catch((error: unknown) => {
    const known = error instanceof InsightsError ? error : undefined;
    const detail = known ? { failure: known.failure, hint: known.hint, where: known.where } : { error };
    runtime.log.error({ event: 'slot.failed', slot: names.slot, ...detail }, known?.message ?? 'the run failed');
    return known?.exitCode ?? EXIT.unexpected;
  });
  runtime.log.info({ event: 'slot.end', slot: names.slot, exitCode: code }, 'run ended');
  daemon.watch?.({ kind: 'ended', exitCode: code });
  // A slot that was interrupted, or that another process kept us from, is not done: the next start takes it up.
  if (signal.aborted || code === EXIT.locked) return code;
  // A run that quiet hours cut off goes on when they are over, not at the next slot.
  const isCut = ({ quiet }: Due): boolean => code === EXIT.budget && quietUntil(quiet, runtime.now()) !== undefined;
  await record.done(due.filter((entry) => !isCut(entry)));
  return code;
}

/** The record in memory and on disk. */
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

  /** A table that is new to the schedule waits for its slot; that is recorded, so that no restart makes it wait longer. */
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

  /** The process that held the directory may have been a schedule too, and have done what is due. */
  async refresh(): Promise<void> {
    const { slots } = await readSlots(this.#dataDir);
    for (const [key, slot] of slots) this.slots.set(key, Math.max(slot, this.slots.get(key) ?? 0));
  }

  /** Leaves a record of a wrong clock aside, durably: what is next is reckoned from now on. */
  async mend(): Promise<void> {
    const nowMs = this.#runtime.now();
    const wrong = [...this.slots].filter(([, slot]) => slot > nowMs + WRONG_CLOCK_MS);
    if (wrong.length === 0) return;
    for (const [key] of wrong) this.slots.set(key, nowMs);
    this.#runtime.log.warn(
      { event: 'slot.clock', tables: wrong.length },
      'slots recorded in the future are left aside',
    );
    await this.#write();
  }

  async done(due: readonly Due[]): Promise<void> {
    for (const entry of due) this.slots.set(keyOf(entry), entry.slot);
    await this.#write();
  }

  /** What cannot be written is still known to this process: a full disk ends no schedule. */
  async #write(): Promise<void> {
    try {
      await writeSlots(this.#dataDir, this.slots, this.share, this.#runtime.files);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'error';
      this.#runtime.log.error({ event: 'slot.unrecorded', code }, 'the slots done cannot be recorded on disk');
    }
  }
}
