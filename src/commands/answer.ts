/** Prints the result of one select on standard output. */
import { once } from 'node:events';
import { printRows, type Format, type Printing } from '../output/rows.ts';
import type { Statement } from '../query/compare.ts';
import type { Reader } from '../query/reader.ts';
import { ReaderLeft, lostOutput } from './lost-output.ts';
import type { Session } from './shell.ts';
import type { TextStyle } from './text-style.ts';

/** Runs one select and prints it. `check` is called before with the open lake; a statement that it returns is run instead. */
export async function answer(
  session: Session,
  given: string,
  values: Readonly<Record<string, string | null>>,
  format: Format,
  check?: (reader: Reader) => Promise<Statement | void>,
  style?: TextStyle,
): Promise<number> {
  const { config, signal } = session;
  // Loaded only when needed: loading the engine takes longer than loading everything else.
  const { openReader } = await import('../query/reader.ts');
  await using reader = await openReader(config.dataDir, config.engine, signal);
  const { sql, parameters } = (await check?.(reader)) ?? { sql: given, parameters: values };
  const zone = style?.zone;
  const shown = zone === undefined ? sql : await localSql(reader, sql, parameters, zone);
  await printRows(await reader.query(shown, parameters), format, printing(session), style?.csv);
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
