/** One chart by days as SVG. Colours come from the style sheet, so that light, dark and print need no second drawing. */
import { scaleLinear, scaleUtc } from 'd3-scale';
import { area, line } from 'd3-shape';
import type { JSX } from 'preact';
import { useId } from 'preact/hooks';
import type { Plot, Series } from './figures.ts';
import { dayShort, figure, month, words } from './locale.ts';
import { ChartFrame, ValueAxis } from './frame.tsx';
import type { Grain } from './periods.ts';
import type { ChartForm } from './reports.ts';

export interface ChartProps {
  readonly form: ChartForm;
  readonly plot: Plot;
  /** What the chart shows, for a screen reader. */
  readonly label: string;
  readonly width: number;
  readonly grain: Grain;
  /** The period that is pointed at. */
  readonly focus: number | null;
  readonly onFocus: (nth: number | null) => void;
}

const HEIGHT = 220;
const [LEFT, BOTTOM, TOP] = [46, 24, 10];

/** The same name always has the same colour; what has no name is grey. */
function seriesClass(name: string, nth: number): string {
  const known: Readonly<Record<string, string>> = { apple: 's0', google: 's1', both: 's2' };
  if (['(none)', '(unknown)', 'none', 'unknown'].includes(name)) return 's-other';
  return known[name] ?? `s${nth % 6}`;
}

interface Frame {
  readonly right: number;
  readonly top: number;
  readonly x: (nth: number) => number;
  readonly y: (value: number) => number;
  readonly step: number;
}

type Span = readonly [from: number, to: number] | null;

/** From where to where each value is drawn: a line from 0, stacked values on top of each other. */
function spansOf(series: readonly Series[], stacked: boolean, days: number): Span[][] {
  const up = Array.from({ length: days }, () => 0);
  const down = Array.from({ length: days }, () => 0);
  return series.map(({ values }) =>
    values.map((value, nth) => {
      if (value === null) return null;
      if (!stacked) return [0, value];
      const sums = value < 0 ? down : up;
      const from = sums[nth] ?? 0;
      sums[nth] = from + value;
      return [from, from + value];
    }),
  );
}

/** What the dashed line shows: each series, or the sum of those that are stacked. */
function linesBefore({ before }: Plot, stacked: boolean): readonly Series[] {
  const [first] = before;
  if (!stacked || first === undefined) return before;
  const values = first.values.map((_, nth) => {
    const known = before.flatMap((series) => series.values[nth] ?? []);
    return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0);
  });
  return [{ name: 'before', values }];
}

export function Chart({ form, plot, label, width, grain, focus, onFocus }: ChartProps): JSX.Element {
  const id = useId();
  const { days, series } = plot;
  const stacked = form.series !== undefined && form.kind !== 'line';
  const spans = spansOf(series, stacked, days.length);
  const before = linesBefore(plot, stacked);
  const isWide = width >= 460;
  const longest = Math.max(...series.map(({ name }) => words(name).length), 0);
  const labelWidth = series.length > 1 && isWide ? Math.min(130, 14 + longest * 6.4) : 12;
  const top = series.length > 1 && !isWide ? TOP + 18 * Math.ceil(series.length / 2) : TOP;
  // A card that is hidden has no width.
  const right = Math.max(LEFT + 20, width - labelWidth);
  const all = [...spans.flat().flatMap((span) => (span ? [...span] : [])), ...before.flatMap(({ values }) => values)];
  const filled = all.filter((value) => value !== null);
  const scale = scaleLinear([Math.min(0, ...filled), Math.max(...filled, 0) || 1], [HEIGHT - BOTTOM, top]).nice(4);
  const step = (right - LEFT) / Math.max(1, days.length);
  const frame: Frame = { right, top, step, x: (nth) => LEFT + (nth + 0.5) * step, y: (value) => scale(value) };
  const point = (at: number | null): void => {
    const nth = at === null ? -1 : Math.floor((at - LEFT) / step);
    onFocus(nth >= 0 && nth < days.length ? nth : null);
  };
  return (
    <ChartFrame label={label} width={width} height={HEIGHT} onPoint={point}>
      <defs>
        <pattern id={`${id}-hatch`} width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <line class="hatch" x1="0" y1="0" x2="0" y2="6" />
        </pattern>
      </defs>
      <ValueAxis values={scale.ticks(4)} column={form.y[0] ?? ''} y={scale} left={LEFT} right={right} />
      <Uncertain plot={plot} frame={frame} fill={`url(#${id}-hatch)`} />
      <Dates days={days} grain={grain} frame={frame} />
      {series.map(({ name }, nth) => (
        <Marks key={name} kind={form.kind} name={seriesClass(name, nth)} spans={spans[nth] ?? []} frame={frame} />
      ))}
      {before.map(({ name, values }, nth) => (
        <path
          key={name}
          class={`before ${stacked ? 's-total' : seriesClass(name, nth)}`}
          d={pathOf(
            values.map((value) => (value === null ? null : [0, value])),
            frame,
          )}
        />
      ))}
      <Names series={series} spans={spans} stacked={stacked} frame={frame} isWide={isWide} />
      {focus !== null && (
        <g>
          <line class="cross" x1={frame.x(focus)} x2={frame.x(focus)} y1={top} y2={HEIGHT - BOTTOM} />
          {spans.map((values, nth) => {
            const span = values[focus];
            return (
              span && (
                <circle
                  key={nth}
                  class={`dot ${seriesClass(series[nth]?.name ?? '', nth)}`}
                  cx={frame.x(focus)}
                  cy={frame.y(span[1])}
                  r="3.5"
                />
              )
            );
          })}
        </g>
      )}
    </ChartFrame>
  );
}

