/** Rows of a history: new ones, and others that repeat or change a row under its id. */
import type { ModelRow } from './model.ts';
import { PROPERTIES, type Step, type SHAPES } from './steps.ts';

/** Kind 7: without an id. Kind 8: with the empty guid, which any number of different rows may share. */
export function newRow(number: number, ms: number, kind: number, shape: (typeof SHAPES)[number] | undefined): ModelRow {
  const ids: Record<number, string | undefined> = { 7: undefined, 8: '00000000-0000-0000-0000-000000000000' };
  const id = kind in ids ? ids[kind] : `00000000-0000-4000-8000-${number.toString(16).padStart(12, '0')}`;
  const properties = PROPERTIES[kind % PROPERTIES.length] ?? '{}';
  return { id, timestamp: `${new Date(ms).toISOString().slice(0, 19)}Z`, properties, ...shape };
}

/** Another row of the same id. */
export function repeatedRow(row: ModelRow, index: number, how: Extract<Step, { do: 'repeat' }>['how']): ModelRow {
  const hourAway = new Date(Date.parse(row.timestamp) + 3_600_000).toISOString();
  const changes: Record<typeof how, Partial<ModelRow>> = {
    copy: {},
    content: { properties: '{"changed":true}' },
    minute: { timestamp: inHour(row, index, '00') },
    hour: { timestamp: `${hourAway.slice(0, 19)}Z` },
  };
  return { ...row, ...changes[how] };
}

/** What changes in a row under its id. */
export function changeInPlace(
  row: ModelRow,
  index: number,
  what: Extract<Step, { do: 'change in place' }>['what'],
): Partial<ModelRow> {
  const changes: Record<typeof what, Partial<ModelRow>> = {
    properties: { properties: `{"changed":${index}}` },
    type: { type: `changed ${index}` },
    time: { timestamp: inHour(row, index, '30') },
  };
  return changes[what];
}

function inHour({ timestamp }: ModelRow, index: number, second: string): string {
  return `${timestamp.slice(0, 14)}${String(index % 60).padStart(2, '0')}:${second}Z`;
}
