/**
 * Draws a result as a small text chart, as the `chart:` line of the report says: columns over time, or bars. Periods that
 * are not fully verified, or that the range cuts, are marked, so that an unfinished day does not look like a drop. A period
 * without a value is a gap, and a value far above all others is cut, so that the others can still be read.
 */
import type { Json } from '@duckdb/node-api';
import type { ResultRows } from '../query/reader.ts';
import { everyPeriod } from './chart-periods.ts';
import { drawBars, drawColumns, MARKS, type Point } from './chart-shapes.ts';
import { wrapped } from './fold.ts';
import { visible } from './visible.ts';
import { cut } from './width.ts';

/** Panels drawn at most. */
const PANELS = 6;
/** More periods than this are drawn as columns also where the report asks for bars: one line each would not fit a screen. */
const PERIODS_AS_BARS = 31;
/** Figures that do not add up. */
const NOT_A_COUNT = /rate|share|_per_|retention|survival|completeness|minutes/;

interface ChartSpec {
  readonly kind: string;
  readonly x: string;
  readonly y: readonly string[];
  readonly series: readonly string[];
}

/** What a chart needs to know about the report, besides its `chart:` line. */
export interface ChartContext {
  /** Figures that are ratios of two columns. A numerator without a column is computed from the figure and the denominator. */
  readonly ratios?: readonly { figure: string; isRest: boolean; numerator: string; denominator: string }[];
  /** Length of a period: missing ones are then gaps. */
  readonly grain?: string | null | undefined;
  /** Columns that split the figures: each combination of their values is a series. */
  readonly dimensions?: readonly string[];
}

type Ratio = NonNullable<ChartContext['ratios']>[number];
interface Figure {
  readonly name: string;
  readonly index: number;
  readonly ratio: Ratio | undefined;
  /** Columns of its numerator and denominator, below zero if there is none. */
  readonly above: number;
  readonly below: number;
}
interface Panel {
  readonly tenant: string;
  readonly title: string;
  readonly figure: Figure;
  readonly points: Map<string, Point[]>;
}

/** Parses `line x=day y=installs,removals series=device`. Undefined if an axis is missing. */
export function parseChart(text: string | undefined): ChartSpec | undefined {
  const [kind = '', ...words] = (text ?? '').split(/\s+/);
  const valueOf = (key: string): string | undefined =>
    words.find((word) => word.startsWith(`${key}=`))?.slice(key.length + 1);
  const [x, y, series] = [valueOf('x'), valueOf('y'), valueOf('series')];
  if (x === undefined || y === undefined) return undefined;
  return { kind, x, y: y.split(','), series: series === undefined ? [] : series.split(',') };
}

/** Draws a result, `width` characters wide. Ends with a line feed. */
export async function drawChart(
  result: ResultRows,
  spec: ChartSpec,
  width: number,
  context: ChartContext = {},
): Promise<string> {
  const panels = await collect(result, spec, context);
  if (panels.length === 0) return 'no rows, no chart\n';
  const several = new Set(panels.map(({ tenant }) => tenant)).size > 1;
  const shown = panels.slice(0, PANELS).map((panel) => {
    const { points, isTime } = pointsOf(panel, panels, spec, context);
    const title = cut(several ? `${panel.tenant} · ${panel.title}` : panel.title, width);
    const isBars = spec.kind === 'bar' && !(isTime && points.length > PERIODS_AS_BARS);
    const merge = (group: readonly Point[]): Point => merged(group, panel.figure, 'mean');
    return { points, drawn: isBars ? drawBars(title, points, width) : drawColumns(title, points, width, merge) };
  });
  const drawn = shown.flatMap(({ drawn: { marked } }) => marked);
  const marks = MARKS.filter(({ isOn }) => drawn.some(isOn));
  const averaged = new Set(panels.filter(isAveraged).map(({ figure }) => figure.name));
  const perColumn = Math.max(...shown.map(({ drawn: { perColumn: size } }) => size));
  const notes = [
    ...(panels.length > PANELS ? [`… ${panels.length - PANELS} more series; without --chart all are shown`] : []),
    ...marks.map(({ sign, meaning }) => `${sign} marks ${meaning}`),
    ...(perColumn > 1 ? [`A column is ${perColumn} periods: the mean of counts, the ratio of sums.`] : []),
    ...(averaged.size > 0
      ? [`Averaged, because the report does not declare a ratio: ${[...averaged].join(', ')}.`]
      : []),
  ];
  const lines = notes.flatMap((note) => wrapped(note, width)).map((line) => `${line}\n`);
  return shown.map(({ drawn: { text } }) => text).join('\n') + lines.join('');
}

