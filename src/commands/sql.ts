/** `sql`: runs a statement, a file of statements, statements from a pipe, or a prompt. Read-only, also during a run. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { ConfigError, errorCode } from '../kernel/errors.ts';
import { FORMATS, type Format } from '../output/rows.ts';
import { answer } from './answer.ts';
import { warnOfFormerMarts } from './report-names.ts';
import { act, type Session, type Shell } from './shell.ts';
import { requireCsv, textStyleOf, withTextFlags } from './text-style.ts';
import type { TextFlags, TextStyle } from './text-style.ts';
import { cutStatements, isEmpty } from './statements.ts';

interface SqlOptions extends TextFlags {
  readonly file?: string;
  readonly param?: readonly string[];
  readonly format: Format;
}

export function sqlCommand(shell: Shell): Command {
  return withTextFlags(new Command('sql'))
    .argument('[select]', 'one statement; "show tables" lists the views')
    .option('--param <name=value...>', 'values for $name in the statements, as text')
    .option('--file <file>', 'run the statements of a file, separated by semicolons')
    .addOption(new Option('--format <format>', 'format of the result').choices(FORMATS).default('table'))
    .addHelpText(
      'after',
      `
Examples:
  $ insights-etl sql "select event_type, count(*) from events group by all order by 2 desc"
  $ insights-etl sql "from coverage where state <> 'verified'" --format csv
  $ insights-etl sql --file monthly.sql --format md --param month=2026-10   # for $month in the file
  $ insights-etl sql                                # a prompt with history and Tab completion`,
    )
    .action((select: string | undefined, options: SqlOptions, command: Command) =>
      act(shell, command, {}, async (session) => {
        const format = session.json ? 'json' : options.format;
        const style = textStyleOf(options);
        const values = valuesOf(options.param ?? []);
        requireCsv(style, format);
        if (select !== undefined && options.file !== undefined)
          throw new ConfigError('A statement and --file cannot be combined.', { hint: 'Give only one of them.' });
        if (select !== undefined) return runOne(session, select, { format, style, values });
        if (options.file !== undefined)
          return runPieces(session, { format, style, values }, [await readText(resolve(session.io.cwd, options.file))]);
        const { stdin, stdout } = session.io;
        if (stdin === undefined)
          throw new ConfigError('There is no statement.', { hint: 'Give one as an argument or with --file.' });
        // If the output goes to a file, a prompt would end up in it.
        if (stdin.isTTY !== true || stdout.isTTY !== true)
          return runPieces(session, { format, style, values }, stdin.setEncoding('utf8'));
        if (options.param !== undefined)
          throw new ConfigError('The prompt takes no parameters.', {
            hint: 'Give a statement, --file, or statements from a pipe.',
            where: { flag: '--param' },
          });
        const { prompt } = await import('./prompt.ts');
        return prompt(session, stdin, format);
      }),
    );
}

interface Look {
  readonly format: Format;
  readonly style: TextStyle;
  readonly values: ReadonlyMap<string, string>;
}

function valuesOf(words: readonly string[]): ReadonlyMap<string, string> {
  return new Map(
    words.map((word) => {
      const [, name, value] = /^([a-z_]\w*)=([\s\S]*)$/i.exec(word) ?? [];
      if (name !== undefined && value !== undefined) return [name, value] as const;
      throw new ConfigError(`"${word}" gives no parameter a value.`, {
        hint: 'Write name=value, such as month=2026-10, and $name in the statement.',
        where: { flag: '--param' },
      });
    }),
  );
}

async function runOne(session: Session, statement: string, { format, style, values }: Look): Promise<number> {
  await warnOfFormerMarts(session, statement);
  // The engine refuses values that a statement does not use, and a file may have several statements.
  const used = [...values].filter(([name]) => new RegExp(`\\$${name}\\b`).test(statement));
  return answer(session, statement, Object.fromEntries(used), format, undefined, style);
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`The file of statements cannot be read (${errorCode(error) ?? 'error'}).`, {
      hint: 'Check its name, and that you may read it.',
      where: { file: path },
      cause: error,
    });
  }
}

/** Runs statements as they arrive, each on the newest snapshot. Ends at the first that fails. */
async function runPieces(
  session: Session,
  look: Look,
  pieces: AsyncIterable<string | Buffer> | Iterable<string>,
): Promise<number> {
  let pending = '';
  let done = 0;
  const run = async (statement: string): Promise<void> => {
    // An empty line between tables; formats for programs get none.
    if (done++ > 0 && (look.format === 'table' || look.format === 'md')) session.print('\n');
    await runOne(session, statement, look);
  };
  for await (const piece of pieces) {
    const { statements, rest } = cutStatements(pending + String(piece));
    pending = rest;
    for (const statement of statements) await run(statement);
  }
  if (!isEmpty(pending)) await run(pending);
  if (done === 0)
    throw new ConfigError('There is no statement.', {
      hint: 'Give a select such as "select count(*) from events"; "show tables" lists the tables and views.',
    });
  return 0;
}
