/** The forms of a file, what is told of one that was written, and how the engine writes and reads those it knows. */
import { sqlName } from '../../kernel/sql.ts';
import { extname } from 'node:path';
import type { Selection } from './selection.ts';
import { neutralised, neutralisedSql } from './spreadsheet-text.ts';

export const EXPORT_FORMATS = ['parquet', 'csv', 'ndjson', 'json', 'xlsx', 'duckdb'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

export interface ExportReport {
  readonly file: string;
  readonly format: ExportFormat;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
  /** Number of the snapshot that was read, and its instant. */
  readonly snapshot: string | undefined;
  readonly published: string | undefined;
  readonly tables: readonly { readonly name: string; readonly rows: number; readonly columns: number }[];
  /** Of a workbook. */
  readonly sheets?: number;
  readonly cut?: number;
  readonly neutralised?: number;
}

/** The form that a file's name asks for. */
export function formatOfFile(path: string): ExportFormat | undefined {
  const ending = extname(path).slice(1).toLowerCase();
  if (ending === 'jsonl') return 'ndjson';
  return EXPORT_FORMATS.find((format) => format === ending);
}

type CopyFormat = Exclude<ExportFormat, 'xlsx' | 'duckdb'>;

interface CsvSettings {
  /** For Excel: a byte order mark, long digits as text. */
  readonly excel: boolean;
  /** Text cells as they are, also where a spreadsheet would run them. */
  readonly verbatim: boolean;
}

/** How a selection is copied to a file. */
export function copyForm(format: CopyFormat, selection: Selection, settings: CsvSettings): CopyForm {
  return FORMS[format](selection, settings);
}

export interface CopyForm {
  /** What is copied. */
  readonly select: string;
  /** Of the copy. */
  readonly options: string;
}

type MakeForm = (selection: Selection, settings: CsvSettings) => CopyForm;

const FORMS: Readonly<Record<CopyFormat, MakeForm>> = {
  parquet: ({ sql }) => ({
    select: sql,
    options: 'format parquet, compression zstd',
  }),
  csv: (selection, settings) => ({
    select: csvSelect(selection, settings),
    options: 'format csv, header true',
  }),
  ndjson: (selection) => ({
    select: jsonSelect(selection),
    options: 'format json',
  }),
  json: (selection) => ({
    select: jsonSelect(selection),
    options: 'format json, array true',
  }),
};

function csvSelect({ sql, columns }: Selection, { excel, verbatim }: CsvSettings): string {
  if (verbatim && !excel) return sql;
  const cells = columns.map(({ name, numeric, type }, index) => {
    const cell = sqlName(name);
    // The mark goes in front of the first name, which then must need no quotes around it.
    const mark = excel && index === 0 ? '\uFEFF' : '';
    const title = mark === '' ? name : mark + name.replaceAll(/[",\r\n]/g, ' ');
    const isText = type === 'VARCHAR' || type === 'JSON' || type.startsWith('ENUM');
    const isLong = excel && numeric && /INT|DECIMAL/.test(type);
    const safe = (isText && !verbatim) || isLong ? neutralisedDigits(cell, numeric, excel) : cell;
    return `${safe} as ${sqlName(verbatim ? title : mark + neutralised(title.slice(mark.length)))}`;
  });
  return `select ${cells.join(', ')} from (${sql})`;
}

function neutralisedDigits(cell: string, numeric: boolean, excel: boolean): string {
  // A negative number is no formula: only its length matters.
  if (numeric)
    return `case when length(ltrim(${cell}::varchar, '-')) > 15 then '''' || ${cell} else ${cell}::varchar end`;
  return neutralisedSql(`${cell}::varchar`, excel);
}

/** JSON has no NaN and no infinity. */
function jsonSelect({ sql, columns }: Selection): string {
  const broken = columns.filter(({ type }) => type === 'DOUBLE' || type === 'FLOAT').map(({ name }) => sqlName(name));
  if (broken.length === 0) return sql;
  return `select * replace (${broken.map((cell) => `case when isfinite(${cell}) then ${cell} end as ${cell}`).join(', ')}) from (${sql})`;
}
