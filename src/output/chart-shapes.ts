/** How the points of a chart become characters: columns over an axis, or one bar per line. */
import { cut as shortened, width as widthOf } from './width.ts';

export interface Point {
  readonly x: string;
  /** Null where there is no value: a gap. */
  readonly value: number | null;
  /** Sums of numerator and denominator, of a ratio. */
  readonly above: number;
  readonly below: number;
  readonly verified: boolean;
  /** The range holds only a part of the period. */
  readonly cut: boolean;
  /** The value is far above all others, and what is drawn is shorter. */
  readonly isOff?: boolean;
}

export interface Drawn {
  readonly text: string;
  /** The points as they are drawn. */
  readonly marked: readonly Point[];
  readonly perColumn: number;
}

export const MARKS = [
  { sign: '?', meaning: 'periods that are not fully verified', isOn: (point: Point) => !point.verified },
  { sign: '~', meaning: 'periods of which the range holds only a part', isOn: (point: Point) => point.cut },
  { sign: '^', meaning: 'values that are drawn shorter than they are', isOn: (point: Point) => point.isOff === true },
  { sign: '·', meaning: 'periods without a value', isOn: (point: Point) => point.value === null },
] as const;

const UP = ' ▁▂▃▄▅▆▇█';
const HEIGHT = 6;
const BARS = 40;
const LABEL = 24;
/** Outliers whose values are written under a panel. */
const LISTED = 3;
/** A value is cut if it exceeds the next one by more than this factor. */
const OFF = 5;

/** The scale, without the few values that are far above all others. */
function scaled(all: readonly Point[]): { low: number; high: number; points: readonly Point[] } {
  const sizes = all.flatMap(({ value }) => (value === null ? [] : [Math.abs(value)])).sort((a, b) => b - a);
  // One of three, or one of ten if there are many.
  const most = sizes.length < 3 ? 0 : Math.max(1, Math.floor(sizes.length / 10));
  const off = Array.from({ length: most }, (_, index) => most - index).find(
    (count) => (sizes[count] ?? 0) > 0 && (sizes[count - 1] ?? 0) > OFF * (sizes[count] ?? 0),
  );
  const limit = off === undefined ? Infinity : (sizes[off] ?? 0) * 1.25;
  const values = all.map(({ value }) => Math.max(-limit, Math.min(limit, value ?? 0)));
  const points = all.map((point) => ({ ...point, isOff: Math.abs(point.value ?? 0) > limit }));
  return { low: Math.min(0, ...values), high: Math.max(0, ...values), points };
}

/** `merge` makes one point of neighbours that share a column. */
export function drawColumns(
  title: string,
  all: readonly Point[],
  width: number,
  merge: (group: readonly Point[]) => Point,
): Drawn {
  if (all.every(({ value }) => value === null)) return { text: `${title}\n  no values\n`, marked: [], perColumn: 1 };
  const grouped = (size: number): ReturnType<typeof scaled> =>
    scaled(
      Array.from({ length: Math.ceil(all.length / size) }, (_, index) =>
        merge(all.slice(index * size, (index + 1) * size)),
      ),
    );
  let size = Math.ceil(all.length / Math.max(10, width - 4));
  // Wide numbers at the axis leave less space.
  while (all.length > size * 10 && Math.ceil(all.length / size) + marginOf(grouped(size)) + 1 > width) size++;
  const { low, high, points } = grouped(size);
  const margin = marginOf({ low, high });
  const below = low < 0 ? Math.max(1, Math.min(HEIGHT - 1, Math.round((HEIGHT * -low) / (high - low)))) : 0;
  const above = high > 0 ? HEIGHT - below : low < 0 ? 0 : HEIGHT;
  const rows = above === 0 ? HEIGHT : below;
  // One unit for both directions, so that columns can be compared across the zero.
  const unit = Math.max(above === 0 ? 0 : high / above, rows === 0 ? 0 : -low / rows) || 1;
  const top = figure(above === 0 ? 0 : high);
  const bottom = figure(rows === 0 ? 0 : low);
  // As wide as the space allows, up to three characters per point.
  const step = Math.max(1, Math.min(3, Math.floor((width - margin - 1) / points.length)));
  const line = (mark: string, cellOf: (value: number | null) => string): string =>
    `${mark.padStart(margin - 1)} │${points
      .map(({ value }) =>
        cellOf(value)
          .repeat(Math.max(1, step - 1))
          .padEnd(step),
      )
      .join('')}`.trimEnd();
  const upper = Array.from({ length: above }, (_, index) => {
    const isLast = index === above - 1;
    return line(index === 0 ? top : isLast ? '0' : '', (value) => {
      if (value === null) return isLast ? '·' : ' ';
      const floor = (above - 1 - index) * 8;
      const eighths = Math.round((Math.min(value, high) / unit) * 8) || (value > 0 ? 1 : 0);
      return UP[Math.max(0, Math.min(8, eighths - floor))] ?? ' ';
    });
  });
  const lower = Array.from({ length: rows }, (_, index) =>
    line(index === rows - 1 ? bottom : '', (value) => {
      if (value === null) return above === 0 && index === 0 ? '·' : ' ';
      // Only halves have a character that hangs from the top.
      const halves = Math.round((Math.max(0, -Math.max(value, low)) / unit) * 2) - index * 2;
      return halves >= 2 ? '█' : halves === 1 ? '▀' : value < 0 && index === 0 ? '▔' : ' ';
    }),
  );
  const pad = ' '.repeat(margin + 1);
  const marked = MARKS.filter(({ sign }) => sign !== '·')
    .map(({ sign, isOn }) => points.map((point) => (isOn(point) ? sign : ' ').padEnd(step)).join(''))
    .filter((text) => text.trim() !== '')
    .map((text) => `${pad}${text.trimEnd()}`);
  const [first, last] = [all[0]?.x ?? '', all.at(-1)?.x ?? ''];
  const most = Math.max(4, Math.floor((width - pad.length - 3) / 2));
  const range = `${pad}${first === last ? first : `${shortened(first, most)} … ${shortened(last, most)}`}`;
  return {
    text: `${[title, ...upper, ...lower, ...marked, ...[range, ...listed(points, pad)].map((text) => shortened(text, width))].join('\n')}\n`,
    marked: points,
    perColumn: size,
  };
}

