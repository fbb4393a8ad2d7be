/** Reports (`queries/kpi/`) and checks (`queries/checks/`) as commands list and run them. */
import { closest, didYouMean } from '../kernel/closest.ts';
import { ConfigError } from '../kernel/errors.ts';
import { didYouMeanInstant, parseInstant } from '../kernel/instant.ts';
import { didYouMeanZone } from '../kernel/zone.ts';
import { DAY_WORDS, daysOf, todayIn, type Calendar, type Days } from './days.ts';
import { dimensionParameters, dimensionsOf, PROMOTED } from './dimensions.ts';
import type { Dimensions } from './dimensions.ts';
import { formerNamesOf, isKind, severityOf, sqlFiles } from './sql-file.ts';
import type { Kind, Parameter, Severity, SqlFile } from './sql-file.ts';

export interface Report {
  /** The file's name without `.sql`. */
  readonly name: string;
  /** Names that it had in earlier versions. */
  readonly formerNames: readonly string[];
  readonly title: string;
  /** The question that it helps to answer: the list groups reports by it. */
  readonly question: string | undefined;
  readonly description: string;
  /** How the figures are computed, in the names of the columns. */
  readonly formula: string | undefined;
  /** Figures that are a share of two columns. Over several rows, such a figure is the ratio of their sums. */
  readonly ratios: readonly Ratio[];
  readonly grain: string;
  readonly parameters: readonly Parameter[];
  /** What it can be split and filtered by. */
  readonly dimensions: Dimensions;
  /** The units of the figures, in words. */
  readonly unit: string | undefined;
  readonly caveats: readonly string[];
  readonly chart: string | undefined;
  /** The severity of a check; undefined for a report. */
  readonly severity: Severity | undefined;
  readonly sql: string;
}

interface Ratio {
  readonly figure: string;
  /** 1 - numerator / denominator. */
  readonly isRest: boolean;
  /** It may have no column of its own: then figure × denominator. */
  readonly numerator: string;
  readonly denominator: string;
}

/** All reports, by name. Throws ConfigError for a file whose header is incomplete. */
export async function listReports(folder: 'checks' | 'kpi' | 'views' = 'kpi'): Promise<Report[]> {
  return (await sqlFiles(folder)).map(reportOf);
}

/** All checks, by name: selects over the lake in which a returned row is a failure. Throws ConfigError like `listReports`. */
export async function listChecks(): Promise<Report[]> {
  return listReports('checks');
}

/** One report by its name, or by a name that it had in an earlier version; `own` are those of the operator. */
export async function findReport(name: string, own: readonly Report[] = []): Promise<Report> {
  const reports = [...(await listReports()), ...own];
  const named = (word: string | undefined): Report | undefined =>
    reports.find((report) => report.name === word) ??
    reports.find(({ formerNames }) => formerNames.some((former) => former === word));
  const found = named(name);
  if (found) return found;
  const similar = named(
    closest(
      name,
      reports.flatMap((report) => [report.name, ...report.formerNames]),
    ),
  )?.name;
  throw new ConfigError(`There is no report "${name}".`, {
    hint: `${similar === undefined ? '' : `Did you mean "${similar}"? `}\`insights-etl query --list\` shows all reports.`,
  });
}

export function reportOf(file: SqlFile): Report {
  const { name, parameters, sql, entry, entries } = file;
  const dimensions = dimensionsOf(file);
  const isReport = severityOf(file) === undefined;
  return {
    name,
    formerNames: formerNamesOf(file),
    title: entry('title'),
    question: entries('question')[0],
    description: entry('description'),
    formula: entries('formula')[0],
    ratios: ratiosOf(file),
    grain: entry('grain'),
    parameters: [...parameters(), ...(isReport ? dimensionParameters(dimensions, parameters()) : [])],
    dimensions,
    unit: entries('unit')[0],
    caveats: entries('caveat'),
    chart: entries('chart')[0],
    severity: severityOf(file),
    sql,
  };
}

/** Those that the formula writes in names of columns, as `rate = a / b`, and those of `ratio:` lines. */
function ratiosOf({ entries }: SqlFile): Ratio[] {
  return [...entries('ratio'), ...entries('formula')]
    .flatMap((text) => text.split(/;\s*/))
    .flatMap((text) => {
      const [, figure, rest, numerator, denominator] = /^(\w+) = (1 - )?(\w+) \/ (\w+)$/.exec(text) ?? [];
      return figure === undefined || numerator === undefined || denominator === undefined
        ? []
        : [{ figure, isRest: rest !== undefined, numerator, denominator }];
    });
}