function pathOf(spans: readonly Span[], { x, y }: Frame): string {
  const draw = line<Span>(
    (_, nth) => x(nth),
    (span) => y(span?.[1] ?? 0),
  ).defined((span) => span !== null);
  return draw([...spans]) ?? '';
}

function Marks({
  kind,
  name,
  spans,
  frame,
}: {
  kind: ChartForm['kind'];
  name: string;
  spans: readonly Span[];
  frame: Frame;
}): JSX.Element {
  const { x, y, step } = frame;
  if (kind === 'bar') {
    const width = Math.max(step > 4 ? step - 2 : step * 0.9, 0.5);
    // One path, not one element a day: five years are 1,826.
    const bars = spans.map((span, nth) =>
      span
        ? `M${(x(nth) - width / 2).toFixed(2)},${y(span[0]).toFixed(2)}h${width.toFixed(2)}V${y(span[1]).toFixed(2)}h${(-width).toFixed(2)}Z`
        : '',
    );
    return <path class={`bar ${name}`} d={bars.join('')} />;
  }
  const alone = spans.map((span, nth) =>
    span && !spans[nth - 1] && !spans[nth + 1] ? `M${x(nth) - 2},${y(span[1])}a2,2,0,1,0,4,0a2,2,0,1,0,-4,0` : '',
  );
  const draw = area<Span>(
    (_, nth) => x(nth),
    (span) => y(span?.[0] ?? 0),
    (span) => y(span?.[1] ?? 0),
  ).defined((span) => span !== null);
  return (
    <g>
      {kind === 'area' && <path class={`area ${name}`} d={draw([...spans]) ?? ''} />}
      <path class={`line ${name}`} d={pathOf(spans, frame)} />
      <path class={`bar ${name}`} d={alone.join('')} />
    </g>
  );
}

/** Days that are not proven, or cut, are hatched. Neighbours form one area. */
function Uncertain({ plot, frame, fill }: { plot: Plot; frame: Frame; fill: string }): JSX.Element {
  const { uncertain } = plot;
  const areas: { from: number; to: number }[] = [];
  for (const [nth, is] of uncertain.entries()) {
    const last = areas.at(-1);
    if (is && last?.to === nth) last.to = nth + 1;
    else if (is) areas.push({ from: nth, to: nth + 1 });
  }
  const { x, step, top } = frame;
  return (
    <g>
      {areas.map(({ from, to }) => (
        <rect
          key={from}
          class="uncertain"
          fill={fill}
          x={x(from) - step / 2}
          width={(to - from) * step}
          y={top}
          height={HEIGHT - BOTTOM - top}
        />
      ))}
    </g>
  );
}

function Dates({ days, grain, frame }: { days: readonly string[]; grain: Grain; frame: Frame }): JSX.Element {
  const [first, last] = [days[0], days.at(-1)];
  if (first === undefined || last === undefined) return <g />;
  if (grain !== 'day') return <Periods days={days} grain={grain} frame={frame} />;
  const [from, to] = [Date.parse(first), Date.parse(last)];
  const isLong = days.length > 150;
  const position = (date: Date): number => frame.x((date.getTime() - from) / 86_400_000);
  const dates =
    days.length === 1
      ? [new Date(from)]
      : scaleUtc([from, to], [0, 1]).ticks(Math.max(2, Math.floor((frame.right - LEFT) / 90)));
  return (
    <g>
      {dates
        .filter((date) => date.getTime() % 86_400_000 === 0 && position(date) < frame.right - 12)
        .map((date) => (
          <text key={date.getTime()} class="axis" x={position(date)} y={HEIGHT - 6} text-anchor="middle">
            {isLong ? month(date.getTime()) : dayShort(date.getTime())}
          </text>
        ))}
    </g>
  );
}

