/** The formats of an export, the report about a written file, and the SQL that writes each format. */
import { sqlName, sqlText } from '../../kernel/sql.ts';
import { extname } from 'node:path';
import type { Selection } from './selection.ts';
import { csvSelect } from './csv.ts';
import type { CsvStyle } from './csv.ts';

export const EXPORT_FORMATS = ['parquet', 'csv', 'ndjson', 'json', 'xlsx', 'duckdb'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

export interface ExportReport {
  readonly file: string;
  readonly format: ExportFormat;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
  /** Number and time of the snapshot that was read. */
  readonly snapshot: string | undefined;
  readonly published: string | undefined;
  readonly tables: readonly { readonly name: string; readonly rows: number; readonly columns: number }[];
  /** Written to a device, a pipe or an open file, which may be standard output. */
  readonly streamed?: boolean;
  /** Only for a workbook. */
  readonly sheets?: number;
  readonly cut?: number;
  readonly neutralised?: number;
}

/** The format for the extension of a file. */
export function formatOfFile(path: string): ExportFormat | undefined {
  const ending = extname(path).slice(1).toLowerCase();
  if (ending === 'jsonl') return 'ndjson';
  return EXPORT_FORMATS.find((format) => format === ending);
}

type CopyFormat = Exclude<ExportFormat, 'xlsx' | 'duckdb'>;

/** The select and the options of the `copy` statement that writes a selection. `origin` is the option for Parquet metadata. */
export function copyForm(format: CopyFormat, selection: Selection, settings: CsvStyle, origin: string): CopyForm {
  return FORMS[format](selection, settings, origin);
}

export interface CopyForm {
  readonly select: string;
  readonly options: string;
}

type MakeForm = (selection: Selection, settings: CsvStyle, origin: string) => CopyForm;

const FORMS: Readonly<Record<CopyFormat, MakeForm>> = {
  parquet: (selection, _settings, origin) => ({
    select: textSelect(selection),
    options: `format parquet, compression zstd, ${origin}`,
  }),
  csv: (selection, settings) => ({
    select: csvSelect(selection.sql, selection.columns, settings),
    options: `format csv, header true, delim ${sqlText(settings.separator)}`,
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

/** JSON becomes text: strict readers refuse some values of a column that Parquet calls JSON (load/store/json-columns.ts). */
function textSelect({ sql, columns }: Selection): string {
  const texts = columns.filter(({ type }) => type === 'JSON').map(({ name }) => sqlName(name));
  if (texts.length === 0) return sql;
  return `select * replace (${texts.map((cell) => `${cell}::varchar as ${cell}`).join(', ')}) from (${sql})`;
}

/** NaN and infinity become null, because JSON has neither. */
function jsonSelect({ sql, columns }: Selection): string {
  const floats = columns.filter(({ type }) => type === 'DOUBLE' || type === 'FLOAT').map(({ name }) => sqlName(name));
  if (floats.length === 0) return sql;
  return `select * replace (${floats.map((cell) => `case when isfinite(${cell}) then ${cell} end as ${cell}`).join(', ')}) from (${sql})`;
}