/** What values depend on besides their words. */
export interface ValueContext {
  /** The present time, milliseconds since 1970: relative days count from today in the report's zone. */
  readonly nowMs: number;
  /** Flags that carry parameters, by parameter. The others come with `--param`. */
  readonly flags?: Readonly<Record<string, string>>;
}

export type Values = Readonly<Record<string, string | null>>;

/**
 * The values of a report's parameters: those given as `name=value`, and the defaults of the others. Days may be given as words
 * (`days.ts`), and `range=last_month` gives both ends of a range.
 */
export function parameterValues(report: Report, words: readonly string[], context: ValueContext): Values {
  const values: Record<string, string | null> = Object.fromEntries(
    report.parameters.map(({ name, fallback }) => [name, fallback]),
  );
  const given = new Map<Parameter, string>();
  let range: string | undefined;
  for (const word of words) {
    const [name = '', ...rest] = word.split('=');
    if (name === RANGE && rest.length > 0 && takesRange(report)) {
      range = rest.join('=');
      continue;
    }
    if (name === COMPARE && rest.length > 0 && takesCompare(report)) {
      // The statement has no such parameter: compare.ts runs it twice.
      checkedValue(COMPARE_PARAMETER, rest.join('='), context);
      continue;
    }
    const parameter = report.parameters.find((candidate) => candidate.name === name);
    if (!parameter && rest.length > 0 && mayBePromoted(report, name)) {
      values[name] = rest.join('=');
      continue;
    }
    if (!parameter || rest.length === 0) throw unknownParameter(report, name, rest.length > 0);
    given.set(parameter, rest.join('='));
  }
  // Days last: what they mean depends on other parameters.
  const isDay = ({ kind }: Parameter): boolean => kind === 'date' || kind === 'timestamp';
  // Which dimensions there are depends on the lake: split.ts checks `by`.
  const others = [...given].filter(([parameter]) => !isDay(parameter));
  for (const [parameter, text] of others)
    values[parameter.name] = parameter.name === 'by' ? text : checkedValue(parameter, text, context);
  const zone = report.parameters.find(({ kind }) => kind === 'zone');
  const calendar: Calendar = {
    today: todayIn((zone && values[zone.name]) ?? 'UTC', context.nowMs),
    weekStart: values['week_start'] ?? 'monday',
  };
  for (const [parameter, text] of given)
    if (isDay(parameter)) values[parameter.name] = checkedValue(parameter, dayOf(parameter, text, calendar), context);
  if (range !== undefined) Object.assign(values, daysOfRange(range, [...given.keys()], calendar));
  refuseEmptyRange(values, context);
  return values;
}

/** A parameter of every report with `from` and `to`: a word that gives both. */
const RANGE = 'range';
const RANGE_PARAMETER: Parameter = {
  name: RANGE,
  kind: 'text',
  fallback: null,
  description: 'Both ends of a range, such as last_month, or -30d for the 30 days before today',
};

/** A parameter of every report with periods in a range. */
export const COMPARE = 'compare';
const COMPARE_PARAMETER: Parameter = {
  name: COMPARE,
  kind: 'previous|year',
  fallback: null,
  description: 'Compare with as many periods directly before, or with the same periods one year earlier',
};

function takesRange({ parameters }: Report): boolean {
  return ['from', 'to'].every((bound) => parameters.some(({ name }) => name === bound));
}

export function takesCompare(report: Report): boolean {
  return takesRange(report) && report.parameters.some(({ name }) => name === 'grain');
}

export function parameterNames({ parameters }: Report): readonly string[] {
  return parameters.map(({ name }) => name);
}

/** True if a name may be a column that the configuration promotes. Only the lake knows those, so split.ts checks it. */
function mayBePromoted(report: Report, name: string): boolean {
  const known = allParameters(report).map((parameter) => parameter.name);
  return report.dimensions.allowed.includes(PROMOTED) && closest(name, known) === undefined;
}

/** All that can be given to a report: the parameters of its header, and those that come with them. */
export function allParameters(report: Report): readonly Parameter[] {
  return [
    ...report.parameters,
    ...(takesRange(report) ? [RANGE_PARAMETER] : []),
    ...(takesCompare(report) ? [COMPARE_PARAMETER] : []),
  ];
}

