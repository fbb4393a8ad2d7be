import { convert } from './convert.ts';
import { sqlString } from './literals.ts';
import type { Value } from './scope.ts';
import { kindOf, part, simpleName } from './syntax.ts';
import type { SyntaxNode } from './syntax.ts';

/**
 * A chain of accessors into a dynamic value (`a.b['c'][0]`). Constant accessors become one JSON path, so that a chain reads
 * the text only once. An accessor that is computed for each row needs its own read.
 */
export function accessPath(node: SyntaxNode, scalar: (node: SyntaxNode) => Value): Value {
  const steps: SyntaxNode[] = [];
  let owner = node;
  while (kindOf(owner) === 'PathExpression' || kindOf(owner) === 'ElementExpression') {
    steps.unshift(owner);
    owner = part(owner, 'Expression');
  }
  let { sql } = scalar(owner);
  let pending = '';
  let text: string | undefined;
  const look = (): void => {
    if (pending === '') return;
    const path = sqlString(`$${pending}`);
    text = `coalesce(json_extract_string(${sql}, ${path}), '')`;
    sql = `kql_json_at(${sql}, ${path})`;
    pending = '';
  };
  for (const step of steps) {
    const selector = part(step, 'Selector');
    if (kindOf(step) === 'PathExpression') {
      pending += pathStep(simpleName(selector));
      continue;
    }
    const key = scalar(selector);
    if (key.literal !== undefined && key.type === 'string') pending += pathStep(key.literal);
    else if (key.literal !== undefined && key.type !== 'dynamic') pending += indexStep(BigInt(key.literal));
    else if (selector && negative(selector) !== undefined) pending += indexStep(negative(selector) ?? 0n);
    else {
      look();
      text = undefined;
      sql =
        key.type === 'int' || key.type === 'long'
          ? `kql_json_index(${sql}, ${key.sql})`
          : `kql_json_key(${sql}, ${convert(key, 'string')})`;
    }
  }
  look();
  return { sql, type: 'dynamic', ...(text === undefined ? {} : { text }) };
}

function pathStep(key: string): string {
  return `."${key.replaceAll('\\', '\\\\').replaceAll('"', String.raw`\"`)}"`;
}

function indexStep(index: bigint): string {
  return index < 0n ? `[#${index}]` : `[${index}]`;
}

/** The value of `-1` inside brackets, which the parser gives as a minus and a literal. */
function negative(node: SyntaxNode): bigint | undefined {
  if (kindOf(node) === 'BracketedExpression') return negative(part(node, 'Expression'));
  if (kindOf(node) !== 'UnaryMinusExpression') return undefined;
  const inner = part(node, 'Expression');
  if (kindOf(inner) !== 'LongLiteralExpression') return undefined;
  return -BigInt(inner.ToString(1).trim());
}
