/**
 * A result on a terminal: a table with borders. Texts are shortened where it is too wide, those of the first and the last
 * column after the others; if that is not enough, each row becomes a block with one line per column.
 */
import type { Style } from './terminal.ts';
import { visible } from './visible.ts';
import { cut, width } from './width.ts';

export interface BoxColumn {
  readonly title: string;
  readonly numeric: boolean;
}

/** Null is SQL's null. */
export type BoxRow = readonly (string | null)[];

/** A text that is shortened to less says nothing. */
const LEAST = 12;

const dim = (text: string): string => `\u001B[2m${text}\u001B[22m`;
const bold = (text: string): string => `\u001B[1m${text}\u001B[22m`;

/** Ends with a line feed. */
export function renderBox(columns: readonly BoxColumn[], rows: readonly BoxRow[], style: Style): string {
  const room = style.width ?? Infinity;
  const titles = columns.map(({ title }) => visible(title));
  const cells = rows.map((row) => columns.map((_, index) => shown(row[index] ?? null)));
  const widths = titles.map((title, index) => Math.max(width(title), ...cells.map((row) => width(row[index] ?? ''))));
  const fitted = fit(widths, columns, room);
  if (fitted === undefined) return blocks(titles, rows, cells, style);
  const line = (left: string, middle: string, right: string): string =>
    `${left}${fitted.map((size) => '─'.repeat(size + 2)).join(middle)}${right}`;
  const rowOf = (row: readonly string[], paint: (text: string, index: number) => string): string =>
    `│${row
      .map((cell, index) => {
        const size = fitted[index] ?? 0;
        const text = cut(cell, size);
        const padding = ' '.repeat(Math.max(0, size - width(text)));
        const painted = paint(text, index);
        return columns[index]?.numeric === true ? ` ${padding}${painted} ` : ` ${painted}${padding} `;
      })
      .join('│')}│`;
  const body = cells.map((row, number) => rowOf(row, (text, index) => nullOf(rows[number], index, text, style)));
  const isCut = fitted.some((size, index) => size < (widths[index] ?? 0));
  return [
    line('┌', '┬', '┐'),
    rowOf(titles, (text) => (style.colour ? bold(text) : text)),
    line('├', '┼', '┤'),
    ...body,
    line('└', '┴', '┘'),
    ...(isCut ? ['… marks shortened cells; --format csv or json shows all'] : []),
    '',
  ].join('\n');
}

/** The text NULL has quotes, so that it is not taken for null. */
function shown(cell: string | null): string {
  if (cell === null) return 'NULL';
  return cell === 'NULL' ? '"NULL"' : visible(cell);
}

function nullOf(row: BoxRow | undefined, index: number, text: string, { colour }: Style): string {
  return colour && (row?.[index] ?? null) === null ? dim(text) : text;
}

/** The widths of the columns in the terminal; undefined if even shortened columns do not fit. */
function fit(widths: readonly number[], columns: readonly BoxColumn[], room: number): readonly number[] | undefined {
  const total = (sizes: readonly number[]): number => sizes.reduce((sum, size) => sum + size + 3, 1);
  const sizes = [...widths];
  const texts = [...sizes.keys()].filter((index) => columns[index]?.numeric !== true);
  const middle = texts.filter((index) => index > 0 && index < sizes.length - 1);
  for (const group of [middle, texts]) {
    // The widest first, one character at a time.
    for (let over = total(sizes) - room; over > 0; over--) {
      const widest = group.reduce(
        (best, index) => ((sizes[index] ?? 0) > (sizes[best] ?? 0) ? index : best),
        group[0] ?? -1,
      );
      if ((sizes[widest] ?? 0) <= LEAST) break;
      sizes[widest] = (sizes[widest] ?? 0) - 1;
    }
  }
  return total(sizes) <= room ? sizes : undefined;
}

function blocks(
  titles: readonly string[],
  rows: readonly BoxRow[],
  cells: readonly (readonly string[])[],
  style: Style,
): string {
  const room = style.width ?? Infinity;
  const margin = Math.min(Math.max(...titles.map(width)), Math.floor(room / 2));
  const texts = cells.map((row, number) => {
    const head = `─ row ${number + 1} `;
    const lines = row.map((cell, index) => {
      const title = cut(titles[index] ?? '', margin);
      const text = nullOf(rows[number], index, cut(cell, Math.max(LEAST, room - margin - 3)), style);
      return `${' '.repeat(margin - width(title))}${style.colour ? bold(title) : title} │ ${text}`;
    });
    return [head.padEnd(Math.min(40, room), '─'), ...lines].join('\n');
  });
  return texts.length === 0 ? `${cut(titles.join(', '), room)}\n` : `${texts.join('\n')}\n`;
}
