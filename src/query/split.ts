/** A report as it is asked: split by dimensions, filtered, or in total over tenants. */
import { didYouMean } from '../kernel/closest.ts';
import { ConfigError } from '../kernel/errors.ts';
import { sqlName } from '../kernel/sql.ts';
import { TABLES } from '../model/tables.ts';
import { sharedDefinitions, tablesReadBy } from './definitions.ts';
import { additivityNotes, expanded, filtersIn, partsOfBy, PROMOTED } from './dimensions.ts';
import { checkFilters } from './filters.ts';
import { textRows } from './reader.ts';
import type { Reader } from './reader.ts';
import { parameterNames } from './report.ts';
import type { Report } from './report.ts';
import { splitStatements } from './split-sql.ts';
import type { PromotedColumn } from './split-sql.ts';

type Values = Readonly<Record<string, string | null>>;

/** One select to run in the same reader. */
export interface Prepared {
  readonly sql: string;
  readonly parameters: Values;
  /** `periods` and the other macros of split-coverage.ts have a row per segment, while this select has tenants. */
  readonly isBySegment: boolean;
  /** Which figures do not add up over which dimension, a sentence each. */
  readonly notes: readonly string[];
}

/** Filters that the SQL of reports knows itself. They take one value there. */
const NATIVE = ['tenant', 'pass_type', 'platform'];

/**
 * Checks the values against the lake and prepares the reader for the report. `flag` is where the values were given.
 * Throws ConfigError.
 */
export async function prepareReport(reader: Reader, report: Report, values: Values, flag: string): Promise<Prepared> {
  // An earlier report may have left its views.
  await reader.replaceViews([]);
  const { allowed } = report.dimensions;
  const asksForPromoted = allowed.includes(PROMOTED) && Object.entries(values).some(([name, value]) => value !== null && isBeyond(report, name)); // oxfmt-ignore
  const promoted = asksForPromoted ? await promotedColumns(reader) : { events: [], logs: [] };
  const tables = await tablesReadBy(report.sql);
  const extra = (tables.includes('logs') ? promoted.logs : promoted.events).map(({ name }) => name);
  const own = ownWords(report);
  const { word, by } = partsOfBy(report.dimensions, own, values['by'] ?? null, extra);
  const filterable = [...new Set([...expanded(allowed, extra), ...report.dimensions.rowsBy, ...NATIVE.filter((name) => name in values)])]; // oxfmt-ignore
  for (const name of Object.keys(values)) if (!parameterNames(report).includes(name) && !filterable.includes(name)) throw noParameter(report, name, filterable); // oxfmt-ignore
  const filters = filtersIn(
    filterable.filter((name) => name !== 'tenant'),
    values,
  );
  const total = values['total'] === 'true';
  if (total && (values['by'] ?? '').split(',').includes('tenant'))
    throw new ConfigError('A total over all tenants cannot be split by tenant.', {
      hint: 'Omit total=true, or omit tenant in by.',
      where: { flag: '--param' },
    });
  await checkFilters(reader, filters, tables.includes('logs') ? ['logs'] : ['events'], flag);
  const isNative = Object.entries(filters).every(([name, list]) => NATIVE.includes(name) && list.length === 1 && hasOwn(report, name)); // oxfmt-ignore
  const isSplit = by.length > 0 || total || !isNative;
  const parameters = Object.fromEntries(
    report.parameters
      .filter(({ name }) => hasOwn(report, name))
      .map(({ name, fallback }) => {
        if (name === 'by' && own.length > 0) return [name, word ?? fallback] as const;
        if (NATIVE.includes(name)) return [name, isSplit ? null : (filters[name]?.[0] ?? null)] as const;
        return [name, values[name] ?? fallback] as const;
      }),
  );
  const asItIs = { sql: report.sql, parameters, isBySegment: false, notes: [] };
  if (!isSplit) return asItIs;
  const [[catalogue = ''] = []] = await textRows(reader, 'select current_database()');
  await reader.replaceViews(
    splitStatements({ by, filters, total }, { catalogue, promoted, tables, definitions: await sharedDefinitions() }),
  );
  if (by.length === 0) return asItIs;
  return wrapped(reader, report, parameters, by, extra);
}

