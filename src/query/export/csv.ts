/**
 * How a CSV is written. Files are written by the engine and answers on standard output by this program, so each rule is here
 * twice, next to each other: as SQL and in JavaScript.
 */
import type { Json } from '@duckdb/node-api';
import { sqlName, sqlText } from '../../kernel/sql.ts';
import type { ResultColumn } from '../reader.ts';
import { JSON_NUMBER, neutralised, neutralisedSql } from './spreadsheet-text.ts';

export interface CsvStyle {
  readonly separator: string;
  /** Between the whole and the fraction of a number. */
  readonly decimal: '.' | ',';
  /** For Excel: a byte order mark, protected ids, and times without a fraction and an offset. */
  readonly excel: boolean;
  /** Do not escape text that a spreadsheet would run as a formula. */
  readonly verbatim: boolean;
}

export const PLAIN_CSV: CsvStyle = { separator: ',', decimal: '.', excel: false, verbatim: false };

const BYTE_ORDER_MARK = '\uFEFF';

const JSON_NUMBER_PATTERN = new RegExp(JSON_NUMBER);

type Kind = 'text' | 'json' | 'integer' | 'decimal' | 'float' | 'time' | 'other';

function kindOf({ type, numeric }: ResultColumn): Kind {
  if (numeric) return /INT/.test(type) ? 'integer' : type.startsWith('DECIMAL') ? 'decimal' : 'float';
  if (type === 'JSON') return 'json';
  if (type === 'VARCHAR' || type === 'UUID' || type.startsWith('ENUM')) return 'text';
  return type.startsWith('TIMESTAMP') ? 'time' : 'other';
}

/** The titles of the columns. The byte order mark comes before the first title, which therefore must not need quotes. */
function titles(columns: readonly ResultColumn[], { excel, verbatim, separator }: CsvStyle): string[] {
  return columns.map(({ name }, index) => {
    const isMarked = excel && index === 0;
    const title = isMarked ? name.replaceAll(/[",\r\n]/g, ' ').replaceAll(separator, ' ') : name;
    return (isMarked ? BYTE_ORDER_MARK : '') + (verbatim ? title : neutralised(title, excel));
  });
}

/** The select whose rows the engine writes as they are. */
export function csvSelect(sql: string, columns: readonly ResultColumn[], style: CsvStyle): string {
  const names = titles(columns, style);
  const cells = columns.map((column, index) => {
    const cell = cellSql(sqlName(column.name), kindOf(column), style);
    return `${cell} as ${sqlName(names[index] ?? '')}`;
  });
  return `select ${cells.join(', ')} from (${sql})`;
}

function cellSql(cell: string, kind: Kind, { decimal, excel, verbatim }: CsvStyle): string {
  const text = `${cell}::varchar`;
  switch (kind) {
    case 'text':
      return verbatim ? cell : neutralisedSql(text, excel);
    case 'json': {
      if (verbatim) return cell;
      const safe = neutralisedSql(text, false);
      // The document is text, but a number in it can be a number in the spreadsheet.
      return `case when regexp_matches(${text}, ${sqlText(JSON_NUMBER)}) then ${excel ? exactSql(text) : text} else ${safe} end`;
    }
    case 'integer':
      return excel && !verbatim ? exactSql(text) : cell;
    case 'decimal':
      return decimalSql(excel && !verbatim ? exactSql(text) : text, decimal);
    case 'float':
      return decimal === '.' ? cell : decimalSql(text, decimal);
    case 'time':
      return excel ? `case when isfinite(${cell}) then strftime(${cell}, '%Y-%m-%d %H:%M:%S') else ${text} end` : cell;
    case 'other':
      return cell;
    default:
      return kind satisfies never;
  }
}

function decimalSql(text: string, decimal: string): string {
  return decimal === '.' ? text : `replace(${text}, '.', ${sqlText(decimal)})`;
}

/** Spreadsheets keep 15 digits. */
function exactSql(text: string): string {
  return `case when length(replace(ltrim(${text}, '-'), '.', '')) > 15 then '''' || ${text} else ${text} end`;
}

/** Writes the header and the rows of a CSV as text. */
export function csvWriter(
  columns: readonly ResultColumn[],
  style: CsvStyle,
): { readonly head: string; readonly line: (row: readonly Json[]) => string } {
  const { separator } = style;
  const special = new RegExp(`["\\r\\n${separator === '|' ? '\\|' : separator}]`);
  // As in RFC 4180. An empty text becomes "" to differ from null.
  const quoted = (text: string): string =>
    text === '' || special.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const kinds = columns.map(kindOf);
  return {
    head: `${titles(columns, style).map(quoted).join(separator)}\n`,
    line: (row) =>
      `${row.map((cell, index) => (cell === null ? '' : quoted(cellText(cell, kinds[index] ?? 'other', style)))).join(separator)}\n`,
  };
}

function cellText(cell: Json, kind: Kind, { decimal, excel, verbatim }: CsvStyle): string {
  const text = typeof cell === 'string' ? cell : JSON.stringify(cell);
  const exact = (): string => (excel && !verbatim && text.replaceAll(/[-.]/g, '').length > 15 ? `'${text}` : text);
  switch (kind) {
    case 'text':
      return verbatim ? text : neutralised(text, excel);
    case 'json':
      if (verbatim) return text;
      return JSON_NUMBER_PATTERN.test(text) ? exact() : neutralised(text);
    case 'integer':
      return exact();
    case 'decimal':
      return exact().replace('.', decimal);
    case 'float':
      return text.replace('.', decimal);
    case 'time':
      return excel ? text.replace(/^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d).*$/, '$1') : text;
    case 'other':
      return typeof cell === 'string' && !verbatim ? neutralised(text) : text;
    default:
      return kind satisfies never;
  }
}
