/** What the charts and the sentences show, computed from the rows of one mart. Knows nothing about the screen. */
import { periodsOf } from './periods.ts';
import type { Grain } from './periods.ts';
import type { ChartForm, Summary } from './reports.ts';
import type { Cell, Range, Row, Table } from './types.ts';

export interface Series {
  readonly name: string;
  /** One value per period of the range; null where there is none. */
  readonly values: readonly (number | null)[];
}

export interface Ranges {
  readonly range: Range;
  /** What it is compared with. */
  readonly earlier: Range | null;
  readonly grain: Grain;
}

export interface Plot {
  /** The first day of each period. */
  readonly days: readonly string[];
  readonly series: readonly Series[];
  /** The same series in the range before, period by period. */
  readonly before: readonly Series[];
  readonly uncertain: readonly boolean[];
}

/** Series beyond these become one, so that each keeps a colour of its own. */
const MOST_SERIES = 6;

export function numberOf(row: Row | undefined, column: string): number | null {
  const value = row?.[column];
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

function isUncertain(row: Row): boolean {
  return row['coverage'] !== 'verified' || row['is_cut'] === true;
}

export function plotOf(
  form: ChartForm,
  rows: readonly Row[],
  before: readonly Row[],
  { range, earlier, grain }: Ranges,
): Plot {
  const days = periodsOf(range, grain);
  const names = seriesNames(form, rows, before);
  return {
    days,
    series: seriesOf(form, names, rows, days),
    before: earlier ? seriesOf(form, names, before, periodsOf(earlier, grain).slice(0, days.length)) : [],
    uncertain: uncertainIn(rows, days),
  };
}

/** True for each period with a row that is not proven to the last hour, or only a part of which is in the lake. */
export function uncertainIn(rows: readonly Row[], days: readonly string[]): boolean[] {
  const found = new Set(rows.filter(isUncertain).map((row) => String(row['day'])));
  return days.map((day) => found.has(day));
}

/** The largest first; names that do not fit come last, as one. */
function seriesNames({ series, y }: ChartForm, rows: readonly Row[], before: readonly Row[]): string[] {
  if (series === undefined) return [...y];
  const totals = new Map<string, number>();
  for (const row of [...rows, ...before]) {
    const name = String(row[series]);
    totals.set(name, (totals.get(name) ?? 0) + Math.abs(numberOf(row, y[0] ?? '') ?? 0));
  }
  return [...totals.keys()]
    .sort((a, b) => (totals.get(b) ?? 0) - (totals.get(a) ?? 0) || (a < b ? -1 : 1))
    .slice(0, MOST_SERIES);
}

function seriesOf(
  { series, y }: ChartForm,
  names: readonly string[],
  rows: readonly Row[],
  days: readonly string[],
): Series[] {
  const index = new Map(days.map((day, nth) => [day, nth]));
  const found = new Map(names.map((name): [string, (number | null)[]] => [name, days.map(() => null)]));
  for (const row of rows) {
    const nth = index.get(String(row['day']));
    if (nth === undefined) continue;
    for (const name of series === undefined ? names : [String(row[series])]) {
      const values = found.get(name);
      if (values) values[nth] = numberOf(row, series === undefined ? name : (y[0] ?? ''));
    }
  }
  return [...found].map(([name, values]) => ({ name, values }));
}

export interface Share {
  readonly name: string;
  readonly value: number;
  readonly before: number | null;
}

/** The total of each name over all days, for figures whose days add up. The largest first. */
export function totalsBy(form: ChartForm, rows: readonly Row[], before: readonly Row[], hasBefore: boolean): Share[] {
  const total = (of: readonly Row[]): Map<string, number> => {
    const totals = new Map<string, number>();
    for (const row of of) {
      const name = String(row[form.x]);
      totals.set(name, (totals.get(name) ?? 0) + (numberOf(row, form.y[0] ?? '') ?? 0));
    }
    return totals;
  };
  const [now, then] = [total(rows), total(before)];
  return [...now]
    .map(([name, value]) => ({ name, value, before: hasBefore && before.length > 0 ? (then.get(name) ?? 0) : null }))
    .sort((a, b) => b.value - a.value || (a.name < b.name ? -1 : 1));
}

export interface Summarised {
  readonly value: number | null;
  /** The day that the value belongs to, if it is of one day. */
  readonly day: string | null;
  readonly before: number | null;
  readonly dayBefore: string | null;
  /** Days of the value that are not proven. */
  readonly uncertainDays: number;
}

export function summarise(summary: Summary, rows: readonly Row[], before: readonly Row[]): Summarised {
  const now = summariseRows(summary, rows);
  const then = summariseRows(summary, before);
  const used = now.day === null ? rows : rows.filter(({ day }) => day === now.day);
  const uncertainDays = new Set(used.filter(isUncertain).map(({ day }) => day)).size;
  return { value: now.value, day: now.day, before: then.value, dayBefore: then.day, uncertainDays };
}

function summariseRows(summary: Summary, rows: readonly Row[]): { value: number | null; day: string | null } {
  const { column } = summary;
  const filled = rows.filter((row) => numberOf(row, column) !== null);
  const add = (of: readonly Row[], name: string): number =>
    of.reduce((sum, row) => sum + (numberOf(row, name) ?? 0), 0);
  if (filled.length === 0) return { value: null, day: null };
  if (summary.kind === 'sum') return { value: add(filled, column), day: null };
  if (summary.kind === 'share') {
    const whole = add(filled, summary.of);
    return { value: whole === 0 ? null : add(filled, column) / whole, day: null };
  }
  const day = filled.map((row) => String(row['day'])).reduce((last, each) => (each > last ? each : last), '');
  return {
    value: add(
      filled.filter((row) => row['day'] === day),
      column,
    ),
    day,
  };
}

/** Points of a line that is 60 pixels wide. */
const MOST_POINTS = 120;

/** The value of each day, of all series together, for a small line without axes. Of a long range, means of neighbouring days. */
export function sparkline(column: string, rows: readonly Row[], range: Range, grain: Grain): (number | null)[] {
  const byDay = new Map<string, number>();
  for (const row of rows) {
    const value = numberOf(row, column);
    if (value !== null) byDay.set(String(row['day']), (byDay.get(String(row['day'])) ?? 0) + value);
  }
  const values = periodsOf(range, grain).map((day) => byDay.get(day) ?? null);
  const together = Math.ceil(values.length / MOST_POINTS);
  return together === 1
    ? values
    : Array.from({ length: Math.ceil(values.length / together) }, (_, nth) =>
        meanOf(values.slice(nth * together, (nth + 1) * together)),
      );
}

function meanOf(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}

/** All columns and rows as they are in the mart. Cells are text or numbers with a point, so that they equal the file's. */
export function csvText({ columns, rows }: Table, grain: Grain = 'day'): string {
  const cell = (value: Cell | undefined): string => {
    const text = value === null || value === undefined ? '' : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const heads = columns.map((name) => (name === 'day' && grain !== 'day' ? 'period' : name));
  const lines = [heads, ...rows.map((row) => columns.map((name) => row[name]))];
  return `${lines.map((line) => line.map(cell).join(',')).join('\r\n')}\r\n`;
}
