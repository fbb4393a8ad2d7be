import { formatInstant } from '../instant.ts';
import { binary } from './binary-operators.ts';
import { toJson } from './convert.ts';
import { accessPath } from './dynamic-access.ts';
import { KqlError, unsupported } from './error.ts';
import { asWritten } from './instants.ts';
import { callAggregate, isAggregate } from './aggregates.ts';
import { callScalar } from './functions.ts';
import { parseDatetime, sqlString, sqlValue } from './literals.ts';
import { findColumn } from './scope.ts';
import type { Scope, Value } from './scope.ts';
import {
  isTabular,
  kindOf,
  list,
  optionalPart,
  part,
  scalarType,
  simpleName,
  symbolClass,
  textOf,
  typeOf,
} from './syntax.ts';
import type { SyntaxNode } from './syntax.ts';
import type { KqlScalarType } from './types.ts';

/** Translates a scalar expression for each row or, inside `summarize`, for a group. */
export function scalar(node: SyntaxNode, scope: Scope): Value {
  const kind = kindOf(node);
  switch (kind) {
    case 'ParenthesizedExpression':
    case 'BracketedExpression':
      return scalar(part(node, 'Expression'), scope);
    case 'SimpleNamedExpression':
      return scalar(part(node, 'Expression'), scope);
    case 'NameReference':
      return reference(node, scope);
    case 'StringLiteralExpression':
    case 'CompoundStringLiteralExpression':
      return stringLiteral(node);
    case 'DynamicExpression':
      return dynamicLiteral(node);
    case 'UnaryMinusExpression':
    case 'UnaryPlusExpression':
      return unary(node, kind, scope);
    case 'PathExpression':
      return path(node, scope);
    case 'ElementExpression':
      return accessPath(node, (inner) => scalar(inner, scope));
    case 'FunctionCallExpression':
      return call(node, scope);
    case 'ToScalarExpression':
      return toScalar(node, scope);
    case 'PackExpression':
      return packAll(scope);
    default:
      if (LITERALS[kind]) return literal(node, LITERALS[kind]);
      return binary(node, kind, scope, scalar) ?? unsupported(`'${textOf(node)}' (${kind})`);
  }
}

const LITERALS: Readonly<Record<string, KqlScalarType>> = {
  BooleanLiteralExpression: 'bool',
  IntLiteralExpression: 'int',
  LongLiteralExpression: 'long',
  RealLiteralExpression: 'real',
  DecimalLiteralExpression: 'decimal',
  DateTimeLiteralExpression: 'datetime',
  TimespanLiteralExpression: 'timespan',
  GuidLiteralExpression: 'guid',
};

function literal(node: SyntaxNode, type: KqlScalarType): Value {
  const content = contentOf(node);
  return { sql: sqlValue(type, content), type, known: content !== 'null', literal: content };
}

/** The text between the brackets of `datetime(…)`, or the plain literal. */
function contentOf(node: SyntaxNode): string {
  const text = textOf(node);
  return asWritten(/^[a-z]+\s*\((.*)\)$/is.exec(text)?.[1]?.trim() ?? text);
}

function stringLiteral(node: SyntaxNode): Value {
  const text = asWritten(node.LiteralValue);
  if (typeof text !== 'string') return unsupported(`string literal ${textOf(node)}`);
  return { sql: sqlString(text), type: 'string', known: true, literal: text };
}

