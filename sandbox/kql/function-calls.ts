import { as } from './convert.ts';
import { unsupported } from './error.ts';
import { scalar } from './expressions.ts';
import { tabular } from './pipeline.ts';
import type { Relation } from './relation.ts';
import type { Binding, Scope } from './scope.ts';
import { isTabular, kindOf, list, optionalPart, part, scalarType, simpleName, textOf } from './syntax.ts';
import type { SyntaxNode } from './syntax.ts';

/**
 * A call of a function that was declared by `let`: the body replaces the call, with its parameters bound to the arguments.
 * The analyser analyses the body for each call, so the types inside are those of the arguments.
 * `undefined` for a built-in function. `input`: the table that `invoke` passes as the first argument.
 */
export function callFunction(node: SyntaxNode, scope: Scope, input?: Relation): Binding | undefined {
  const name = node.ReferencedSymbol?.Name ?? '';
  const callee = scope.bindings.get(name);
  if (callee?.kind !== 'function') return undefined;
  const { declaration } = callee;
  const args = list(part(node, 'ArgumentList'), 'Expressions');
  const bindings = new Map(callee.scope.bindings);
  const parameters = list(part(declaration, 'Parameters'), 'Parameters');
  parameters.forEach((parameter, index) => {
    const label = simpleName(part(part(parameter, 'NameAndType'), 'Name'));
    bindings.set(label, argumentOf(parameter, label, index, args, scope, input));
  });
  const body = node.GetCalledFunctionBody?.() ?? part(declaration, 'Body');
  let inner: Scope = { ...scope, bindings };
  for (const statement of list(body, 'Statements')) {
    if (kindOf(statement) !== 'LetStatement') return unsupported(`'${textOf(statement)}' inside a function`);
    const expression = part(statement, 'Expression');
    const binding = bindLocal(expression, inner);
    inner = { ...inner, bindings: new Map(inner.bindings).set(simpleName(part(statement, 'Name')), binding) };
  }
  return bindLocal(part(body, 'Expression'), inner);
}

function bindLocal(expression: SyntaxNode, scope: Scope): Binding {
  if (kindOf(expression) === 'FunctionDeclaration') return { kind: 'function', declaration: expression, scope };
  if (isTabular(expression)) return { kind: 'table', relation: tabular(expression, scope) };
  return { kind: 'scalar', value: scalar(expression, scope) };
}

function argumentOf(
  parameter: SyntaxNode,
  label: string,
  index: number,
  args: readonly SyntaxNode[],
  scope: Scope,
  input: Relation | undefined,
): Binding {
  if (input && index === 0) return { kind: 'table', relation: input };
  const named = args.find((arg) => kindOf(arg) === 'SimpleNamedExpression' && simpleName(part(arg, 'Name')) === label);
  const positional = args[input ? index - 1 : index];
  const given = named ?? (positional && kindOf(positional) !== 'SimpleNamedExpression' ? positional : undefined);
  const standard = optionalPart(parameter, 'DefaultValue');
  const value = given ?? (standard && part(standard, 'Value'));
  if (!value) return unsupported(`'${label}'`, 'is a parameter without an argument');
  if (isTabular(value)) return { kind: 'table', relation: tabular(value, scope) };
  const type = scalarType(part(part(parameter, 'NameAndType'), 'Type').ReferencedSymbol, label);
  const argument = scalar(value, scope);
  return { kind: 'scalar', value: argument.type === type ? argument : { sql: as(argument, type), type } };
}
