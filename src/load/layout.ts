/** Names and places inside a data directory, and the calendar periods that partitions stand for. */
import { basename, join } from 'node:path';
import { DAY, floorTo, formatDay, parseInstant } from '../instant.ts';
import type { Instant, Window } from '../instant.ts';
import { TABLES } from '../tables.ts';
import type { TableName } from '../tables.ts';

export const LEDGER_FILE = 'state.duckdb';
export const CATALOGUE_FILE = 'insights.duckdb';
export const MANIFEST_FILE = 'manifest.json';
export const STORE_FOLDER = 'store';
export const HEAD_FOLDER = 'lake';
/** Results of reports by day, below the data directory; `marts` below the head. */
export const MARTS_FOLDER = join(STORE_FOLDER, 'marts');
/** A file among the marts that is not published: what later days are computed from (openings.ts). */
export const OPENINGS = 'openings';
/** Of `mart_files`: those that readers see. */
export const PUBLISHED_MARTS_SQL = `superseded_at is null and mart <> '${OPENINGS}'`;
/** Spill files of the engine and copies made for reading; emptied at the start of a run. */
export const WORK_FOLDER = 'work';

/** A UTC day, or a whole month once it is closed and small. */
export interface Period extends Window {
  /** `2026-07-03` or `2026-07`. */
  readonly name: string;
}

export function dayPeriod(instant: Instant): Period {
  const from = floorTo(instant, DAY);
  return { name: formatDay(from), from, to: from + DAY };
}

/** The period of a name, e.g. of a file's; undefined when it is none. */
export function periodOf(name: string): Period | undefined {
  if (/^\d{4}-\d\d-\d\d$/.test(name)) {
    const from = parseInstant(name);
    return from === undefined ? undefined : { name, from, to: from + DAY };
  }
  const month = /^(\d{4})-(\d\d)$/.exec(name);
  if (!month) return undefined;
  const [year, number] = [Number(month[1]), Number(month[2])];
  const from = parseInstant(`${name}-01`);
  const next = number === 12 ? `${year + 1}-01` : `${month[1]}-${String(number + 1).padStart(2, '0')}`;
  const to = parseInstant(`${next}-01`);
  return from === undefined || to === undefined ? undefined : { name, from, to };
}

/** `<table>/tenant_id=<t>/month=<yyyy-mm>`, below the store and below the head. */
export function partitionFolder(table: TableName, tenant: string, period: string): string {
  return join(TABLES[table].lakeName, `tenant_id=${tenant}`, `month=${period.slice(0, 7)}`);
}

/** Path of a generation, relative to the data directory. */
export function generationFile(table: TableName, tenant: string, period: string, generation: number): string {
  return join(STORE_FOLDER, partitionFolder(table, tenant, period), `${period}.${generation}.parquet`);
}

/** True for a path of openings, the one mart that no reader is told of. */
export function isOpeningsFile(file: string): boolean {
  return isMartFile(file) && basename(file).startsWith(`${OPENINGS}.`);
}

/** True for a path of a mart's file, relative to the data directory. */
export function isMartFile(file: string): boolean {
  return /^store\/marts\/[a-z_]+\.\d+\.parquet$/.test(file.replaceAll('\\', '/'));
}

export interface GenerationName {
  readonly table: TableName;
  readonly tenant: string;
  readonly period: Period;
  readonly generation: number;
}

/** Reads a path that `generationFile` made; undefined for anything else. */
export function parseGenerationFile(file: string): GenerationName | undefined {
  const match = /^store\/([a-z]+)\/tenant_id=([^/]+)\/month=[\d-]+\/([\d-]+)\.(\d+)\.parquet$/.exec(
    file.replaceAll('\\', '/'),
  );
  if (!match) return undefined;
  const [, lakeName, tenant = '', name = '', generation] = match;
  const table = Object.values(TABLES).find((candidate) => candidate.lakeName === lakeName);
  const period = periodOf(name);
  return table && period ? { table: table.name, tenant, period, generation: Number(generation) } : undefined;
}
