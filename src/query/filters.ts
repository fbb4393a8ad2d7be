/**
 * Refuses filter values that no row of the lake has. A typing error would otherwise give an empty result, or zeros that look proven.
 */
import { didYouMean } from '../kernel/closest.ts';
import { ConfigError } from '../kernel/errors.ts';
import { textRows } from './reader.ts';
import type { Reader } from './reader.ts';

type Values = Readonly<Record<string, string | null>>;

interface Filter {
  /** Name of the parameter. */
  readonly parameter: string;
  readonly title: string;
  /** Values that are valid in any lake, because the description of the parameter names them. */
  readonly always: readonly string[];
  /** A select of one column, with all values of `$tenant`, or of all tenants if that is null. */
  readonly values: string;
}

/** True for rows of any tenant if the parameter is null. */
const OF_TENANT = 'tenant_id = coalesce($tenant, tenant_id)';

const FILTERS: readonly Filter[] = [
  {
    parameter: 'tenant',
    title: 'tenant',
    always: [],
    values: 'select tenant_id as value from coverage union all select tenant_id as value from lake_files',
  },
  {
    parameter: 'pass_type',
    title: 'pass type',
    always: [],
    values: `select pass_type as value from events where ${OF_TENANT} and pass_type is not null
       union all select pass_type as value from metrics where ${OF_TENANT} and pass_type is not null`,
  },
  {
    parameter: 'platform',
    title: 'platform',
    always: ['apple', 'google', '(unknown)'],
    values: `select device as value from event_facts where ${OF_TENANT} and kind in ('installed', 'uninstalled') and device is not null
       union all select platform as value from installed_snapshots($tenant) where platform is not null`,
  },
];

/** Throws ConfigError, with the known values, for a value that no row of the lake has. `flag` is where the values were given. */
export async function checkFilters(reader: Reader, values: Values, flag: string): Promise<void> {
  for (const { parameter, title, always, values: select } of FILTERS) {
    const value = values[parameter] ?? null;
    if (value === null || always.includes(value)) continue;
    const tenant = parameter === 'tenant' ? {} : { tenant: values['tenant'] ?? null };
    // The first row that has it is enough; only an unknown value makes all values be listed.
    const found = await textRows(reader, `select 1 from (${select}) where value = $value limit 1`, {
      ...tenant,
      value,
    });
    if (found.length > 0) continue;
    const listed = await textRows(reader, `select distinct value from (${select}) order by value`, tenant);
    const known = [...new Set([...always, ...listed.flat()])];
    const owner = typeof tenant.tenant === 'string' ? ` of tenant "${tenant.tenant}"` : '';
    throw new ConfigError(`The lake has no ${title} "${value}"${owner}.`, {
      hint: `${didYouMean(value, known)}Known: ${listOf(known)}.`,
      where: { flag },
    });
  }
}

/** Names listed at most: a lake may have thousands of pass types. */
const MOST_LISTED = 20;

function listOf(names: readonly string[]): string {
  if (names.length === 0) return 'none, because nothing is loaded';
  const more = names.length - MOST_LISTED;
  return names.slice(0, MOST_LISTED).join(', ') + (more > 0 ? ` and ${more} more` : '');
}
