/** Progress of a run on standard error: on a terminal one line per table with its rate and remaining time, in a pipe log lines. */
import type { Logger } from 'pino';
import type { Runtime } from '../kernel/runtime.ts';
import type { ProgressEvent, ProgressListener } from '../model/report.ts';
import { count, plural } from '../kernel/plural.ts';
import { bytes, duration } from './format.ts';
import type { LiveLines } from './live.ts';

export interface ProgressView {
  readonly listen: ProgressListener;
  /** Removes the lines. */
  readonly stop: () => void;
}

type Clock = Runtime['monotonic'];

/** Lines that are drawn again, if there is a screen for them, otherwise log lines; nothing with `quiet`. */
export function createProgress(
  screen: LiveLines,
  { log, monotonic }: Pick<Runtime, 'log' | 'monotonic'>,
  options: { bars: boolean; quiet: boolean },
): ProgressView {
  if (options.quiet) return { listen: () => {}, stop: () => {} };
  return options.bars && screen.isTTY === true ? bars(screen, monotonic) : lines(log);
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
  readonly name: string;
  rows: number;
  total: number;
  bytes: number;
  /** On the monotonic clock. */
  startedMs: number;
  plan: string;
  note: string;
}

const NAME_COLUMNS = 24;
/** Narrower terminals get no bar, only the text. */
const BAR_FROM_COLUMNS = 70;

function bars(screen: LiveLines, clock: Clock): ProgressView {
  const open = new Map<string, Bar>();
  let [done, failed, rows] = [0, 0, 0];
  const draw = (columns: number, most: number): string[] => {
    // The table that began last is at the bottom. Finished tables leave, so that many tenants fit.
    const shown = [...open.values()].slice(-Math.max(1, most - 1)).map((bar) => barLine(bar, columns));
    const hidden = open.size - shown.length;
    const total = [
      `${plural(done, 'table')} done`,
      ...(failed > 0 ? [`${count(failed)} not loaded`] : []),
      `${plural(rows, 'row')} fetched`,
      ...(open.size === 0 ? ['publishing'] : []),
      ...(hidden > 0 ? [`${plural(hidden, 'more table')} in progress`] : []),
    ];
    return done + failed + hidden === 0 ? shown : [...shown, total.join(' · ')];
  };
  return {
    listen(event) {
      const key = `${event.tenant} ${event.table}`;
      const bar = open.get(key) ?? { name: key, rows: 0, total: 0, bytes: 0, startedMs: clock(), plan: '', note: '' };
      open.set(key, bar);
      if (event.kind === 'page') rows += event.rows;
      if (event.kind === 'table' && (event.phase === 'done' || event.phase === 'failed')) {
        open.delete(key);
        if (event.phase === 'done') done++;
        else failed++;
      }
      update(bar, event, clock);
      screen.start(draw);
    },
    stop: () => screen.stop(),
  };
}

function update(bar: Bar, event: ProgressEvent, clock: Clock): void {
  if (event.kind === 'planned') {
    bar.startedMs = clock();
    bar.rows = 0;
    bar.total = event.rows;
    bar.plan = ` ${plural(event.rows, 'row')} in ${plural(event.pages, 'page')}`;
    bar.note = `plan${bar.plan}`;
  } else if (event.kind === 'page') {
    bar.rows += event.rows;
    bar.bytes += event.bytes;
    bar.note = pace(bar, clock);
  } else if (event.kind === 'merged') {
    bar.note = `${pace(bar, clock)} · merging`;
  } else {
    bar.note = event.phase === 'fetch' ? `fetch${bar.plan}` : event.phase;
  }
}

function barLine({ name, rows, total, note }: Bar, columns: number): string {
  const label = name.length > NAME_COLUMNS ? `${name.slice(0, NAME_COLUMNS - 1)}…` : name;
  const share = total === 0 ? 0 : Math.min(1, rows / total);
  const percent = total === 0 ? '' : `${Math.floor(share * 100)}% `;
  if (columns < BAR_FROM_COLUMNS) return `${label} ${percent}${note}`;
  const size = columns >= 100 ? 24 : 12;
  const full = Math.round(share * size);
  return `${label.padEnd(NAME_COLUMNS)} ${'█'.repeat(full)}${'░'.repeat(size - full)} ${percent}${note}`;
}

function pace(bar: Bar, clock: Clock): string {
  const seconds = Math.max(0.001, (clock() - bar.startedMs) / 1000);
  const rate = bar.rows / seconds;
  const left = Math.max(0, bar.total - bar.rows) / Math.max(1, rate);
  return `${count(Math.round(rate))} rows/s · ${bytes(bar.bytes)} · ${duration(left)} left`;
}
