/**
 * Refuses filter values that no row of the lake has. A typing error would otherwise give an empty result, or zeros that look proven.
 */
import { didYouMean } from '../kernel/closest.ts';
import { ConfigError } from '../kernel/errors.ts';
import { sqlName } from '../kernel/sql.ts';
import { titleOf } from './dimensions.ts';
import type { Split } from './dimensions.ts';
import { textRows } from './reader.ts';
import type { Reader } from './reader.ts';

interface Filter {
  /** Values that are valid in any lake, because the description of the parameter names them. */
  readonly always: readonly string[];
  /** A select of one column, with all values of `$tenants` (a JSON list), or of all tenants if that is null. */
  readonly values: string;
}

/** True for rows of any tenant if the parameter is null. */
const OF_TENANTS = `($tenants is null or list_contains(from_json($tenants, '["VARCHAR"]'), tenant_id))`;

const NONE = '(none)';

function valuesOf(table: string, column: string): string {
  return `select ${column} as value from ${table} where ${OF_TENANTS} and ${column} is not null`;
}

const FILTERS: Readonly<Record<string, Filter>> = {
  tenant: {
    always: [],
    values: 'select tenant_id as value from coverage union all select tenant_id as value from lake_files',
  },
  pass_type: {
    always: [],
    values: `${valuesOf('events', 'pass_type')} union all ${valuesOf('metrics', 'pass_type')}`,
  },
  platform: {
    always: ['apple', 'google', '(unknown)'],
    values: `select device as value from event_facts where ${OF_TENANTS} and kind in ('installed', 'uninstalled') and device is not null
       union all select platform as value from installed_snapshots(null) where ${OF_TENANTS} and platform is not null`,
  },
  store: { always: [NONE], values: valuesOf('events', 'store_id') },
  medium: { always: [NONE], values: valuesOf('events', 'medium') },
  origin: { always: [NONE], values: valuesOf('events', 'origin_host') },
  tag: { always: [NONE], values: `select unnest(tags) as value from events where ${OF_TENANTS}` },
  campaign: { always: [NONE], values: valuesOf('events', 'campaign') },
  event_type: {
    always: [NONE],
    values: `${valuesOf('events', 'event_type')} union all ${valuesOf('logs', 'event_type')}`,
  },
};

/** A column that the configuration promotes: text, or a list of texts. */
function ofPromoted(name: string, tables: readonly string[]): Filter {
  const column = sqlName(name);
  const values = tables.map(
    (table) =>
      `select unnest(try_cast([${column}] as varchar[])) as value from ${table} where ${OF_TENANTS} and ${column} is not null`,
  );
  return { always: [NONE], values: values.join(' union all ') };
}

/**
 * Throws ConfigError, with the known values, for a value that no row of the lake has. `flag` is where the values were given,
 * `tables` are those of the report.
 */
export async function checkFilters(
  reader: Reader,
  filters: Split['filters'],
  tables: readonly string[],
  flag: string,
): Promise<void> {
  const owners = filters['tenant'];
  for (const [name, values] of Object.entries(filters)) {
    const { always, values: select } = FILTERS[name] ?? ofPromoted(name, tables);
    const scope = name === 'tenant' ? {} : { tenants: owners === undefined ? null : JSON.stringify(owners) };
    for (const value of values) {
      if (always.includes(value)) continue;
      // The first row that has it is enough; only an unknown value makes all values be listed.
      const found = await textRows(reader, `select 1 from (${select}) where value = $value limit 1`, {
        ...scope,
        value,
      });
      if (found.length > 0) continue;
      const listed = await textRows(reader, `select distinct value from (${select}) order by value`, scope);
      const known = [...new Set([...always, ...listed.flat()])];
      throw new ConfigError(`The lake has no ${titleOf(name)} "${value}"${ownerText(name, owners)}.`, {
        hint: `${didYouMean(value, known)}Known: ${listOf(known)}.`,
        where: { flag },
      });
    }
  }
}

function ownerText(name: string, owners: readonly string[] | undefined): string {
  if (name === 'tenant' || owners === undefined) return '';
  return ` of tenant ${owners.map((owner) => `"${owner}"`).join(' or ')}`;
}

/** Names listed at most: a lake may have thousands of pass types. */
const MOST_LISTED = 20;

function listOf(names: readonly string[]): string {
  if (names.length === 0) return 'none, because nothing is loaded';
  const more = names.length - MOST_LISTED;
  return names.slice(0, MOST_LISTED).join(', ') + (more > 0 ? ` and ${more} more` : '');
}
