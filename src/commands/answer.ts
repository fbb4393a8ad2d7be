/** Prints the result of one select on standard output. */
import { once } from 'node:events';
import { printRows, type Format, type Printing } from '../output/rows.ts';
import type { Reader } from '../query/reader.ts';
import { ReaderLeft, lostOutput } from './lost-output.ts';
import type { Session } from './shell.ts';

/** Runs one select and prints it. `check` is called before with the open lake. */
export async function answer(
  session: Session,
  sql: string,
  parameters: Readonly<Record<string, string | null>>,
  format: Format,
  check?: (reader: Reader) => Promise<void>,
): Promise<number> {
  const { config, signal } = session;
  // Loaded only when needed: loading the engine takes longer than loading everything else.
  const { openReader } = await import('../query/reader.ts');
  await using reader = await openReader(config.dataDir, config.engine, signal);
  await check?.(reader);
  await printRows(await reader.query(sql, parameters), format, printing(session));
  return 0;
}

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
