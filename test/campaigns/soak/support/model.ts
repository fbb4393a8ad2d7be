/** What the source holds, in plain objects, and what a lake equal to it must therefore hold. */
import { TABLES, type TableName } from '../../../../src/model/tables.ts';
import { DEPTH_DAYS } from './steps.ts';

export interface ModelRow {
  /** undefined: a row without an id, which belongs into quarantine. */
  readonly id: string | undefined;
  /** ISO, to the second. undefined: a row without one, which belongs into quarantine, like one of year 1. */
  readonly timestamp: string | undefined;
  /** JSON text. */
  readonly properties: string;
  /** @default 't' */
  readonly type?: string;
  /** Of a metric, as JSON text. @default '1.0' */
  readonly value?: string;
}

export interface Expected {
  /** Each row as text, all cells of it, with its `id hour`. Rows that are equal in every cell are one row. */
  readonly rows: ReadonlyMap<string, string>;
  readonly duplicates: number;
  /** In the balance of an hour. */
  readonly quarantined: number;
  /** Without a possible time, so in no hour. */
  readonly timeless: number;
}

/** A row that has a possible time. */
type TimedRow = ModelRow & { readonly timestamp: string };

/** Days that Logs are kept by the source. */
const LOGS_DAYS = 45;
const DAY_MS = 86_400_000;
/** Rows younger than this are left for the next run. */
const SETTLE_MS = 300_000;

export class SourceModel {
  readonly #rows = new Map<TableName, ModelRow[]>();
  /** Logs that the source forgot after they were loaded: what the lake must go on showing. */
  readonly #forgotten = new Map<string, string>();
  /** `id hour` of Logs that were forgotten before it was certain that they had been loaded: both are right. */
  readonly unsure = new Set<string>();
  /** `id hour` of Logs that may have been erased since: the lake may or may not have followed when they are forgotten. */
  readonly #erasing = new Set<string>();
  /** Logs as they were when a run had last proven everything. */
  #proven: ReadonlyMap<string, string> = new Map();

  insert(table: TableName, row: ModelRow): void {
    this.#rows.set(table, [...this.rows(table), row]);
  }

  /** The source has forgotten something, so its counts are no longer the model's. */
  hasForgotten = false;

  rows(table: TableName): readonly ModelRow[] {
    return this.#rows.get(table) ?? [];
  }

  erase(table: TableName, id: string): void {
    if (table === 'Logs') for (const key of this.expected(table).rows.values()) this.#erasing.add(key);
    this.#rows.set(
      table,
      this.rows(table).filter((row) => row.id !== id),
    );
  }

  /** Changes one row in place; returns all rows of its id. */
  change(table: TableName, row: ModelRow, changes: Partial<ModelRow>): readonly ModelRow[] {
    const rows = this.rows(table).map((other) => (other === row ? { ...row, ...changes } : other));
    if (row.id !== undefined) this.erase(table, row.id);
    this.#rows.set(table, rows);
    return rows.filter(({ id }) => id === row.id);
  }

  /** The source's clock. Rows later than it are not in the lake. */
  nowMs = Infinity;

  /** A run has ended without a fault: what it could see is in the lake. Unless it was deep, it may have seen only `DEPTH_DAYS`. */
  proven(isDeep: boolean): void {
    const edge = isDeep ? 0 : Math.floor(this.nowMs / DAY_MS - DEPTH_DAYS) * DAY_MS;
    const before = [...this.#proven].filter(([text]) => timeOf(text) < edge);
    this.#proven = new Map([...before, ...[...this.expected('Logs').rows].filter(([text]) => timeOf(text) >= edge)]);
    for (const key of this.#erasing) if (Date.parse(`${key.slice(-13)}:00:00Z`) >= edge) this.#erasing.delete(key);
  }

  /** The source's clock has come to `now`: it forgets. */
  forget(nowMs: number): void {
    this.nowMs = nowMs;
    const edge = nowMs - LOGS_DAYS * DAY_MS;
    const going = this.rows('Logs')
      .filter(isTimed)
      .filter(({ timestamp }) => Date.parse(timestamp) < edge);
    const gone = new Set<ModelRow>(going);
    for (const row of going) if (row.id !== undefined) this.unsure.add(keyOf(row));
    const { rows } = this.expected('Logs');
    for (const [text, key] of this.#proven) {
      if (timeOf(text) >= edge) continue;
      if (this.#erasing.has(key) || !rows.has(text)) this.unsure.add(key);
      else this.#forgotten.set(text, key);
    }
    // Rows that were loaded are certain again, unless others of the same id and hour are not.
    const certain = new Set(this.#forgotten.values());
    for (const row of going)
      if (row.id !== undefined && !this.#proven.has(textOf('Logs', row))) certain.delete(keyOf(row));
    for (const key of certain) if (!this.#erasing.has(key)) this.unsure.delete(key);
    this.hasForgotten ||= going.length > 0;
    this.#rows.set(
      'Logs',
      this.rows('Logs').filter((row) => !gone.has(row)),
    );
  }

  /** A file of Logs was damaged: what the source has forgotten may be gone with it. */
  lostLogs(): void {
    for (const key of this.#forgotten.values()) this.unsure.add(key);
    this.#forgotten.clear();
    this.#proven = new Map();
  }

  /** Whether the source has a row that lies in an hour which a run compares. */
  hasHours(table: TableName): boolean {
    return this.rows(table).some((row) => isTimed(row) && Date.parse(row.timestamp) < this.#upperMs);
  }

  get #upperMs(): number {
    return Math.floor((this.nowMs - SETTLE_MS) / 60_000) * 60_000;
  }

  expected(table: TableName): Expected {
    const rows = new Map<string, string>(table === 'Logs' ? this.#forgotten : []);
    const upperMs = this.#upperMs;
    let [duplicates, quarantined, timeless] = [0, 0, 0];
    for (const row of this.rows(table)) {
      if (!isTimed(row)) {
        timeless++;
        continue;
      }
      if (Date.parse(row.timestamp) >= upperMs) continue;
      if (row.id === undefined) {
        quarantined++;
        continue;
      }
      const text = textOf(table, row);
      if (rows.has(text)) duplicates++;
      rows.set(text, keyOf(row));
    }
    return { rows, duplicates, quarantined, timeless };
  }
}

/** A row as the sandbox takes it. */
export function lineOf(table: TableName, { id, timestamp, properties, type = 't', value = '1.0' }: ModelRow): string {
  const { id: idColumn, typeColumn } = TABLES[table];
  const cells = [
    `"${idColumn}":${JSON.stringify(id ?? null)}`,
    `"timestamp":${JSON.stringify(timestamp ?? null)}`,
    '"tenantId":"demo"',
  ];
  cells.push(`"${typeColumn}":${JSON.stringify(type)}`, `"properties":${properties}`);
  if (table === 'Metrics') cells.push(`"value":${value}`);
  return `{${cells.join(',')}}`;
}

function isTimed(row: ModelRow): row is TimedRow {
  return row.timestamp !== undefined && row.timestamp >= '0002';
}

function textOf(table: TableName, { id = '', timestamp, properties, type = 't', value = '1.0' }: TimedRow): string {
  return `${timestamp} ${id} ${properties} ${type}${table === 'Metrics' ? ` ${value}` : ''}`;
}

/** The time of a row's text. */
function timeOf(text: string): number {
  return Date.parse(text.slice(0, 20));
}

function keyOf({ id = '', timestamp }: TimedRow): string {
  return `${id} ${timestamp.slice(0, 13)}`;
}
