/** Names and places inside a data directory. */
import { basename, join } from 'node:path';
import { periodOf } from './period.ts';
import type { Period } from './period.ts';
import { TABLES } from './tables.ts';
import type { TableName } from './tables.ts';

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
