/** Writes a result to a file and reports what was written. The file appears complete or not at all. */
import { resolve } from 'node:path';
import { ConfigError } from '../kernel/errors.ts';
import { notLocal } from '../kernel/local-path.ts';
import { EXPORT_FORMATS, formatOfFile, type ExportFormat, type ExportReport } from '../query/export/forms.ts';
import type { ExportSettings } from '../query/export/write.ts';
import { bytes, count, json, plural } from '../output/format.ts';
import type { Reader } from '../query/reader.ts';
import type { Session } from './shell.ts';

/** Where and how to write a file, from the flags. Throws ConfigError. */
export function settingsOf(
  { config, io }: Session,
  flags: { out: string; format?: string | undefined; force?: boolean; excel?: boolean; verbatim?: boolean },
): ExportSettings {
  const { out, format, force = false, excel = false, verbatim = false } = flags;
  const instead = notLocal(out);
  if (instead !== undefined)
    throw new ConfigError(`"${out}" is not a file of this machine.`, {
      hint: `Give ${instead}.`,
      where: { flag: '--out' },
    });
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
  const hint = `Use one of ${EXPORT_FORMATS.join(', ')}, as --format or as the extension of the file.`;
  if (format === undefined)
    throw new ConfigError(`The extension of the file is not a known format.`, { hint, where: { file: out } });
  throw new ConfigError(`The format "${format}" can only be printed, not written to a file.`, {
    hint,
    where: { flag: '--format' },
  });
}

/** Writes the result of one select to a file. `check` is called before with the open lake. */
export async function writeAnswer(
  session: Session,
  settings: ExportSettings,
  { name, sql, parameters }: { name: string; sql: string; parameters: Readonly<Record<string, string | null>> },
  check: (reader: Reader) => Promise<void>,
): Promise<number> {
  // Loaded only when needed: it loads the engine.
  const { exportFile } = await import('../query/export/write.ts');
  const { selectFrom } = await import('../query/export/selection.ts');
  const report = await exportFile(
    settings,
    async (reader) => {
      await check(reader);
      return [await selectFrom(reader, name, sql, parameters, {})];
    },
    session.signal,
  );
  printExport(session, report);
  return 0;
}

/** Prints what was written and verified, as text or as JSON. */
export function printExport(session: Session, report: ExportReport): void {
  // The file may be standard output itself.
  const print = (text: string): void =>
    report.streamed === true ? void session.io.stderr.write(text) : session.print(text);
  if (session.json) {
    print(`${json(report)}\n`);
    return;
  }
  const { file, format, tables, rows, sha256, snapshot, published, sheets = 1, cut = 0, neutralised = 0 } = report;
  const lines = [
    `${file}: ${plural(rows, 'row')} as ${format}, ${bytes(report.bytes)}`,
    ...(tables.length > 1 ? tables.map((table) => `  ${table.name}: ${plural(table.rows, 'row')}`) : []),
    `checked: ${count(rows)} written = ${count(rows)} in the snapshot${snapshot === undefined ? '' : ` ${snapshot} of ${published ?? ''}`}`,
    `sha256:  ${sha256}`,
    ...(sheets > 1 ? [`sheets:  ${sheets}, because one sheet holds at most 1,048,576 rows`] : []),
    ...(neutralised > 0
      ? [`note:    ${plural(neutralised, 'cell')} prefixed with an apostrophe so that they do not run as formulas`]
      : []),
    ...(cut > 0
      ? [`note:    ${plural(cut, 'cell')} cut at 32,767 characters, the limit of Excel; Parquet has no such limit`]
      : []),
  ];
  print(`${lines.join('\n')}\n`);
}