/** Weeks and months by the first day of each, as many as fit. */
function Periods({ days, grain, frame }: { days: readonly string[]; grain: Grain; frame: Frame }): JSX.Element {
  const every = Math.max(1, Math.ceil(90 / frame.step));
  const isLong = grain === 'month' || days.length > 26;
  return (
    <g>
      {days.map((first, nth) =>
        nth % every === 0 && (nth === 0 || frame.x(nth) < frame.right - 12) ? (
          <text key={first} class="axis" x={frame.x(nth)} y={HEIGHT - 6} text-anchor="middle">
            {isLong ? month(Date.parse(first)) : dayShort(Date.parse(first))}
          </text>
        ) : null,
      )}
    </g>
  );
}

interface NamesProps {
  readonly series: readonly Series[];
  readonly spans: readonly Span[][];
  readonly stacked: boolean;
  readonly frame: Frame;
  readonly isWide: boolean;
}

/** At the end of each line, moved apart where they would overlap; on a phone, above the chart. */
function Names({ series, spans, stacked, frame, isWide }: NamesProps): JSX.Element | null {
  if (series.length < 2) return null;
  if (!isWide)
    return (
      <g>
        {series.map(({ name }, nth) => (
          <g
            key={name}
            transform={`translate(${LEFT + (nth % 2) * ((frame.right - LEFT) / 2)},${14 + Math.floor(nth / 2) * 18})`}
          >
            <rect class={`bar ${seriesClass(name, nth)}`} width="10" height="10" y="-9" />
            <text class="name" x="15">
              {short(words(name), 20)}
            </text>
          </g>
        ))}
      </g>
    );
  const wanted = series.flatMap(({ name }, nth) => {
    const span = spans[nth]?.findLast((value) => value !== null);
    return span ? [{ name, nth, at: frame.y(stacked ? (span[0] + span[1]) / 2 : span[1]) }] : [];
  });
  wanted.sort((a, b) => a.at - b.at);
  let above = frame.top - 6;
  for (const entry of wanted) {
    entry.at = Math.max(entry.at, above + 14);
    above = entry.at;
  }
  const over = Math.max(0, above - (HEIGHT - BOTTOM));
  return (
    <g>
      {wanted.map(({ name, nth, at }) => (
        <text key={name} class={`name ${seriesClass(name, nth)}`} x={frame.right + 6} y={at - over + 4}>
          {short(words(name), 18)}
        </text>
      ))}
    </g>
  );
}

export function short(text: string, most: number): string {
  const letters = Array.from(text);
  return letters.length <= most ? text : `${letters.slice(0, most - 1).join('')}…`;
}

export function Sparkline({ values }: { values: readonly (number | null)[] }): JSX.Element {
  const filled = values.filter((value) => value !== null);
  const y = scaleLinear([Math.min(...filled, 0), Math.max(...filled, 0) || 1], [22, 2]);
  const draw = line<number | null>(
    (_, nth) => 1 + (nth / Math.max(1, values.length - 1)) * 58,
    (value) => y(value ?? 0),
  ).defined((value) => value !== null);
  return (
    <svg class="spark" viewBox="0 0 60 24" width="60" height="24" aria-hidden="true">
      <path class="line s-total" d={draw([...values]) ?? ''} />
    </svg>
  );
}

/** The figures of one day in words. */
export function readout(plot: Plot, form: ChartForm, nth: number): string {
  const value = (series: Series): string =>
    figure(series.values[nth] ?? null, form.series === undefined ? series.name : (form.y[0] ?? ''));
  const now = plot.series.map((series) =>
    plot.series.length > 1 ? `${words(series.name)} ${value(series)}` : value(series),
  );
  const then = plot.before.map((series) => value(series));
  const doubt = plot.uncertain[nth] === true ? ', not fully proven' : '';
  return `${now.join(' · ')}${doubt}${then.length > 0 ? ` (before: ${then.join(' · ')})` : ''}`;
}
