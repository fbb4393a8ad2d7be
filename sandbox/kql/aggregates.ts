import { as, toDynamic, toJson } from './convert.ts';
import { unsupported } from './error.ts';
import { sqlName, sqlString } from './literals.ts';
import { orderBy } from './relation.ts';
import type { Column } from './relation.ts';
import { findColumn } from './scope.ts';
import type { Scope, Value } from './scope.ts';
import { kindOf, list, part, symbolClass, textOf, typeOf } from './syntax.ts';
import type { SyntaxNode } from './syntax.ts';
import { SQL_TYPES } from './types.ts';
import type { KqlScalarType } from './types.ts';

interface AggregateCall {
  readonly args: readonly Value[];
  readonly type: KqlScalarType;
  /** ` filter (where …)` for the `if` forms, otherwise empty. */
  readonly filter: (condition?: string) => string;
  /** `order by …` of the rows, for lists. */
  readonly order: string;
}

type AggregateRule = (call: AggregateCall) => string | undefined;

const numbers =
  (build: (x: string, filter: string) => string, empty?: string): AggregateRule =>
  ({ args: [value], type, filter }) => {
    if (!value) return undefined;
    const sql = build(value.type === 'decimal' ? `(${value.sql})::double` : value.sql, filter());
    const typed = `(${sql})::${SQL_TYPES[type]}`;
    return empty === undefined ? typed : `coalesce(${typed}, ${empty})`;
  };

const extreme =
  (name: string): AggregateRule =>
  ({ args: [value], type, filter }) => {
    if (!value) return undefined;
    const sql = `${name}(${value.sql})${filter()}`;
    return type === 'string' ? `coalesce(${sql}, '')` : sql;
  };

/** A list of JSON texts without nulls, of at most the length in the second argument. */
const gather =
  (distinct: boolean): AggregateRule =>
  ({ args: [value, limit], filter, order }) => {
    if (!value) return undefined;
    const json = toJson(value);
    const present = value.type === 'string' ? filter() : filter(`${value.sql} is not null`);
    let items = `list(${distinct ? 'distinct ' : ''}${json}${distinct ? ` order by ${json}` : order})${present}`;
    // A set of arrays is the set of their elements.
    if (distinct && value.type === 'dynamic') {
      items = `list_sort(list_distinct(flatten(list(kql_expand(${value.sql}, 'bag'))${present})))`;
    }
    return `kql_json_array(${limit ? `(${items})[1:${as(limit, 'long')}]` : items})`;
  };

/** Aggregates with one result. Without rows, counts and sums are 0, lists are [], and all others are null. */
const RULES: Readonly<Record<string, AggregateRule>> = {
  count: ({ filter }) => `count(*)${filter()}`,
  sum: ({ args: [value], type, filter }) => {
    if (!value) return undefined;
    // DuckDB sums in 128 bits. The cast to 64 bits fails where the engine would silently wrap around.
    return `coalesce((sum(${value.sql})${filter()})::${SQL_TYPES[type]}, 0)`;
  },
  // The average of no rows is 0 divided by 0.
  avg: (call) => numbers((x, filter) => `avg(${x})${filter}`, call.type === 'real' ? "'nan'::double" : undefined)(call),
  min: extreme('min'),
  max: extreme('max'),
  dcount: ({ args: [value], filter }) => value && `count(distinct ${value.sql})${filter()}`,
  count_distinct: ({ args: [value], filter }) => value && `count(distinct ${value.sql})${filter()}`,
  stdev: numbers((x, filter) => `stddev_samp(${x})${filter}`, '0'),
  stdevp: numbers((x, filter) => `stddev_pop(${x})${filter}`, '0'),
  variance: numbers((x, filter) => `var_samp(${x})${filter}`, '0'),
  variancep: numbers((x, filter) => `var_pop(${x})${filter}`, '0'),
  make_list: gather(false),
  make_list_with_nulls: ({ args: [value], filter, order }) =>
    value && `kql_json_array(list(${toJson(value)}${order})${filter()})`,
  make_set: gather(true),
  make_bag: ({ args: [value], filter, order }) =>
    value && `kql_bag_merge(list(${toDynamic(value)}${order})${filter(`${value.sql} is not null`)})`,
  take_any: ({ args: [value], type, filter }) =>
    value &&
    (type === 'string' ? `coalesce(any_value(${value.sql})${filter()}, '')` : `any_value(${value.sql})${filter()}`),
  percentile: ({ args: [value, share], type, filter }) => value && share && percentile(value, share, type, filter()),
  percentiles_array: ({ args: [value, ...shares], type, filter }) => {
    if (!value || shares.length === 0 || shares.some((share) => share.type === 'dynamic')) return undefined;
    const items = shares.map((share) =>
      toJson({ sql: percentile(value, share, value.type, filter()), type: value.type }),
    );
    return type === 'dynamic' ? `('[' || ${items.join(` || ',' || `)} || ']')` : undefined;
  },
  binary_all_xor: ({ args: [value], filter }) => value && `bit_xor(${as(value, 'long')})${filter()}`,
  binary_all_and: ({ args: [value], filter }) => value && `bit_and(${as(value, 'long')})${filter()}`,
  binary_all_or: ({ args: [value], filter }) => value && `bit_or(${as(value, 'long')})${filter()}`,
};

