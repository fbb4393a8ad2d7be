import { sqlName } from './literals.ts';
import type { KqlScalarType } from './types.ts';

/** A column with its KQL name and its SQL name. KQL names are case-sensitive, DuckDB's are not. */
export interface Column {
  readonly name: string;
  readonly type: KqlScalarType;
  readonly sql: string;
}

/** A hidden column by which rows are ordered. It is kept until an operator loses the order. */
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

/** SQL names for a list of columns: their own names, made distinct where two differ only by case. */
export function nameColumns(columns: readonly { name: string; type: KqlScalarType }[]): Column[] {
  const taken = new Set<string>();
  return columns.map(({ name, type }) => {
    // Names that begin with kql are reserved for hidden columns and the variables of macros.
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

/** Other columns over the same rows, in the same order. `tail`: the SQL after the from clause. */
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

/** The same columns with fewer rows. */
export function filterRows(input: Relation, tail: string): Relation {
  return { ...input, sql: `select * from (${input.sql}) ${tail}` };
}

export function keep(columns: readonly Column[]): Projection[] {
  return columns.map(({ name, type, sql }) => ({ name, type, value: sql }));
}
