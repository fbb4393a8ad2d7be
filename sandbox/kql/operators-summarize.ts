import { as } from './convert.ts';
import { severalValues } from './aggregates.ts';
import { unsupported } from './error.ts';
import { scalar } from './expressions.ts';
import { projection } from './operators-rows.ts';
import { nameColumns } from './relation.ts';
import type { Relation } from './relation.ts';
import { inRow } from './scope.ts';
import type { Scope, Value } from './scope.ts';
import { columnsOf, kindOf, list, optionalPart, part, simpleName, textOf } from './syntax.ts';
import type { SyntaxNode } from './syntax.ts';

/** `summarize … by …`: first the columns of the group, then the aggregates, with the analyser's names. */
export function summarize(node: SyntaxNode, input: Relation, scope: Scope): Relation {
  const clause = optionalPart(node, 'ByClause');
  if (clause && optionalPart(clause, 'BinClause')) return unsupported("'summarize … by … bin='");
  const groupNodes = clause ? list(clause, 'Expressions') : [];
  const row = inRow(scope, input);
  const groups = groupNodes.map((item) => scalar(item, row));
  const plain = groupNodes.filter((item) => kindOf(item) === 'NameReference').map(simpleName);
  const values = list(node, 'Aggregates').flatMap((item) => aggregate(item, plain, { ...row, aggregating: true }));
  const targets = columnsOf(node);
  const items = [...groups, ...values];
  if (items.length !== targets.length) return unsupported(`'${textOf(node)}'`, 'gives columns that cannot be matched');
  const columns = nameColumns(targets);
  const selected = items.map((value, index) => {
    const target = targets[index];
    return `${target ? projection(value, target).value : value.sql} as ${columns[index]?.sql ?? ''}`;
  });
  const by = groups.map((_, index) => index + 1).join(', ');
  const grouping = groups.length > 0 ? ` group by ${by}` : '';
  return { sql: `select ${selected.join(', ')} from (${input.sql})${grouping}`, columns, order: [] };
}

function aggregate(item: SyntaxNode, grouped: readonly string[], scope: Scope): Value[] {
  const kind = kindOf(item);
  const call = kind === 'SimpleNamedExpression' || kind === 'CompoundNamedExpression' ? part(item, 'Expression') : item;
  if (kindOf(call) === 'FunctionCallExpression') {
    const name = call.ReferencedSymbol?.Name ?? '';
    const inner = { ...scope, aggregating: false };
    const several = severalValues(call, name, grouped, inner, (argument) => scalar(argument, inner));
    if (several) return several;
  }
  const value = scalar(call, scope);
  return [{ ...value, sql: as(value, value.type) }];
}
