import { unsupported } from './error.ts';
import { sqlString } from './literals.ts';
import { scalar } from './expressions.ts';
import { nameColumns, projectRows } from './relation.ts';
import type { Column, Relation } from './relation.ts';
import { findColumn, inRow, parameterText } from './scope.ts';
import type { Scope } from './scope.ts';
import { columnsOf, kindOf, list, optionalPart, part, simpleName, textOf } from './syntax.ts';
import type { NamedType, SyntaxNode } from './syntax.ts';
import { nullOf, SQL_TYPES } from './types.ts';

/** `union`, after a pipe or at the start. The analyser matches columns by name and type. */
export function union(node: SyntaxNode, input: Relation | undefined, scope: Scope): Relation {
  const parameters = list(node, 'Parameters');
  const source = parameterText(parameters, 'withsource');
  const members: { relation: Relation; label: string }[] = [];
  const piped = node.Parent && optionalPart(node.Parent, 'Expression');
  if (input) members.push({ relation: input, label: (piped && labelOf(piped)) ?? 'union_arg0' });
  for (const item of list(node, 'Expressions')) {
    if (kindOf(item) === 'NameReference' && textOf(item).includes('*'))
      return unsupported(`'${textOf(item)}' in union`);
    const label = labelOf(item) ?? `union_arg${members.length}`;
    members.push({ relation: scope.compilation.table(item, scope), label });
  }
  const owners = members.map(({ relation }) => relation.columns);
  const inner = parameterText(parameters, 'kind') === 'inner';
  // The analyser gives the columns of an outer union. An inner one keeps only the columns that every member has.
  const targets = columnsOf(node).filter(
    (target) =>
      !inner ||
      target.name === source ||
      owners.every((owned) => owned.some((column) => column.name === target.name && column.type === target.type)),
  );
  const columns = nameColumns(targets);
  const selects = members.map(({ relation, label }) => {
    const items = targets.map((target, index) => {
      const value =
        source !== undefined && index === 0 && target.name === source
          ? sqlString(label)
          : (matching(relation.columns, target, targets, owners)?.sql ?? nullOf(target.type));
      return `${value} as ${columns[index]?.sql ?? ''}`;
    });
    return `select ${items.join(', ')} from (${relation.sql})`;
  });
  return { sql: selects.join(' union all '), columns, order: [] };
}

/** The name of a member for `withsource`: its own, or the one given by `as`. */
function labelOf(node: SyntaxNode): string | undefined {
  const kind = kindOf(node);
  if (kind === 'NameReference') return simpleName(node);
  if (kind === 'ParenthesizedExpression') return labelOf(part(node, 'Expression'));
  if (kind !== 'PipeExpression') return undefined;
  const operator = part(node, 'Operator');
  return kindOf(operator) === 'AsOperator' ? simpleName(part(operator, 'Name')) : undefined;
}

/**
 * The member's column for a result column. It has the same name and type. Where members have different types, the analyser
 * gives each type its own column (`x_long`, `x_string`), and the member's column is found by the name with the suffix.
 */
function matching(
  columns: readonly Column[],
  target: NamedType,
  targets: readonly NamedType[],
  owners: readonly (readonly Column[])[],
): Column | undefined {
  const same = columns.find((column) => column.name === target.name && column.type === target.type);
  if (same) return same;
  const real = owners.some((owned) =>
    owned.some((column) => column.name === target.name && column.type === target.type),
  );
  if (real) return undefined;
  const suffix = `_${target.type}`;
  if (!target.name.endsWith(suffix)) return undefined;
  const base = target.name.slice(0, -suffix.length);
  if (targets.some((other) => other.name === base)) return undefined;
  return columns.find((column) => column.name === base && column.type === target.type);
}

const KINDS: Readonly<Record<string, string>> = {
  innerunique: 'inner',
  inner: 'inner',
  leftouter: 'left',
  rightouter: 'right',
  fullouter: 'full',
  leftanti: 'anti',
  anti: 'anti',
  leftantisemi: 'anti',
  leftsemi: 'semi',
  rightanti: 'anti',
  rightantisemi: 'anti',
  rightsemi: 'semi',
};

/** `join`: `innerunique` by default, which keeps one left row for each key. */
export function join(node: SyntaxNode, left: Relation, scope: Scope): Relation {
  const kind = parameterText(list(node, 'Parameters'), 'kind') ?? 'innerunique';
  const type = KINDS[kind] ?? unsupported(`join kind '${kind}'`);
  return joinTables(node, left, scope, kind, type);
}

