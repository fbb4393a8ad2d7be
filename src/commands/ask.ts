/** `query` and `sql`: answers from the published lake, which other processes may be writing meanwhile. */
import { once } from 'node:events';
import { Command, Option } from 'commander';
import { ConfigError } from '../errors.ts';
import { json } from '../output/format.ts';
import { FORMATS, printRows, type Format } from '../output/rows.ts';
import { findReport, listReports, parameterValues, type Report } from '../report.ts';
import { act, type Session, type Shell } from './shell.ts';

const formatOption = (): Option =>
  new Option('--format <format>', 'form of the result').choices(FORMATS).default('table');

interface Asked {
  readonly list?: boolean;
  readonly param?: readonly string[];
  readonly format: Format;
}

export function queryCommand(shell: Shell): Command {
  return new Command('query')
    .description('Run one of the reports in queries/kpi')
    .argument('[name]', 'report; --list shows them all')
    .option('--list', 'list the reports with their parameters')
    .option('--param <name=value...>', 'values for the parameters of the report')
    .addOption(formatOption())
    .addHelpText(
      'after',
      `
Examples:
  $ insights-etl query --list
  $ insights-etl query installs_per_day --param from=2026-10-01 zone=Europe/Paris
  $ insights-etl query log_errors_per_day --format csv > errors.csv`,
    )
    .action((name: string | undefined, options: Asked, command: Command) =>
      act(shell, command, {}, async (session) => {
        if (options.list === true) return tellReports(session, await listReports());
        if (name === undefined)
          throw new ConfigError('No report is named.', { hint: '`insights-etl query --list` shows the reports.' });
        const report = await findReport(name);
        return answer(session, report.sql, parameterValues(report, options.param ?? []), formatOf(session, options));
      }),
    );
}

export function sqlCommand(shell: Shell): Command {
  return new Command('sql')
    .description('Run one select over the catalogue, read-only')
    .argument('<select>', 'one statement; "show tables" lists the views')
    .addOption(formatOption())
    .addHelpText(
      'after',
      `
Examples:
  $ insights-etl sql "select event_type, count(*) from events group by all order by 2 desc"
  $ insights-etl sql "from coverage where state <> 'verified'" --format csv`,
    )
    .action((select: string, options: Asked, command: Command) =>
      act(shell, command, {}, (session) => answer(session, select, {}, formatOf(session, options))),
    );
}

function formatOf(session: Session, options: Asked): Format {
  return session.json ? 'json' : options.format;
}

/** Runs one select and prints it; used by the demo for its reports too. */
export async function answer(
  session: Session,
  sql: string,
  parameters: Readonly<Record<string, string | null>>,
  format: Format,
): Promise<number> {
  const { config, signal } = session;
  // Loaded when needed: the engine takes longer to load than everything else together.
  const { openReader } = await import('../reader.ts');
  await using reader = await openReader(config.dataDir, config.engine, signal);
  const { stdout } = session.io;
  await printRows(await reader.query(sql, parameters), format, {
    colour: session.colour,
    // A slow reader of the pipe slows the query, instead of filling our memory.
    print: async (text) => void (stdout.write(text) || (await once(stdout, 'drain'))),
  });
  return 0;
}

function tellReports(session: Session, reports: readonly Report[]): number {
  if (session.json) {
    session.print(`${json(reports.map(({ sql: _sql, ...head }) => head))}\n`);
    return 0;
  }
  for (const report of reports) {
    session.print(`${report.name}: ${report.title}\n  ${report.description} Grain: ${report.grain}.\n`);
    for (const { name, kind, fallback, description } of report.parameters)
      session.print(`  --param ${name}=<${kind}>  ${description} (default ${fallback ?? 'none'})\n`);
  }
  return 0;
}
