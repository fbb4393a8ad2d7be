/**
 * Progress of a run on standard error: on a terminal one bar per table with its rate and remaining time, in a pipe log
 * lines. cli-progress would write to a pipe even if configured not to, so it is not created there.
 */
import cliProgress from 'cli-progress';
import type { Logger } from 'pino';
import type { Runtime } from '../kernel/runtime.ts';
import type { ProgressEvent, ProgressListener } from '../model/report.ts';
import { bytes, count, duration, plural } from './format.ts';
import type { Terminal } from './terminal.ts';

export interface ProgressView {
  readonly listen: ProgressListener;
  /** Removes the bars. */
  readonly stop: () => void;
}

type Clock = Runtime['monotonic'];

/** Bars on a terminal, otherwise log lines; nothing with `quiet`. */
export function createProgress(
  terminal: Terminal,
  { log, monotonic }: Pick<Runtime, 'log' | 'monotonic'>,
  options: { bars: boolean; quiet: boolean },
): ProgressView {
  if (options.quiet) return { listen: () => {}, stop: () => {} };
  return options.bars && terminal.isTTY === true ? bars(terminal, monotonic) : lines(log);
}

const PROGRESS = { planned: 'table.planned', merged: 'table.merged' } as const;

function lines(log: Logger): ProgressView {
  return {
    listen(event) {
      const { kind, ...rest } = event;
      if (event.kind === 'page') log.debug({ event: 'page.landed', ...rest }, 'page landed');
      else if (event.kind === 'table') log.info({ event: 'table.phase', ...rest }, event.phase);
      else log.info({ event: PROGRESS[event.kind], ...rest }, kind);
    },
    stop: () => {},
  };
}

interface Bar {
  readonly bar: cliProgress.SingleBar;
  rows: number;
  bytes: number;
  /** On the monotonic clock. */
  startedMs: number;
  plan: string;
}

function bars(terminal: Terminal, clock: Clock): ProgressView {
  const multi = new cliProgress.MultiBar(
    {
      stream: terminal,
      format: '{name} {bar} {percentage}% {note}',
      barCompleteChar: '█',
      barIncompleteChar: '░',
      barsize: 24,
      hideCursor: true,
      clearOnComplete: true,
      // Not used: the estimate of cli-progress follows the wall clock and is shown in raw seconds.
      etaBuffer: 1,
      gracefulExit: false,
      fps: 8,
    },
    cliProgress.Presets.shades_classic,
  );
  const open = new Map<string, Bar>();
  const barOf = (tenant: string, table: string): Bar => {
    const key = `${tenant} ${table}`;
    const known = open.get(key);
    if (known) return known;
    const bar = multi.create(1, 0, { name: key.padEnd(24), note: '' });
    const fresh = { bar, rows: 0, bytes: 0, startedMs: clock(), plan: '' };
    open.set(key, fresh);
    return fresh;
  };
  return { listen: (event) => show(event, barOf, clock), stop: () => multi.stop() };
}

function show(event: ProgressEvent, barOf: (tenant: string, table: string) => Bar, clock: Clock): void {
  const state = barOf(event.tenant, event.table);
  if (event.kind === 'planned') {
    state.startedMs = clock();
    state.bar.setTotal(Math.max(1, event.rows));
    state.plan = ` ${plural(event.rows, 'row')} in ${plural(event.pages, 'page')}`;
    state.bar.update({ note: `plan${state.plan}` });
  } else if (event.kind === 'page') {
    state.rows += event.rows;
    state.bytes += event.bytes;
    state.bar.update(Math.min(state.rows, state.bar.getTotal()), { note: pace(state, clock) });
  } else if (event.kind === 'merged') {
    state.bar.update({ note: `${pace(state, clock)} · merging` });
  } else {
    if (event.phase === 'done') state.bar.update(state.bar.getTotal());
    state.bar.update({ note: event.phase === 'fetch' ? `fetch${state.plan}` : event.phase });
  }
}

function pace(state: Bar, clock: Clock): string {
  const seconds = Math.max(0.001, (clock() - state.startedMs) / 1000);
  const rate = state.rows / seconds;
  const left = Math.max(0, state.bar.getTotal() - state.rows) / Math.max(1, rate);
  return `${count(Math.round(rate))} rows/s · ${bytes(state.bytes)} · ${duration(left)} left`;
}
