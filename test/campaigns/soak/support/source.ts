/** The source of a history: what happens to it, and the model of what it holds. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LimitMode } from '../../../../sandbox/answer.ts';
import { startSandbox, type Sandbox } from '../../../../sandbox/sandbox.ts';
import { TABLE_NAMES, type TableName } from '../../../../src/model/tables.ts';
import { lineOf, SourceModel, type ModelRow } from './model.ts';
import { changeInPlace, newRow, repeatedRow, type FixedTime } from './rows.ts';
import { DEPTH_DAYS, FAULTS, SHAPES, type Step } from './steps.ts';

export const START = Date.parse('2026-11-10T12:00:00Z');
export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

// oxfmt-ignore
const AT_SOURCE = [
  'insert', 'late', 'odd time', 'future log', 'fresh', 'repeat', 'old change', 'erase', 'change in place', 'cap', 'byte cap', 'layout', 'drift',
  'clock', 'faults',
] as const;
type SourceStep = Extract<Step, { do: (typeof AT_SOURCE)[number] }>;

export function isAtSource(step: Step): step is SourceStep {
  return AT_SOURCE.some((name) => name === step.do);
}

/** A source that histories share, one after the other: what costs most is to start it. */
export async function openSource(): Promise<Sandbox> {
  const data = await mkdtemp(join(tmpdir(), 'insights-soak-source-'));
  await writeFile(join(data, 'events.ndjson'), '');
  try {
    return await startSandbox({ data, tenants: ['demo'], memory: true, rate: 0, frozen: true });
  } finally {
    await rm(data, { recursive: true });
  }
}

export class Source {
  readonly model = new SourceModel();
  day = 0;
  nowMs = START;
  rowCap = 0;
  readonly #sandbox: Sandbox;
  #ids = 0;
  #shape = SHAPES[0];

  constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
  }

  async begin(): Promise<void> {
    for (const table of TABLE_NAMES) await this.#sandbox.apply({ action: 'erase', table, tenant: 'demo' });
    await this.#sandbox.apply({ action: 'faults', rules: [] });
    await this.#sandbox.apply({ action: 'limits', bytes: 0 });
    await this.setRowCap(0);
    await this.#sandbox.apply({ action: 'wire', layout: 'compact', row: 'array' });
    await this.setClock(0, 0);
  }

  /** Returns the name of what happened, or undefined where it could not. */
  async take(step: SourceStep): Promise<string | undefined> {
    switch (step.do) {
      case 'insert':
      case 'late':
        await this.insert(
          step.table,
          ...Array.from({ length: step.rows }, (_, k) => {
            const second = (step.second + k * 37) % 3600;
            const ms = START + (this.day - step.days) * DAY_MS + (6 + step.hour - 12) * HOUR_MS + second * 1000;
            return this.newRow(ms, step.kind);
          }),
        );
        break;
      case 'odd time':
        await this.insert(
          step.table,
          ...Array.from({ length: step.rows }, (_, k) => {
            const ahead = { soon: (k + 1) * 9 * HOUR_MS, far: 3000 * DAY_MS };
            const time = step.time === 'soon' || step.time === 'far' ? this.nowMs + ahead[step.time] : step.time;
            return this.newRow(time, step.kind);
          }),
        );
        return `time ${step.time}`;
      case 'future log':
        await this.insert('Logs', this.newRow(this.nowMs + step.hours * HOUR_MS, 0));
        break;
      case 'old change': {
        const depth = Math.floor(this.nowMs / DAY_MS - DEPTH_DAYS) * DAY_MS;
        const isOld = ({ timestamp = '9999' }: ModelRow): boolean => Date.parse(timestamp) < depth;
        if (!(await this.#change(step, isOld))) return undefined;
        break;
      }
      case 'cap':
        await this.setRowCap(step.rows, step.mode);
        break;
      case 'byte cap':
        await this.#sandbox.apply({ action: 'limits', bytes: step.bytes });
        break;
      case 'layout':
        await this.#sandbox.apply({ action: 'wire', layout: step.layout, row: step.row });
        break;
      case 'fresh':
        await this.insert(step.table, this.newRow(this.nowMs - step.minutes * 60_000, 0));
        break;
      case 'repeat':
        await this.#repeat(step);
        break;
      case 'erase':
        if (!(await this.#change({ ...step, what: 'erase' }))) return undefined;
        break;
      case 'change in place':
        if (!(await this.#change(step))) return undefined;
        break;
      case 'drift':
        this.#shape = SHAPES[step.shape];
        break;
      case 'clock':
        await this.setClock(this.day + step.days, step.minutes);
        break;
      case 'faults':
        await this.#sandbox.apply({ action: 'faults', rules: [FAULTS[step.kind % FAULTS.length]!(step.after)] });
        break;
    }
    return step.do;
  }

  /** 0: none. */
  async setRowCap(rows: number, mode: LimitMode = 'silent'): Promise<void> {
    this.rowCap = rows;
    await this.#sandbox.apply({ action: 'limits', rows, mode });
  }

  async setClock(day: number, minutes: number): Promise<void> {
    this.day = day;
    this.nowMs = START + day * DAY_MS + minutes * 60_000;
    await this.#sandbox.apply({ action: 'clock', set: new Date(this.nowMs).toISOString() });
    this.model.forget(this.nowMs);
  }

  newRow(time: number | FixedTime, kind: number): ModelRow {
    return newRow(++this.#ids, time, kind, this.#shape);
  }

  async insert(table: TableName, ...added: readonly ModelRow[]): Promise<void> {
    for (const row of added) this.model.insert(table, row);
    const rows = added.map((row) => lineOf(table, row));
    await this.#sandbox.apply({ action: 'rows', table, tenant: 'demo', rows });
  }

  async #repeat({ table, pick: index, how }: Extract<Step, { do: 'repeat' }>): Promise<void> {
    const row = pick(
      this.model.rows(table).filter(({ id }) => id !== undefined),
      index,
    );
    if (!row) return;
    // Logs keep out of the hours that the source is forgetting just now.
    if (how === 'hour' && table === 'Logs') return;
    await this.insert(table, repeatedRow(row, index, how));
  }

  /** A row changes under its id, or the rows of its id are erased. Returns false where there is no such row. */
  async #change(
    { table, pick: index, what }: Omit<Extract<Step, { do: 'old change' }>, 'do'>,
    isMeant: (row: ModelRow) => boolean = () => true,
  ): Promise<boolean> {
    const row = pick(
      this.model.rows(table).filter((row) => row.id !== undefined && isMeant(row)),
      index,
    );
    if (row?.id === undefined) return false;
    const changed = what === 'erase' ? [] : this.model.change(table, row, changeInPlace(row, index, what, this.nowMs));
    if (what === 'erase') this.model.erase(table, row.id);
    await this.#sandbox.apply({ action: 'erase', table, tenant: 'demo', ids: [row.id] });
    const rows = changed.map((other) => lineOf(table, other));
    if (rows.length > 0) await this.#sandbox.apply({ action: 'rows', table, tenant: 'demo', rows });
    return true;
  }
}

function pick<T>(list: readonly T[], index: number): T | undefined {
  return list[index % Math.max(1, list.length)];
}
