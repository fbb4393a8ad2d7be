/**
 * Segments: the totals of a tenant, of each of its pass types, of each of its platforms, and of each combination. Reports group by
 * tenant and know of no segment. So each row is given to every segment that it belongs to, in place of its tenant, and one statement
 * gives the figures of all segments.
 *
 * What reports share is computed once per tenant (`whole_…`) and then given to the segments: the pass of an event, what was first,
 * and the hours of each period are the same in all of them.
 */
import type { Definition } from '../../query/definitions.ts';
import { definer, dropDefinitions, isCopied } from './mart-rows.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { ALL_AGES } from './shared-periods.ts';

export const GRAINS = ['day', 'week', 'month'] as const;

/** In a segment: not split by this dimension. */
export const ALL = '(all)';

/** A tenant with more has no rows for the others, which count in its totals: the most frequent are kept. */
const MOST = { passTypes: 50, platforms: 10 } as const;

/** Definitions that are given to segments and not computed in them. */
const GIVEN = ['event_facts', 'pass_events', 'registrations', 'installed_snapshots', 'periods', 'history', 'hour_counts', 'beginnings', 'activity']; // oxfmt-ignore

const PASS_TYPE = `coalesce(nullif(pass_type, ''), '(none)')`;
const TABLES = ['events', 'logs', 'metrics'];

/** One per tenant and table, of tables that reports read. */
function forEach(tables: readonly string[], select: (table: string, grain: string) => string, grains: readonly string[] = GRAINS): string {
  return tables
    .flatMap((table) => grains.map((grain) => select(table, grain)))
    .join(' union all ');
} // oxfmt-ignore

/** Names that `wholeStatements` needs to be defined. */
const WHOLE_READS = ['from event_facts', 'from pass_events', 'from registrations', 'installed_snapshots(', 'periods(', 'history(', 'hour_counts('].join(' '); // oxfmt-ignore

interface Made {
  readonly kind: 'macro table' | 'table' | 'view';
  readonly name: string;
  readonly sql: string;
}

const table = (name: string, select: string): Made => ({ kind: 'table', name, sql: `create temp table ${name} as ${select}` }); // oxfmt-ignore
const view = (name: string, select: string): Made => ({ kind: 'view', name, sql: `create temp view ${name} as ${select}` }); // oxfmt-ignore
const renamed = (kind: Made['kind'], from: string, name: string): Made => ({ kind, name, sql: `alter ${kind} temp.${from} rename to ${name}` }); // oxfmt-ignore
const macro = (name: string, parameters: string, select: string): Made => ({ kind: 'macro table', name, sql: `create or replace temp macro ${name}(${parameters}) as table ${select}` }); // oxfmt-ignore

/** What is computed once per tenant, from what `WHOLE_READS` defines. */
function whole(definitions: readonly Definition[]): readonly Made[] {
  const moved = (from: string, name: string): Made =>
    renamed(definitions.some((each) => each.name === from && isCopied(each)) ? 'table' : 'view', from, name);
  const sums = `select tenant_id, of_type, sum(n)::bigint as n from (
      select tenant_id, ${PASS_TYPE} as of_type, count(*) as n from whole_pass_events group by all
      union all select tenant_id, ${PASS_TYPE}, 0 from whole_snapshots group by all
      union all select tenant_id, ${PASS_TYPE}, 0 from whole_facts where pass_type is not null group by all
      union all select distinct tenant_id, '(none)', 0 from coverage
    ) group by all`;
  const platforms = `select tenant_id, of_platform, sum(n)::bigint as n from (
      select tenant_id, platform as of_platform, count(*) as n from whole_registrations group by all
      union all select tenant_id, platform, 0 from whole_snapshots where platform is not null group by all
    ) group by all`;
  const numbered = (name: string, select: string): Made =>
    table(name, `select *, row_number() over (partition by tenant_id order by n desc, of_${name === 'split_types' ? 'type' : 'platform'}) as nth from (${select})`); // oxfmt-ignore
  return [
    table('whole_snapshots', 'select * from installed_snapshots(null)'),
    table('whole_periods', forEach(TABLES, (name, grain) => `select '${name}' as for_table, '${grain}' as for_grain, * from periods('${name}', null, 'UTC', '${grain}', null, null, 'monday')`)),
    table('whole_history', forEach(['events', 'metrics'], (name, grain) => `select '${name}' as for_table, '${grain}' as for_grain, * from history('${name}', null, 'UTC', '${grain}', null, null, ${ALL_AGES}, 'monday')`)),
    table('whole_counts', forEach(TABLES, (name) => `select '${name}' as for_table, * from hour_counts('${name}', null)`, [''])),
    moved('pass_events', 'whole_pass_events'),
    moved('registrations', 'whole_registrations'),
    moved('event_facts', 'whole_facts'),
    renamed('view', 'logs', 'whole_logs'),
    renamed('view', 'metrics', 'whole_metrics'),
    table('whole_passes', 'select tenant_id, pass_id, any_value(pass_type) as pass_type from whole_pass_events group by all'),
    numbered('split_types', sums),
    numbered('split_platforms', platforms),
    renamed('table', 'coverage', 'whole_coverage'),
  ];
} // oxfmt-ignore

