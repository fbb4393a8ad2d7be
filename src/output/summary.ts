/** The reports of the pipeline as tables for people; `--json` prints the reports themselves. */
import type {
  DoctorCheck,
  DoctorReport,
  Left,
  PlanReport,
  RebuildReport,
  ReportedError,
  RunReport,
  StatusReport,
  TableReport,
  VerifyReport,
} from '../model/report.ts';
import type { HourCounts } from '../model/coverage.ts';
import { DRIFT_DAYS } from '../model/report.ts';
import { checksText } from './checks.ts';
import { driftText } from './drift.ts';
import { bytes, count, duration, plural } from './format.ts';
import { renderTable, type Column } from './table.ts';
import { visibleLines } from './visible.ts';

/** What `repair` found. */
interface RepairReport {
  readonly files: number;
  readonly rows: number;
  readonly leftOut: number;
  readonly setAside: string | undefined;
}

const left = (title: string): Column => ({ title });
const right = (title: string): Column => ({ title, align: 'right' });

export function runSummary(report: RunReport, colour: boolean): string {
  const { tables } = report;
  const figures: readonly { title: string; of: (table: TableReport) => number; always?: true }[] = [
    { title: 'fetched', of: (table) => table.rowsFetched, always: true },
    { title: 'new', of: (table) => table.inserted, always: true },
    { title: 'replaced', of: (table) => table.replaced },
    { title: 'removed', of: (table) => table.removed },
    { title: 'copies', of: (table) => table.duplicates },
    { title: 'quarantined', of: (table) => table.quarantined },
    { title: 'calls', of: (table) => table.calls, always: true },
    { title: 'pages', of: (table) => table.pages, always: true },
  ];
  // What did not happen takes no column: most runs then fit a narrow terminal.
  const shown = figures.filter(({ of, always }) => always === true || tables.some((table) => of(table) > 0));
  const columns = [
    left('tenant'),
    left('table'),
    left('outcome'),
    right('hours verified'),
    ...shown.map(({ title }) => right(title)),
  ];
  const rows = tables.map((table) => [
    table.tenant,
    table.table,
    table.grade === 'checksum' ? table.outcome : `${table.outcome} (${table.grade})`,
    hoursText(table.hours),
    ...shown.map(({ of }) => count(of(table))),
  ]);
  const calls = tables.reduce((sum, table) => sum + table.calls, 0);
  return (
    renderTable(columns, rows, colour) +
    leftSummary(tables, 'left for the next run', colour) +
    problems(tables) +
    checksText(report.checks, 'Checks that failed over what this run changed', colour) +
    driftText(report.drift, 'The shape of the rows has changed', colour) +
    `\n${whatHappened(report)} · ${plural(calls, 'call')} · ${duration(report.seconds)}\n`
  );
}

/** What a budget does not suffice for, and the instant from which on it is lost. */
function leftSummary(
  tables: readonly { tenant: string; table: string; left?: Left }[],
  title: string,
  colour: boolean,
): string {
  const short = tables.flatMap(({ tenant, table, left: rest }) => (rest ? [{ tenant, table, rest }] : []));
  if (short.length === 0) return '';
  const columns = [
    left('tenant'),
    left('table'),
    right('hours'),
    right('rows'),
    right('calls'),
    left('lost at the source'),
  ];
  const rows = short.map(({ tenant, table, rest }) => [
    tenant,
    table,
    ...(rest.compared ? [count(rest.hours), count(rest.rows), count(rest.calls)] : ['not compared', '', '1 or more']),
    rest.lostAt === undefined ? 'never' : `from ${rest.lostAt.slice(0, 16)}Z`,
  ]);
  return `\n${title}:\n${renderTable(columns, rows, colour)}`;
}

function whatHappened(report: RunReport): string {
  return report.isBehind
    ? `${whatChanged(report)} · stopped: marts and checks are the next run's`
    : whatChanged(report);
}

