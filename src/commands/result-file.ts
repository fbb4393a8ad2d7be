/** A result in a file, which appears complete or not at all; and the account of what was written. */
import { resolve } from 'node:path';
import { ConfigError } from '../kernel/errors.ts';
import { EXPORT_FORMATS, formatOfFile, type ExportFormat, type ExportReport } from '../query/export/forms.ts';
import type { ExportSettings } from '../query/export/write.ts';
import { bytes, count, json, plural } from '../output/format.ts';
import type { Session } from './shell.ts';

/** Where and how a file is written, from the words of the command line. Throws ConfigError. */
export function settingsOf(
  { config, io }: Session,
  words: { out: string; format?: string | undefined; force?: boolean; excel?: boolean; verbatim?: boolean },
): ExportSettings {
  const { out, format, force = false, excel = false, verbatim = false } = words;
  return {
    dataDir: config.dataDir,
    engine: config.engine,
    out: resolve(io.cwd, out),
    format: chosenFormat(out, format),
    force,
    excel,
    verbatim,
  };
}

function chosenFormat(out: string, format: string | undefined): ExportFormat {
  const chosen = format === undefined ? formatOfFile(out) : EXPORT_FORMATS.find((known) => known === format);
  if (chosen !== undefined) return chosen;
  const hint = `Give --format ${EXPORT_FORMATS.join(', ')}, or a file name with such an ending.`;
  if (format === undefined)
    throw new ConfigError(`The name of the file does not say its form.`, { hint, where: { file: out } });
  throw new ConfigError(`"${format}" is for the screen, not for a file.`, { hint, where: { flag: '--format' } });
}

/** Writes the answer to one select into a file. */
export async function writeAnswer(
  session: Session,
  settings: ExportSettings,
  { name, sql, parameters }: { name: string; sql: string; parameters: Readonly<Record<string, string | null>> },
): Promise<number> {
  // Loaded when needed, with the engine.
  const { exportFile } = await import('../query/export/write.ts');
  const { selectFrom } = await import('../query/export/selection.ts');
  const report = await exportFile(
    settings,
    async (reader) => [await selectFrom(reader, name, sql, parameters, {})],
    session.signal,
  );
  tellExport(session, report);
  return 0;
}

/** What was written and how it was proven, in lines or as JSON. */
export function tellExport(session: Session, report: ExportReport): void {
  if (session.json) {
    session.print(`${json(report)}\n`);
    return;
  }
  const { file, format, tables, rows, sha256, snapshot, published, sheets = 1, cut = 0, neutralised = 0 } = report;
  const lines = [
    `${file}: ${plural(rows, 'row')} as ${format}, ${bytes(report.bytes)}`,
    ...(tables.length > 1 ? tables.map((table) => `  ${table.name}: ${plural(table.rows, 'row')}`) : []),
    `checked: ${count(rows)} written = ${count(rows)} in the snapshot${snapshot === undefined ? '' : ` ${snapshot} of ${published ?? ''}`}`,
    `sha256:  ${sha256}`,
    ...(sheets > 1 ? [`sheets:  ${sheets}, as one holds 1,048,576 rows`] : []),
    ...(neutralised > 0 ? [`note:    ${plural(neutralised, 'cell')} like a formula got an apostrophe in front`] : []),
    ...(cut > 0 ? [`note:    ${plural(cut, 'cell')} cut at 32,767 characters; Parquet holds them whole`] : []),
  ];
  session.print(`${lines.join('\n')}\n`);
}
