import { as, numeric, toText } from './convert.ts';
import { unsupported } from './error.ts';
import { sqlString } from './literals.ts';
import type { Scope, Value } from './scope.ts';
import { isTabular, list, part, textOf, typeOf } from './syntax.ts';
import type { SyntaxNode } from './syntax.ts';
import type { KqlScalarType } from './types.ts';

type Translate = (node: SyntaxNode, scope: Scope) => Value;

/** Translates operators with a left and a right side. `undefined` for any other kind of node. */
export function binary(node: SyntaxNode, kind: string, scope: Scope, scalar: Translate): Value | undefined {
  const left = (): Value => scalar(part(node, 'Left'), scope);
  const right = (): Value => scalar(part(node, 'Right'), scope);
  switch (kind) {
    case 'AndExpression':
      return bool(`(${as(left(), 'bool')} and ${as(right(), 'bool')})`);
    case 'OrExpression':
      return bool(`(${as(left(), 'bool')} or ${as(right(), 'bool')})`);
    case 'AddExpression':
    case 'SubtractExpression':
    case 'MultiplyExpression':
    case 'DivideExpression':
    case 'ModuloExpression':
      return arithmetic(node, kind, left(), right());
    case 'EqualExpression':
      return bool(equality(left(), right(), false));
    case 'NotEqualExpression':
      return bool(equality(left(), right(), true));
    case 'BetweenExpression':
    case 'NotBetweenExpression':
      return between(node, kind, left(), scope, scalar);
    case 'InExpression':
    case 'InCsExpression':
    case 'NotInExpression':
    case 'NotInCsExpression':
      return membership(node, kind, left(), scope, scalar);
    case 'HasAnyExpression':
    case 'HasAllExpression':
      return hasTerms(node, kind, left(), scope, scalar);
    default:
      if (ORDER[kind]) return bool(ordering(ORDER[kind], left(), right()));
      return text(kind, left, right);
  }
}

function bool(sql: string): Value {
  return { sql, type: 'bool' };
}

const ORDER: Readonly<Record<string, string>> = {
  LessThanExpression: '<',
  LessThanOrEqualExpression: '<=',
  GreaterThanExpression: '>',
  GreaterThanOrEqualExpression: '>=',
};

/** Plain comparisons, by which DuckDB can prune row groups. */
function ordering(operator: string, left: Value, right: Value): string {
  const [a, b] = aligned(left, right);
  return `(${a} ${operator} ${b})`;
}

const RANK: readonly KqlScalarType[] = ['int', 'long', 'real', 'decimal'];

/** Converts both sides to one type: the wider of two numbers, or the other side's type if one side is dynamic. */
function aligned(left: Value, right: Value): [string, string] {
  if (left.type === right.type) {
    if (left.type !== 'dynamic') return [left.sql, right.sql];
    return [`kql_comparable(${left.sql})`, `kql_comparable(${right.sql})`];
  }
  const ranks = [RANK.indexOf(left.type), RANK.indexOf(right.type)] as const;
  if (ranks[0] >= 0 && ranks[1] >= 0) {
    const wider = RANK[Math.max(...ranks)] ?? 'real';
    return [numeric(left.sql, left.type, wider), numeric(right.sql, right.type, wider)];
  }
  if (left.type === 'dynamic') return [as(left, right.type), right.sql];
  if (right.type === 'dynamic') return [left.sql, as(right, left.type)];
  if (left.type === 'bool') return [as(left, right.type), right.sql];
  if (right.type === 'bool') return [left.sql, as(right, left.type)];
  return unsupported(`comparison of ${left.type} with ${right.type}`);
}

/** Null equals no value (the result is false, not null). Two nulls give null. */
function equality(left: Value, right: Value, negated: boolean): string {
  const [a, b] = aligned(left, right);
  const operator = negated ? '<>' : '=';
  if ((left.known && right.known) || left.type === 'string' || right.type === 'string')
    return `(${a} ${operator} ${b})`;
  if (left.known || right.known) return `coalesce(${a} ${operator} ${b}, ${negated})`;
  return `kql_${negated ? 'not_equal' : 'equal'}(${a}, ${b})`;
}

