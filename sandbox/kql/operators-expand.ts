import { convert } from './convert.ts';
import { unsupported } from './error.ts';
import { declaredName, scalar } from './expressions.ts';
import { sqlName } from './literals.ts';
import { projectRows } from './relation.ts';
import type { Projection, Relation } from './relation.ts';
import { inRow, parameterText } from './scope.ts';
import type { Scope } from './scope.ts';
import { columnsOf, kindOf, list, optionalPart, part, scalarType, simpleName, textOf } from './syntax.ts';
import type { SyntaxNode } from './syntax.ts';

/**
 * `mv-expand`: one row for each element. Several arrays are expanded in parallel, and shorter ones are padded with null. A
 * bag gives one bag for each property (`kind=array`: one pair). Other values do not change. An empty array or null gives
 * one row with null.
 */
export function mvExpand(node: SyntaxNode, input: Relation, scope: Scope): Relation {
  const parameters = list(node, 'Parameters');
  const itemIndex = parameterText(parameters, 'with_itemindex');
  const kind = parameterText(parameters, 'bagexpansion') ?? parameterText(parameters, 'kind') ?? 'bag';
  const targets = columnsOf(node);
  const row = inRow(scope, input);
  const limitClause = optionalPart(node, 'RowLimitClause');
  const limit = limitClause && scalar(part(limitClause, 'RowLimit'), row).sql;
  const expanded = list(node, 'Expressions').map((item) => {
    const inner = part(item, 'Expression');
    const named = declaredName(inner);
    const bare = named === undefined ? inner : part(inner, 'Expression');
    const value = scalar(bare, row);
    if (value.type !== 'dynamic') return unsupported(`'${textOf(item)}'`, 'is not dynamic');
    const clause = optionalPart(item, 'ToTypeOf');
    const [target] = clause ? list(part(clause, 'TypeOf'), 'Types') : [];
    const type = target ? scalarType(target.ReferencedSymbol ?? target.ResultType, textOf(target)) : 'dynamic';
    const source = kindOf(bare) === 'NameReference' ? simpleName(bare) : undefined;
    return { name: named ?? source, replaces: named ?? source, type, elements: `kql_expand(${value.sql}, '${kind}')` };
  });
  const names = expanded.map(() => sqlName(scope.compilation.unique('list')));
  const position = sqlName(scope.compilation.unique('key'));
  const lists = expanded.map((item, index) => `${item.elements} as ${names[index] ?? ''}`);
  const longest =
    names.length === 1 ? `len(${names[0] ?? ''})` : `greatest(${names.map((name) => `len(${name})`).join(', ')})`;
  const bounded = limit ? `least(${longest}, ${limit})` : longest;
  const withLists = `select *, ${lists.join(', ')} from (${input.sql})`;
  const sql = `select *, unnest(range(1, ${bounded} + 1)) as ${position} from (${withLists})`;
  const rows: Relation = {
    sql,
    columns: input.columns,
    order: [...input.order, { sql: position, direction: 'asc', nulls: 'first' }],
  };
  const items: Projection[] = targets.map((target) => {
    if (target.name === itemIndex) return { ...target, value: `(${position} - 1)` };
    const at = expanded.findIndex((item) => item.name === target.name);
    const found = expanded[at];
    if (!found) {
      const column = input.columns.find(({ name }) => name === target.name);
      return column ? { ...target, value: column.sql } : unsupported(`column '${target.name}' of '${textOf(node)}'`);
    }
    const element = `nullif(${names[at] ?? ''}[${position}], 'null')`;
    return { ...target, value: convert({ sql: element, type: 'dynamic' }, target.type) };
  });
  return projectRows(rows, items);
}
