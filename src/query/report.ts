/**
 * Reports are SQL files in `queries/kpi/`, checks in `queries/checks/`; the comment at the head of each is read by this
 * module:
 *
 *     -- title: Installs per day
 *     -- description: one sentence
 *     -- formula: rate = a / b
 *     -- grain: one row per …
 *     -- parameter: from:date=null First day, inclusive     (name:type=default, then what it is)
 *     -- parameter: grain:day|week=day Length of a period   (instead of a type: the words allowed)
 *     -- unit: passes, share                                (of the figures, in their order)
 *     -- caveat: …                                          (any number of them)
 *     -- chart: line x=day y=installs series=device         (line, bar or area; several columns as y=a,b)
 *     -- mart: past of events                              (its days are kept as a mart: definitions.ts)
 *     -- severity: error                                    (of a check: error or warning)
 *
 * A parameter stands as `$from` in the statement, which casts it from text; null means "no bound".
 */
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { closest } from '../kernel/closest.ts';
import { QUERIES_FOLDER } from '../kernel/queries-folder.ts';
import { ConfigError } from '../kernel/errors.ts';
import { parseInstant } from '../kernel/instant.ts';

const KINDS = ['text', 'date', 'timestamp', 'zone', 'integer', 'number', 'boolean'] as const;
type Kind = (typeof KINDS)[number];

interface Parameter {
  readonly name: string;
  /** One of the types above, or the words allowed, as `a|b|c`. */
  readonly kind: string;
  readonly fallback: string | null;
  readonly description: string;
}

/** What a row that a check returns means: the data are wrong, or only worth a look. */
type Severity = 'error' | 'warning';

export interface Report {
  /** The file's name without `.sql`. */
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** Of the figures, in the names of the columns. */
  readonly formula: string | undefined;
  readonly grain: string;
  readonly parameters: readonly Parameter[];
  /** Of the figures, in words. */
  readonly unit: string | undefined;
  readonly caveats: readonly string[];
  readonly chart: string | undefined;
  /** Of a check; undefined for a report. */
  readonly severity: Severity | undefined;
  readonly sql: string;
}

/** All reports, by name. Throws ConfigError for a file whose head is incomplete. */
export async function listReports(folder = join(QUERIES_FOLDER, 'kpi')): Promise<Report[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.sql')).sort();
  return Promise.all(
    files.map(async (file) => parseReport(basename(file, '.sql'), await readFile(join(folder, file), 'utf8'))),
  );
}

/** All checks, by name: selects over the lake in which a returned row is a failure. Throws ConfigError like `listReports`. */
export async function listChecks(): Promise<Report[]> {
  return listReports(join(QUERIES_FOLDER, 'checks'));
}

/** One report by its name. */
export async function findReport(name: string): Promise<Report> {
  const reports = await listReports();
  const found = reports.find((report) => report.name === name);
  if (found) return found;
  const names = reports.map((report) => report.name);
  const meant = closest(name, names);
  throw new ConfigError(`There is no report "${name}".`, {
    hint: `${meant === undefined ? '' : `Did you mean "${meant}"? `}\`insights-etl query --list\` shows all reports.`,
  });
}

/** Reads the head of a report's file. */
export function parseReport(name: string, sql: string): Report {
  const head = sql.split('\n').slice(
    0,
    Math.max(
      0,
      sql.split('\n').findIndex((line) => !line.startsWith('--')),
    ),
  );
  const entries = head.flatMap((line) => {
    const match = /^-- (title|description|formula|grain|parameter|unit|caveat|chart|severity): (.+)$/.exec(
      line.trimEnd(),
    );
    return match ? [{ key: match[1] ?? '', text: match[2] ?? '' }] : [];
  });
  const all = (key: string): string[] => entries.filter((entry) => entry.key === key).map((entry) => entry.text);
  const one = (key: string): string => {
    const text = all(key)[0];
    if (text === undefined)
      throw new ConfigError(`The head of report "${name}" has no ${key}.`, {
        hint: `Add a line "-- ${key}: …" at the top of the file.`,
        where: { report: name },
      });
    return text;
  };
  return {
    name,
    title: one('title'),
    description: one('description'),
    formula: all('formula')[0],
    grain: one('grain'),
    parameters: all('parameter').map((text) => parseParameter(name, text)),
    unit: all('unit')[0],
    caveats: all('caveat'),
    chart: all('chart')[0],
    severity: severityOf(name, all('severity')[0]),
    sql,
  };
}

