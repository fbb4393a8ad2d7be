import { as, toDynamic, toJson, toText } from './convert.ts';
import type { FunctionFamily, FunctionRule } from './function-rule.ts';
import { sqlString } from './literals.ts';
import type { Column } from './relation.ts';
import { findColumn } from './scope.ts';
import type { Value } from './scope.ts';
import { list, part, simpleName } from './syntax.ts';

const container = (sql: string): Partial<Value> => ({ sql, container: true });

const onValue =
  (build: (json: string) => string): FunctionRule =>
  ([value]) =>
    value && build(as(value, 'dynamic'));

const onArrays =
  (name: string): FunctionRule =>
  ([first, ...rest]) =>
    first && rest.reduce((sql, next) => `${name}(${sql}, ${as(next, 'dynamic')})`, as(first, 'dynamic'));

const pack: FunctionRule = (args) => {
  if (args.length % 2 === 1) return undefined;
  const pairs: string[] = [];
  for (let index = 0; index + 1 < args.length; index += 2) {
    const [key, value] = [args[index], args[index + 1]];
    if (key && value) pairs.push(`to_json(${toText(key)})::varchar || ':' || ${toJson(value)}`);
  }
  return container(`('{' || ${pairs.join(` || ',' || `) || "''"} || '}')`);
};

const sorting =
  (way: string): FunctionRule =>
  ([array, nullsLast, ...rest]) => {
    if (!array || rest.length > 0 || (nullsLast && nullsLast.type !== 'bool')) return undefined;
    return `kql_array_sort(${as(array, 'dynamic')}, '${way}', ${nullsLast ? as(nullsLast, 'bool') : 'true'})`;
  };

const shifting =
  (sign: string): FunctionRule =>
  ([array, count, filler]) =>
    array &&
    count &&
    `kql_array_shift(${as(array, 'dynamic')}, ${sign}(${as(count, 'long')}), ${filler ? toJson(filler) : "'null'"})`;

/** The given columns of the row as a property bag. */
function packColumns(columns: readonly Column[]): Partial<Value> {
  const pairs = columns.map((column) => `${sqlString(`${JSON.stringify(column.name)}:`)} || ${toJson(column)}`);
  return container(`('{' || ${pairs.join(` || ',' || `) || "''"} || '}')`);
}

/** The same, without columns that are null or empty. */
function packPresent(columns: readonly Column[]): Partial<Value> {
  const pairs = columns.map((column) => {
    const pair = `${sqlString(`${JSON.stringify(column.name)}:`)} || ${toJson(column)}`;
    return `case when ${toText(column)} <> '' then ${pair} end`;
  });
  // array_to_string skips nulls.
  return container(`('{' || array_to_string([${pairs.join(', ')}], ',') || '}')`);
}

