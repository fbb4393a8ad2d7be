/** What to export, as one select: a table or view by name, or a given select, limited to a range and a tenant. */
import { sqlName, sqlText } from '../../kernel/sql.ts';
import { didYouMean } from '../../kernel/closest.ts';
import { ConfigError } from '../../kernel/errors.ts';
import { formatInstant, type Instant } from '../../kernel/instant.ts';
import { textRows, type Exporter, type Reader, type ResultColumn } from '../reader.ts';

export interface Filter {
  /** Bounds of the time column: `from` inclusive, `to` exclusive. */
  readonly from?: Instant;
  readonly to?: Instant;
  readonly tenant?: string;
}

/** One relation to write. */
export interface Selection {
  /** Name of the sheet, or of the table in a DuckDB file. */
  readonly name: string;
  readonly sql: string;
  readonly parameters: Readonly<Record<string, string | null>>;
  readonly columns: readonly ResultColumn[];
  readonly origin: Origin;
}

/** What was chosen. A select itself and free texts are not part of it: they could name a person. */
interface Origin {
  readonly grain?: string;
  readonly zone?: string;
  readonly tenant?: string;
  readonly from?: string;
  readonly to?: string;
}

/** Columns that hold the time of a row. The first one that a relation has is used. */
const TIME_COLUMNS = ['timestamp', 'hour', 'period_start', 'day', 'changed_at', 'started_at'] as const;

/** A table or view by its name or `schema.name`. Throws ConfigError with a suggestion. */
export async function selectTable(reader: Exporter, name: string, filter: Filter): Promise<Selection> {
  const parts = name.split('.');
  const relation = parts.map(sqlName).join('.');
  try {
    return await selectFrom(reader, parts.at(-1) ?? name, `from ${relation}`, {}, filter);
  } catch (error) {
    if (!(error instanceof ConfigError) || !/does not exist|Catalog Error/.test(error.message)) throw error;
    const names = await tableNames(reader);
    throw new ConfigError(`There is no table or view "${name}".`, {
      hint: `${didYouMean(name, names)}There are ${names.join(', ')}.`,
      where: { folder: 'the catalogue' },
    });
  }
}

/** A given select. Throws ConfigError if it is not a single select, or if it has no column to filter by. */
export async function selectFrom(
  reader: Reader,
  name: string,
  sql: string,
  parameters: Readonly<Record<string, string | null>>,
  filter: Filter,
): Promise<Selection> {
  // Check it first: a text that is a single select cannot break out of the brackets around it below.
  await reader.check(sql);
  const inner = sql.replace(/;(?:\s|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*$/, '');
  // The engine renames duplicate columns here: `a`, `a_1`.
  const { columns } = await reader.query(`select * from (\n${inner}\n) limit 0`, parameters);
  const conditions = conditionsOf(columns, filter);
  const where = conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`;
  return {
    name,
    sql: `select * from (\n${inner}\n)${where}`,
    parameters,
    columns,
    origin: originOf(parameters, filter),
  };
}

/** Without a fraction of zeros. */
const shortInstant = (instant: Instant): string => formatInstant(instant).replace(/\.?0+Z$/, 'Z');

function originOf(parameters: Selection['parameters'], { from, to, tenant }: Filter): Origin {
  const pairs = (['grain', 'zone', 'tenant', 'from', 'to'] as const).flatMap((key) => {
    const value = parameters[key] ?? undefined;
    return value === undefined ? [] : [[key, value] as const];
  });
  return {
    ...Object.fromEntries(pairs),
    ...(from === undefined ? {} : { from: shortInstant(from) }),
    ...(to === undefined ? {} : { to: shortInstant(to) }),
    ...(tenant === undefined ? {} : { tenant }),
  };
}

/**
 * The selection with its instants as local times of a zone, without an offset. In the hour that clocks repeat, two instants have the
 * same local time.
 */
export function inZone(selection: Selection, zone: string): Selection {
  const isInstant = ({ type }: ResultColumn): boolean => type === 'TIMESTAMP WITH TIME ZONE';
  const instants = selection.columns.filter(isInstant).map(({ name }) => sqlName(name));
  if (instants.length === 0) return selection;
  const local = instants.map((name) => `timezone(${sqlText(zone)}, ${name}) as ${name}`);
  return {
    ...selection,
    origin: { ...selection.origin, zone: selection.origin.zone ?? zone },
    sql: `select * replace (${local.join(', ')}) from (${selection.sql})`,
    columns: selection.columns.map((column) => (isInstant(column) ? { ...column, type: 'TIMESTAMP' } : column)),
  };
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
    // The month is part of the path, so that files of other months are not opened.
    if (time === 'timestamp' && has('month'))
      conditions.push(`"month" ${sign === '<' ? '<=' : sign} '${formatInstant(bound).slice(0, 7)}'`);
  }
  return conditions;
}

function lacking(column: string, flag: string, columns: readonly ResultColumn[]): ConfigError {
  return new ConfigError(`The result has no ${column}, so ${flag} cannot be applied.`, {
    hint: `Omit ${flag}, or filter in a --query. Columns: ${columns.map(({ name }) => name).join(', ')}.`,
    where: { flag },
  });
}

async function tableNames(reader: Exporter): Promise<string[]> {
  const sql = `select distinct table_name from information_schema.tables where table_schema = 'main' order by 1`;
  return (await textRows(reader, sql)).flat();
}