function between(node: SyntaxNode, kind: string, value: Value, scope: Scope, scalar: Translate): Value {
  const couple = part(node, 'Right');
  const low = scalar(part(couple, 'First'), scope);
  let high = scalar(part(couple, 'Second'), scope);
  // `between (start .. 3d)`: a timespan as the end is relative to the start.
  if (low.type === 'datetime' && high.type === 'timespan')
    high = { sql: `(${low.sql} + ${high.sql})`, type: 'datetime' };
  const sql = `(${ordering('>=', value, low)} and ${ordering('<=', value, high)})`;
  return bool(kind === 'NotBetweenExpression' ? `(not ${sql})` : sql);
}

function membership(node: SyntaxNode, kind: string, value: Value, scope: Scope, scalar: Translate): Value {
  // `in` is case-sensitive and `in~` is not, despite the library's names of their kinds.
  const folded = textOf(part(node, 'Operator')).endsWith('~');
  const negated = kind.startsWith('Not');
  const fold = (sql: string): string => (folded ? `lower(${sql})` : sql);
  const nodes = list(part(node, 'Right'), 'Expressions');
  const [first] = nodes;
  let sql: string;
  if (nodes.length === 1 && first && isTabular(first)) {
    const relation = scope.compilation.table(first, scope);
    const [column] = relation.columns;
    if (!column) return unsupported(`'${textOf(first)}'`, 'has no column');
    const target = commonType(value, [column]);
    sql = `(${fold(as(value, target))} in (select ${fold(as(column, target))} from (${relation.sql})))`;
  } else {
    const members = nodes.map((member) => scalar(member, scope));
    const target = commonType(value, members);
    const subject = fold(as(value, target));
    const scalars = members.filter((member) => member.type !== 'dynamic').map((member) => fold(as(member, target)));
    const item = fold(as({ sql: 'kql_item', type: 'dynamic' }, target));
    const arrays = members
      .filter((member) => member.type === 'dynamic')
      .map((array) => {
        const items = `list_transform(kql_json_list(${array.sql}), lambda kql_item: ${item})`;
        return `list_contains(${items}, ${subject})`;
      });
    if (scalars.length > 0) arrays.unshift(`${subject} in (${scalars.join(', ')})`);
    sql = `(${arrays.join(' or ') || 'false'})`;
  }
  const plain = value.type === 'string' ? sql : `coalesce(${sql}, false)`;
  return bool(negated ? `(not ${plain})` : plain);
}

/** The type for comparing a value with members: text for dynamic values; the widest of numbers: 5 is not in (5.5). */
function commonType(value: Value, members: readonly { readonly type: KqlScalarType }[]): KqlScalarType {
  if (value.type === 'dynamic') return 'string';
  // The members of an array are known only at run time. Decimal can represent every long and every written fraction.
  const ranks = [value, ...members].map(({ type }) => RANK.indexOf(type === 'dynamic' ? 'decimal' : type));
  return RANK.includes(value.type) ? (RANK[Math.max(...ranks)] ?? value.type) : value.type;
}

/** `has_any` and `has_all`: the right side has terms, or dynamic arrays of terms. */
function hasTerms(node: SyntaxNode, kind: string, value: Value, scope: Scope, scalar: Translate): Value {
  const subject = toText(value);
  const tests = list(part(node, 'Right'), 'Expressions').map((member) => {
    if (isTabular(member)) return unsupported(`'${textOf(member)}' as a list of terms`);
    const term = scalar(member, scope);
    if (term.type !== 'dynamic') return `kql_has(${subject}, ${toText(term)})`;
    const found = `list_transform(kql_json_list(${term.sql}), lambda kql_item: kql_has(${subject}, kql_dynamic_text(kql_item)))`;
    return kind === 'HasAnyExpression' ? `list_contains(${found}, true)` : `not list_contains(${found}, false)`;
  });
  return bool(`(${tests.join(kind === 'HasAnyExpression' ? ' or ' : ' and ') || 'false'})`);
}

