/**
 * The coverage of segments is that of their tenants. So the macros about hours and periods are computed once per tenant and then given to
 * its segments: with 300 stores, coverage of three years would otherwise be 23 million hours. Reports that read `coverage` itself find a
 * row per hour and segment.
 */
import type { Definition } from './definitions.ts';

/** Macros over coverage, which have a row per tenant and something. Each after those that it calls. */
export const COVERAGE_MACROS = ['beginnings', 'hour_counts', 'periods', 'history'] as const;

/** Tables that they read, under the names of those that have the tenants of the split. */
export const COVERAGE_TABLES = { coverage: 'split_coverage', history_limits: 'split_limits' } as const;

/** The name of a macro that has rows per tenant, and not per segment. */
export function ofTenants(macro: string): string {
  return `split_${macro}`;
}

/** Temporary macros in place of those with the same names. `split_segments` has the segments of each tenant. */
export function coverageMacros(definitions: readonly Definition[]): readonly string[] {
  return COVERAGE_MACROS.flatMap((name) => {
    const definition = definitions.find((each) => each.name === name);
    if (definition?.arguments === undefined) return [];
    const parameters = definition.arguments;
    const passed = parameters.split(',').map((parameter) => parameter.split(':=')[0]?.trim());
    return [
      `create or replace temp macro ${ofTenants(name)}(${parameters}) as table ${overTenants(definition.select)}`,
      `create or replace temp macro ${name}(${parameters}) as table
       select rows.* replace (segments.segment as tenant_id)
       from ${ofTenants(name)}(${passed.join(', ')}) as rows
       inner join split_segments as segments on segments.tenant = rows.tenant_id`,
    ];
  });
}

/** A select, or a call, over the tables and macros that have rows per tenant. */
export function overTenants(select: string): string {
  const tables = Object.keys(COVERAGE_TABLES).join('|');
  return select
    .replaceAll(
      new RegExp(`\\b(from|join) (${tables})\\b( as \\w+)?`, 'g'),
      (_, word: string, table: keyof typeof COVERAGE_TABLES, alias: string | undefined) =>
        `${word} ${COVERAGE_TABLES[table]}${alias ?? ` as ${table}`}`,
    )
    .replaceAll(new RegExp(`\\b(${COVERAGE_MACROS.join('|')})\\(`, 'g'), (_, macro: string) => `${ofTenants(macro)}(`);
}
