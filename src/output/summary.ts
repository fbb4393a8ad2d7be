/** The reports of the pipeline as text. `--json` prints the reports themselves. */
import type {
  ComparedRange,
  DoctorCheck,
  DoctorReport,
  ExpiredHours,
  Left,
  PlanReport,
  RebuildReport,
  ReportedError,
  RunReport,
  StatusReport,
  TableReport,
  VerifyReport,
} from '../model/report.ts';
import type { RepairReport } from '../model/maintenance-report.ts';
import { BEST_GRADE, isWeaker } from '../model/coverage.ts';
import type { Grade, HourCounts } from '../model/coverage.ts';
import { hasOutside } from '../model/outside.ts';
import type { OutsideCounts } from '../model/outside.ts';
import { DRIFT_DAYS } from '../model/report.ts';
import { checksText } from './checks.ts';
import { driftText } from './drift.ts';
import { bytes, count, duration, plural } from './format.ts';
import { renderTable, type Column } from './table.ts';
import { visibleLines } from './visible.ts';

const left = (title: string): Column => ({ title });
const right = (title: string): Column => ({ title, align: 'right' });

export function runSummary(report: RunReport, colour: boolean): string {
  const { tables } = report;
  const figures: readonly { title: string; valueOf: (table: TableReport) => number; always?: true }[] = [
    { title: 'fetched', valueOf: (table) => table.rowsFetched, always: true },
    { title: 'new', valueOf: (table) => table.inserted, always: true },
    { title: 'replaced', valueOf: (table) => table.replaced },
    { title: 'removed', valueOf: (table) => table.removed },
    { title: 'copies', valueOf: (table) => table.duplicates },
    { title: 'quarantined', valueOf: (table) => table.quarantined },
    { title: 'calls', valueOf: (table) => table.calls, always: true },
    { title: 'pages', valueOf: (table) => table.pages, always: true },
  ];
  // Columns of zeros are omitted, so that most summaries fit a narrow terminal.
  const shown = figures.filter(({ valueOf, always }) => always === true || tables.some((table) => valueOf(table) > 0));
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
    table.grade === BEST_GRADE ? table.outcome : `${table.outcome} (${table.grade})`,
    hoursText(table.hours),
    ...shown.map(({ valueOf }) => count(valueOf(table))),
  ]);
  const calls = tables.reduce((sum, table) => sum + table.calls, 0);
  return (
    renderTable(columns, rows, colour) +
    rangeText(tables, 'Hours verified are those that this run compared') +
    leftSummary(tables, 'Left for the next run', colour) +
    lossText(report.expired) +
    outsideText(tables.flatMap(({ tenant, table, outside }) => (outside ? [{ tenant, table, ...outside }] : []))) +
    loweredText(tables, 'This run') +
    problems(tables) +
    checksText(report.checks, 'Checks that failed for the days that this run changed', colour) +
    driftText(report.drift, 'The shape of the rows has changed', colour) +
    `\n${whatHappened(report)} · ${plural(calls, 'call')} · ${duration(report.seconds)}\n`
  );
}

/** Which hours the counts above are about: a run compares the last days, and some tables from their first row on. */
function rangeText(
  tables: readonly { readonly table: string; readonly compared?: ComparedRange; readonly olderHours?: number }[],
  title: string,
): string {
  const names = new Map<string, Set<string>>();
  let last = '';
  for (const { table, compared } of tables) {
    if (!compared) continue;
    const from = compared.from === undefined ? 'from the first row on' : `from ${toMinute(compared.from)}`;
    names.set(from, (names.get(from) ?? new Set()).add(table));
    if (compared.to > last) last = compared.to;
  }
  if (names.size === 0) return '';
  const ranges = [...names].map(([from, of]) => (names.size === 1 ? from : `${[...of].join(', ')} ${from}`));
  const shown = ranges.length <= 3 ? ranges.join('; ') : `those ${[...names.keys()].sort()[0] ?? ''} or later`;
  const older = tables.reduce((sum, { olderHours = 0 }) => sum + olderHours, 0);
  const rotation = older === 0 ? '' : `, and ${plural(older, 'older hour')} in rotation`;
  return `\n${title}: ${shown}; up to ${toMinute(last)} UTC${rotation}.\n`;
}