function whatChanged({ tables, published }: RunReport): string {
  if (tables.some((table) => table.changed)) return 'published';
  if (published) return 'no new row, coverage published';
  return tables.some((table) => table.error) ? 'no file changed' : 'nothing new, no file changed';
}

export function planSummary(report: PlanReport, colour: boolean): string {
  const columns = [
    left('tenant'), left('table'), right('stale hours'), right('new'), right('changed'), right('vanished'),
    right('rows'), right('bytes'), right('pages'), right('calls'), right('minutes'),
  ]; // prettier-ignore
  const rows = report.tables.map((table) => [
    table.tenant,
    table.table,
    count(table.staleHours),
    count(table.reasons.new),
    count(table.reasons.changed),
    count(table.reasons.vanished),
    count(table.rows),
    bytes(table.bytes),
    count(table.pages),
    count(table.calls),
    table.minutes.toFixed(1),
  ]);
  return (
    renderTable(columns, rows, colour) +
    leftSummary(report.tables, 'beyond the budget of one run, left for the next', colour) +
    problems(report.tables) +
    `\nplanned with ${plural(report.callsUsed, 'call')}; no page was fetched. \`insights-etl run\` does it.\n`
  );
}

export function verifySummary(report: VerifyReport, colour: boolean): string {
  const columns = [
    left('tenant'),
    left('table'),
    right('files read'),
    right('damaged'),
    right('hours verified'),
    right('hours differing'),
  ];
  const rows = report.tables.map((table) => [
    table.tenant,
    table.table,
    count(table.filesRead),
    count(table.filesDamaged.length),
    hoursText(table.hours),
    count(table.differing.length),
  ]);
  const details = report.tables.flatMap((table) => [
    ...table.filesDamaged.map(({ file, problem }) => `damaged: ${file}: ${problem}\n`),
    ...table.differing
      .slice(0, 10)
      .map(
        ({ hour, source, lake }) =>
          `differs: ${table.tenant} ${table.table} ${hour}: source ${count(source)}, lake ${count(lake)}\n`,
      ),
  ]);
  const { filesRead, filesDamaged } = report.marts;
  const marts = [
    ...(filesRead === 0 ? [] : [`marts: ${plural(filesRead, 'file')} read, ${count(filesDamaged.length)} damaged\n`]),
    ...filesDamaged.map(({ file, problem }) => `damaged: ${file}: ${problem}; computed anew\n`),
  ];
  return renderTable(columns, rows, colour) + details.join('') + marts.join('') + problems(report.tables);
}

export function statusSummary(report: StatusReport, colour: boolean): string {
  const columns = [
    left('tenant'), left('table'), right('rows'), right('files'), right('bytes'), left('first'), left('last'),
    right('age of newest'), right('hours verified'), left('grades'), left('next expiry'),
  ]; // prettier-ignore
  const rows = report.tables.map((table) => [
    table.tenant,
    table.table,
    count(table.rows),
    count(table.files),
    bytes(table.bytes),
    table.first?.slice(0, 16) ?? '',
    table.last?.slice(0, 16) ?? '',
    table.freshnessSeconds === undefined ? '' : duration(table.freshnessSeconds),
    hoursText(table.hours),
    Object.entries(table.grades)
      .filter(([, hours]) => hours > 0)
      .map(([grade, hours]) => `${grade} ${count(hours)}`)
      .join(', '),
    table.nextExpiry?.slice(0, 16) ?? '',
  ]);
  const last = report.lastRun;
  const ended =
    last?.finishedAt === undefined
      ? 'did not finish'
      : `ended ${last.finishedAt} with exit code ${last.exitCode ?? '?'}`;
  return (
    renderTable(columns, rows, colour) +
    rebuildLine(report) +
    checksText(report.checks, 'Checks that fail', colour) +
    driftText(report.drift, `Changes in the shape of the rows, found in the last ${DRIFT_DAYS} days`, colour) +
    `\nlast run: ${last === undefined ? 'none' : `${last.run}, started ${last.startedAt}, ${ended}`}\ndata: ${report.dataDir}\n`
  );
}

