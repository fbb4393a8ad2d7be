/** The run that is going on, as `status` shows it. */
import type { RunningReport } from '../model/report.ts';
import { count } from '../kernel/plural.ts';
import { bytes, duration } from './format.ts';
import type { ShardStatus } from '../model/shard.ts';
import { renderTable } from './table.ts';
import type { Style } from './terminal.ts';

const PHASES: Readonly<Record<RunningReport['tables'][number]['phase'], string>> = {
  resume: 'loading what an earlier run fetched',
  reconcile: 'comparing',
  plan: 'planning',
  fetch: 'fetching',
  verify: 'verifying',
  done: 'done',
  failed: 'failed',
};

const COLUMNS = [
  { title: 'tenant' },
  { title: 'table' },
  { title: 'step' },
  { title: 'rows fetched', align: 'right' },
  { title: 'of', align: 'right' },
  { title: 'size', align: 'right' },
  { title: 'rows/s', align: 'right' },
  { title: 'time left', align: 'right' },
] as const;

export function runningSummary({ run, startedAt, tables }: RunningReport, nowMs: number, style: Style): string {
  const since = Math.max(0, (nowMs - Date.parse(startedAt)) / 1000);
  const head = `a run has been going on for ${duration(since)}, since ${startedAt.slice(0, 19)}Z (${run})\n`;
  const rows = tables.map(({ tenant, table, phase, rows: n, plannedRows, rowsPerSecond, secondsLeft, ...rest }) => [
    tenant,
    table,
    PHASES[phase],
    count(n),
    count(plannedRows),
    bytes(rest.bytes),
    rowsPerSecond === undefined ? '' : count(rowsPerSecond),
    secondsLeft === undefined ? '' : duration(secondsLeft),
  ]);
  if (tables.length > 0 && tables.every(({ phase }) => phase === 'done' || phase === 'failed'))
    return `${head}every table is done; the run is publishing\n`;
  return rows.length === 0 ? head : `${head}\n${renderTable(COLUMNS, rows, style)}`;
}

/** How the last run of each shard ended. */
export function shardsSummary(shards: readonly ShardStatus[]): string {
  return shards
    .map(({ shard, finishedAt, exitCode, running }) => {
      const ended =
        finishedAt === undefined
          ? 'no run has ended'
          : `last run ended ${finishedAt.slice(0, 19)}Z with exit code ${exitCode ?? '?'}`;
      return `shard ${shard}: ${ended}${running === undefined ? '' : ', and one is going on'}\n`;
    })
    .join('');
}
