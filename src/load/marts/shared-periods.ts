/**
 * Over few rows, most of the time of a report goes into the coverage of its periods. All reports of a span ask for the same days in
 * UTC. So these are computed once, as tables, and the macros that reports call read them.
 */
import { DAYS_AFTER, definitionsIn } from '../../query/definitions.ts';
import type { Definition } from '../../query/definitions.ts';
import type { TableName } from '../../model/tables.ts';
import { sqlText } from '../../kernel/sql.ts';
import type { Ledger } from '../ledger/ledger.ts';

/** Ages in days that reports ask `history` for. */
export const ALL_AGES = '[0, 1, 7, 30, 90, 180, 365]';

/** Days that reports ask for, yyyy-mm-dd, `to` exclusive. Undefined: without bounds. */
type Bounds = { readonly from: string; readonly to: string } | undefined;

interface Shared {
  readonly name: string;
  /** The tables that it is asked for. */
  readonly tables: readonly TableName[];
  readonly call: (table: string, days: string, isBounded: boolean) => string;
  /** Which of the rows a call gets, in addition to table and bounds. */
  readonly where: string;
}

/** Each after those that it calls. */
const SHARED: readonly Shared[] = [
  {
    name: 'periods',
    tables: ['Events', 'Logs', 'Metrics'],
    call: (table, days) => `periods(${table}, null, 'UTC', 'day', ${days}, 'monday')`,
    where: 'for_table = of_table',
  },
  {
    name: 'history',
    tables: ['Events', 'Metrics'],
    // Reports about cohorts look further ahead, and their days are computed without bounds.
    call: (table, days, isBounded) =>
      `history(${table}, null, 'UTC', 'day', ${days}, ${isBounded ? `[0, ${DAYS_AFTER}]` : ALL_AGES}, 'monday')`,
    where: 'for_table = of_table and list_contains(at_ages, age_days)',
  },
  {
    name: 'activity',
    tables: ['Events'],
    call: (_, days) => `activity(null, 'UTC', 'day', ${days}, null, null, 'monday')`,
    where: 'true',
  },
];

/** Names of the temporary tables, for `drop`. */
export const SHARED_TABLES: readonly string[] = SHARED.map(tableOf);

interface Wanted {
  /** What the reports of the span select. Each calls the macros for days in UTC, with these bounds and its other defaults. */
  readonly sql: string;
  readonly tables: readonly TableName[];
  readonly bounds: readonly Bounds[];
}

/** Call it inside `overRows`, which drops what it creates. Later reports of the span must ask for nothing else. */
export async function sharePeriods(
  ledger: Ledger,
  definitions: readonly Definition[],
  define: (sql: string) => Promise<void>,
  { sql, tables, bounds }: Wanted,
): Promise<void> {
  const read = definitionsIn(sql, definitions);
  for (const shared of SHARED) {
    const definition = read.find(({ name }) => name === shared.name);
    const asked = shared.tables.filter((table) => tables.includes(table));
    if (definition === undefined || asked.length === 0) continue;
    await define(`${shared.name}(`);
    const selects = asked.flatMap((table) =>
      bounds.map((days) => {
        const name = sqlText(table.toLowerCase());
        const range = days === undefined ? 'null, null' : `date ${sqlText(days.from)}, date ${sqlText(days.to)}`;
        const isBounded = days !== undefined;
        return `select ${name} as for_table, ${isBounded} as is_bounded, * from ${shared.call(name, range, isBounded)}`;
      }),
    );
    await ledger.run(
      `create or replace temp table ${tableOf(shared)} as ${selects.join(' union all ')};
       create or replace temp macro ${shared.name}(${definition.arguments ?? ''}) as table
       select * exclude (for_table, is_bounded) from ${tableOf(shared)}
       where is_bounded = (from_day is not null) and ${shared.where}`,
    );
  }
}

function tableOf({ name }: Pick<Shared, 'name'>): string {
  return `shared_${name}`;
}
