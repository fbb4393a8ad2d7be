import Table from 'cli-table3';
import { visible } from './visible.ts';

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

// No box: a table is read by people and cut by awk alike.
const BARE = {
  'top': '', 'top-mid': '', 'top-left': '', 'top-right': '',
  'bottom': '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '',
  'left': '', 'left-mid': '', 'mid': '', 'mid-mid': '', 'right': '', 'right-mid': '', 'middle': '  ',
}; // prettier-ignore

// Whether escape codes are welcome is the caller's knowledge; the table library's own styles ask the process instead,
// and are silent wherever standard output is no terminal.
const bold = (text: string): string => `\u001B[1m${text}\u001B[22m`;

/**
 * Aligned columns under a head, a line a row: what a cell holds can neither steer the terminal nor break its line.
 * Escape codes only where `colour` allows them. Ends with a line feed.
 */
export function renderTable(columns: readonly Column[], rows: readonly (readonly string[])[], colour: boolean): string {
  const table = new Table({
    head: columns.map(({ title }) => (colour ? bold(visible(title)) : visible(title))),
    colAligns: columns.map((column) => column.align ?? 'left'),
    chars: BARE,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  table.push(...rows.map((row) => row.map(visible)));
  return `${table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')}\n`;
}
