/** Rows of a history: new ones, and others that repeat or change a row under its id. */
import type { ModelRow } from './model.ts';
import { PROPERTIES, type OddTime, type Step, type SHAPES } from './steps.ts';

/** Kind 7: without an id. Kind 8: with the empty guid, which any number of different rows may share. */
export function newRow(
  number: number,
  time: number | FixedTime,
  kind: number,
  shape: (typeof SHAPES)[number] | undefined,
): ModelRow {
  const ids: Record<number, string | undefined> = { 7: undefined, 8: '00000000-0000-0000-0000-000000000000' };
  const id = kind in ids ? ids[kind] : `00000000-0000-4000-8000-${number.toString(16).padStart(12, '0')}`;
  const properties = PROPERTIES[kind % PROPERTIES.length] ?? '{}';
  return { id, timestamp: typeof time === 'number' ? isoOf(time) : ODD[time], properties, ...shape };
}

/** A time that does not depend on the clock. */
export type FixedTime = Exclude<OddTime, 'soon' | 'far'>;

/** The defaults of some programs where a time is missing: .NET, Windows, spreadsheets, Unix in a time zone. */
const ODD: Readonly<Record<FixedTime, string | undefined>> = {
  null: undefined,
  'year 1': '0001-01-01T00:00:00Z',
  1600: '1600-01-01T00:00:00Z',
  1899: '1899-12-30T00:00:00Z',
  1969: '1969-12-31T23:00:00Z',
};

function isoOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** Another row of the same id. */
export function repeatedRow(row: ModelRow, index: number, how: Extract<Step, { do: 'repeat' }>['how']): ModelRow {
  const { timestamp } = row;
  if (timestamp === undefined) return how === 'content' ? { ...row, properties: '{"changed":true}' } : row;
  const changes: Record<typeof how, Partial<ModelRow>> = {
    copy: {},
    content: { properties: '{"changed":true}' },
    minute: { timestamp: inHour(timestamp, index, '00') },
    hour: { timestamp: isoOf(Date.parse(timestamp) + 3_600_000) },
  };
  return { ...row, ...changes[how] };
}

/** What changes in a row under its id. A row without a time gets one, a while before `nowMs`. */
export function changeInPlace(
  row: ModelRow,
  index: number,
  what: Extract<Step, { do: 'change in place' }>['what'],
  nowMs: number,
): Partial<ModelRow> {
  const changes: Record<typeof what, Partial<ModelRow>> = {
    properties: { properties: `{"changed":${index}}` },
    type: { type: `changed ${index}` },
    time: { timestamp: row.timestamp === undefined ? isoOf(nowMs - 18_000_000) : inHour(row.timestamp, index, '30') },
  };
  return changes[what];
}

function inHour(timestamp: string, index: number, second: string): string {
  return `${timestamp.slice(0, 14)}${String(index % 60).padStart(2, '0')}:${second}Z`;
}