/** One panel per figure and series; with several tenants, one set of panels for each. */
async function collect({ columns, batches }: ResultRows, spec: ChartSpec, context: ChartContext): Promise<Panel[]> {
  const at = (name: string | undefined): number => columns.findIndex((column) => column.name === name);
  const [x, tenant, coverage, isCut] = [at(spec.x), at('tenant_id'), at('coverage'), at('is_cut')] as const;
  const splits = new Set([...spec.series, ...(context.dimensions ?? [])].filter((name) => name !== spec.x).map(at));
  splits.delete(-1);
  const figures = spec.y.flatMap((name): Figure[] => {
    const index = at(name);
    const ratio = context.ratios?.find(({ figure }) => figure === name);
    return index < 0 ? [] : [{ name, index, ratio, above: at(ratio?.numerator), below: at(ratio?.denominator) }];
  });
  const panels = new Map<string, Panel>();
  for await (const batch of batches())
    for (const row of batch)
      for (const figure of figures) {
        const title = [figure.name, ...[...splits].map((index) => label(row[index]))].join(' · ');
        const key = JSON.stringify([row[tenant] ?? null, title]);
        const panel = panels.get(key) ?? {
          tenant: label(row[tenant]),
          title,
          figure,
          points: new Map<string, Point[]>(),
        };
        panels.set(key, panel);
        const point: Point = {
          x: label(row[x]),
          value: number(row[figure.index]),
          ...partsOf(row, figure),
          // Not the shares: they are rounded.
          verified: coverage < 0 || row[coverage] === null || row[coverage] === 'verified',
          cut: isCut >= 0 && row[isCut] === true,
        };
        panel.points.set(point.x, [...(panel.points.get(point.x) ?? []), point]);
      }
  return [...panels.values()].filter(({ points }) => points.size > 0);
}

function partsOf(row: readonly Json[], { index, above, below }: Figure): Pick<Point, 'above' | 'below'> {
  const [value, denominator] = [number(row[index]), number(row[below])];
  if (above >= 0) return { above: number(row[above]) ?? 0, below: denominator ?? 0 };
  return value === null || denominator === null
    ? { above: 0, below: 0 }
    : { above: value * denominator, below: denominator };
}

/** The points of a panel in the order of its axis. On an axis of time, periods that have no row are there as well. */
function pointsOf(
  panel: Panel,
  panels: readonly Panel[],
  spec: ChartSpec,
  { grain }: ChartContext,
): { points: Point[]; isTime: boolean } {
  const own = (x: string): Point => {
    const rows = panel.points.get(x);
    return rows === undefined
      ? { x, value: null, above: 0, below: 0, verified: true, cut: false }
      : merged(rows, panel.figure, 'sum');
  };
  const known = panels.filter(({ tenant }) => tenant === panel.tenant).flatMap(({ points }) => [...points.keys()]);
  const isTime = known.every((x) => /^-?\d{4,}-\d\d-\d\d/.test(x));
  if (!isTime && spec.kind === 'bar') return { points: [...panel.points.keys()].map(own), isTime };
  const sorted = [...new Set(known)].sort((a, b) => (isTime ? (a < b ? -1 : 1) : byValue(a, b)));
  return { points: (isTime ? everyPeriod(sorted, grain ?? undefined) : sorted).map(own), isTime };
}

function byValue(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}

/** Several rows as one: of a ratio the ratio of sums, of counts the sum or the mean. Null values do not take part. */
function merged(group: readonly Point[], { name, ratio }: Figure, counts: 'sum' | 'mean'): Point {
  const values = group.flatMap(({ value }) => (value === null ? [] : [value]));
  const sum = values.reduce((total, value) => total + value, 0);
  const above = group.reduce((total, point) => total + point.above, 0);
  const below = group.reduce((total, point) => total + point.below, 0);
  const mean = values.length === 0 ? null : sum / values.length;
  const ofSums = below === 0 ? null : ratio?.isRest === true ? 1 - above / below : above / below;
  const isSummed = counts === 'sum' && !NOT_A_COUNT.test(name);
  const value = group.length > 1 && ratio !== undefined ? ofSums : isSummed && mean !== null ? sum : mean;
  return {
    x: group[0]?.x ?? '',
    value,
    above,
    below,
    verified: group.every(({ verified }) => verified),
    cut: group.some((point) => point.cut),
  };
}

function isAveraged({ figure: { name, ratio }, points }: Panel): boolean {
  return ratio === undefined && NOT_A_COUNT.test(name) && [...points.values()].some((rows) => rows.length > 1);
}

/** Null for what is not a finite number. */
function number(cell: Json | undefined): number | null {
  if (cell === null || cell === undefined || cell === '') return null;
  return Number.isFinite(Number(cell)) ? Number(cell) : null;
}

function label(cell: Json | undefined): string {
  if (cell === null || cell === undefined) return '(none)';
  return visible(typeof cell === 'string' ? cell : JSON.stringify(cell));
}