function rebuildLine({ tables }: StatusReport): string {
  const files = tables.reduce((sum, table) => sum + table.outdatedFiles, 0);
  if (files === 0) return '';
  return `\n${plural(files, 'file')} under other promoted columns or privacy rules than today's: \`insights-etl rebuild\` writes them anew\n`;
}

export function doctorSummary(report: DoctorReport): string {
  const lines = (checks: readonly DoctorCheck[]): string =>
    checks
      .map(
        ({ ok, name, detail, hint }) =>
          `  ${ok ? 'ok  ' : 'FAIL'}  ${name}: ${detail}${hint === undefined ? '' : `\n        next: ${hint}`}\n`,
      )
      .join('');
  const tenants = report.tenants.map(
    ({ tenant, calls, maxCalls, checks }) =>
      `${tenant} (${plural(calls, 'call')} of at most ${maxCalls})\n${lines(checks)}`,
  );
  return visibleLines([`this machine\n${lines(report.machine)}`, ...tenants].join('\n'));
}

export function rebuildSummary(report: RebuildReport, colour: boolean): string {
  const { dryRun, tables, forgotten, published, seconds } = report;
  const texts =
    forgotten === 0 ? '' : `${plural(forgotten, 'text')} of unloadable rows removed: privacy rules hold for them too\n`;
  if (tables.length === 0)
    return `every file is under the rules of today${forgotten === 0 ? ': nothing to do' : ''}\n${texts}`;
  const columns = [left('tenant'), left('table'), right('files'), right('rows')];
  const rows = tables.map(({ tenant, table, files, rows: n }) => [tenant, table, count(files), count(n)]);
  const end = dryRun
    ? 'due; nothing was done. `insights-etl rebuild` does it.'
    : `written anew${published ? ' and published' : ''} · no call · ${duration(seconds)}`;
  return `${renderTable(columns, rows, colour)}\n${end}\n${texts}`;
}

export function repairSummary(report: RepairReport): string {
  const { files, rows, leftOut, setAside } = report;
  return (
    `rebuilt the ledger from ${plural(files, 'file')} with ${plural(rows, 'row')}\n` +
    (leftOut === 0 ? '' : `left out ${plural(leftOut, 'file')}, unreadable or replaced by a later one\n`) +
    (setAside === undefined ? '' : `the old ledger is kept as ${setAside}\n`) +
    'insights-etl run proves every hour anew\n'
  );
}

/** `1,440`, and what the others are. */
function hoursText({ verified, partial, open, expired }: HourCounts): string {
  const others = [
    [partial, 'partial'],
    [open, 'open'],
    [expired, 'expired'],
  ] as const;
  const named = others.filter(([hours]) => hours > 0).map(([hours, name]) => `${count(hours)} ${name}`);
  return `${count(verified)}${named.length === 0 ? '' : ` (+ ${named.join(', ')})`}`;
}

function problems(tables: readonly { tenant: string; table: string; error?: ReportedError }[]): string {
  const told = tables.flatMap(({ tenant, table, error }, index) => {
    const before = tables[index - 1];
    // Budgets and keys are a tenant's: what was said of the table before is not said again.
    if (error === undefined || (before?.tenant === tenant && before.error?.message === error.message)) return [];
    const where = Object.entries(error.where ?? {}).map(([key, value]) => `${key} ${value}`);
    return [
      `\n${tenant} ${table}: ${error.message}`,
      ...(where.length === 0 ? [] : [`  where: ${where.join(', ')}`]),
      ...(error.hint === undefined ? [] : [`  next:  ${error.hint}`]),
    ];
  });
  return told.length === 0 ? '' : `${visibleLines(told.join('\n'))}\n`;
}
