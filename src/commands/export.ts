/** `export`: tables, views or an answer of the published lake in one file that opens elsewhere. */
import { Command, Option } from 'commander';
import { ConfigError } from '../kernel/errors.ts';
import { EXPORT_FORMATS } from '../query/export/forms.ts';
import type { Filter, Selection } from '../query/export/selection.ts';
import type { Exporter } from '../query/reader.ts';
import { findReport, parameterValues } from '../query/report.ts';
import { settingsOf, tellExport } from './result-file.ts';
import { selectRange } from './select.ts';
import { act, type Shell } from './shell.ts';

interface Wanted {
  readonly query?: string;
  readonly report?: string;
  readonly param?: readonly string[];
  readonly from?: string;
  readonly to?: string;
  readonly tenant?: string;
  readonly out: string;
  readonly format?: string;
  readonly force?: boolean;
  readonly excel?: boolean;
  readonly verbatim?: boolean;
}

export function exportCommand(shell: Shell): Command {
  return new Command('export')
    .description('Write tables, views, a report or a select to one file')
    .argument('[tables...]', 'tables or views, also as schema.table; several in a .duckdb file')
    .option('--query <select>', 'instead of tables: the rows of one select')
    .option('--report <name>', 'instead of tables: the rows of a report')
    .option('--param <name=value...>', 'values for the parameters of the report')
    .option('--from <date>', 'rows from this instant on, UTC')
    .option('--to <date>', 'rows before this instant, UTC')
    .option('--tenant <id>', 'rows of one tenant')
    .requiredOption('--out <file>', 'the file; without --format its ending says the form')
    .addOption(new Option('--format <format>', 'form of the file').choices(EXPORT_FORMATS))
    .option('--force', 'replace the file if it is there')
    .option('--excel', 'CSV for Excel: with a byte order mark, numbers of more than 15 digits as text')
    .option('--verbatim', 'leave text as it is, also where a spreadsheet would run it as a formula')
    .addHelpText(
      'after',
      `
Examples:
  $ insights-etl export events --from 2026-10-01 --to 2026-11-01 --out october.parquet
  $ insights-etl export passes pass_states coverage --tenant riviera-paris --out riviera.duckdb
  $ insights-etl export --report installs_per_day --param zone=Europe/Paris --out installs.xlsx
  $ insights-etl export --query "select * from logs where event_type = 'Error'" --out errors.csv --excel`,
    )
    .action((tables: readonly string[], wanted: Wanted, command: Command) =>
      act(shell, command, {}, async (session) => {
        const settings = settingsOf(session, wanted);
        const choose = await chooserOf(tables, wanted);
        const { exportFile } = await import('../query/export/write.ts');
        tellExport(session, await exportFile(settings, choose, session.signal));
        return 0;
      }),
    );
}

type Choose = (reader: Exporter) => Promise<readonly Selection[]>;

async function chooserOf(tables: readonly string[], wanted: Wanted): Promise<Choose> {
  const { query, report, tenant } = wanted;
  const ways = [tables.length > 0, query !== undefined, report !== undefined].filter(Boolean).length;
  if (ways !== 1)
    throw new ConfigError(ways === 0 ? 'Nothing is named to export.' : 'Several things are named to export.', {
      hint: 'Name tables, or give one of --query and --report; `insights-etl sql "show tables"` lists the tables.',
    });
  if (wanted.param !== undefined && report === undefined)
    throw new ConfigError('Only a report has parameters.', { hint: 'Give --report too.', where: { flag: '--param' } });
  const { selectFrom, selectTable } = await import('../query/export/selection.ts');
  const filter: Filter = {
    ...selectRange(wanted.from, wanted.to, undefined),
    ...(tenant === undefined ? {} : { tenant }),
  };
  if (query !== undefined) return async (reader) => [await selectFrom(reader, 'query', query, {}, filter)];
  if (report !== undefined) {
    const found = await findReport(report);
    // A report takes range and tenant itself: filtering its rows would cut the history that its figures need.
    const bounds = [['from', wanted.from], ['to', wanted.to], ['tenant', tenant]] as const; // prettier-ignore
    const words = bounds.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
    const values = parameterValues(found, [...words, ...(wanted.param ?? [])]);
    return async (reader) => [await selectFrom(reader, found.name, found.sql, values, {})];
  }
  return async (reader) => {
    const selections: Selection[] = [];
    for (const table of new Set(tables)) selections.push(await selectTable(reader, table, filter));
    return selections;
  };
}
