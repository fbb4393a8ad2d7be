/** What is exported, as one select: a table or view by name, or a select, over a range and for one tenant. */
import { sqlName, sqlText } from '../../kernel/sql.ts';
import { closest } from '../../kernel/closest.ts';
import { ConfigError } from '../../kernel/errors.ts';
import { formatInstant, type Instant } from '../../kernel/instant.ts';
import { textRows, type Exporter, type ResultColumn } from '../reader.ts';

export interface Filter {
  /** Inclusive and exclusive bound of the time column. */
  readonly from?: Instant;
  readonly to?: Instant;
  readonly tenant?: string;
}

/** One relation to write. */
export interface Selection {
  /** Of the sheet, or of the table in a DuckDB file. */
  readonly name: string;
  /** One select. */
  readonly sql: string;
  readonly parameters: Readonly<Record<string, string | null>>;
  readonly columns: readonly ResultColumn[];
}

/** The columns that place a row in time, the first that a relation has counts. */
const TIME_COLUMNS = ['timestamp', 'hour', 'period_start', 'day', 'changed_at', 'started_at'] as const;

/** A table or view by its name, or `schema.name`. Throws ConfigError with what was meant. */
export async function selectTable(reader: Exporter, name: string, filter: Filter): Promise<Selection> {
  const parts = name.split('.');
  const relation = parts.map(sqlName).join('.');
  try {
    return await selectFrom(reader, parts.at(-1) ?? name, `from ${relation}`, {}, filter);
  } catch (error) {
    if (!(error instanceof ConfigError) || !/does not exist|Catalog Error/.test(error.message)) throw error;
    const names = await tableNames(reader);
    const meant = closest(name, names);
    throw new ConfigError(`There is no table or view "${name}".`, {
      hint: `${meant === undefined ? '' : `Did you mean "${meant}"? `}There are ${names.join(', ')}.`,
      where: { folder: 'the catalogue' },
    });
  }
}

/** Any one select. Throws ConfigError where it is not one, or where it lacks a column to filter by. */
export async function selectFrom(
  reader: Exporter,
  name: string,
  sql: string,
  parameters: Readonly<Record<string, string | null>>,
  filter: Filter,
): Promise<Selection> {
  // Alone first: what is one select by itself cannot reach out of the brackets it is then put into.
  await reader.check(sql);
  const inner = sql.replace(/;(?:\s|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*$/, '');
  // Two columns of one name are told apart by the engine here: `a`, `a_1`.
  const { columns } = await reader.query(`select * from (\n${inner}\n) limit 0`, parameters);
  const conditions = conditionsOf(columns, filter);
  const where = conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`;
  return { name, sql: `select * from (\n${inner}\n)${where}`, parameters, columns };
}

function conditionsOf(columns: readonly ResultColumn[], { from, to, tenant }: Filter): string[] {
  const conditions: string[] = [];
  const has = (name: string): boolean => columns.some((column) => column.name === name);
  if (tenant !== undefined) {
    if (!has('tenant_id')) throw lacking('tenant_id', '--tenant', columns);
    conditions.push(`tenant_id = ${sqlText(tenant)}`);
  }
  if (from === undefined && to === undefined) return conditions;
  const time = TIME_COLUMNS.find((name) =>
    columns.some((column) => column.name === name && /^(TIMESTAMP|DATE)/.test(column.type)),
  );
  if (time === undefined) throw lacking(`date or time column (${TIME_COLUMNS.join(', ')})`, '--from, --to', columns);
  for (const [bound, sign] of [
    [from, '>='],
    [to, '<'],
  ] as const) {
    if (bound === undefined) continue;
    conditions.push(`"${time}" ${sign} timestamptz '${formatInstant(bound)}'`);
    // The month is in the files' paths: files of other months are not even opened.
    if (time === 'timestamp' && has('month'))
      conditions.push(`"month" ${sign === '<' ? '<=' : sign} '${formatInstant(bound).slice(0, 7)}'`);
  }
  return conditions;
}

function lacking(column: string, flag: string, columns: readonly ResultColumn[]): ConfigError {
  return new ConfigError(`The result has no ${column}, so ${flag} cannot apply.`, {
    hint: `Leave ${flag} out, or filter in a --query. Columns: ${columns.map(({ name }) => name).join(', ')}.`,
    where: { flag },
  });
}

async function tableNames(reader: Exporter): Promise<string[]> {
  const sql = `select distinct table_name from information_schema.tables where table_schema = 'main' order by 1`;
  return (await textRows(reader, sql)).flat();
}
