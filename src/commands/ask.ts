/** `query`: runs a report over the published lake, also while another process writes to it. */
import { Command, Option } from 'commander';
import { ConfigError } from '../kernel/errors.ts';
import { drawChart, parseChart } from '../output/chart.ts';
import { reportHelp, reportList } from '../output/reports.ts';
import { json } from '../output/format.ts';
import { FORMATS, type Format } from '../output/rows.ts';
import { reportStatement } from '../query/compare.ts';
import { allParameters, listReports, parameterValues, type Report, type Values } from '../query/report.ts';
import type { Reader } from '../query/reader.ts';
import { printing, answer } from './answer.ts';
import type { Asked } from './answer.ts';
import { ownReports, reportNamed } from './report-names.ts';
import { settingsOf, writeAnswer } from './result-file.ts';
import { act, type Session, type Shell } from './shell.ts';
import { localZone, requireCsv, textStyleOf, withTextFlags, zoneWords } from './text-style.ts';
import type { TextFlags } from './text-style.ts';

/** Binary formats: they need `--out`. */
const FILE_FORMATS = ['parquet', 'xlsx'] as const;

interface QueryOptions extends TextFlags {
  readonly list?: boolean;
  readonly help?: boolean;
  readonly param?: readonly string[];
  readonly format?: Format | (typeof FILE_FORMATS)[number];
  readonly out?: string;
  readonly force?: boolean;
  readonly chart?: boolean;
}

export function queryCommand(shell: Shell): Command {
  return withTextFlags(new Command('query'))
    .argument('[name]', 'name of the report; --list shows all')
    .option('--list', 'list the reports by the question that they answer')
    .option('--param <name=value...>', 'values for the parameters of the report')
    .addOption(
      new Option('--format <format>', 'format of the result (default: table)').choices([...FORMATS, ...FILE_FORMATS]),
    )
    .option('--out <file>', 'write the result to a file; its extension sets the format unless --format does')
    .option('--force', 'replace the file if it exists')
    .option('--chart', 'draw the result as a chart')
    .helpOption(false)
    .option('-h, --help', 'explain this command, or the report that is named')
    .addHelpText(
      'after',
      `
Examples:
  $ insights-etl query --list
  $ insights-etl query net_growth --help
  $ insights-etl query installs --param from=2026-10-01 zone=Europe/Paris
  $ insights-etl query net_growth --chart
  $ insights-etl query gross_installs --param by=store,platform pass_type=gold,silver
  $ insights-etl query log_errors --out errors.xlsx`,
    )
    .action(async (name: string | undefined, options: QueryOptions, command: Command) => {
      if (options.help === true && name === undefined) return command.outputHelp();
      return act(shell, command, {}, async (session) => {
        if (options.list === true)
          return printReports(session, [...(await listReports()), ...(await ownReports(session, 'kpi'))]);
        if (name === undefined)
          throw new ConfigError('No report is named.', { hint: '`insights-etl query --list` shows the reports.' });
        const report = await reportNamed(session, name);
        if (options.help === true) {
          session.print(
            reportHelp(report, allParameters(report), ['tenant', ...report.dimensions.allowed], session.style.width),
          );
          return 0;
        }
        const style = textStyleOf(options);
        const words = [...zoneWords(report, style.zone), ...(options.param ?? [])];
        const nowMs = session.runtime.now();
        const values = parameterValues(report, words, { nowMs });
        const prepare = async (reader: Reader): Promise<Asked> => statementFor(reader, report, words, values, nowMs);
        if (options.chart === true) return showChart(session, report, values, prepare);
        const { out, force = false } = options;
        if (out !== undefined) {
          const settings = settingsOf(session, { out, format: options.format, force }, style);
          return writeAnswer(session, settings, report.name, prepare, localZone(style.zone, values, settings.format));
        }
        const format = session.json ? 'json' : (options.format ?? 'table');
        if (format === 'parquet' || format === 'xlsx')
          throw new ConfigError(`The format ${format} can only be written to a file.`, {
            hint: `Name the file: --out ${report.name}.${format}.`,
            where: { flag: '--format' },
          });
        requireCsv(style, format);
        return answer(session, report.sql, values, format, prepare, style);
      });
    });
}

/** Refuses filter values that the lake does not have, and returns the statement to run. */
async function statementFor(
  reader: Reader,
  report: Report,
  words: readonly string[],
  values: Values,
  nowMs: number,
): Promise<Asked> {
  // Loaded only when needed: it loads the engine.
  const { prepareReport } = await import('../query/split.ts');
  const prepared = await prepareReport(reader, report, values, '--param');
  return { ...(await reportStatement(reader, report, prepared, words, nowMs)), notes: prepared.notes };
}

async function showChart(
  session: Session,
  report: Report,
  values: Values,
  prepare: (reader: Reader) => Promise<Asked>,
): Promise<number> {
  const spec = parseChart(report.chart);
  if (spec === undefined)
    throw new ConfigError(`Report "${report.name}" has no chart.`, {
      hint: 'Omit --chart, or add a line such as "-- chart: line x=period y=installs" to the file of the report.',
      where: { flag: '--chart' },
    });
  const { config, signal, io } = session;
  const { openReader } = await import('../query/reader.ts');
  await using reader = await openReader(config.dataDir, config.engine, signal);
  const { sql, parameters, notes = [] } = await prepare(reader);
  const drawn = await drawChart(await reader.query(sql, parameters), spec, io.stdout.columns ?? 80, {
    ratios: report.ratios,
    grain: values['grain'],
    dimensions: values['by']?.split(',') ?? [],
  });
  const unit = report.unit === undefined ? '' : ` (${report.unit})`;
  const remarks = notes.map((note) => `note: ${note}\n`).join('');
  await printing(session).print(`${report.title}${unit}\n\n${drawn}${remarks}`);
  return 0;
}

function printReports(session: Session, reports: readonly Report[]): number {
  if (session.json) {
    session.print(
      `${json(reports.map(({ sql: _sql, ...head }) => ({ ...head, parameters: allParameters({ sql: _sql, ...head }) })))}\n`,
    );
    return 0;
  }
  session.print(reportList(reports, session.style.width));
  return 0;
}
