/**
 * Draws a result as a small text chart, as the `chart:` line of the report says: columns over time, or bars. Periods that
 * are not fully verified, or that the range cuts, are marked, so that an unfinished day does not look like a drop.
 */
import type { Json } from '@duckdb/node-api';
import type { ResultRows } from '../query/reader.ts';
import { visible } from './visible.ts';

const BLOCKS = ' ▁▂▃▄▅▆▇█';
const HEIGHT = 6;
/** Panels drawn at most. */
const PANELS = 6;
const BARS = 40;
const LABEL = 24;
const RATIO = /rate|share|_per_|retention|survival|completeness|minutes/;

interface ChartSpec {
  readonly kind: string;
  readonly x: string;
  readonly y: readonly string[];
  readonly series: string | undefined;
}

interface Point {
  readonly x: string;
  value: number;
  verified: boolean;
  /** The range holds only a part of the period. */
  cut: boolean;
}

const MARKS = [
  { sign: '?', meaning: 'periods that are not fully verified', isOn: (point: Point) => !point.verified },
  { sign: '~', meaning: 'periods of which the range holds only a part', isOn: (point: Point) => point.cut },
] as const;

/** Parses `line x=day y=installs,removals series=device`. Undefined if an axis is missing. */
export function parseChart(text: string | undefined): ChartSpec | undefined {
  const [kind = '', ...words] = (text ?? '').split(/\s+/);
  const valueOf = (key: string): string | undefined =>
    words.find((word) => word.startsWith(`${key}=`))?.slice(key.length + 1);
  const x = valueOf('x');
  const y = valueOf('y');
  return x === undefined || y === undefined ? undefined : { kind, x, y: y.split(','), series: valueOf('series') };
}

/** Draws a result, `width` characters wide. Ends with a line feed. */
export async function drawChart(result: ResultRows, spec: ChartSpec, width: number): Promise<string> {
  const panels = await collect(result, spec);
  if (panels.size === 0) return 'no rows, no chart\n';
  const draw = spec.kind === 'bar' ? drawBars : drawColumns;
  const shown = [...panels].slice(0, PANELS).map(([title, points]) => draw(title, points, width));
  const points = [...panels.values()].flat();
  const marks = MARKS.filter(({ isOn }) => points.some(isOn));
  return (
    shown.join('\n') +
    (panels.size > PANELS ? `… ${panels.size - PANELS} more series; without --chart all are shown\n` : '') +
    marks.map(({ sign, meaning }) => `${sign} marks ${meaning}\n`).join('')
  );
}

/** One panel per figure and series; with several tenants, one set of panels for each. */
async function collect({ columns, batches }: ResultRows, spec: ChartSpec): Promise<Map<string, Point[]>> {
  const at = (name: string | undefined): number => columns.findIndex((column) => column.name === name);
  const [x, series, tenant, coverage, isCut] = [at(spec.x), at(spec.series), at('tenant_id'), at('coverage'), at('is_cut')]; // prettier-ignore
  const figures = spec.y.map((name) => ({ name, index: at(name) })).filter(({ index }) => index >= 0);
  const found: (Point & { tenant: string; title: string })[] = [];
  for await (const batch of batches())
    for (const row of batch)
      for (const { name, index } of figures) {
        const value = row[index];
        if (value === null || value === undefined || !Number.isFinite(Number(value))) continue;
        const title = series < 0 ? name : `${name} · ${label(row[series])}`;
        // Not the shares: they are rounded.
        const verified = coverage < 0 || row[coverage] === null || row[coverage] === 'verified';
        const cut = isCut >= 0 && row[isCut] === true;
        found.push({ tenant: label(row[tenant]), title, x: label(row[x]), value: Number(value), verified, cut });
      }
  const several = new Set(found.map((point) => point.tenant)).size > 1;
  const panels = new Map<string, Map<string, Point & { rows: number }>>();
  for (const { tenant: owner, title, ...point } of found) {
    const name = several ? `${owner} · ${title}` : title;
    const points = panels.get(name) ?? new Map<string, Point & { rows: number }>();
    panels.set(name, points);
    // Columns that the chart does not use give several rows for one x: counts are summed, ratios are averaged.
    const existing = points.get(point.x);
    if (existing === undefined) {
      points.set(point.x, { ...point, rows: 1 });
      continue;
    }
    existing.rows++;
    existing.value += RATIO.test(title) ? (point.value - existing.value) / existing.rows : point.value;
    existing.verified &&= point.verified;
    existing.cut ||= point.cut;
  }
  const sorted = (points: readonly Point[]): Point[] =>
    spec.kind === 'bar' ? [...points] : [...points].sort((a, b) => (a.x < b.x ? -1 : 1));
  return new Map([...panels].map(([name, points]) => [name, sorted([...points.values()])]));
}

