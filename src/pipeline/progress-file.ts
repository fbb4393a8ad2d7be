/**
 * What a run is doing, for `status` in another shell: a small file in the work folder, written again every two seconds. It is
 * no part of the lake: nothing waits for it, an error of the disk is ignored here, and the next run removes what a killed one left.
 */
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { TEMPORARY } from '../kernel/files.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { PROGRESS_FILE } from '../model/data-dir.ts';
import { PHASES } from '../model/report.ts';
import type { ProgressListener, RunningReport } from '../model/report.ts';
import { TABLE_NAMES } from '../model/tables.ts';
import { writtenBy } from '../kernel/version.ts';

const EVERY_MS = 2000;
/** A file that is older belongs to a run that was killed. */
const STALE_MS = 30_000;

const tableSchema = z.object({
  tenant: z.string(),
  table: z.enum(TABLE_NAMES),
  phase: z.enum(PHASES),
  /** Of the current plan. */
  plannedRows: z.int(),
  rows: z.int(),
  bytes: z.int(),
  /** When its first page was planned; rate and remaining time count from then. */
  sinceMs: z.number(),
});
const fileSchema = z.object({
  run: z.string(),
  startedAt: z.string(),
  updatedMs: z.number(),
  tables: z.array(tableSchema),
});
type TableProgress = z.output<typeof tableSchema>;

export interface ProgressFile extends AsyncDisposable {
  readonly listen: ProgressListener;
}

/** Starts to write the file of a run; it is removed at the end. */
export function openProgressFile(
  dataDir: string,
  { run, startedAt }: Pick<RunningReport, 'run' | 'startedAt'>,
  { now }: Pick<Runtime, 'now'>,
): ProgressFile {
  const path = join(dataDir, PROGRESS_FILE);
  const tables = new Map<string, TableProgress>();
  const write = async (): Promise<void> => {
    const text = JSON.stringify({ ...writtenBy(), run, startedAt, updatedMs: now(), tables: [...tables.values()] });
    await writeFile(path + TEMPORARY, text);
    await rename(path + TEMPORARY, path);
  };
  let last: Promise<void> = Promise.resolve();
  const writeLater = (): void => {
    last = last.then(write).catch(() => {});
  };
  writeLater();
  const timer = setInterval(writeLater, EVERY_MS).unref();
  return {
    listen(event) {
      const { tenant, table } = event;
      const key = `${tenant} ${table}`;
      const known = tables.get(key) ?? {
        tenant,
        table,
        phase: 'plan',
        plannedRows: 0,
        rows: 0,
        bytes: 0,
        sinceMs: now(),
      };
      if (event.kind === 'table') tables.set(key, { ...known, phase: event.phase });
      else if (event.kind === 'planned') {
        const sinceMs = known.plannedRows === 0 ? now() : known.sinceMs;
        tables.set(key, { ...known, plannedRows: event.rows, sinceMs });
      } else if (event.kind === 'page')
        tables.set(key, { ...known, rows: known.rows + event.rows, bytes: known.bytes + event.bytes });
      // There are few of these, and many pages.
      if (event.kind === 'table' || event.kind === 'planned') writeLater();
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await last;
      for (const name of [path, path + TEMPORARY]) await rm(name, { force: true }).catch(() => {});
    },
  };
}

/** The run that is going on; undefined if there is none, or if its file cannot be read. */
export async function readProgress(dataDir: string, nowMs: number): Promise<RunningReport | undefined> {
  try {
    const text = await readFile(join(dataDir, PROGRESS_FILE), 'utf8');
    const { run, startedAt, updatedMs, tables } = fileSchema.parse(JSON.parse(text));
    if (Math.abs(nowMs - updatedMs) > STALE_MS) return undefined;
    return { run, startedAt, tables: tables.map((table) => withPace(table, nowMs)) };
  } catch {
    return undefined;
  }
}

function withPace({ sinceMs, ...table }: TableProgress, nowMs: number): RunningReport['tables'][number] {
  const seconds = (nowMs - sinceMs) / 1000;
  if (table.phase === 'done' || table.phase === 'failed' || table.rows === 0 || seconds < 1) return table;
  const rowsPerSecond = table.rows / seconds;
  return {
    ...table,
    rowsPerSecond: Math.round(rowsPerSecond),
    ...(table.rows < table.plannedRows
      ? { secondsLeft: Math.round((table.plannedRows - table.rows) / rowsPerSecond) }
      : {}),
  };
}
