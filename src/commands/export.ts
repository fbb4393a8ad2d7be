/** `export`: writes tables, views, a report or a select of the published lake to one file. */
import { Command, Option } from 'commander';
import { ConfigError } from '../kernel/errors.ts';
import { EXPORT_FORMATS } from '../query/export/forms.ts';
import type { Filter, Selection } from '../query/export/selection.ts';
import type { Exporter } from '../query/reader.ts';
import { reportStatement } from '../query/compare.ts';
import { daysOf, todayIn } from '../query/days.ts';
import { parameterValues } from '../query/report.ts';
import { reportNamed, warnOfFormerMarts } from './report-names.ts';
import { exportProject, projectNamed } from './export-project.ts';
import { printExport, settingsOf } from './result-file.ts';
import { selectRange } from './select.ts';
import { act, type Session, type Shell } from './shell.ts';
import { localZone, textStyleOf, withTextFlags, zoneWords } from './text-style.ts';
import type { TextFlags } from './text-style.ts';
import type { ExportFormat } from '../query/export/forms.ts';

interface ExportOptions extends TextFlags {
  readonly query?: string;
  readonly report?: string;
  readonly param?: readonly string[];
  readonly from?: string;
  readonly to?: string;
  readonly tenant?: string;
  readonly out: string;
  readonly format?: string;
  readonly force?: boolean;
}

export function exportCommand(shell: Shell): Command {
  return withTextFlags(new Command('export'))
    .argument(
      '[tables...]',
      'tables or views, also as schema.table; a .duckdb file can hold several. `dbt`, `semantic` or `spark`: files for these tools',
    )
    .option('--query <select>', 'export the rows of a select instead of tables')
    .option('--report <name>', 'export the rows of a report instead of tables')
    .option('--param <name=value...>', 'values for the parameters of the report')
    .option('--from <date>', 'only rows from this instant on, inclusive, UTC; also yesterday, last_month or -30d')
    .option('--to <date>', 'only rows before this instant, exclusive, UTC')
    .option('--tenant <id>', 'only rows of this tenant')
    .requiredOption(
      '--out <file>',
      'file to write; its extension sets the format unless --format does. Of a project: its folder',
    )
    .addOption(new Option('--format <format>', 'format of the file').choices(EXPORT_FORMATS))
    .option('--force', 'replace the file if it exists')
    .addHelpText(
      'after',
      `
Examples:
  $ insights-etl export events --from 2026-10-01 --to 2026-11-01 --out october.parquet
  $ insights-etl export passes pass_states coverage --tenant riviera-paris --out riviera.duckdb
  $ insights-etl export --report installs --param zone=Europe/Paris --out installs.xlsx
  $ insights-etl export --query "select * from logs where event_type = 'Error'" --out errors.csv --excel
  $ insights-etl export dbt --out analytics && insights-etl export semantic --out analytics`,
    )
    .action((tables: readonly string[], options: ExportOptions, command: Command) =>
      act(shell, command, {}, async (session) => {
        const project = projectNamed(tables);
        if (project !== undefined) return exportProject(session, project, options, flagsOf(command));
        const style = textStyleOf(options);
        const settings = settingsOf(session, options, style);
        const { inZone } = await import('../query/export/selection.ts');
        const { choose, zone } = await chooserOf(session, tables, options, settings.format, style.zone);
        const { exportFile } = await import('../query/export/write.ts');
        const chosen: Choose = async (reader) => {
          const selections = await choose(reader);
          return zone === undefined ? selections : selections.map((selection) => inZone(selection, zone));
        };
        return printExport(session, await exportFile(settings, chosen, session.signal));
      }),
    );
}

/** Flags of `export` that were given, apart from those that a project takes. */
function flagsOf(command: Command): string[] {
  return command.options
    .filter((option) => command.getOptionValueSource(option.attributeName()) === 'cli')
    .flatMap(({ long }) => (typeof long !== 'string' || long === '--out' || long === '--force' ? [] : [long]));
}

type Choose = (reader: Exporter) => Promise<readonly Selection[]>;

/** What to export, and the zone of its local times. */
async function chooserOf(
  session: Session,
  tables: readonly string[],
  options: ExportOptions,
  format: ExportFormat,
  zone: string | undefined,
): Promise<{ readonly choose: Choose; readonly zone: string | undefined }> {
  const { query, report, tenant } = options;
  const kinds = [tables.length > 0, query !== undefined, report !== undefined].filter(Boolean).length;
  if (kinds !== 1)
    throw new ConfigError(
      kinds === 0 ? 'There is nothing to export.' : 'Only one kind of export is possible at a time.',
      {
        hint: 'Name tables, or give either --query or --report; `insights-etl sql "show tables"` lists the tables.',
      },
    );
  if (options.param !== undefined && report === undefined)
    throw new ConfigError('Only a report has parameters.', { hint: 'Add --report.', where: { flag: '--param' } });
  const { prepareReport } = await import('../query/split.ts');
  const { selectFrom, selectTable } = await import('../query/export/selection.ts');
  const filter: Filter = {
    ...(report === undefined
      ? selectRange(dayOrWord(session, options.from), dayOrWord(session, options.to), undefined)
      : {}),
    ...(tenant === undefined ? {} : { tenant }),
  };
  await warnOfFormerMarts(session, [query ?? '', ...tables].join(' '));
  if (query !== undefined)
    return { choose: async (reader) => [await selectFrom(reader, 'query', query, {}, filter)], zone };
  if (report !== undefined) {
    const found = await reportNamed(session, report);
    // Range and tenant are parameters of a report: filtering its rows would cut off the history that its figures need.
    const bounds = [['from', options.from], ['to', options.to], ['tenant', tenant]] as const; // oxfmt-ignore
    const words = bounds.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
    const flags = Object.fromEntries(
      bounds.flatMap(([name, value]) => (value === undefined ? [] : [[name, `--${name}`]])),
    );
    const nowMs = session.runtime.now();
    const given = [...zoneWords(found, zone), ...words, ...(options.param ?? [])];
    const values = parameterValues(found, given, { nowMs, flags });
    const choose: Choose = async (reader) => {
      const prepared = await prepareReport(reader, found, values, '--param, --tenant');
      for (const note of prepared.notes) session.io.stderr.write(`note: ${note}\n`);
      const { sql, parameters } = await reportStatement(reader, found, prepared, given, nowMs);
      return [await selectFrom(reader, found.name, sql, parameters, {})];
    };
    return { choose, zone: localZone(zone, values, format) };
  }
  const choose: Choose = async (reader) => {
    const selections: Selection[] = [];
    for (const table of new Set(tables)) selections.push(await selectTable(reader, table, filter));
    return selections;
  };
  return { choose, zone };
}

/** A word such as yesterday or -30d as the UTC day that it means. Any other text stays. */
function dayOrWord({ runtime }: Session, text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  return daysOf(text, { today: todayIn('UTC', runtime.now()), weekStart: 'monday' })?.from ?? text;
}
