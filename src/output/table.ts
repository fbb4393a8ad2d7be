import Table from 'cli-table3';
import { visible } from './visible.ts';

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

// Without borders, so that awk can process a table too.
const BARE = {
  'top': '', 'top-mid': '', 'top-left': '', 'top-right': '',
  'bottom': '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '',
  'left': '', 'left-mid': '', 'mid': '', 'mid-mid': '', 'right': '', 'right-mid': '', 'middle': '  ',
}; // prettier-ignore

// The caller decides about colours. The styles of cli-table3 look at the process instead, so they are not used.
const bold = (text: string): string => `\u001B[1m${text}\u001B[22m`;

/**
 * Aligned columns under a header, one line per row. Cells can neither control the terminal nor break the line. Ends with a
 * line feed.
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