function drawColumns(title: string, all: readonly Point[], width: number): string {
  const [low, high] = [Math.min(0, ...all.map(({ value }) => value)), Math.max(0, ...all.map(({ value }) => value))];
  const axis = [high, low].map(figure);
  const margin = Math.max(...axis.map((text) => text.length)) + 1;
  const points = thinned(all, Math.max(10, width - margin - 1));
  // As wide as the space allows, up to three characters per point.
  const step = Math.max(1, Math.min(3, Math.floor((width - margin - 1) / points.length)));
  const span = high - low || 1;
  const lines = Array.from({ length: HEIGHT }, (_, index) => {
    const floor = (HEIGHT - 1 - index) * 8;
    const cells = points.map(({ value }) => {
      const eighths = Math.round(((value - low) / span) * HEIGHT * 8) - floor;
      return (BLOCKS[Math.max(0, Math.min(8, eighths))] ?? ' ').repeat(Math.max(1, step - 1)).padEnd(step);
    });
    const mark = index === 0 ? axis[0] : index === HEIGHT - 1 ? axis[1] : '';
    return `${(mark ?? '').padStart(margin - 1)} │${cells.join('')}`.trimEnd();
  });
  const marks = MARKS.map(({ sign, isOn }) => points.map((point) => (isOn(point) ? sign : ' ').padEnd(step)).join(''));
  const [first, last] = [points[0]?.x ?? '', points.at(-1)?.x ?? ''];
  const range = first === last ? first : `${first} … ${last}`;
  const pad = ' '.repeat(margin + 1);
  const marked = marks.filter((line) => line.trim() !== '').map((line) => `${pad}${line.trimEnd()}\n`);
  return `${title}\n${lines.join('\n')}\n${marked.join('')}${pad}${range}\n`;
}

/** With more points than columns, neighbours share a column that shows their mean. */
function thinned(points: readonly Point[], most: number): readonly Point[] {
  const size = Math.ceil(points.length / most);
  if (size <= 1) return points;
  return Array.from({ length: Math.ceil(points.length / size) }, (_, index) => {
    const group = points.slice(index * size, (index + 1) * size);
    return {
      x: (index + 1) * size >= points.length ? (group.at(-1)?.x ?? '') : (group[0]?.x ?? ''),
      value: group.reduce((sum, { value }) => sum + value, 0) / group.length,
      verified: group.every(({ verified }) => verified),
      cut: group.some(({ cut }) => cut),
    };
  });
}

function drawBars(title: string, points: readonly Point[], width: number): string {
  const high = Math.max(...points.map(({ value }) => Math.abs(value)));
  const names = points.map(({ x }) => (x.length > LABEL ? `${x.slice(0, LABEL - 1)}…` : x));
  const margin = Math.max(...names.map((name) => name.length));
  const room = Math.max(8, Math.min(BARS, width - margin - 16));
  const lines = points.map((point, index) => {
    const { value } = point;
    const bar = '█'.repeat(high === 0 ? 0 : Math.round((Math.abs(value) / high) * room));
    const marks = MARKS.filter(({ isOn }) => isOn(point)).map(({ sign }) => ` ${sign}`);
    return `${(names[index] ?? '').padEnd(margin)} │${bar} ${figure(value)}${marks.join('')}`;
  });
  return `${title}\n${lines.join('\n')}\n`;
}

function figure(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: Math.abs(value) < 10 ? 2 : 0 });
}

function label(cell: Json | undefined): string {
  if (cell === null || cell === undefined) return '(none)';
  return visible(typeof cell === 'string' ? cell : JSON.stringify(cell));
}
