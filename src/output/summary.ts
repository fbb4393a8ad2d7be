/** The reports of the pipeline as text. `--json` prints the reports themselves. */
import type {
  ComparedRange,
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
import { count, plural } from '../kernel/plural.ts';
import { andMore, bytes, duration } from './format.ts';
import { folded } from './fold.ts';
import { mirrorText } from './mirror.ts';
import { renderTable, type Column } from './table.ts';
import type { Style } from './terminal.ts';
import { visibleLines } from './visible.ts';

/** `rank`: columns that a narrow terminal leaves out, the highest first. */
const ranked = (rank: number | undefined) => (rank === undefined ? {} : { rank });
const left = (title: string, rank?: number): Column => ({ title, ...ranked(rank) });
const right = (title: string, rank?: number): Column => ({ title, align: 'right', ...ranked(rank) });

export function runSummary(report: RunReport, style: Style): string {
  // What failed comes last, where it is still on the screen after a run over many tenants.
  const tables = [...report.tables].sort((a, b) => Number(hasFailed(a)) - Number(hasFailed(b)));
  const figures: readonly {
    title: string;
    valueOf: (table: TableReport) => number;
    always?: true;
    rank?: number;
  }[] = [
    { title: 'fetched', valueOf: (table) => table.rowsFetched, always: true, rank: 3 },
    { title: 'new', valueOf: (table) => table.inserted, always: true },
    { title: 'replaced', valueOf: (table) => table.replaced },
    { title: 'removed', valueOf: (table) => table.removed },
    { title: 'copies', valueOf: (table) => table.duplicates, rank: 4 },
    { title: 'quarantined', valueOf: (table) => table.quarantined, rank: 2 },
    { title: 'calls', valueOf: (table) => table.calls, always: true, rank: 5 },
    { title: 'pages', valueOf: (table) => table.pages, always: true, rank: 6 },
  ];
  // Columns of zeros are omitted, so that most summaries fit a narrow terminal.
  const shown = figures.filter(({ valueOf, always }) => always === true || tables.some((table) => valueOf(table) > 0));
  const columns = [
    left('tenant'),
    left('table'),
    left('outcome'),
    right('hours verified', 1),
    ...shown.map(({ title, rank }) => right(title, rank)),
  ];
  const rows = tables.map((table) => [
    table.tenant,
    table.table,
    table.grade === BEST_GRADE ? table.outcome : `${table.outcome} (${table.grade})`,
    hoursText(table.hours),
    ...shown.map(({ valueOf }) => count(valueOf(table))),
  ]);
  const calls = tables.reduce((sum, table) => sum + table.calls, 0);
  const end = [whatHappened(report), ...failuresText(tables), plural(calls, 'call'), duration(report.seconds)];
  return folded(
    renderTable(columns, rows, style) +
      rangeText(tables, 'Hours verified are those that this run compared') +
      leftSummary(tables, 'Left for the next run', style) +
      lossText(report.expired) +
      outsideText(tables.flatMap(({ tenant, table, outside }) => (outside ? [{ tenant, table, ...outside }] : []))) +
      loweredText(tables, 'This run') +
      checksText(report.checks, 'Checks that failed for the days that this run changed', style) +
      driftText(report.drift, 'The shape of the rows has changed', style) +
      problems(tables) +
      mirrorText(report.mirror) +
      `\n${end.join(' · ')}\n`,
    style.width,
  );
}

/** Not for lack of time or calls. */
function hasFailed({ error }: TableReport): boolean {
  return error !== undefined && error.failure !== 'budget' && error.failure !== 'stopped';
}

/** `3 of 50 tenants failed`, or of a single tenant its tables. */
function failuresText(tables: readonly TableReport[]): string[] {
  const failed = tables.filter(hasFailed);
  if (failed.length === 0) return [];
  const [all, some] = [tables, failed].map((list) => new Set(list.map(({ tenant }) => tenant)).size);
  if (all === 1) return [`${failed.length} of ${plural(tables.length, 'table')} failed`];
  return [`${some} of ${plural(all ?? 0, 'tenant')} failed`];
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
  style: Style,
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
  return `\n${title}:\n${renderTable(columns, rows, style)}`;
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

export function planSummary(report: PlanReport, style: Style): string {
  const columns = [
    left('tenant'), left('table'), right('stale hours'), right('new', 3), right('changed', 2), right('vanished', 1),
    right('rows'), right('bytes', 4), right('pages', 5), right('calls'), right('time'),
  ]; // oxfmt-ignore
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
  return folded(
    renderTable(columns, rows, style) +
      leftSummary(report.tables, 'Beyond the budget of one run, left for later runs', style) +
      problems(report.tables) +
      olderText(report) +
      `\nThe plan took ${plural(report.callsUsed, 'call')} and fetched no page. \`insights-etl run\` carries it out.\n`,
    style.width,
  );
}

/** Older history that was compared in the calls of the plan, as a run does. */
function olderText({ tables }: PlanReport): string {
  const hours = tables.reduce((sum, table) => sum + table.olderHours, 0);
  if (hours === 0) return '';
  return `\nIn the same calls ${plural(hours, 'older hour')} were compared again, a share of history (reconcile.rotationDays).\n`;
}

export function verifySummary(report: VerifyReport, style: Style): string {
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
  const logs = report.delta.faults.map(({ table, problem }) => `Delta log of ${table}: ${problem}; started again\n`);
  return folded(
    renderTable(columns, rows, style) +
      rangeText(report.tables, 'Hours verified are all that are known; compared with the source were') +
      details.join('') +
      marts.join('') +
      logs.join('') +
      lossText(report.expired) +
      problems(report.tables),
    style.width,
  );
}

export function statusSummary(report: StatusReport, style: Style): string {
  const columns = [
    left('tenant'), left('table'), right('rows'), right('files', 8), right('bytes', 7), left('first', 6), left('last', 3),
    right('age of newest'), right('hours verified'), left('grades', 5), left('oldest proof', 4), left('next expiry', 1),
  ]; // oxfmt-ignore
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
  return folded(
    renderTable(columns, rows, style) +
      rebuildLine(report) +
      outsideText(last?.outside ?? []) +
      loweredText(last?.lowered ?? [], 'The last run') +
      checksText(report.checks, 'Checks that fail', style) +
      driftText(report.drift, `Changes in the shape of the rows in the last ${DRIFT_DAYS} days`, style) +
      `\nlast run: ${last === undefined ? 'none' : `${last.run}, started ${toSecond(last.startedAt)}, ${ended}`}\ndata: ${report.dataDir}\n`,
    style.width,
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

export function rebuildSummary(report: RebuildReport, style: Style): string {
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
  return folded(`${renderTable(columns, rows, style)}\n${end}\n${texts}`, style.width);
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

/** Failures with the same cause are one message: a source that is down fails every table of every tenant. */
function problems(tables: readonly { tenant: string; table: string; error?: ReportedError }[]): string {
  const groups = new Map<string, { readonly names: string[]; readonly error: ReportedError }>();
  for (const { tenant, table, error } of tables) {
    if (error === undefined) continue;
    const { tenant: _tenant, table: _table, ...place } = error.where ?? {};
    const key = JSON.stringify([error.message, error.hint, place]);
    const group = groups.get(key) ?? { names: [], error };
    groups.set(key, group);
    group.names.push(`${tenant} ${table}`);
  }
  const lines = [...groups.values()].flatMap(({ names, error: { message, hint, where = {} } }) => {
    const { tenant: _tenant, table: _table, ...place } = where;
    const places = Object.entries(place).map(([key, value]) => `${key} ${value}`);
    const listed = names.slice(0, MOST_NAMES).join(', ');
    const more = names.length > MOST_NAMES ? ` ${andMore(names.length - MOST_NAMES)}` : '';
    return [
      `\n${listed}${more}: ${message}`,
      ...(places.length === 0 ? [] : [`  where: ${places.join(', ')}`]),
      ...(hint === undefined ? [] : [`  next:  ${hint}`]),
    ];
  });
  return lines.length === 0 ? '' : `${visibleLines(lines.join('\n'))}\n`;
}

/** Tables named in front of a message that they share. */
const MOST_NAMES = 3;
