/** Prints the result of one select on standard output. */
import { once } from 'node:events';
import { printRows, type Format, type Printing } from '../output/rows.ts';
import type { Statement } from '../query/compare.ts';
import type { Reader } from '../query/reader.ts';
import { ReaderLeft, lostOutput } from './lost-output.ts';
import type { Session } from './shell.ts';
import type { TextStyle } from './text-style.ts';

/** One select with its values, and what to say about its result. */
export interface Asked extends Statement {
  readonly notes?: readonly string[];
}

/** Runs one select and prints it. `prepare` is called before with the open lake, and may choose another select. */
export async function answer(
  session: Session,
  given: string,
  values: Readonly<Record<string, string | null>>,
  format: Format,
  prepare?: (reader: Reader) => Promise<Asked>,
  style?: TextStyle,
): Promise<number> {
  const { config, signal } = session;
  // Loaded only when needed: loading the engine takes longer than loading everything else.
  const { openReader } = await import('../query/reader.ts');
  await using reader = await openReader(config.dataDir, config.engine, signal);
  const asked = (await prepare?.(reader)) ?? { sql: given, parameters: values };
  const zone = style?.zone;
  const shown = zone === undefined ? asked.sql : await localSql(reader, asked.sql, asked.parameters, zone);
  await printRows(await reader.query(shown, asked.parameters), format, printing(session), style?.csv);
  const notes = (asked.notes ?? []).map((note) => `note: ${note}\n`).join('');
  // Other formats are read by programs.
  if (format === 'table') await printing(session).print(notes);
  else session.io.stderr.write(notes);
  return 0;
}

async function localSql(reader: Reader, sql: string, values: Values, zone: string): Promise<string> {
  const { inZone, selectFrom } = await import('../query/export/selection.ts');
  return inZone(await selectFrom(reader, 'answer', sql, values, {}), zone).sql;
}

type Values = Readonly<Record<string, string | null>>;

/**
 * Standard output for `printRows`. A slow reader of the pipe slows the query down instead of filling memory, and one that
 * leaves ends it.
 */
export function printing({ style, io }: Pick<Session, 'style' | 'io'>): Printing {
  const { stdout } = io;
  const check = (error: Error | undefined): void => {
    if (error) throw lostOutput(error) ?? new ReaderLeft();
  };
  const print = async (text: string): Promise<void> => {
    check(io.outputError?.());
    if (!stdout.write(text)) await once(stdout, 'drain').catch(check);
  };
  return { style, print };
}