function dayOf({ kind }: Parameter, text: string, calendar: Calendar): string {
  const day = daysOf(text, calendar)?.from;
  if (day === undefined) return text;
  return kind === 'date' ? day : `${day}T00:00:00Z`;
}

function daysOfRange(word: string, given: readonly Parameter[], calendar: Calendar): Days {
  const where = { flag: `--param ${RANGE}` };
  const bound = given.find(({ name }) => name === 'from' || name === 'to');
  if (bound)
    throw new ConfigError(`The parameters ${RANGE} and ${bound.name} cannot be combined.`, {
      hint: `Give either ${RANGE}=last_month, or from and to.`,
      where,
    });
  const days = daysOf(word, calendar);
  if (days) return days;
  throw new ConfigError(`Parameter "${RANGE}" cannot be "${word}".`, {
    hint: `${didYouMean(word, DAY_WORDS)}Allowed: ${DAY_WORDS.join(', ')}, or -30d for the 30 days before today (-12w, -6m, -1y).`,
    where,
  });
}

function unknownParameter(report: Report, name: string, hasValue: boolean): ConfigError {
  const names = allParameters(report).map((parameter) => parameter.name);
  const similar = closest(name, names);
  return new ConfigError(`Report "${report.name}" has no parameter "${name}"${hasValue ? '' : ' with a value'}.`, {
    hint: `${similar === undefined || similar === name ? '' : `Did you mean "${similar}"? `}Write name=value with one of ${names.join(', ')}.`,
    where: { flag: '--param' },
  });
}

/** Days are written yyyy-mm-dd, so they compare as text. */
function refuseEmptyRange({ from = null, to = null }: Values, { flags = {} }: ValueContext): void {
  if (from === null || to === null || from < to) return;
  const carriers = ['from', 'to'].map((name) => flags[name] ?? `--param ${name}`);
  throw new ConfigError(`The range is empty: from=${from} is not before to=${to}.`, {
    hint: 'from is inclusive, to exclusive; one day is from=2026-01-31 to=2026-02-01.',
    where: { flag: carriers.join(', ') },
  });
}

const FORMS: Readonly<Record<Kind, { allowed: string; test: (text: string) => boolean }>> = {
  text: { allowed: 'any text', test: () => true },
  date: {
    allowed: 'a day such as 2026-01-31, a word such as yesterday or last_month, or -30d (d, w, m, q, y)',
    test: (text) => text.length === 10 && parseInstant(text) !== undefined,
  },
  timestamp: {
    allowed: 'an instant such as 2026-01-31T06:00:00Z, or a day (its start in UTC), also as yesterday or -30d',
    test: (text) => parseInstant(text) !== undefined,
  },
  zone: { allowed: 'a time zone such as UTC or Europe/Paris', test: isZone },
  integer: { allowed: 'a whole number', test: (text) => /^-?\d{1,18}$/.test(text) },
  number: { allowed: 'a number', test: (text) => /^-?\d+(\.\d+)?$/.test(text) },
  boolean: { allowed: 'true or false', test: (text) => text === 'true' || text === 'false' },
};

export function isZone(text: string): boolean {
  // Node accepts offsets such as +02:00, but the database does not and would fail later.
  if (!/^[A-Za-z]/.test(text)) return false;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

function suggestion(kind: string, text: string): string {
  if (kind === 'zone') return didYouMeanZone(text);
  if (kind === 'date' || kind === 'timestamp') return didYouMean(text, DAY_WORDS) || didYouMeanInstant(text);
  if (kind === 'boolean') return didYouMean(text, ['true', 'false']);
  return isKind(kind) ? '' : didYouMean(text, kind.split('|'));
}

function checkedValue({ name, kind, fallback }: Parameter, text: string, { flags = {} }: ValueContext): string | null {
  if (text === 'null' && fallback === null) return null;
  const words = kind.split('|');
  const { allowed, test } = isKind(kind)
    ? FORMS[kind]
    : { allowed: `one of ${words.join(', ')}`, test: (word: string) => words.includes(word) };
  if (test(text)) return text;
  const flag = flags[name];
  throw new ConfigError(`${flag ?? `Parameter "${name}"`} cannot be "${text}".`, {
    hint: `${suggestion(kind, text)}Allowed: ${allowed}.`,
    where: { flag: flag ?? `--param ${name}` },
  });
}
