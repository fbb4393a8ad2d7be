/** Writes a result to a file and reports what was written. The file appears complete or not at all. */
import { resolve } from 'node:path';
import { ConfigError, EXIT } from '../kernel/errors.ts';
import { notLocal } from '../kernel/local-path.ts';
import { EXPORT_FORMATS, formatOfFile, type ExportFormat, type ExportReport } from '../query/export/forms.ts';
import type { ExportSettings } from '../query/export/write.ts';
import { count, plural } from '../kernel/plural.ts';
import { bytes, json } from '../output/format.ts';
import type { Reader } from '../query/reader.ts';
import type { Asked } from './answer.ts';
import type { Session } from './shell.ts';
import { requireCsv } from './text-style.ts';
import type { TextStyle } from './text-style.ts';

/** The absolute path that `--out` names. Throws ConfigError if it is not on this machine. */
export function pathOfOut({ io }: Pick<Session, 'io'>, out: string, kind: 'file' | 'folder'): string {
  const instead = notLocal(out);
  if (instead !== undefined)
    throw new ConfigError(`"${out}" is not a ${kind} of this machine.`, {
      hint: `Give ${instead}.`,
      where: { flag: '--out' },
    });
  return resolve(io.cwd, out);
}

/** Where and how to write a file, from the flags. Throws ConfigError. */
export function settingsOf(
  session: Session,
  flags: { out: string; format?: string | undefined; force?: boolean },
  style: TextStyle,
): ExportSettings {
  const { out, format, force = false } = flags;
  const path = pathOfOut(session, out, 'file');
  const chosen = chosenFormat(out, format);
  requireCsv(style, chosen);
  return {
    dataDir: session.config.dataDir,
    engine: session.config.engine,
    out: path,
    format: chosen,
    force,
    csv: style.csv,
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

/** Writes the result of one select to a file. `prepare` is called before with the open lake, and chooses the select. */
export async function writeAnswer(
  session: Session,
  settings: ExportSettings,
  name: string,
  prepare: (reader: Reader) => Promise<Asked>,
  zone?: string,
): Promise<number> {
  // Loaded only when needed: it loads the engine.
  const { exportFile } = await import('../query/export/write.ts');
  const { inZone, selectFrom } = await import('../query/export/selection.ts');
  const remarks: string[] = [];
  const report = await exportFile(
    settings,
    async (reader) => {
      const { sql, parameters, notes = [] } = await prepare(reader);
      remarks.push(...notes);
      const selection = await selectFrom(reader, name, sql, parameters, {});
      return [zone === undefined ? selection : inZone(selection, zone)];
    },
    session.signal,
  );
  for (const note of remarks) session.io.stderr.write(`note: ${note}\n`);
  return printExport(session, report);
}

/** Prints what was written and verified, as text or as JSON. The exit code says whether the format could hold all of it. */
export function printExport(session: Session, report: ExportReport): number {
  const exitCode = (report.cut ?? 0) > 0 ? EXIT.partial : EXIT.ok;
  // The file may be standard output itself.
  const print = (text: string): void =>
    report.streamed === true ? void session.io.stderr.write(text) : session.print(text);
  if (session.json) {
    print(`${json(report)}\n`);
    return exitCode;
  }
  const { file, format, tables, rows, sha256, snapshot, published, sheets = 1, cut = 0, neutralised = 0 } = report;
  const lines = [
    `${file}: ${plural(rows, 'row')} as ${format}, ${bytes(report.bytes)}`,
    ...(tables.length > 1 ? tables.map((table) => `  ${table.name}: ${plural(table.rows, 'row')}`) : []),
    `checked: ${count(rows)} ${report.format === 'xlsx' ? 'read back' : 'written'} = ${count(rows)} in the snapshot${snapshot === undefined ? '' : ` ${snapshot} of ${published ?? ''}`}`,
    `sha256:  ${sha256}`,
    ...(sheets > 1 ? [`sheets:  ${sheets}, because one sheet holds at most 1,048,576 rows`] : []),
    ...(neutralised > 0
      ? [`note:    ${plural(neutralised, 'cell')} prefixed with an apostrophe so that they do not run as formulas`]
      : []),
    ...(cut > 0
      ? [
          `note:    ${plural(cut, 'cell')} cut at 32,767 characters, the limit of Excel (exit code ${EXIT.partial}); Parquet and CSV have no such limit`,
        ]
      : []),
  ];
  print(`${lines.join('\n')}\n`);
  return exitCode;
}