/** The segments of these dimensions, and what reports read, by segment. */
function segmented(dimensions: readonly string[]): readonly Made[] {
  const valuesOf = (name: string, list: string, column: string, most: number): string =>
    `(select distinct tenant_id, '${ALL}' as ${column} from whole_coverage
      ${dimensions.includes(name) ? `union all select tenant_id, of_${column} from ${list} where nth <= ${most}` : ''})`;
  const each = (rows: string, without = ''): string =>
    `select rows.* ${without} replace (segments.segment as tenant_id) from ${rows} as rows inner join split_segments as segments on segments.tenant_id = rows.tenant_id`;
  const fan = (rows: string, type: string, platform: string): string =>
    `select rows.* replace (fan.segment as tenant_id) from ${rows} as rows
     inner join split_fan as fan on fan.tenant_id = rows.tenant_id and fan.of_type = ${type} and fan.of_platform = ${platform}`;
  const ownType = `coalesce(nullif(rows.pass_type, ''), '(none)')`;
  return [
    table('split_segments', `
      select row_number() over ()::varchar as segment, tenant_id, type as pass_type, platform
      from ${valuesOf('pass_type', 'split_types', 'type', MOST.passTypes)} as types
      inner join ${valuesOf('platform', 'split_platforms', 'platform', MOST.platforms)} as platforms using (tenant_id)`),
    // Only an installation or a removal has a platform. Every other event counts on each platform of its tenant.
    table('split_fan', `
      select types.tenant_id, of_type, of_platform, segment
      from split_types as types
      inner join (select tenant_id, of_platform from split_platforms union all select distinct tenant_id, '' from whole_coverage) as platforms using (tenant_id)
      inner join split_segments as segments on segments.tenant_id = types.tenant_id
      where pass_type in ('${ALL}', of_type) and (platform in ('${ALL}', of_platform) or of_platform = '')`),
    view('pass_events', fan('whole_pass_events', ownType, `if(rows.kind in ('installed', 'uninstalled'), rows.platform, '')`)),
    table('registrations', fan('whole_registrations', ownType, 'rows.platform')),
    view('event_facts', dimensions.length === 0
      ? each('whole_facts')
      : fan(`(select facts.* replace (if(passes.pass_id is null, facts.pass_type, passes.pass_type) as pass_type)
            from whole_facts as facts left join whole_passes as passes on passes.tenant_id = facts.tenant_id and passes.pass_id = facts.pass_id)`, ownType, `''`)),
    view('logs', each('whole_logs')),
    view('metrics', each('whole_metrics')),
    view('coverage', each('whole_coverage')),
    macro('installed_snapshots', 'of_tenant', `
      select rows.* replace (segments.segment as tenant_id) from whole_snapshots as rows
      inner join split_segments as segments on segments.tenant_id = rows.tenant_id
        and segments.pass_type in ('${ALL}', ${ownType}) and segments.platform in ('${ALL}', coalesce(rows.platform, '${ALL}'))`),
    macro('periods', 'of_table, of_tenant, in_zone, by_grain, from_day, to_day, week_start := \'monday\'', `
      ${each('whole_periods', 'exclude (for_table, for_grain)')} where for_table = of_table and for_grain = by_grain`),
    macro('history', 'of_table, of_tenant, in_zone, by_grain, from_day, to_day, at_ages, week_start := \'monday\'', `
      ${each('whole_history', 'exclude (for_table, for_grain)')} where for_table = of_table and for_grain = by_grain and list_contains(at_ages, age_days)`),
    macro('hour_counts', 'of_table, of_tenant', `${each('whole_counts', 'exclude (for_table)')} where for_table = of_table`),
  ];
} // oxfmt-ignore

/** Computed once per grain, because several reports read it. */
function activities(activity: string): readonly Made[] {
  return [
    macro('activity', 'of_tenant, in_zone, by_grain, from_day, to_day, of_type, of_platform, week_start := \'monday\'', activity),
    table('split_activity', forEach([''], (_, grain) => `select '${grain}' as for_grain, * from activity(null, 'UTC', '${grain}', null, null, null, null, 'monday')`)),
    macro('activity', 'of_tenant, in_zone, by_grain, from_day, to_day, of_type, of_platform, week_start := \'monday\'', 'select * exclude (for_grain) from split_activity where for_grain = by_grain'),
  ];
} // oxfmt-ignore

/** Changes whenever the same rows could give another result. */
export function rulesOfScope(): readonly unknown[] {
  return [whole([]), segmented([]), segmented(['pass_type', 'platform']), activities('')];
}

interface Scope {
  readonly definitions: readonly Definition[];
  /** Creates what a statement reads over the rows of tenants (`overRows`). */
  readonly define: (sql: string) => Promise<void>;
  /** Lists of dimensions to split by. */
  readonly lists: readonly (readonly string[])[];
}

/** Creates what reports read by segment, runs `work` for each list of dimensions, and removes it. */
export async function inSegments(
  ledger: Ledger,
  { definitions, define, lists }: Scope,
  work: (dimensions: readonly string[], define: (sql: string) => Promise<void>) => Promise<void>,
): Promise<void> {
  const made: Made[] = [];
  const make = async (all: readonly Made[]): Promise<void> => {
    for (const each of all) {
      await ledger.run(each.sql);
      made.push(each);
    }
  };
  const dropAfter = async (count: number): Promise<void> => {
    const last = made.splice(count).toReversed();
    await ledger.run(['select 1', ...last.map(({ kind, name }) => `drop ${kind} if exists temp.${name}`)].join(';\n'));
  };
  const own = definitions.filter(({ name }) => !GIVEN.includes(name));
  const activity = definitions.find(({ name }) => name === 'activity')?.select ?? '';
  try {
    await define(WHOLE_READS);
    await make(whole(definitions));
    const count = made.length;
    for (const dimensions of lists) {
      const defineOwn = definer(ledger, own);
      try {
        await make(segmented(dimensions));
        if (dimensions.length > 0) {
          await defineOwn(activity);
          await make(activities(activity));
        }
        await work(dimensions, defineOwn);
      } finally {
        await dropAfter(count);
        await ledger.run(dropDefinitions(own).join(';\n'));
      }
    }
  } finally {
    await dropAfter(0);
  }
}