function toMinute(instant: string): string {
  return instant.slice(0, 16).replace('T', ' ');
}

/** Hours that nobody can load any more. */
function lossText(expired: readonly ExpiredHours[]): string {
  const lines = expired.map(
    ({ tenant, table, hours, first, last }) =>
      `${tenant} ${table}: ${plural(hours, 'hour')} expired, from ${first.slice(0, 13)}h to ${last.slice(0, 13)}h UTC\n`,
  );
  if (lines.length === 0) return '';
  return `\nLost: the source deleted these hours before they were proven. What the lake lacks of them cannot be loaded any more.\n${lines.join('')}`;
}

/** Rows that lie in no hour: where they are, and what happens to them. */
function outsideText(tables: readonly ({ readonly tenant: string; readonly table: string } & OutsideCounts)[]): string {
  const lines = tables.filter(hasOutside).map(({ tenant, table, noTimestamp, impossible, future }) => {
    const parts = [
      ...(noTimestamp > 0 ? [`${count(noTimestamp)} without a timestamp`] : []),
      ...(impossible > 0 ? [`${count(impossible)} at year 1`] : []),
      ...(future > 0 ? [`${count(future)} in the future`] : []),
    ];
    return `${tenant} ${table}: ${parts.join(', ')}\n`;
  });
  if (lines.length === 0) return '';
  return visibleLines(
    `\nRows at the source that lie in no hour: those without a possible time go to quarantine, those in the future are loaded once their hour is over.\n${lines.join('')}`,
  );
}

/** Tables that were compared with a weaker proof than the best one. */
function loweredText(
  tables: readonly { readonly tenant: string; readonly table: string; readonly grade: Grade }[],
  run: string,
): string {
  const lowered = tables.filter(({ grade }) => isWeaker(grade, BEST_GRADE));
  if (lowered.length === 0) return '';
  const names = lowered.map(({ tenant, table, grade }) => `${tenant} ${table} (${grade})`).join(', ');
  return visibleLines(
    `\n${run} had a weaker proof than ${BEST_GRADE} for ${names}: the source rejected the better one.\n  next:  \`insights-etl doctor\` shows what the source supports; every run asks for the better proof again.\n`,
  );
}

/** What does not fit into the budget, and when the source starts to forget it. */
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
    ? `${whatChanged(report)} · stopped: the next run updates marts and checks`
    : whatChanged(report);
}

function whatChanged({ tables, published }: RunReport): string {
  if (tables.some((table) => table.changed)) return 'published';
  if (published) return 'no new rows, coverage published';
  return tables.some((table) => table.error) ? 'no file changed' : 'nothing new, no file changed';
}

export function planSummary(report: PlanReport, colour: boolean): string {
  const columns = [
    left('tenant'), left('table'), right('stale hours'), right('new'), right('changed'), right('vanished'),
    right('rows'), right('bytes'), right('pages'), right('calls'), right('time'),
  ]; // prettier-ignore
  const rows = report.tables.map((table) => [
    table.tenant,
    table.table,
    count(table.staleHours),
    count(table.reasons.new),
    count(table.reasons.changed + table.reasons.content + table.reasons.unproven),
    count(table.reasons.vanished),
    count(table.rows),
    bytes(table.bytes),
    count(table.pages),
    count(table.calls),
    duration(table.minutes * 60),
  ]);
  return (
    renderTable(columns, rows, colour) +
    leftSummary(report.tables, 'Beyond the budget of one run, left for later runs', colour) +
    problems(report.tables) +
    olderText(report) +
    `\nThe plan took ${plural(report.callsUsed, 'call')} and fetched no page. \`insights-etl run\` carries it out.\n`
  );
}

/** Older history that was compared in the calls of the plan, as a run does. */
function olderText({ tables }: PlanReport): string {
  const hours = tables.reduce((sum, table) => sum + table.olderHours, 0);
  if (hours === 0) return '';
  return `\nIn the same calls ${plural(hours, 'older hour')} were compared again, a share of history (reconcile.rotationDays).\n`;
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
    ...filesDamaged.map(({ file, problem }) => `damaged: ${file}: ${problem}; computed again\n`),
  ];
  return (
    renderTable(columns, rows, colour) +
    rangeText(report.tables, 'Hours verified are all that are known; compared with the source were') +
    details.join('') +
    marts.join('') +
    lossText(report.expired) +
    problems(report.tables)
  );
}

