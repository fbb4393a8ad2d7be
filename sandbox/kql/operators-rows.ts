import { as } from './convert.ts';
import { unsupported } from './error.ts';
import { declaredName, scalar } from './expressions.ts';
import { sqlName } from './literals.ts';
import { filterRows, keep, nameColumns, orderBy, projectRows } from './relation.ts';
import type { Column, Projection, Relation, SortKey } from './relation.ts';
import { findColumn, inRow } from './scope.ts';
import type { Scope, Value } from './scope.ts';
import { columnsOf, kindOf, list, optionalPart, part, simpleName, textOf } from './syntax.ts';
import type { NamedType, SyntaxNode } from './syntax.ts';

/** A value with the name and type that the analyser gave its column. */
export function projection(value: Value, target: NamedType): Projection {
  return { ...target, value: as(value, target.type) };
}

export function where(node: SyntaxNode, input: Relation, scope: Scope): Relation {
  const condition = scalar(part(node, 'Condition'), inRow(scope, input));
  return filterRows(input, `where ${as(condition, 'bool')}`);
}

/** `project`: the analyser gives the names of the columns, in the order of the expressions. */
export function project(node: SyntaxNode, input: Relation, scope: Scope): Relation {
  const nodes = list(node, 'Expressions');
  const targets = columnsOf(node);
  if (nodes.length !== targets.length)
    return unsupported(`'${textOf(node)}'`, 'gives several columns in one expression');
  const row = inRow(scope, input);
  return projectRows(
    input,
    nodes.map((item, index) => projection(scalar(item, row), targets[index] ?? unsupported(textOf(item)))),
  );
}

/**
 * `extend`: replaces a column of the same name in its place and adds others at the end. An expression without a name gets
 * one from the analyser.
 */
export function extend(node: SyntaxNode, input: Relation, scope: Scope): Relation {
  const targets = columnsOf(node);
  const row = inRow(scope, input);
  const items: Projection[] = keep(input.columns);
  let unnamed = false;
  for (const item of list(node, 'Expressions')) {
    const value = scalar(item, row);
    const name = declaredName(item) ?? implicitName(item);
    const at = items.findIndex((column) => column.name === name);
    unnamed ||= name === undefined;
    const added = { name: name ?? targets[items.length]?.name ?? '', type: value.type, value: value.sql };
    if (at >= 0) items[at] = added;
    else items.push(added);
  }
  // The analyser's columns are those of the input plus the new ones, unless it saw more columns (union kind=inner).
  if (unnamed && items.length !== targets.length)
    return unsupported(`'${textOf(node)}'`, 'has an expression without a name');
  return projectRows(input, items);
}

function implicitName(node: SyntaxNode): string | undefined {
  return kindOf(node) === 'NameReference' ? simpleName(node) : undefined;
}

/** `project-away`, `project-keep`, `project-reorder`: every column of the result is one of the input. */
export function selectNames(node: SyntaxNode, input: Relation): Relation {
  return projectRows(input, keep(columnsOf(node).map(({ name }) => findColumn(input.columns, name, node))));
}

export function rename(node: SyntaxNode, input: Relation): Relation {
  const targets = columnsOf(node);
  if (targets.length !== input.columns.length) return unsupported(`'${textOf(node)}'`);
  return projectRows(
    input,
    targets.map((target, index) => ({ ...target, value: input.columns[index]?.sql ?? '' })),
  );
}

export function distinct(node: SyntaxNode, input: Relation, scope: Scope): Relation {
  const nodes = list(node, 'Expressions');
  const [only] = nodes;
  const star = only !== undefined && nodes.length === 1 && kindOf(only) === 'StarExpression';
  const shaped = star ? projectRows(input, keep(input.columns)) : project(node, input, scope);
  const names = shaped.columns.map((column) => column.sql).join(', ');
  return { sql: `select distinct ${names} from (${shaped.sql})`, columns: shaped.columns, order: [] };
}

export function count(node: SyntaxNode, input: Relation): Relation {
  const [target] = columnsOf(node);
  const name = target?.name ?? 'Count';
  const column: Column = { name, type: 'long', sql: sqlName(name) };
  return { sql: `select count(*) as ${column.sql} from (${input.sql})`, columns: [column], order: [] };
}

/** `take n`: the first n of sorted rows, otherwise any n. */
export function take(node: SyntaxNode, input: Relation, scope: Scope): Relation {
  const limit = as(scalar(part(node, 'Expression'), inRow(scope, { ...input, columns: [] })), 'long');
  return filterRows(input, `${ordered(input)}limit ${limit}`);
}

/** `sample-distinct n of x`: up to n distinct values. */
export function sampleDistinct(node: SyntaxNode, input: Relation, scope: Scope): Relation {
  const columns = nameColumns(columnsOf(node));
  const value = scalar(part(node, 'OfExpression'), inRow(scope, input));
  const distinctValues = `select distinct ${value.sql} as ${columns[0]?.sql ?? ''} from (${input.sql})`;
  return take(node, { sql: distinctValues, columns, order: [] }, scope);
}

/** `sample n`: n random rows. */
export function sample(node: SyntaxNode, input: Relation, scope: Scope): Relation {
  return take(node, filterRows({ ...input, order: [] }, 'order by random()'), scope);
}

function ordered(relation: Relation): string {
  return relation.order.length > 0 ? `order by ${orderBy(relation.order)} ` : '';
}

/**
 * `sort by`: the keys become hidden columns that the following operators keep, because SQL ignores the order of a
 * subquery. Descending by default; nulls are smallest.
 */
export function sort(node: SyntaxNode, input: Relation, scope: Scope): Relation {
  return sortBy(list(node, 'Expressions'), input, scope);
}

export function top(node: SyntaxNode, input: Relation, scope: Scope): Relation {
  return take(node, sortBy([part(node, 'ByExpression')], input, scope), scope);
}

function sortBy(nodes: readonly SyntaxNode[], input: Relation, scope: Scope): Relation {
  const row = inRow(scope, input);
  const added: string[] = [];
  const order = nodes.map((item): SortKey => {
    const isOrdered = kindOf(item) === 'OrderedExpression';
    const value = scalar(isOrdered ? part(item, 'Expression') : item, row);
    const ordering = isOrdered ? optionalPart(item, 'Ordering') : undefined;
    const written = ordering && optionalPart(ordering, 'AscOrDescKeyword');
    const direction = written && textOf(written).startsWith('asc') ? 'asc' : 'desc';
    const clause = ordering && optionalPart(ordering, 'NullsClause');
    const requested = clause && textOf(part(clause, 'FirstOrLastKeyword'));
    const nulls = requested === 'first' || requested === 'last' ? requested : direction === 'asc' ? 'first' : 'last';
    const sql = sqlName(scope.compilation.unique('key'));
    added.push(`${value.sql} as ${sql}`);
    return { sql, direction, nulls };
  });
  return {
    sql: `select *, ${added.join(', ')} from (${input.sql})`,
    columns: input.columns,
    // The previous order breaks ties, so that sorting is stable.
    order: [...order, ...input.order],
  };
}

/** `serialize`: fixes the current order and adds columns like `extend`. */
export function serialize(node: SyntaxNode, input: Relation, scope: Scope): Relation {
  const key = sqlName(scope.compilation.unique('key'));
  const fixed: Relation =
    input.order.length > 0
      ? input
      : {
          sql: `select *, row_number() over () as ${key} from (${input.sql})`,
          columns: input.columns,
          order: [{ sql: key, direction: 'asc', nulls: 'first' }],
        };
  return list(node, 'Expressions').length > 0 ? extend(node, fixed, scope) : fixed;
}
