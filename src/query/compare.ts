/**
 * Reports compared with an earlier time: `compare=previous|year`. The report's statement runs twice, the second time over the
 * earlier range. Rows are joined on tenant, period and all further key columns.
 */
import { sqlName, sqlText } from '../kernel/sql.ts';
import { periodsBetween, shiftDay, startOf, todayIn, type Unit } from './days.ts';
import type { Reader, ResultColumn } from './reader.ts';
import { overTenants } from './split-coverage.ts';
import type { Prepared } from './split.ts';
import { COMPARE, takesCompare, type Report, type Values } from './report.ts';

export interface Statement {
  readonly sql: string;
  readonly parameters: Values;
}

interface Comparison {
  /** Values of the report's parameters for the earlier time. */
  readonly before: Readonly<Record<'from' | 'to', string | null>>;
  /** From a period to the one that it is compared with, as an interval of SQL. */
  readonly distance: string;
}

/** What the last `compare=…` of the words asks for; undefined without one. */
function comparisonOf(report: Report, words: readonly string[], values: Values, nowMs: number): Comparison | undefined {
  const word = words.findLast((given) => given.startsWith(`${COMPARE}=`))?.slice(COMPARE.length + 1);
  if (word === undefined || word === 'null' || !takesCompare(report)) return undefined;
  const { from = null, to = null } = values;
  const grain = values['grain'] ?? 'day';
  const [count, unit] = distanceOf(word, grain, values, nowMs);
  const back = (day: string | null): string | null => day && earlier(day, count, unit);
  const isNextHour = grain === 'hour' && word === 'previous' && from === null;
  const name = isNextHour ? 'hours' : `${unit}s`;
  return {
    before: { from: back(from), to: isNextHour ? to : back(to) },
    distance: `interval ${sqlText(`${count} ${name}`)}`,
  };
}

function distanceOf(word: string, grain: string, values: Values, nowMs: number): readonly [number, Unit] {
  if (word === 'year') return grain === 'week' ? [52, 'week'] : [1, 'year'];
  // A range is whole days, so hours are compared with the same hours of earlier days.
  const unit = UNIT_OF[grain] ?? 'day';
  const { from = null, to = null } = values;
  if (from === null) return [1, unit];
  const weekStart = values['week_start'] ?? 'monday';
  const last = to === null ? todayIn(values['zone'] ?? 'UTC', nowMs) : shiftDay(to, -1, 'day');
  const periods = periodsBetween(
    startOf(from, unit, weekStart),
    startOf(last < from ? from : last, unit, weekStart),
    unit,
  );
  return [periods + 1, unit];
}

const UNIT_OF: Readonly<Record<string, Unit>> = { week: 'week', month: 'month', quarter: 'quarter', year: 'year' };

/** Where the month is too short, the first day of the next one: so that the days before a bound stay before it. */
function earlier(day: string, count: number, unit: Unit): string {
  const shifted = shiftDay(day, -count, unit);
  const isShort = unit !== 'day' && unit !== 'week' && shifted.slice(8) !== day.slice(8);
  return isShort ? shiftDay(shifted, 1, 'day') : shifted;
}

/** The columns at the end of each report, and what they are for two periods. `recent` and `former` are rows of one period each. */
const COVERAGE: Readonly<Record<string, string>> = {
  is_cut: 'recent.is_cut or coalesce(former.is_cut, false)',
  verified_share: 'least(recent.verified_share, former.verified_share)',
  partial_share: 'greatest(recent.partial_share, former.partial_share)',
  open_share: 'greatest(recent.open_share, former.open_share)',
  coverage: `case when 'unverified' in (recent.coverage, coalesce(former.coverage, '')) then 'unverified' when 'open' in (recent.coverage, coalesce(former.coverage, '')) then 'open' else recent.coverage end`,
  loaded_at: 'recent.loaded_at',
};

/** The columns that tell rows of a report apart: tenant, period, and each column of text before its coverage. */
function keyColumns(columns: readonly ResultColumn[]): string[] {
  return columns
    .filter(
      ({ name, type }) => !(name in COVERAGE) && (name === 'tenant_id' || name === 'period' || type === 'VARCHAR'),
    )
    .map(({ name }) => name);
}

/** A report's statement, as `prepareReport` (split.ts) gives it, compared with an earlier time if the words ask for it. */
export async function reportStatement(
  reader: Reader,
  report: Report,
  prepared: Prepared,
  words: readonly string[],
  nowMs: number,
): Promise<Statement> {
  const { sql, parameters } = prepared;
  const comparison = comparisonOf(report, words, parameters, nowMs);
  return comparison === undefined ? { sql, parameters } : comparedStatement(reader, prepared, comparison);
}