function marginOf({ low, high }: { low: number; high: number }): number {
  return Math.max(figure(low).length, figure(high).length) + 1;
}

/** The values of the columns that are cut. */
function listed(points: readonly Point[], pad: string): readonly string[] {
  const off = points.filter(({ isOff }) => isOff === true);
  const words = off.slice(0, LISTED).map(({ x, value }) => `${x} is ${figure(value ?? 0)}`);
  const more = off.length - words.length;
  return words.length === 0 ? [] : [`${pad}^ ${words.join(', ')}${more > 0 ? ` and ${more} more` : ''}`];
}

/** Bars begin at a common zero: to its right, or to its left if they are negative. */
export function drawBars(title: string, all: readonly Point[], width: number): Drawn {
  const { low, high, points } = scaled(all);
  const names = points.map(({ x }) => shortened(x, Math.min(LABEL, Math.floor(width / 3))));
  const margin = Math.max(...names.map(widthOf));
  const figures = points.map(({ value }) => (value === null ? '·' : figure(value)));
  const tail = Math.max(...figures.map((text) => text.length)) + 2 * MARKS.length;
  const room = Math.max(8, Math.min(BARS, width - margin - tail - 3));
  const unit = (high - low) / room || 1;
  const cells = (value: number): number => Math.round(Math.abs(value) / unit) || (value === 0 ? 0 : 1);
  const left = low < 0 ? cells(low) : 0;
  const lines = points.map((point, index) => {
    const { value } = point;
    const size = cells(Math.max(low, Math.min(high, value ?? 0)));
    // The break shows that the bar would be longer.
    const bar = point.isOff === true && size > 2 ? `${'█'.repeat(size - 2)}╱█` : '█'.repeat(size);
    const [before, after] =
      (value ?? 0) < 0 ? [bar.split('').reverse().join('').padStart(left), ''] : [' '.repeat(left), bar];
    const marks = MARKS.filter(({ sign, isOn }) => sign !== '·' && isOn(point)).map(({ sign }) => ` ${sign}`);
    const name = names[index] ?? '';
    return `${name}${' '.repeat(margin - widthOf(name))} ${before}│${after} ${figures[index] ?? ''}${marks.join('')}`;
  });
  return { text: `${title}\n${lines.join('\n')}\n`, marked: points, perColumn: 1 };
}

/** A number that a person can take in: few digits, and powers of ten where digits would only fill the line. */
function figure(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e12 || (size > 0 && size < 1e-4)) return value.toExponential(1);
  if (size > 0 && size < 0.01) return value.toLocaleString('en-US', { maximumSignificantDigits: 2 });
  return value.toLocaleString('en-US', { maximumFractionDigits: size < 10 ? 2 : 0 });
}
