/**
 * The loop around the schedule: one run at a time, so that runs never overlap; the last slot done is kept beside the lake, so
 * that a restart neither repeats nor forgets one. A run that fails is logged and the next slot tries again.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT, InsightsError } from './errors.ts';
import { writeDurably } from './files.ts';
import type { Runtime } from './runtime.ts';
import { dueSlot, nextSlot, type Schedule } from './schedule.ts';

export interface Daemon {
  readonly schedule: Schedule;
  readonly dataDir: string;
  /** Do what is due now and end, for a timer that is not ours. Without a record of any slot, that is one run. */
  readonly once: boolean;
  /** One run; resolves to its exit code. */
  run(): Promise<number>;
}

/** Timers overflow at 24.8 days, and a suspended machine's clock jumps: look at the clock again at least hourly. */
const LONGEST_SLEEP_MS = 3_600_000;

/** Runs until the signal; resolves to the exit code of the last run, ok where it only waited. */
export async function runDaemon(daemon: Daemon, runtime: Runtime, signal: AbortSignal): Promise<number> {
  const { schedule, dataDir, once } = daemon;
  const recorded = await readLastSlot(dataDir);
  // A first start waits for its slot: starting a service is not asking for a run.
  let last = recorded ?? (once ? 0 : runtime.now());
  if (once) {
    const due = dueSlot(schedule, last, runtime.now());
    return due === undefined ? EXIT.ok : doSlot(daemon, due, runtime, signal);
  }
  while (!signal.aborted) {
    const due = dueSlot(schedule, last, runtime.now());
    if (due !== undefined) {
      const code = await doSlot(daemon, due, runtime, signal);
      if (signal.aborted) return code;
      last = due;
      continue;
    }
    // After a clock that was set back, the slot already done is not waited for again.
    const next = nextSlot(schedule, Math.max(last, runtime.now()));
    runtime.log.info({ next: new Date(next).toISOString() }, 'waiting for the next slot');
    await sleepUntil(next, runtime, signal);
  }
  return EXIT.ok;
}

async function sleepUntil(ms: number, runtime: Runtime, signal: AbortSignal): Promise<void> {
  try {
    for (let left = ms - runtime.now(); left > 0; left = ms - runtime.now())
      await runtime.sleep(Math.min(left, LONGEST_SLEEP_MS), signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

async function doSlot(daemon: Daemon, slot: number, runtime: Runtime, signal: AbortSignal): Promise<number> {
  const name = new Date(slot).toISOString();
  runtime.log.info({ slot: name }, 'run due');
  const code = await daemon.run().catch((error: unknown) => {
    const known = error instanceof InsightsError ? error : undefined;
    const detail = known ? { failure: known.failure, hint: known.hint, where: known.where } : { error };
    runtime.log.error({ slot: name, ...detail }, known?.message ?? 'the run failed');
    return known?.exitCode ?? EXIT.unexpected;
  });
  runtime.log.info({ slot: name, exitCode: code }, 'run ended');
  // A slot that was interrupted is not done: the next start takes it up.
  if (!signal.aborted) await writeDurably(recordPath(daemon.dataDir), `${JSON.stringify({ lastSlot: name })}\n`);
  return code;
}

function recordPath(dataDir: string): string {
  return join(dataDir, 'schedule.json');
}

async function readLastSlot(dataDir: string): Promise<number | undefined> {
  const text = await readFile(recordPath(dataDir), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  // A record that cannot be read is as good as none: the worst is one run more.
  const match = text === undefined ? null : /"lastSlot":"([^"]+)"/.exec(text);
  const ms = Date.parse(match?.[1] ?? '');
  return Number.isNaN(ms) ? undefined : ms;
}
