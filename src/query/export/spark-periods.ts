/**
 * Reports by week and month in Spark, from their marts by day. Only figures of which days make a longer period are there: a header says
 * `over_days: sum` (what happens on a day), `end` or `start` (a state at the end or start of the period), and `by` a column that identifies
 * a row within a day. Passes that are counted once per period, and shares of all rows, do not follow from days: `mart_<report>_by` has them.
 */
import { ConfigError } from '../../kernel/errors.ts';
import { reportOf, type Report } from '../report.ts';
import { sqlFiles, type SqlFile } from '../sql-file.ts';
import { sparkName } from './spark-text.ts';

const GRAINS = { week: "date_add(date_trunc('week', day), 6)", month: 'last_day(day)' } as const;
type PeriodGrain = keyof typeof GRAINS;
const KINDS = ['sum', 'end', 'start'] as const;

interface OverDays {
  readonly report: Report;
  readonly by: string | undefined;
  readonly figures: readonly { readonly kind: (typeof KINDS)[number]; readonly name: string }[];
  /** The report whose mart has a row for each day with the coverage that a row of this report depends on; undefined if there is none. */
  readonly spine: string | undefined;
}

/** The reports with `over_days`, by name. */
export async function reportsOverDays(): Promise<readonly OverDays[]> {
  const files = await sqlFiles('kpi');
  // A report with a row for each source has no row on a day without one, so such days are known from another report.
  const hasEachDay = (file: SqlFile): boolean => file.entry('grain') === 'one row per tenant and period';
  return files.flatMap((file) => {
    const lines = file.entries('over_days');
    if (lines.length === 0) return [];
    const [mart] = file.entries('mart');
    const spine = [file, ...files].find((other) => hasEachDay(other) && other.entries('mart')[0] === mart);
    const parts = lines.map((line) => partsOf(file.name, line));
    return {
      report: reportOf(file),
      by: parts.find(({ by }) => by !== undefined)?.by,
      figures: parts.flatMap(({ kind, names }) => names.map((name) => ({ kind, name }))),
      spine: spine?.name,
    };
  });
}

function partsOf(report: string, line: string): { kind: (typeof KINDS)[number]; names: string[]; by?: string } {
  const [, word, names = '', by] = /^(\w+) (\w+(?:, \w+)*)(?: by (\w+))?$/.exec(line) ?? [];
  const kind = KINDS.find((known) => known === word);
  if (kind === undefined)
    throw new ConfigError(`"over_days: ${line}" in the header of ${report} cannot be read.`, {
      hint: `Write ${KINDS.join(', ')}, then columns of the report, and if needed "by" and a column.`,
      where: { report },
    });
  return { kind, names: names.split(', '), ...(by === undefined ? {} : { by }) };
}

/** The select of a report by week or month. A ratio of two figures is the ratio of their values for the period. */
export function overDaysSql({ report, by, figures, spine }: OverDays, grain: PeriodGrain): string {
  const period = `cast(date_trunc('${grain}', day) as date) as period`;
  const value = ({ kind, name }: OverDays['figures'][number]): string => {
    const column = `days.${sparkName(name)}`;
    // Unknown on one day is unknown for the period.
    if (kind === 'sum') return `if(count(${column}) = count(*), sum(${column}), null)`;
    return `max(${column}) filter (where days.day = known.${kind === 'end' ? 'last' : 'first'}_day)`;
  };
  const valueOf = new Map(figures.map((figure) => [figure.name, value(figure)]));
  const ratios = report.ratios.flatMap(({ figure, isRest, numerator, denominator }) => {
    const [above, below] = [valueOf.get(numerator), valueOf.get(denominator)];
    if (above === undefined || below === undefined || valueOf.has(figure)) return [];
    return `round(${isRest ? '1 - ' : ''}${above} / nullif(${below}, 0), 4) as ${sparkName(figure)}`;
  });
  const keys = ['tenant_id', 'period', ...(by === undefined ? [] : [by])].map((name) => `days.${sparkName(name)}`);
  const coverage = spine === undefined ? [] : ['any_value(known.coverage) as coverage'];
  const columns = [
    ...keys,
    ...[...valueOf].map(([name, sql]) => `${sql} as ${sparkName(name)}`),
    ...ratios,
    ...coverage,
  ];
  return `select
  ${columns.join(',\n  ')}
from (select *, ${period} from mart_${report.name}) as days
join (
  select
    tenant_id, period, min(day) as first_day, max(day) as last_day,
    case
      when bool_or(coverage = 'unverified') or min(day) > period then 'unverified'
      when bool_or(coverage = 'open') or max(day) < max(ends_on) then 'open'
      else 'verified'
    end as coverage
  from (select *, ${period}, cast(${GRAINS[grain]} as date) as ends_on from mart_${spine ?? report.name})
  group by tenant_id, period
) as known on known.tenant_id = days.tenant_id and known.period = days.period
group by ${keys.join(', ')}`;
}