/** The report's statement with the figures of the earlier time, their differences, and the differences as shares. */
async function comparedStatement(
  reader: Reader,
  { sql, parameters: values, isBySegment }: Prepared,
  { before, distance }: Comparison,
): Promise<Statement> {
  const present = sql.trim().replace(/;$/, '');
  const past = present.replaceAll(/\$(from|to)\b/g, '$$before_$1');
  const { columns } = await reader.query(`select * from (\n${present}\n) limit 0`, values);
  const keys = keyColumns(columns);
  const rest = columns.filter(({ name }) => !keys.includes(name) && !(name in COVERAGE));
  const figures = rest.filter(({ numeric }) => numeric);
  const coverage = columns.filter(({ name }) => name in COVERAGE).map(({ name }) => name);
  const selected = [
    ...keys.map((key) => `coalesce(present.${sqlName(key)}, past.${sqlName(key)}) as ${sqlName(key)}`),
    ...rest.map((column) => `${figureSql(column, 'present', 'recent')} as ${sqlName(column.name)}`),
    ...figures.flatMap((column) => changeSql(column)),
    ...coverage.map((name) => `${COVERAGE[name]} as ${name}`),
  ];
  const onKeys = keys.map((key) => `present.${sqlName(key)} is not distinct from past.${sqlName(key)}`);
  const inPeriod = (other: string): string =>
    `${other}.tenant_id = coalesce(present.tenant_id, past.tenant_id) and ${other}.period = coalesce(present.period, past.period)`;
  const oneOf = `qualify if(count(*) over (partition by ${keys.map(sqlName).join(', ')}) = 1, true, error('Rows of this report cannot be compared: several have the same tenant, period and texts.'))`;
  const ofPeriod = ['tenant_id', 'period', ...coverage];
  const periodsOf = (rows: string): string =>
    `select ${ofPeriod.map((name) => (coverage.includes(name) ? `any_value(${name}) as ${name}` : name)).join(', ')} from ${rows} group by tenant_id, period`;
  // A covered period in which nothing occurred has no row in some reports. It is known all the same.
  const found = periodsCall(sql);
  const call = found !== undefined && isBySegment ? overTenants(found) : found;
  const known = (rows: string, covered: string | undefined): string =>
    covered === undefined
      ? periodsOf(rows)
      : `select * from (${periodsOf(rows)})
union all by name
select * from (${periodsOf(covered)}) as covered where not exists (select 1 from ${rows} as other where other.tenant_id = covered.tenant_id and other.period = covered.period)`;
  const pastCall = call?.replaceAll(/\$(from|to)\b/g, '$$before_$1');
  return {
    sql: `with
present as materialized (select * from (\n${present}\n) ${oneOf}),
earlier as materialized (select * from (\n${past}\n) ${oneOf}),
-- The last days of long months have no counterpart in short ones.
past as (select * replace (period + ${distance} as period) from earlier where period + ${distance} - ${distance} = period),
present_periods as (${known('present', call)}),
past_periods as (${known('past', pastCall && `(select * replace (period + ${distance} as period) from ${pastCall})`)})
select ${selected.join(',\n  ')}
from present
full join past on ${onKeys.join(' and ')}
inner join present_periods as recent on ${inPeriod('recent')}
left join past_periods as former on ${inPeriod('former')}
order by ${keys.map((_, index) => index + 1).join(', ')}`,
    parameters: { ...values, before_from: before.from, before_to: before.to },
  };
}

/** The call of `periods` or `history` that gives a report its periods; undefined if there is none, or if there are several. */
function periodsCall(sql: string): string | undefined {
  const calls = new Set(sql.replaceAll(/--.*$/gm, '').match(/\b(?:periods|history)\([^()]*\)/g));
  const [call] = calls;
  return calls.size === 1 ? call : undefined;
}

const WHOLE = /^U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?$/;

/** A figure of one side. Where only the other side has a row, the figure is 0 if the period itself is known. */
function figureSql({ name, type }: ResultColumn, side: 'present' | 'past', period: 'recent' | 'former'): string {
  const figure = `${side}.${sqlName(name)}`;
  if (!WHOLE.test(type)) return figure;
  return `case when ${side}.tenant_id is null and ${period}.tenant_id is not null then 0 else ${figure} end`;
}

function changeSql(column: ResultColumn): string[] {
  const [now, before] = [figureSql(column, 'present', 'recent'), figureSql(column, 'past', 'former')];
  const difference = WHOLE.test(column.type) ? `(${now})::hugeint - (${before})::hugeint` : `(${now}) - (${before})`;
  const exact = WHOLE.test(column.type) ? `(${difference})::bigint` : `round(${difference}, 10)`;
  const named = (suffix: string): string => sqlName(`${column.name}_${suffix}`);
  return [
    `${before} as ${named('before')}`,
    `${exact} as ${named('difference')}`,
    `round((${difference}) / nullif(abs(${before}), 0), 4) as ${named('change')}`,
  ];
}