/** Functions of dynamic values, from JSON text to JSON text. */
export const DYNAMICS: FunctionFamily = {
  pack_array: (args) => container(`('[' || ${args.map(toJson).join(` || ',' || `) || "''"} || ']')`),
  pack,
  bag_pack: pack,
  pack_dictionary: pack,
  array_length: onValue((json) => `kql_array_length(${json})`),
  arraylength: onValue((json) => `kql_array_length(${json})`),
  array_concat: (args) =>
    container(`kql_json_array(flatten([${args.map((arg) => `kql_json_list(${as(arg, 'dynamic')})`).join(', ')}]))`),
  array_slice: ([array, start, end]) =>
    array && start && end && `kql_array_slice(${as(array, 'dynamic')}, ${as(start, 'long')}, ${as(end, 'long')})`,
  array_index_of: ([array, value, start, length, occurrence]) =>
    array &&
    value &&
    `kql_array_index_of(${[as(array, 'dynamic'), toJson(value), ...[start, length, occurrence].map((arg, at) => (arg ? as(arg, 'long') : ['0', '-1', '1'][at]))].join(', ')})`,
  array_reverse: onValue((json) => `kql_json_array(list_reverse(kql_json_list(${json})))`),
  array_sum: onValue((json) => `kql_array_sum(${json})`),
  array_sort_asc: sorting('asc'),
  array_sort_desc: sorting('desc'),
  array_shift_left: shifting(''),
  array_shift_right: shifting('-'),
  array_split: ([array, at]) => {
    if (!array || !at) return undefined;
    const json = as(array, 'dynamic');
    const indices =
      at.type === 'dynamic'
        ? `list_transform(kql_json_list(${at.sql}), lambda kql_item: kql_item::bigint)`
        : `[${as(at, 'long')}]`;
    return `kql_array_split(${json}, kql_split_borders(${json}, ${indices}))`;
  },
  jaccard_index: ([a, b]) => a && b && `kql_jaccard(${as(a, 'dynamic')}, ${as(b, 'dynamic')})`,
  bag_zip: ([keys, values]) => keys && values && `kql_bag_zip(${as(keys, 'dynamic')}, ${as(values, 'dynamic')})`,
  pack_all: ([sparse], { scope }) => {
    if (sparse && sparse.literal === undefined) return undefined;
    return sparse?.literal === 'true' ? packPresent(scope.columns) : packColumns(scope.columns);
  },
  bag_pack_columns: (_args, { node, scope }) =>
    packColumns(
      list(part(node, 'ArgumentList'), 'Expressions').map((arg) => findColumn(scope.columns, simpleName(arg), arg)),
    ),
  array_rotate_left: ([array, count]) =>
    array && count && `kql_array_rotate(${as(array, 'dynamic')}, ${as(count, 'long')})`,
  array_rotate_right: ([array, count]) =>
    array && count && `kql_array_rotate(${as(array, 'dynamic')}, -(${as(count, 'long')}))`,
  bag_keys: onValue((json) => `kql_bag_keys(${json})`),
  bag_merge: (args) => `kql_bag_merge([${args.map((arg) => as(arg, 'dynamic')).join(', ')}])`,
  bag_remove_keys: ([bag, keys]) => {
    const sql = bag && keys && removeKeys(as(bag, 'dynamic'), keys);
    // The result is a bag or null, never a string that would need to be unquoted.
    return sql && { sql, text: `coalesce(${sql}, '')` };
  },
  bag_has_key: ([bag, key]) => bag && key && `kql_bag_has_key(${as(bag, 'dynamic')}, ${toText(key)})`,
  bag_set_key: ([bag, key, value]) =>
    bag && key && value && !key.literal?.startsWith('$')
      ? `kql_bag_set_key(${as(bag, 'dynamic')}, ${toText(key)}, ${toJson(value)})`
      : undefined,
  set_union: onArrays('kql_set_union'),
  set_intersect: onArrays('kql_set_intersect'),
  set_difference: onArrays('kql_set_difference'),
  set_has_element: ([array, value]) =>
    array && value && `list_contains(kql_json_list(${as(array, 'dynamic')}), ${toJson(value)})`,
  zip: (args) =>
    args.length === 2 && args[0] && args[1]
      ? `kql_zip(${as(args[0], 'dynamic')}, ${as(args[1], 'dynamic')})`
      : undefined,
  repeat: ([value, count]) =>
    value && count && `kql_json_array(list_transform(range(${as(count, 'long')}), lambda kql_i: ${toJson(value)}))`,
  range: ([start, stop, step]) => (start && stop ? range(start, stop, step) : undefined),
  array_iff: ([tests, yes, no]) =>
    tests && yes && no && `kql_array_iff(${as(tests, 'dynamic')}, ${toDynamic(yes)}, ${toDynamic(no)})`,
  array_iif: (args, call) => DYNAMICS['array_iff']?.(args, call),
};

/** `range(1, 8, 3)` as an array, both ends included. */
function range(start: Value, stop: Value, step: Value | undefined): string | undefined {
  const type = start.type === 'int' ? 'long' : start.type;
  const to = stop.type === 'int' ? 'long' : stop.type;
  if (type === 'datetime' || type === 'timespan' || (type === 'long' && to === 'long')) {
    const by = step ? (step.type === 'timespan' ? step.sql : as(step, 'long')) : type === 'long' ? '1' : '36000000000';
    const item = toJson({ sql: 'kql_x', type });
    return `kql_json_array(list_transform(kql_steps(${start.sql}, ${stop.sql}, ${by}), lambda kql_x: ${item}))`;
  }
  return undefined;
}

/**
 * The bag without the named top-level keys. Text that does not contain a key is returned without being parsed, so that rows
 * from which nothing is dropped cost nothing.
 */
function removeKeys(bag: string, keys: Value): string | undefined {
  if (keys.literal === undefined) return `kql_bag_remove_keys(${bag}, kql_json_list(${as(keys, 'dynamic')}))`;
  const parsed: unknown = JSON.parse(keys.literal);
  if (!Array.isArray(parsed)) return undefined;
  let sql = bag;
  const plain: string[] = [];
  for (const key of parsed) {
    if (typeof key !== 'string') return undefined;
    if (key.startsWith('$')) sql = `kql_bag_remove_path(${sql}, ${removal(key)})`;
    else plain.push(key);
  }
  if (plain.length === 0) return sql;
  const patch = sqlString(JSON.stringify(Object.fromEntries(plain.map((key) => [key, null]))));
  const holds = plain.map((key) => `contains(${sql}, ${sqlString(JSON.stringify(key))})`);
  // The text test would miss an escaped key (\\u0075serAgent), so text with escapes is always parsed.
  const test = [...holds, String.raw`contains(${sql}, '\u')`].join(' or ');
  const removed = `case when ${test} then json_merge_patch(${sql}, ${patch})::varchar else ${sql} end`;
  return `(case when starts_with(ltrim(${sql}), '{') then ${removed} end)`;
}

/** For a JSON path of keys: the path, and the patch that removes the value at that path. */
function removal(path: string): string {
  const keys = [...path.matchAll(/\.([^.[\]]+)|\['([^']+)'\]|\["([^"]+)"\]/g)].map(
    (match) => match[1] ?? match[2] ?? match[3] ?? '',
  );
  const patch = keys.reduceRight<unknown>((inner, key) => ({ [key]: inner }), null);
  const location = `$${keys.map((key) => `.${JSON.stringify(key)}`).join('')}`;
  return `${sqlString(location)}, ${sqlString(JSON.stringify(patch))}`;
}
