/** The lake's columns, derived from `tables.ts`: those of Parquet files, views and the manifest. */
import type { PromotedType } from '../model/promoted.ts';
import type { Table } from '../model/tables.ts';

type LakeType = 'VARCHAR' | 'TIMESTAMP WITH TIME ZONE' | 'JSON' | 'DOUBLE' | 'BIGINT' | 'BOOLEAN' | 'VARCHAR[]';

interface LakeColumn {
  readonly name: string;
  /** DuckDB type, also the type in the Parquet files, where JSON is text (load/store/json-columns.ts). */
  readonly type: LakeType;
  readonly comment: string;
}

const COMMENTS: Readonly<Record<string, string>> = {
  event_id: 'Identity within its hour; lower-case text',
  metric_id: 'Identity within its hour; lower-case text',
  timestamp: 'When it happened, UTC, microseconds (the source holds 100 ns)',
  source_tenant_id: 'Tenant id as the row itself carries it; null when it carries none',
  event_type: "The source's own spelling; file rows are ordered by (type, timestamp)",
  metric_type: "The source's own spelling; file rows are ordered by (type, timestamp)",
  operation_id: 'Correlates the rows of one operation; null when empty',
  properties: "Everything else, the source's JSON text unchanged; null when empty",
  value: "The metric's JSON value, verbatim",
};

const PROMOTED: Readonly<Record<PromotedType, LakeType>> = {
  text: 'VARCHAR',
  integer: 'BIGINT',
  number: 'DOUBLE',
  boolean: 'BOOLEAN',
  timestamp: 'TIMESTAMP WITH TIME ZONE',
  list: 'VARCHAR[]',
  host: 'VARCHAR',
};

/** The columns of a lake table in file order: those of the source, then the promoted ones. */
export function lakeColumns(table: Table): readonly LakeColumn[] {
  const promoted = table.promoted.map(({ name, type, comment }) => ({ name, type: PROMOTED[type], comment }));
  return [...givenColumns(table), ...promoted];
}

/**
 * The columns that hold what the source sent; every file has them, however old it is. Metrics also have `value_type` and
 * `value_number`, derived from the raw value.
 */
export function givenColumns(table: Table): readonly LakeColumn[] {
  return table.columns.flatMap((column): LakeColumn[] => {
    const type =
      column.type === 'datetime'
        ? 'TIMESTAMP WITH TIME ZONE'
        : column.type === 'dynamic'
          ? 'JSON'
          : ('VARCHAR' as const);
    const own: LakeColumn = { name: column.lake, type, comment: COMMENTS[column.lake] ?? '' };
    if (!column.anyJson) return [own];
    return [
      own,
      {
        name: `${column.lake}_type`,
        type: 'VARCHAR',
        comment: 'number, string, boolean, object, array or null; null when the source sent nothing',
      },
      { name: `${column.lake}_number`, type: 'DOUBLE', comment: 'The value when it is a single number' },
    ];
  });
}

/** The lake's name of a source column, e.g. the id: `event_id`. */
export function lakeName(table: Table, sourceName: string): string {
  const column = table.columns.find((candidate) => candidate.name === sourceName);
  if (!column) throw new Error(`tables.ts: ${table.name} has no column ${sourceName}`);
  return column.lake;
}
