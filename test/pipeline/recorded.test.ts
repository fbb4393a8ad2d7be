/** Which hours of a comparison are recorded: all since coverage begins, and before that only the days with rows. */
import { describe, expect, test } from 'vitest';
import { BEGINNING, DAY, HOUR, formatInstant, parseInstant } from '../../src/kernel/instant.ts';
import type { Window } from '../../src/kernel/instant.ts';
import { recordedWindows } from '../../src/pipeline/recorded.ts';

const at = (text: string): bigint => parseInstant(text) ?? 0n;
const END = at('2026-11-01T00:25:00Z');
const EVERYTHING: readonly Window[] = [{ from: BEGINNING, to: END }];

function recorded(hours: readonly string[], more: Partial<Parameters<typeof recordedWindows>[0]> = {}): string[] {
  const given = { covers: EVERYTHING, hours: hours.map(at), begins: undefined, isNamed: false, ...more };
  return recordedWindows(given).map(({ from, to }) =>
    [from, to].map((end) => formatInstant(end).slice(0, 16)).join(' '),
  );
}

describe('the recorded hours', () => {
  test('are those from the first row on, if no gap is longer than 400 days', () => {
    expect(recorded(['2025-03-01T07:00', '2026-01-01T00:00', '2026-10-31T23:00'])).toEqual([
      '2025-03-01T07:00 2026-11-01T00:25',
    ]);
  });

  test('reach back to rows that came late before the known beginning, as far as the time between was compared', () => {
    const begins = at('2026-09-10T04:00');
    const hours = ['2026-08-20T07:00', '2026-09-01T05:00', '2026-09-10T04:00', '2026-10-31T23:00'];
    const recent = { from: at('2026-09-17T00:00'), to: END };
    const covers = [{ from: at('2002-01-01T00:00'), to: begins }, recent];
    expect(recorded(hours, { begins, covers })).toEqual([
      '2026-08-20T07:00 2026-09-10T04:00',
      '2026-09-17T00:00 2026-11-01T00:25',
    ]);
    expect(recorded(['2012-08-20T07:00', ...hours.slice(2)], { begins, covers })[0]).toBe(
      '2012-08-20T00:00 2012-08-21T00:00',
    );
    const other = [{ from: at('2026-08-20T00:00'), to: at('2026-08-21T00:00') }, recent];
    expect(recorded(hours, { begins, covers: other })[0]).toBe('2026-08-20T00:00 2026-08-21T00:00');
  });

  test('are none, if there is no row and none is known', () => {
    expect(recorded([])).toEqual([]);
  });

  test('before a longer gap are those of the days with rows', () => {
    expect(recorded(['1600-02-29T12:00', '1969-12-31T23:00', '1970-01-01T00:00', '2026-10-30T05:00'])).toEqual([
      '1600-02-29T00:00 1600-03-01T00:00',
      '1969-12-31T00:00 1970-01-02T00:00',
      '2026-10-30T05:00 2026-11-01T00:25',
    ]);
  });

  test('are the last one and those of the days with rows, if no row is recent', () => {
    expect(recorded(['1970-01-01T00:00'])).toEqual([
      '1970-01-01T00:00 1970-01-02T00:00',
      '2026-11-01T00:00 2026-11-01T00:25',
    ]);
  });

  test('are all that was compared, where known coverage reaches back beyond it', () => {
    const covers = [
      { from: at('2024-05-01'), to: at('2024-05-02') },
      { from: at('2026-10-29'), to: END },
    ];
    expect(recorded([], { covers, begins: at('2020-01-01') })).toEqual([
      '2024-05-01T00:00 2024-05-02T00:00',
      '2026-10-29T00:00 2026-11-01T00:25',
    ]);
    // Of windows before coverage begins, the days with rows.
    expect(recorded(['2024-05-01T03:00'], { covers, begins: at('2026-01-01') })).toEqual([
      '2024-05-01T00:00 2024-05-02T00:00',
      '2026-10-29T00:00 2026-11-01T00:25',
    ]);
    expect(recorded([], { covers, begins: at('2026-01-01') })).toEqual(['2026-10-29T00:00 2026-11-01T00:25']);
  });

  test('of a backfill begin at its `from`, unless that is centuries before the first row', () => {
    const from = at('2026-05-01T10:30');
    const covers = [{ from, to: at('2026-06-01') }];
    expect(recorded([], { covers, isNamed: true })).toEqual(['2026-05-01T10:00 2026-06-01T00:00']);
    const long = [{ from: at('0002-01-01'), to: END }];
    expect(recorded(['2026-10-31T00:00'], { covers: long, isNamed: true })).toEqual([
      '2026-10-31T00:00 2026-11-01T00:25',
    ]);
  });

  test('never lie twice in a window', () => {
    const windows = recordedWindows({ covers: EVERYTHING, hours: [END - HOUR, END - 401n * DAY, END - 402n * DAY], begins: undefined, isNamed: false }); // oxfmt-ignore
    for (const [k, { from }] of windows.entries()) expect(from >= (windows[k - 1]?.to ?? BEGINNING)).toBe(true);
  });
});
