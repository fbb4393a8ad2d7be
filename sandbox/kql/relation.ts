import { sqlName } from './literals.ts';
import type { KqlScalarType } from './types.ts';

/** A column: its KQL name, and the SQL name it goes by (KQL's names differ by case, DuckDB's do not). */
export interface Column {
  readonly name: string;
  readonly type: KqlScalarType;
  readonly sql: string;
}

/** A hidden column that rows are ordered by, carried along until an operator that loses the order. */
export interface SortKey {
  readonly sql: string;
  readonly direction: 'asc' | 'desc';
  readonly nulls: 'first' | 'last';
}

/** A table expression: `sql` is a complete select whose columns are `columns` and the keys of `order`. */
export interface Relation {
  readonly sql: string;
  readonly columns: readonly Column[];
  readonly order: readonly SortKey[];
}

export interface Projection {
  readonly name: string;
  readonly type: KqlScalarType;
  readonly value: string;
}

/** SQL names for a list of columns: their own, made distinct where two differ by nothing that DuckDB sees. */
export function nameColumns(columns: readonly { name: string; type: KqlScalarType }[]): Column[] {
  const taken = new Set<string>();
  return columns.map(({ name, type }) => {
    // Names that begin with kql are those of hidden columns and of the macros' own variables.
    const free = /^kql/i.test(name) ? `~${name}` : name;
    let candidate = free;
    for (let suffix = 2; taken.has(candidate.toLowerCase()); suffix++) candidate = `${free}~${suffix}`;
    taken.add(candidate.toLowerCase());
    return { name, type, sql: sqlName(candidate) };
  });
}

export function orderBy(order: readonly SortKey[]): string {
  return order.map((key) => `${key.sql} ${key.direction} nulls ${key.nulls}`).join(', ');
}

/** A new row shape over the same rows; the order is carried. `tail` is what follows the from clause. */
export function projectRows(input: Relation, projections: readonly Projection[], tail = ''): Relation {
  const columns = nameColumns(projections);
  const items = projections.map((item, index) => {
    const alias = columns[index]?.sql ?? '';
    return item.value === alias ? alias : `${item.value} as ${alias}`;
  });
  const keys = input.order.map((key) => key.sql);
  const selected = [...items, ...keys].join(', ') || '1 as "no columns"';
  return { sql: `select ${selected} from (${input.sql})${tail}`, columns, order: input.order };
}

/** The same columns over fewer rows. */
export function filterRows(input: Relation, tail: string): Relation {
  return { ...input, sql: `select * from (${input.sql}) ${tail}` };
}

export function keep(columns: readonly Column[]): Projection[] {
  return columns.map(({ name, type, sql }) => ({ name, type, value: sql }));
}
