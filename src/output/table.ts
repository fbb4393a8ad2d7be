/**
 * Aligned columns that fit the terminal. A table that is too wide first loses its least valuable columns, then its texts are
 * wrapped between words, and if that is not enough, each row becomes a block of lines. In a pipe, every column is there.
 */
import type { Style } from './terminal.ts';
import { visible } from './visible.ts';
import { wrapped } from './fold.ts';
import { width } from './width.ts';

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** Left out where the table is too wide, the highest rank first. @default never */
  readonly rank?: number;
  /** Cells may be wrapped between words. */
  readonly wraps?: boolean;
}

const GAP = '  ';
/** A text that is wrapped into less cannot be read. */
const LEAST_WRAPPED = 24;

// The caller decides about colours.
const bold = (text: string): string => `\u001B[1m${text}\u001B[22m`;

type Row = readonly string[];

/** One line per row under a header, where that fits. Cells can neither control the terminal nor break the line. Ends with a line feed. */
export function renderTable(columns: readonly Column[], rows: readonly Row[], style: Style): string {
  const cells = rows.map((row) => columns.map((_, index) => visible(row[index] ?? '')));
  const room = style.width ?? Infinity;
  const kept = fitting(columns, cells, room);
  const shown = columns.filter((_, index) => kept.has(index));
  const reduced = cells.map((row) => row.filter((_, index) => kept.has(index)));
  const hidden = columns.filter((_, index) => !kept.has(index)).map(({ title }) => title);
  const note = hidden.length === 0 ? '' : wrapped(`not shown: ${hidden.join(', ')}`, room).join('\n') + '\n';
  const widths = widthsOf(shown, reduced);
  if (total(widths) <= room) return lines(shown, reduced, widths, style) + note;
  const wrapping = shown.findIndex(({ wraps }) => wraps === true);
  const rest = room - total(widths) + (widths[wrapping] ?? 0);
  if (wrapping >= 0 && rest >= LEAST_WRAPPED) return lines(shown, reduced, widths.with(wrapping, rest), style) + note;
  return blocks(columns, cells, style);
}

/** The columns that fit, by index: without those of the highest ranks. All of them if even the others do not fit. */
function fitting(columns: readonly Column[], cells: readonly Row[], room: number): ReadonlySet<number> {
  const widths = widthsOf(columns, cells);
  const kept = new Set(columns.keys());
  const least = (index: number): number =>
    columns[index]?.wraps === true ? Math.min(widths[index] ?? 0, LEAST_WRAPPED) : (widths[index] ?? 0);
  const leastTotal = (): number => total([...kept].map(least));
  const ranked = [...columns.keys()]
    .filter((index) => columns[index]?.rank !== undefined)
    .toSorted((a, b) => (columns[b]?.rank ?? 0) - (columns[a]?.rank ?? 0));
  for (const index of ranked) {
    if (leastTotal() <= room) break;
    kept.delete(index);
  }
  return kept;
}

function widthsOf(columns: readonly Column[], cells: readonly Row[]): number[] {
  return columns.map(({ title }, index) =>
    cells.reduce((most, row) => Math.max(most, width(row[index] ?? '')), width(visible(title))),
  );
}

function total(widths: readonly number[]): number {
  return widths.reduce((sum, each) => sum + each, 0) + GAP.length * Math.max(0, widths.length - 1);
}

function lines(
  columns: readonly Column[],
  cells: readonly Row[],
  widths: readonly number[],
  { colour }: Style,
): string {
  const head = columns.map(({ title }) => visible(title));
  const lineOf = (row: Row, paint: (text: string) => string): string => {
    const parts = row.map((cell, index) => wrapped(cell, widths[index] ?? Infinity));
    const height = Math.max(1, ...parts.map((part) => part.length));
    return Array.from({ length: height }, (_, line) =>
      parts
        .map((part, index) => {
          const text = part[line] ?? '';
          const padding = ' '.repeat(Math.max(0, (widths[index] ?? 0) - width(text)));
          const painted = text === '' ? '' : paint(text);
          return columns[index]?.align === 'right' ? padding + painted : painted + padding;
        })
        .join(GAP)
        .trimEnd(),
    ).join('\n');
  };
  return `${[lineOf(head, colour ? bold : (text) => text), ...cells.map((row) => lineOf(row, (text) => text))].join('\n')}\n`;
}

/** One line per cell that is not empty, and an empty line between rows. */
function blocks(columns: readonly Column[], cells: readonly Row[], { colour, width: room = Infinity }: Style): string {
  const titles = columns.map(({ title }) => visible(title));
  const margin = Math.max(...titles.map(width)) + GAP.length;
  const texts = cells.map((row) =>
    row
      .flatMap((cell, index) => {
        if (cell === '') return [];
        const title = titles[index] ?? '';
        const [first = '', ...more] = wrapped(cell, Math.max(LEAST_WRAPPED, room - margin));
        const padded = `${colour ? bold(title) : title}${' '.repeat(margin - width(title))}${first}`;
        return [padded, ...more.map((line) => ' '.repeat(margin) + line)];
      })
      .join('\n'),
  );
  return texts.length === 0 ? `${titles.join(GAP)}\n` : `${texts.join('\n\n')}\n`;
}