function arithmetic(node: SyntaxNode, kind: string, left: Value, right: Value): Value {
  const type = typeOf(node);
  const known =
    (left.known ?? false) && (right.known ?? false) && kind !== 'DivideExpression' && kind !== 'ModuloExpression';
  const symbol = { AddExpression: '+', SubtractExpression: '-', MultiplyExpression: '*' }[kind];
  const sides = `${left.type} ${right.type}`;
  if (/datetime|timespan/.test(sides)) return { ...timeArithmetic(kind, symbol, type, left, right, node), known };
  const a = as(left, type);
  const b = as(right, type);
  if (symbol) {
    const sql = `(${a} ${symbol} ${b})`;
    return { sql: type === 'decimal' ? `(${sql})::decimal(38,10)` : sql, type, known };
  }
  if (kind === 'DivideExpression') {
    if (type === 'real') return { sql: `(${a} / ${b})`, type };
    return { sql: type === 'decimal' ? `kql_divide_decimal(${a}, ${b})` : `(${a} // ${b})`, type };
  }
  return { sql: `kql_modulo(${a}, ${b})`, type };
}

function timeArithmetic(
  kind: string,
  symbol: string | undefined,
  type: KqlScalarType,
  left: Value,
  right: Value,
  node: SyntaxNode,
): Value {
  const isTime = (value: Value): boolean => value.type === 'datetime' || value.type === 'timespan';
  if ((symbol === '+' || symbol === '-') && isTime(left) && isTime(right)) {
    return { sql: `(${left.sql} ${symbol} ${right.sql})`, type };
  }
  if (kind === 'ModuloExpression' && isTime(left) && isTime(right)) {
    return { sql: `kql_modulo(${ticksOf(left)}, ${right.sql})`, type };
  }
  if (kind === 'DivideExpression' && type === 'real') {
    return { sql: `((${ticksOf(left)})::double / (${right.sql})::double)`, type };
  }
  if (type === 'timespan' && (kind === 'DivideExpression' || symbol === '*')) {
    if (left.type !== 'timespan' && right.type !== 'timespan') return unsupported(`'${textOf(node)}'`);
    const whole = [left, right].every((value) => ['timespan', 'int', 'long'].includes(value.type));
    if (symbol === '*' && whole) return { sql: `(${left.sql} * ${right.sql})`, type };
    const sql = `(${factor(left)} ${symbol ?? '/'} ${factor(right)})`;
    return { sql: `try_cast(trunc(${sql}) as bigint)`, type };
  }
  return unsupported(`'${textOf(node)}'`);
}

function factor(value: Value): string {
  return value.type === 'timespan' ? `(${value.sql})::double` : as(value, 'real');
}

/** Ticks as the engine counts them: those of a datetime start at the year 1. */
function ticksOf(value: Value): string {
  return value.type === 'datetime' ? `(${value.sql} + 621355968000000000)` : value.sql;
}

/** `kind` without `Not` and `Cs` names the test. Text comparisons ignore case unless the kind has `Cs`. */
function text(kind: string, left: () => Value, right: () => Value): Value | undefined {
  const match =
    /^(Not|Bang)?(EqualTilde|Tilde|Has|HasPrefix|HasSuffix|Contains|StartsWith|EndsWith|MatchesRegex)(Cs)?Expression$/.exec(
      kind,
    );
  if (!match) return undefined;
  const [, negation, name = '', cased] = match;
  const subject = left();
  const pattern = right();
  const fold = cased ? (sql: string): string => sql : (sql: string): string => `lower(${sql})`;
  const value = fold(toText(subject));
  const term = fold(toText(pattern));
  const tests: Readonly<Record<string, () => string>> = {
    EqualTilde: () => `(${value} = ${term})`,
    Tilde: () => `(${value} = ${term})`,
    Has: () => `kql_has_folded(${value}, ${term})`,
    HasPrefix: () => `kql_has_prefix_folded(${value}, ${term})`,
    HasSuffix: () => `kql_has_suffix_folded(${value}, ${term})`,
    Contains: () => `contains(${value}, ${term})`,
    StartsWith: () => `starts_with(${value}, ${term})`,
    EndsWith: () => `ends_with(${value}, ${term})`,
    MatchesRegex: () => `regexp_matches(${toText(subject)}, ${regex(pattern)})`,
  };
  const sql = tests[name]?.() ?? unsupported(kind);
  return bool(negation ? `(not ${sql})` : sql);
}

/** Both engines use RE2. As in the engine, the pattern must be a constant. */
function regex(pattern: Value): string {
  return pattern.literal === undefined ? toText(pattern) : sqlString(pattern.literal);
}