export function statusSummary(report: StatusReport, colour: boolean): string {
  const columns = [
    left('tenant'), left('table'), right('rows'), right('files'), right('bytes'), left('first'), left('last'),
    right('age of newest'), right('hours verified'), left('grades'), left('oldest proof'), left('next expiry'),
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
    table.oldestProof?.slice(0, 16) ?? '',
    table.nextExpiry?.slice(0, 16) ?? '',
  ]);
  const last = report.lastRun;
  const ended =
    last?.finishedAt === undefined
      ? 'did not finish'
      : `ended ${toSecond(last.finishedAt)} with exit code ${last.exitCode ?? '?'}`;
  return (
    renderTable(columns, rows, colour) +
    rebuildLine(report) +
    outsideText(last?.outside ?? []) +
    loweredText(last?.lowered ?? [], 'The last run') +
    checksText(report.checks, 'Checks that fail', colour) +
    driftText(report.drift, `Changes in the shape of the rows in the last ${DRIFT_DAYS} days`, colour) +
    `\nlast run: ${last === undefined ? 'none' : `${last.run}, started ${toSecond(last.startedAt)}, ${ended}`}\ndata: ${report.dataDir}\n`
  );
}

/** An ISO instant without its fraction of a second. */
function toSecond(instant: string): string {
  return `${instant.slice(0, 19)}Z`;
}

function rebuildLine({ tables }: StatusReport): string {
  const files = tables.reduce((sum, table) => sum + table.outdatedFiles, 0);
  if (files === 0) return '';
  return `\n${plural(files, 'file')} written under other promoted columns or privacy rules; \`insights-etl rebuild\` rewrites them\n`;
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
    forgotten === 0
      ? ''
      : `removed the text of ${plural(forgotten, 'row')} in quarantine, as the privacy rules require\n`;
  if (tables.length === 0)
    return `every file follows the current rules${forgotten === 0 ? ': nothing to do' : ''}\n${texts}`;
  const columns = [left('tenant'), left('table'), right('files'), right('rows')];
  const rows = tables.map(({ tenant, table, files, rows: n }) => [tenant, table, count(files), count(n)]);
  const end = dryRun
    ? 'These files would be rewritten. Nothing was changed; `insights-etl rebuild` does it.'
    : `rewritten${published ? ' and published' : ''} · no calls · ${duration(seconds)}`;
  return `${renderTable(columns, rows, colour)}\n${end}\n${texts}`;
}

export function repairSummary(report: RepairReport): string {
  const { files, rows, leftOut, damaged, setAside } = report;
  return (
    `rebuilt the ledger from ${plural(files, 'file')} with ${plural(rows, 'row')}\n` +
    (leftOut === 0 ? '' : `skipped ${plural(leftOut, 'file')}, replaced by a later one\n`) +
    damaged
      .map(
        ({ file, problem }) =>
          `skipped ${file}: ${problem === 'sha256' ? 'its checksum differs from the recorded one' : 'it cannot be read'}; it is kept with the ending .damaged\n`,
      )
      .join('') +
    (setAside === undefined ? '' : `the old ledger is kept as ${setAside}\n`) +
    `Next: \`insights-etl run\`, which verifies every hour again${damaged.length === 0 ? '' : ' and fetches what the damaged files held'}.\n`
  );
}

/** `1,440 (+ 1 partial, 2 expired)`. */
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
  const lines = tables.flatMap(({ tenant, table, error }, index) => {
    const previous = tables[index - 1];
    // A refused key or a spent budget fails all tables of a tenant: report it once.
    if (error === undefined || (previous?.tenant === tenant && previous.error?.message === error.message)) return [];
    const where = Object.entries(error.where ?? {}).map(([key, value]) => `${key} ${value}`);
    return [
      `\n${tenant} ${table}: ${error.message}`,
      ...(where.length === 0 ? [] : [`  where: ${where.join(', ')}`]),
      ...(error.hint === undefined ? [] : [`  next:  ${error.hint}`]),
    ];
  });
  return lines.length === 0 ? '' : `${visibleLines(lines.join('\n'))}\n`;
}
