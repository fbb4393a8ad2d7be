/**
 * Reports and checks of the operator: SQL files in folders that the configuration names, with the same headers as those in
 * `queries/`. A file that cannot be used is listed with the reason and skipped.
 */
import { readFile, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ConfigError, errorCode } from '../kernel/errors.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { allParameters, reportOf } from './report.ts';
import { formerNamesOf, parseSqlFile, sqlFiles, type SqlFile } from './sql-file.ts';

interface Broken {
  readonly name: string;
  /** The file, or the folder if that cannot be read. */
  readonly file: string;
  readonly reason: string;
}

export interface Custom {
  readonly files: readonly SqlFile[];
  readonly broken: readonly Broken[];
}

/** Logs each file that is skipped. */
export function warnOfBroken({ broken }: Pick<Custom, 'broken'>, { log }: Pick<Runtime, 'log'>): void {
  for (const { file, reason } of broken)
    log.warn({ event: 'custom.broken', file, why: reason }, `${file} is skipped: ${reason}`);
}

export const NO_CUSTOM: Custom = { files: [], broken: [] };

/** The usable files of a folder, by name, and the others with what is wrong. Without a folder there are none. */
export async function customFiles(folder: string | undefined, kind: 'checks' | 'kpi'): Promise<Custom> {
  if (folder === undefined) return NO_CUSTOM;
  let names: string[];
  try {
    names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort();
  } catch (error) {
    const reason = `The folder cannot be read (${errorCode(error) ?? 'error'}).`;
    return { files: [], broken: [{ name: basename(folder), file: folder, reason }] };
  }
  const shipped = (await sqlFiles(kind)).flatMap((file) => [file.name, ...formerNamesOf(file)]);
  const files: SqlFile[] = [];
  const broken: Broken[] = [];
  if (names.length === 0) return NO_CUSTOM;
  await using parser = await openParser();
  for (const entry of names) {
    const [name, path] = [basename(entry, '.sql'), join(folder, entry)];
    try {
      files.push(await usable(name, path, kind, shipped, parser));
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      broken.push({ name, file: path, reason: [error.message, error.hint].filter(Boolean).join(' ') });
    }
  }
  return { files, broken };
}

/** Throws ConfigError with what is wrong. */
async function usable(
  name: string,
  path: string,
  kind: 'checks' | 'kpi',
  shipped: readonly string[],
  parser: Parser,
): Promise<SqlFile> {
  if (!/^[a-z][a-z0-9_]{0,62}$/.test(name))
    throw new ConfigError('The name of the file is not lower-case letters, digits and _, starting with a letter.');
  if (shipped.includes(name))
    throw new ConfigError(`A ${kind === 'kpi' ? 'report' : 'check'} with this name ships with the program.`);
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new ConfigError(`The file cannot be read (${errorCode(error) ?? 'error'}).`, { cause: error });
  });
  const file = parseSqlFile(name, text.replaceAll('\r\n', '\n').replace(/;\s*$/, '\n'));
  const report = reportOf(file);
  if (kind === 'checks') file.entry('severity');
  await parser.requireSelect(file.statement);
  const used = new Set([...file.statement.matchAll(/\$([a-z_]\w*)/gi)].map(([, parameter]) => parameter));
  const declared = new Set(file.parameters().map((parameter) => parameter.name));
  for (const parameter of used)
    if (parameter !== undefined && !declared.has(parameter))
      throw new ConfigError(`The statement uses $${parameter}, which its header does not declare.`, {
        hint: `Add a line "-- parameter: ${parameter}:text=null What it is".`,
      });
  for (const parameter of declared)
    if (!used.has(parameter)) throw new ConfigError(`The statement does not use its parameter $${parameter}.`);
  const [mart] = file.entries('mart');
  if (mart !== undefined) requireMart(mart, allParameters(report).map((parameter) => parameter.name)); // oxfmt-ignore
  return file;
}

/** A mart of the operator depends on its own day only: others are computed with those of the program, which it must not stop. */
function requireMart(text: string, parameters: readonly string[]): void {
  if (!/^day of (events|logs|metrics)(, day of (events|logs|metrics))*$/.test(text))
    throw new ConfigError(
      'The mart of a custom report can only be "day of events", "day of logs" or "day of metrics".',
    );
  for (const name of ['from', 'to', 'zone', 'grain'])
    if (!parameters.includes(name)) throw new ConfigError(`A report with a mart needs the parameter ${name}.`);
}

interface Parser extends AsyncDisposable {
  /** Throws ConfigError unless the text is one select. */
  requireSelect(sql: string): Promise<void>;
}

/** One engine for all files of a folder. */
async function openParser(): Promise<Parser> {
  const { DuckDBInstance } = await import('@duckdb/node-api');
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await instance.connect();
  return {
    requireSelect: async (sql) => {
      const answer = await connection.runAndReadAll(
        `select tree ->> 'error_message', json_array_length(tree -> 'statements')::integer
         from (select json_serialize_sql($1::varchar) as tree)`,
        [sql],
      );
      const [message, statements] = answer.getRowsJson()[0] ?? [];
      if (typeof message === 'string') throw new ConfigError(`The statement is not a select: ${message}.`);
      if (statements !== 1) throw new ConfigError('There is not one statement but none or several.');
    },
    [Symbol.asyncDispose]: async () => {
      connection.closeSync();
      instance.closeSync();
    },
  };
}