/** `lookup`: a left outer (or inner) join without the key columns of the right side. */
export function lookup(node: SyntaxNode, left: Relation, scope: Scope): Relation {
  const kind = parameterText(list(node, 'Parameters'), 'kind') ?? 'leftouter';
  if (kind !== 'leftouter' && kind !== 'inner') return unsupported(`lookup kind '${kind}'`);
  return joinTables(node, left, scope, kind, KINDS[kind] ?? 'left');
}

function joinTables(node: SyntaxNode, left: Relation, scope: Scope, kind: string, type: string): Relation {
  const right = scope.compilation.table(part(node, 'Expression'), scope);
  const keys = list(
    part(node, kindOf(node) === 'LookupOperator' ? 'LookupClause' : 'ConditionClause'),
    'Expressions',
  ).map((item) => keyPair(item, left, right, scope));
  if (keys.length === 0) return unsupported(`'${textOf(node)}'`, 'has no key');
  const on = keys.map(([a, b]) => `${a} = ${b}`).join(' and ');
  const targets = columnsOf(node);
  const columns = nameColumns(targets);
  const fromRight = kind.startsWith('right') && (type === 'anti' || type === 'semi');
  if (type === 'anti' || type === 'semi') {
    const side = fromRight ? right : left;
    const [outer, inner] = fromRight ? ['r', 'l'] : ['l', 'r'];
    const other = fromRight ? left : right;
    const exists = `exists (select 1 from (${other.sql}) ${inner} where ${on})`;
    const shape = projectRows(
      { ...side, order: [] },
      side.columns.map(({ name, type, sql }) => ({ name, type, value: sql })),
    );
    return { ...shape, sql: `select * from (${shape.sql}) ${outer} where ${type === 'anti' ? 'not ' : ''}${exists}` };
  }
  let leftSql = left.sql;
  if (kind === 'innerunique') {
    const distinctKeys = keys.map(([a]) => a.replace(/^l\./, '')).join(', ');
    leftSql = `select distinct on (${distinctKeys}) * from (${left.sql})`;
  }
  const rightColumns =
    kindOf(node) === 'LookupOperator'
      ? right.columns.filter(({ sql }) => !keys.some(([, b]) => b === `r.${sql}`))
      : right.columns;
  const sides = [...sided(left.columns, 'l'), ...sided(rightColumns, 'r')];
  if (sides.length !== targets.length) return unsupported(`'${textOf(node)}'`, 'gives columns that cannot be matched');
  const selected = sides.map((side, index) => {
    // A row without a match has empty text, not null, in the text columns of the other side.
    const value = side.type === 'string' && type !== 'inner' ? `coalesce(${side.sql}, '')` : side.sql;
    return `${value} as ${columns[index]?.sql ?? ''}`;
  });
  return {
    sql: `select ${selected.join(', ')} from (${leftSql}) l ${type} join (${right.sql}) r on ${on}`,
    columns,
    order: [],
  };
}

function sided(columns: readonly Column[], side: string): { sql: string; type: Column['type'] }[] {
  return columns.map((column) => ({ sql: `${side}.${column.sql}`, type: column.type }));
}

/** The two sides of a condition: a common name, or `$left.a == $right.b` in either order. */
function keyPair(node: SyntaxNode, left: Relation, right: Relation, scope: Scope): [string, string] {
  if (kindOf(node) === 'NameReference') {
    const name = simpleName(node);
    return [`l.${findColumn(left.columns, name, node).sql}`, `r.${findColumn(right.columns, name, node).sql}`];
  }
  if (kindOf(node) !== 'EqualExpression') return unsupported(`'${textOf(node)}' as a join condition`);
  const sides = { ...inRow(scope, left), sides: { left: left.columns, right: right.columns } };
  const a = scalar(part(node, 'Left'), sides);
  const b = scalar(part(node, 'Right'), sides);
  if (a.type !== b.type && (SQL_TYPES[a.type] === 'varchar' || SQL_TYPES[b.type] === 'varchar')) {
    return unsupported(`'${textOf(node)}' of ${a.type} and ${b.type} as a join condition`);
  }
  return a.sql.startsWith('r.') ? [b.sql, a.sql] : [a.sql, b.sql];
}