function dynamicLiteral(node: SyntaxNode): Value {
  const json = jsonOf(part(node, 'Expression'));
  if (json === 'null') return { sql: 'null::varchar', type: 'dynamic' };
  return { sql: sqlString(json), type: 'dynamic', known: true, literal: json, container: /^[[{]/.test(json) };
}

/** JSON text of the content of `dynamic(…)`; numbers stay as written. */
function jsonOf(node: SyntaxNode): string {
  switch (kindOf(node)) {
    case 'JsonObjectExpression': {
      const pairs = list(node, 'Pairs').map((pair) => {
        const name = part(pair, 'Name').ValueText ?? '';
        return `${JSON.stringify(name)}:${jsonOf(part(pair, 'Value'))}`;
      });
      return `{${pairs.join(',')}}`;
    }
    case 'JsonArrayExpression':
      return `[${list(node, 'Values').map(jsonOf).join(',')}]`;
    case 'StringLiteralExpression':
    case 'CompoundStringLiteralExpression':
      return JSON.stringify(asWritten(node.LiteralValue));
    case 'NullLiteralExpression':
      return 'null';
    case 'LongLiteralExpression':
    case 'RealLiteralExpression':
    case 'BooleanLiteralExpression': {
      const text = textOf(node);
      try {
        JSON.parse(text);
      } catch {
        throw new KqlError('literal', `Semantic error: SEM0005: '${text}' is not valid inside dynamic()`, text);
      }
      return text;
    }
    case 'DateTimeLiteralExpression': {
      const ticks = parseDatetime(contentOf(node));
      return ticks === undefined
        ? unsupported(`'${textOf(node)}' inside dynamic()`)
        : JSON.stringify(formatInstant(ticks));
    }
    case 'DynamicExpression':
      return jsonOf(part(node, 'Expression'));
    case 'UnaryMinusExpression':
      return `-${jsonOf(part(node, 'Expression'))}`;
    default:
      return unsupported(`'${textOf(node)}' inside dynamic()`);
  }
}

function reference(node: SyntaxNode, scope: Scope): Value {
  const name = simpleName(node);
  const symbol = symbolClass(node.ReferencedSymbol);
  if (symbol === 'ColumnSymbol') {
    const column = findColumn(scope.columns, name, node);
    return { sql: column.sql, type: column.type, ...(column.type === 'string' ? { known: true } : {}) };
  }
  const binding = scope.bindings.get(name);
  if (binding?.kind === 'scalar') return binding.value;
  return unsupported(`name '${name}'`);
}

function unary(node: SyntaxNode, kind: string, scope: Scope): Value {
  const inner = scalar(part(node, 'Expression'), scope);
  if (kind === 'UnaryPlusExpression') return inner;
  return { sql: `(-(${inner.sql}))`, type: inner.type, known: inner.known ?? false };
}

function path(node: SyntaxNode, scope: Scope): Value {
  const owner = part(node, 'Expression');
  const side = kindOf(owner) === 'NameReference' ? simpleName(owner) : '';
  if (scope.sides && (side === '$left' || side === '$right')) {
    const columns = side === '$left' ? scope.sides.left : scope.sides.right;
    const column = findColumn(columns, simpleName(part(node, 'Selector')), node);
    return { sql: `${side === '$left' ? 'l' : 'r'}.${column.sql}`, type: column.type };
  }
  return accessPath(node, (inner) => scalar(inner, scope));
}

function call(node: SyntaxNode, scope: Scope): Value {
  const name = node.ReferencedSymbol?.Name ?? simpleName(part(node, 'Name'));
  const bound = scope.compilation.call(node, scope);
  if (bound) return bound.kind === 'scalar' ? bound.value : unsupported(`table function '${name}' as a scalar`);
  if (scope.aggregating && isAggregate(name)) {
    const inner: Scope = { ...scope, aggregating: false };
    return callAggregate(node, name, inner, (argument) => scalar(argument, inner));
  }
  const nodes = list(part(node, 'ArgumentList'), 'Expressions');
  const args = nodes.filter((argument) => kindOf(argument) !== 'TypeOfLiteralExpression');
  return callScalar(
    { node, name, type: typeOf(node), scope },
    args.map((argument) => scalar(argument, scope)),
  );
}

function toScalar(node: SyntaxNode, scope: Scope): Value {
  const inner = part(node, 'Expression');
  // A subquery, so that a value that would differ from row to row (a random number) is evaluated once.
  if (!isTabular(inner)) {
    const value = scalar(inner, scope);
    return { sql: `(select ${value.sql})`, type: value.type, known: value.known ?? false };
  }
  const relation = scope.compilation.table(inner, scope);
  const column = relation.columns[0];
  if (!column) return unsupported(`'${textOf(node)}'`, 'has no column');
  const order =
    relation.order.length > 0
      ? ` order by ${relation.order.map((key) => `${key.sql} ${key.direction} nulls ${key.nulls}`).join(', ')}`
      : '';
  const sql = `(select ${column.sql} from (${relation.sql})${order} limit 1)`;
  return column.type === 'string'
    ? { sql: `coalesce(${sql}, '')`, type: 'string', known: true }
    : { sql, type: scalarType(node.ResultType, textOf(node)) };
}

/** `pack_all()`: every column of the row as a property bag. */
function packAll(scope: Scope): Value {
  const pairs = scope.columns.map(
    (column) => `${sqlString(`${JSON.stringify(column.name)}:`)} || ${toJson({ sql: column.sql, type: column.type })}`,
  );
  return { sql: `('{' || ${pairs.join(` || ',' || `) || "''"} || '}')`, type: 'dynamic', known: true, container: true };
}

/** The name that an expression of a projection assigns (`name = …`), if any. */
export function declaredName(node: SyntaxNode): string | undefined {
  if (kindOf(node) !== 'SimpleNamedExpression') return undefined;
  const name = optionalPart(node, 'Name');
  return name && simpleName(name);
}
