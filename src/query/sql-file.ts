/**
 * The SQL files of `queries/`. Each is one statement; comment lines at the top of the file, its header, describe it:
 *
 *     -- title: Installs
 *     -- question: Are people installing?                  (`query --list` groups reports by it)
 *     -- formerly: installs_per_day                          (old names, a, b: they keep working with a warning)
 *     -- description: one sentence
 *     -- formula: rate = a / b
 *     -- ratio: rate = a / b                                 (of columns, if the formula is in other words)
 *     -- grain: one row per …
 *     -- parameter: from:date=null First day, inclusive     (name:type=default, then a description)
 *     -- parameter: grain:day|week=day Length of a period   (the allowed words instead of a type)
 *     -- unit: passes, share                                (of the figures, in their order)
 *     -- column: installs Installations with a medium       (the meaning of a column of the operator's report)
 *     -- caveat: …                                          (any number of them)
 *     -- chart: line x=day y=installs series=device         (line, bar or area; several columns as y=a,b)
 *     -- mart: past of events                               (its days are kept as a mart: definitions.ts)
 *     -- over_days: sum installs by platform                 (how days make a longer period: periods.ts; also end, start)
 *     -- arguments: a, b                                    (of a macro; without them the file is a view)
 *     -- returns: boolean                                   (of a macro that gives a value and no rows)
 *     -- severity: error                                    (of a check: error or warning)
 *
 * A parameter is written as `$from` in the statement, which casts it from text; null means "no bound".
 */
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ConfigError } from '../kernel/errors.ts';
import { QUERIES_FOLDER } from '../kernel/queries-folder.ts';
import { sqlText } from '../kernel/sql.ts';

const KINDS = ['text', 'date', 'timestamp', 'zone', 'integer', 'number', 'boolean'] as const;
export type Kind = (typeof KINDS)[number];

export interface Parameter {
  readonly name: string;
  /** One of the kinds above, or the allowed words as `a|b|c`. */
  readonly kind: string;
  readonly fallback: string | null;
  readonly description: string;
}

/** What it means that a check returns a row: the data are wrong (error) or worth a look (warning). */
export type Severity = 'error' | 'warning';

export interface SqlFile {
  /** The file's name without `.sql`. */
  readonly name: string;
  /** The whole file. */
  readonly sql: string;
  /** The file without its comment lines. */
  readonly statement: string;
  /** Throws ConfigError for one that cannot be read. */
  readonly parameters: () => readonly Parameter[];
  /** All entries of a key in the header, in their order. */
  readonly entries: (key: string) => readonly string[];
  /** The first entry of a key. Throws ConfigError when there is none. */
  readonly entry: (key: string) => string;
}

const folders = new Map<string, Promise<readonly SqlFile[]>>();

/** All files of a folder below `queries/`, by name. They ship with the program, so each folder is read once per process. */
export function sqlFiles(folder: 'checks' | 'kpi' | 'views'): Promise<readonly SqlFile[]> {
  const known = folders.get(folder);
  if (known) return known;
  const read = readFolder(join(QUERIES_FOLDER, folder));
  folders.set(folder, read);
  // A failure is not remembered.
  read.catch(() => folders.delete(folder));
  return read;
}

async function readFolder(folder: string): Promise<readonly SqlFile[]> {
  const names = (await readdir(folder)).filter((file) => file.endsWith('.sql')).sort();
  return Promise.all(names.map((name) => readSqlFile(join(folder, name))));
}

export async function readSqlFile(path: string): Promise<SqlFile> {
  return parseSqlFile(basename(path, '.sql'), await readFile(path, 'utf8'));
}

export function parseSqlFile(name: string, sql: string): SqlFile {
  const lines = sql.split('\n');
  const header = lines.slice(
    0,
    lines.findIndex((line) => !line.startsWith('--')),
  );
  const all = header.flatMap((line) => {
    const [, key, text = ''] = /^-- (\w+): (.+)$/.exec(line.trimEnd()) ?? [];
    return key === undefined ? [] : [{ key, text: text.trim() }];
  });
  const entries = (key: string): string[] => all.filter((entry) => entry.key === key).map(({ text }) => text);
  return {
    name,
    sql,
    statement: statementOf(sql),
    parameters: () => entries('parameter').map((text) => parseParameter(name, text)),
    entries,
    entry: (key) => {
      const [text] = entries(key);
      if (text !== undefined) return text;
      throw new ConfigError(`The header of "${name}" has no ${key}.`, {
        hint: `Add a line "-- ${key}: …" at the top of the file.`,
        where: { report: name },
      });
    },
  };
}

/** A statement may be put into brackets, so a comment at its end needs a line of its own. */
function statementOf(sql: string): string {
  const statement = sql.replaceAll(/^--.*$\n?/gm, '').trim();
  return /--[^\n]*$/.test(statement) ? `${statement}\n` : statement;
}

/** The statement with values in place of its parameters. Parameters without a given value have their defaults. */
export function withValues({ statement, parameters }: SqlFile, given: Readonly<Record<string, string>>): string {
  const defaultOf = (name: string): string | undefined => {
    const parameter = parameters().find((candidate) => candidate.name === name);
    return parameter && (parameter.fallback ?? 'null');
  };
  return statement.replaceAll(/\$([a-z_]+)\b/g, (whole, name: string) => {
    const value = given[name] ?? defaultOf(name);
    if (value === undefined) throw new RangeError(`${whole} is not a parameter`);
    return value === 'null' ? 'null' : sqlText(value);
  });
}

/** Names that the file had in earlier versions. */
export function formerNamesOf({ entries }: SqlFile): readonly string[] {
  return entries('formerly').flatMap((text) => text.split(/,\s*/));
}

/** What the columns of a report mean, as its header says. */
export function columnEntries({ entries }: SqlFile): ReadonlyMap<string, string> {
  return new Map(
    entries('column').map((text) => {
      const [name = ''] = text.split(' ', 1);
      return [name, text.slice(name.length).trim()];
    }),
  );
}

/** The severity of a check; undefined when the header has none. Throws ConfigError for any other word. */
export function severityOf({ name, entries }: SqlFile): Severity | undefined {
  const [text] = entries('severity');
  if (text === undefined || text === 'error' || text === 'warning') return text;
  throw new ConfigError(`The severity of "${name}" cannot be read.`, {
    hint: 'Write "-- severity: error" or "-- severity: warning".',
    where: { report: name },
  });
}

function parseParameter(file: string, text: string): Parameter {
  const match = /^(\w+):(\w+(?:\|\w+)*)=(\S+)\s+(.+)$/.exec(text);
  const kind = match?.[2] ?? '';
  if (!match || !(isKind(kind) || kind.includes('|')))
    throw new ConfigError(`A parameter of "${file}" cannot be read.`, {
      hint: `Write "-- parameter: name:type=default description" with one of the types ${KINDS.join(', ')}, or with the allowed words as a|b.`,
      where: { report: file },
    });
  const [, name = '', , fallback = '', description = ''] = match;
  return { name, kind, fallback: fallback === 'null' ? null : fallback, description };
}

export function isKind(text: string): text is Kind {
  return KINDS.some((kind) => kind === text);
}
