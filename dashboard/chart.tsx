/** One chart by days as SVG. Colours come from the style sheet, so that light, dark and print need no second drawing. */
import type { JSX } from 'preact';
import { useId, useMemo } from 'preact/hooks';
import type { Plot, Series } from './figures.ts';
import { dayShort, figure, month, words } from './locale.ts';
import { ChartFrame, ValueAxis } from './frame.tsx';
import { daysBetween } from './manifest.ts';
import type { Grain } from './periods.ts';
import type { ChartForm } from './reports.ts';
import { areaPath, dayTicks, linear, linePath, roundTicks } from './scale.ts';
import type { Scale } from './scale.ts';

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
  readonly y: Scale;
  readonly step: number;
}

/** From where to where the values of a series are drawn: a line from 0, stacked values on top of each other. */
interface Band {
  readonly low: readonly number[];
  readonly high: readonly (number | null)[];
}

function bandsOf(series: readonly Series[], stacked: boolean, days: number): Band[] {
  const up = Array.from({ length: days }, () => 0);
  if (!stacked) return series.map(({ values }) => ({ low: up, high: values }));
  const down = [...up];
  return series.map(({ values }) => {
    const low: number[] = [];
    const high = values.map((value, nth) => {
      const sums = (value ?? 0) < 0 ? down : up;
      const from = sums[nth] ?? 0;
      low.push(from);
      if (value !== null) sums[nth] = from + value;
      return value === null ? null : from + value;
    });
    return { low, high };
  });
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

/** The least and the largest of all values, and 0. */
function extent(bands: readonly Band[], before: readonly Series[]): [number, number] {
  let [least, most] = [0, 0];
  const lines = [...bands.flatMap(({ low, high }) => [low, high]), ...before.map(({ values }) => values)];
  for (const line of lines)
    for (const value of line) {
      if (value === null) continue;
      if (value < least) least = value;
      if (value > most) most = value;
    }
  return [least, most || 1];
}

export function Chart({ form, plot, label, width, grain, focus, onFocus }: ChartProps): JSX.Element {
  const id = useId();
  const { days, series } = plot;
  const { bands, frame, still } = useMemo(() => {
    const stacked = form.series !== undefined && form.kind !== 'line';
    const bands = bandsOf(series, stacked, days.length);
    const before = linesBefore(plot, stacked);
    const isWide = width >= 460;
    const longest = Math.max(...series.map(({ name }) => words(name).length), 0);
    const labelWidth = series.length > 1 && isWide ? Math.min(130, 14 + longest * 6.4) : 12;
    const top = series.length > 1 && !isWide ? TOP + 18 * Math.ceil(series.length / 2) : TOP;
    // A card that is hidden has no width.
    const right = Math.max(LEFT + 20, width - labelWidth);
    const ticks = roundTicks(...extent(bands, before), 4);
    const y = linear([ticks[0] ?? 0, ticks.at(-1) ?? 1], [HEIGHT - BOTTOM, top]);
    const step = (right - LEFT) / Math.max(1, days.length);
    const frame: Frame = { right, top, step, x: (nth) => LEFT + (nth + 0.5) * step, y };
    const still = (
      <g>
        <ValueAxis values={ticks} column={form.y[0] ?? ''} y={y} left={LEFT} right={right} />
        <Uncertain plot={plot} frame={frame} fill={`url(#${id}-hatch)`} />
        <Dates days={days} grain={grain} frame={frame} />
        {series.map(({ name }, nth) => (
          <Marks key={name} kind={form.kind} name={seriesClass(name, nth)} band={bands[nth]} frame={frame} />
        ))}
        {before.map(({ name, values }, nth) => (
          <path key={name} class={`before ${stacked ? 's-total' : seriesClass(name, nth)}`} d={lineOf(values, frame)} />
        ))}
        <Names series={series} bands={bands} stacked={stacked} frame={frame} isWide={isWide} />
      </g>
    );
    return { bands, frame, still };
  }, [form, plot, width, grain, id]);
  const { top, step, x, y } = frame;
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
      {still}
      {focus !== null && (
        <g>
          <line class="cross" x1={x(focus)} x2={x(focus)} y1={top} y2={HEIGHT - BOTTOM} />
          {bands.map(({ high }, nth) => {
            const value = high[focus] ?? null;
            return (
              value !== null && (
                <circle
                  key={nth}
                  class={`dot ${seriesClass(series[nth]?.name ?? '', nth)}`}
                  cx={x(focus)}
                  cy={y(value)}
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

function lineOf(values: readonly (number | null)[], { x, y }: Frame): string {
  return linePath(values.length, x, (nth) => {
    const value = values[nth] ?? null;
    return value === null ? null : y(value);
  });
}

interface MarksProps {
  readonly kind: ChartForm['kind'];
  readonly name: string;
  readonly band: Band | undefined;
  readonly frame: Frame;
}

function Marks({ kind, name, band, frame }: MarksProps): JSX.Element | null {
  if (band === undefined) return null;
  const { x, y, step } = frame;
  const { low, high } = band;
  const from = (nth: number): number => y(low[nth] ?? 0);
  const to = (nth: number): number | null => {
    const value = high[nth] ?? null;
    return value === null ? null : y(value);
  };
  // One path, not one element a day: five years are 1,826.
  const each = (draw: (nth: number, at: number) => string): string =>
    high.map((value, nth) => (value === null ? '' : draw(nth, y(value)))).join('');
  if (kind === 'bar') {
    const width = Math.max(step > 4 ? step - 2 : step * 0.9, 0.5);
    const bars = each(
      (nth, at) =>
        `M${(x(nth) - width / 2).toFixed(2)},${from(nth).toFixed(2)}h${width.toFixed(2)}V${at.toFixed(2)}h${(-width).toFixed(2)}Z`,
    );
    return <path class={`bar ${name}`} d={bars} />;
  }
  const isAlone = (nth: number): boolean => (high[nth - 1] ?? null) === null && (high[nth + 1] ?? null) === null;
  const points = each((nth, at) => (isAlone(nth) ? `M${x(nth) - 2},${at}a2,2,0,1,0,4,0a2,2,0,1,0,-4,0` : ''));
  return (
    <g>
      {kind === 'area' && <path class={`area ${name}`} d={areaPath(high.length, x, from, to)} />}
      <path class={`line ${name}`} d={lineOf(high, frame)} />
      <path class={`bar ${name}`} d={points} />
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
  const height = HEIGHT - BOTTOM - top;
  const path = areas.map(({ from, to }) => `M${x(from) - step / 2},${top}h${(to - from) * step}v${height}H${x(from) - step / 2}Z`); // oxfmt-ignore
  return <path class="uncertain" fill={fill} d={path.join('')} />;
}

function Dates({ days, grain, frame }: { days: readonly string[]; grain: Grain; frame: Frame }): JSX.Element {
  const [first] = days;
  if (first === undefined) return <g />;
  if (grain !== 'day') return <Periods days={days} grain={grain} frame={frame} />;
  const isLong = days.length > 150;
  const position = (day: string): number => frame.x(daysBetween(first, day));
  return (
    <g>
      {dayTicks(days, Math.max(2, Math.floor((frame.right - LEFT) / 80)))
        .filter((day) => position(day) < frame.right - 12)
        .map((day) => (
          <text key={day} class="axis" x={position(day)} y={HEIGHT - 6} text-anchor="middle">
            {isLong ? month(Date.parse(day)) : dayShort(Date.parse(day))}
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
  readonly bands: readonly Band[];
  readonly stacked: boolean;
  readonly frame: Frame;
  readonly isWide: boolean;
}

/** At the end of each line, moved apart where they would overlap; on a phone, above the chart. */
function Names({ series, bands, stacked, frame, isWide }: NamesProps): JSX.Element | null {
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
    const { low = [], high = [] } = bands[nth] ?? {};
    const last = high.findLastIndex((value) => value !== null);
    const value = high[last] ?? null;
    if (value === null) return [];
    return [{ name, nth, at: frame.y(stacked ? ((low[last] ?? 0) + value) / 2 : value) }];
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
  const y = linear([Math.min(...filled, 0), Math.max(...filled, 0) || 1], [22, 2]);
  const x = linear([0, Math.max(1, values.length - 1)], [1, 59]);
  const path = linePath(values.length, x, (nth) => {
    const value = values[nth] ?? null;
    return value === null ? null : y(value);
  });
  return (
    <svg class="spark" viewBox="0 0 60 24" width="60" height="24" aria-hidden="true">
      <path class="line s-total" d={path} />
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