/** Limits the reader to some tenants. Returns the one that a select can ask for itself, if there is only one. */
export async function prepareTenants(reader: Reader, text: string | null, flag: string): Promise<string | null> {
  const filters = filtersIn([], { tenant: text });
  await checkFilters(reader, filters, [], flag);
  const [first = null, ...more] = filters['tenant'] ?? [];
  if (more.length === 0) return first;
  const [[catalogue = ''] = []] = await textRows(reader, 'select current_database()');
  const around = { catalogue, promoted: { events: [], logs: [] }, tables: [], definitions: await sharedDefinitions() };
  await reader.replaceViews(splitStatements({ by: [], filters, total: false }, around));
  return null;
}

/** The report's rows with their dimensions as columns. Combinations without anything in the whole result are left out. */
async function wrapped(
  reader: Reader,
  report: Report,
  parameters: Values,
  by: readonly string[],
  promoted: readonly string[],
): Promise<Prepared> {
  const { columns } = await reader.query(`select * from (\n${report.sql}\n) limit 0`, parameters);
  const names = columns.map(({ name }) => name);
  const coverage = names.findIndex((name) => ['is_cut', 'verified_share'].includes(name));
  const figures = columns
    .slice(0, coverage === -1 ? undefined : coverage)
    .filter(({ numeric }) => numeric)
    .map(({ name }) => name);
  const keys = names.filter((name) => ['tenant_id', 'period'].includes(name));
  const rest = names.filter((name) => !keys.includes(name));
  const texts = columns.filter(({ name, type }) => rest.includes(name) && type === 'VARCHAR' && name !== 'coverage');
  const dimensions = by.map((name, index) => `split_rows.tenant_id ->> ${index + 1} as ${sqlName(name)}`);
  const order = [...keys, ...by, ...texts.map(({ name }) => name)].map((name) => `split.${sqlName(name)}`);
  const occurs = figures.map((name) => `split_rows.${sqlName(name)} <> 0`).join(' or ');
  const sql = `select * from (
    select split_rows.tenant_id ->> 0 as tenant_id,
      ${[...keys.filter((name) => name !== 'tenant_id').map((name) => `split_rows.${sqlName(name)}`), ...dimensions, ...rest.map((name) => `split_rows.${sqlName(name)}`)].join(',\n      ')}
    from (\n${report.sql}\n) as split_rows
    ${occurs === '' ? '' : `qualify coalesce(bool_or(${occurs}) over (partition by split_rows.tenant_id), false)`}
  ) as split
  order by ${order.join(', ')}`;
  const notes = additivityNotes(report.dimensions, by, figures, (name) => promoted.includes(name));
  return { sql, parameters, isBySegment: true, notes };
}

/** The words of a report's own parameter `by`. */
function ownWords(report: Report): readonly string[] {
  const by = report.parameters.find(({ name }) => name === 'by');
  return by !== undefined && hasOwn(report, 'by') ? by.kind.split('|') : [];
}

/** True if the statement of the report has the parameter. */
function hasOwn({ sql }: Report, name: string): boolean {
  return new RegExp(`\\$${name}\\b`).test(sql);
}

/** True for a name or a value that only the promoted columns of the lake can explain. */
function isBeyond(report: Report, name: string): boolean {
  return name === 'by' || !parameterNames(report).includes(name);
}

function noParameter(report: Report, name: string, filterable: readonly string[]): ConfigError {
  const names = [...new Set([...parameterNames(report), ...filterable])];
  return new ConfigError(`Report "${report.name}" has no parameter "${name}".`, {
    hint: `${didYouMean(name, names)}Write name=value with one of ${names.join(', ')}.`,
    where: { flag: '--param' },
  });
}

/** Columns of the lake that the configuration promotes. */
async function promotedColumns(
  reader: Reader,
): Promise<{ readonly events: readonly PromotedColumn[]; readonly logs: readonly PromotedColumn[] }> {
  const of = async (table: 'Events' | 'Logs'): Promise<readonly PromotedColumn[]> => {
    const { lakeName, columns, promoted } = TABLES[table];
    const known = new Set([
      ...columns.map(({ name }) => name),
      ...promoted.map(({ name }) => name),
      'tenant_id',
      'month',
      'day',
    ]);
    const found = await reader.query(`select * from ${lakeName} limit 0`);
    return found.columns
      .filter(({ name }) => !known.has(name))
      .map(({ name, type }) => ({ name, isList: type.endsWith('[]') }));
  };
  return { events: await of('Events'), logs: await of('Logs') };
}