const ALIASES: Readonly<Record<string, string>> = {
  makelist: 'make_list',
  makeset: 'make_set',
  make_dictionary: 'make_bag',
  any: 'take_any',
  anyif: 'take_anyif',
  argmax: 'arg_max',
  argmin: 'arg_min',
};

/** The `if` form of an aggregate takes its condition after the aggregate's own arguments. */
const CONDITIONAL: Readonly<Record<string, string>> = {
  countif: 'count',
  sumif: 'sum',
  avgif: 'avg',
  minif: 'min',
  maxif: 'max',
  dcountif: 'dcount',
  count_distinctif: 'count_distinct',
  stdevif: 'stdev',
  varianceif: 'variance',
  make_list_if: 'make_list',
  make_set_if: 'make_set',
  make_bag_if: 'make_bag',
  take_anyif: 'take_any',
};

const SEVERAL = new Set(['arg_max', 'arg_min', 'take_any', 'percentiles']);

export function isAggregate(name: string): boolean {
  const own = ALIASES[name] ?? name;
  return Object.hasOwn(RULES, own) || Object.hasOwn(CONDITIONAL, own) || SEVERAL.has(own);
}

type Translate = (node: SyntaxNode) => Value;

/** An aggregate inside an expression, which has one value. */
export function callAggregate(node: SyntaxNode, name: string, scope: Scope, scalar: Translate): Value {
  const own = ALIASES[name] ?? name;
  const [first, ...rest] = severalValues(node, own, [], scope, scalar) ?? [];
  if (first && rest.length === 0) return first;
  if (first) return unsupported(`'${textOf(node)}'`, 'gives several columns where one is expected');
  const nodes = list(part(node, 'ArgumentList'), 'Expressions');
  const base = CONDITIONAL[own] ?? own;
  const args = nodes.map(scalar);
  const conditionAt = base === 'count' ? 0 : 1;
  const condition = base === own ? undefined : args[conditionAt];
  if (base !== own && !condition) return unsupported(`'${textOf(node)}'`, 'has no condition');
  const filter = (other?: string): string => {
    const tests = [condition && as(condition, 'bool'), other].filter((test) => test !== undefined);
    return tests.length > 0 ? ` filter (where ${tests.join(' and ')})` : '';
  };
  const order = scope.order && scope.order.length > 0 ? ` order by ${orderBy(scope.order)}` : '';
  const aggregated = args.filter((_, index) => base === own || index !== conditionAt);
  const type = typeOf(node);
  const sql = RULES[base]?.({ args: aggregated, type, filter, order });
  if (sql === undefined) return unsupported(`'${textOf(node)}'`, 'has arguments that are not supported');
  const container = type === 'dynamic' && base.startsWith('make_');
  return { sql, type, ...(container ? { container, known: true } : type === 'string' ? { known: true } : {}) };
}

/**
 * Aggregates that may give several columns: `arg_max(x, a, b, *)`, `take_any(*)` and `percentiles`. `undefined` for all
 * others. `grouped`: the columns of the group, which a star does not include.
 */
export function severalValues(
  node: SyntaxNode,
  name: string,
  grouped: readonly string[],
  scope: Scope,
  scalar: Translate,
): Value[] | undefined {
  const own = ALIASES[name] ?? name;
  if (!SEVERAL.has(own)) return undefined;
  const nodes = list(part(node, 'ArgumentList'), 'Expressions');
  if (own === 'percentiles') {
    const [value, ...shares] = nodes.map(scalar);
    return value && shares.map((share) => ({ sql: percentile(value, share, value.type, ''), type: value.type }));
  }
  const star = scope.columns.filter((column) => !grouped.includes(column.name));
  const values = nodes.flatMap((argument, index): Value[] => {
    if (kindOf(argument) !== 'StarExpression') return [scalar(argument)];
    const first = nodes[0];
    const taken = own === 'take_any' || index === 0 || !first ? [] : usedColumns(first, scope.columns);
    return star.filter((column) => !taken.includes(column)).map(({ sql, type }) => ({ sql, type }));
  });
  if (own === 'take_any' && values.length === 1) return undefined;
  const fields = values.map((value, index) => `${sqlName(`f${index}`)}: ${value.sql}`);
  const row = `{${fields.join(', ')}}`;
  const by = values[0]?.sql ?? '1';
  const chosen = own === 'take_any' ? `first(${row})` : `coalesce(${own}(${row}, ${by}), first(${row}))`;
  return values.map(({ type }, index) => {
    const sql = `struct_extract(${chosen}, ${sqlString(`f${index}`)})`;
    return type === 'string' ? { sql: `coalesce(${sql}, '')`, type, known: true } : { sql, type };
  });
}

/** The maximised column itself, which a star does not repeat. */
function usedColumns(node: SyntaxNode, columns: readonly Column[]): Column[] {
  if (kindOf(node) !== 'NameReference' || symbolClass(node.ReferencedSymbol) !== 'ColumnSymbol') return [];
  return [findColumn(columns, node.ReferencedSymbol?.Name ?? '', node)];
}

/** Nearest rank: always an existing value. */
function percentile(value: Value, share: Value, type: KqlScalarType, filter: string): string {
  const rank = share.literal === undefined ? `(${share.sql} / 100.0)` : `${Number(share.literal) / 100}`;
  return `(quantile_disc(${value.sql}, ${rank})${filter})::${SQL_TYPES[type]}`;
}