function severityOf(report: string, text: string | undefined): Severity | undefined {
  if (text === undefined || text === 'error' || text === 'warning') return text;
  throw new ConfigError(`The severity of "${report}" cannot be read.`, {
    hint: 'Write "-- severity: error" or "-- severity: warning".',
    where: { report },
  });
}

function parseParameter(report: string, text: string): Parameter {
  const match = /^(\w+):(\w+(?:\|\w+)*)=(\S+)\s+(.+)$/.exec(text);
  const kind = match?.[2] ?? '';
  if (!match || !(isKind(kind) || kind.includes('|')))
    throw new ConfigError(`A parameter of report "${report}" cannot be read.`, {
      hint: `Write "-- parameter: name:type=default description", type one of ${KINDS.join(', ')}, or the words allowed as a|b.`,
      where: { report },
    });
  const [, name = '', , fallback = '', description = ''] = match;
  return { name, kind, fallback: fallback === 'null' ? null : fallback, description };
}

function isKind(text: string): text is Kind {
  return KINDS.some((kind) => kind === text);
}

/** Values for a report's parameters from `name=value` words; what is not given takes its default. */
export function parameterValues(report: Report, words: readonly string[]): Record<string, string | null> {
  const values = Object.fromEntries(report.parameters.map(({ name, fallback }) => [name, fallback]));
  const names = report.parameters.map(({ name }) => name);
  for (const word of words) {
    const [name = '', ...rest] = word.split('=');
    const parameter = report.parameters.find((candidate) => candidate.name === name);
    if (!parameter || rest.length === 0) {
      const meant = closest(name, names);
      throw new ConfigError(
        `Report "${report.name}" has no parameter "${name}"${rest.length === 0 ? ' with a value' : ''}.`,
        {
          hint: `${meant === undefined || meant === name ? '' : `Did you mean "${meant}"? `}Write name=value with one of ${names.join(', ')}.`,
          where: { flag: '--param' },
        },
      );
    }
    values[name] = checked(parameter, rest.join('='));
  }
  return values;
}

const FORMS: Readonly<Record<Kind, { allowed: string; test: (text: string) => boolean }>> = {
  text: { allowed: 'any text', test: () => true },
  date: { allowed: 'a day such as 2026-01-31', test: (text) => text.length === 10 && parseInstant(text) !== undefined },
  timestamp: { allowed: 'an instant such as 2026-01-31T06:00:00Z', test: (text) => parseInstant(text) !== undefined },
  zone: { allowed: 'a time zone such as UTC or Europe/Paris', test: isZone },
  integer: { allowed: 'a whole number', test: (text) => /^-?\d{1,18}$/.test(text) },
  number: { allowed: 'a number', test: (text) => /^-?\d+(\.\d+)?$/.test(text) },
  boolean: { allowed: 'true or false', test: (text) => text === 'true' || text === 'false' },
};

function isZone(text: string): boolean {
  // The engine takes offsets such as +02:00 for a name of its own and fails late.
  if (!/^[A-Za-z]/.test(text)) return false;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

function checked({ name, kind, fallback }: Parameter, text: string): string | null {
  if (text === 'null' && fallback === null) return null;
  const words = kind.split('|');
  const { allowed, test } = isKind(kind)
    ? FORMS[kind]
    : { allowed: `one of ${words.join(', ')}`, test: (word: string) => words.includes(word) };
  if (test(text)) return text;
  throw new ConfigError(`Parameter "${name}" cannot be "${text}".`, {
    hint: `Allowed: ${allowed}.`,
    where: { flag: '--param' },
  });
}
