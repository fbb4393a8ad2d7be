import { unsupported } from './error.ts';
import { join, lookup, union } from './operators-combine.ts';
import { mvExpand } from './operators-expand.ts';
import {
  count,
  distinct,
  extend,
  project,
  rename,
  sample,
  sampleDistinct,
  selectNames,
  serialize,
  sort,
  take,
  top,
  where,
} from './operators-rows.ts';
import { datatable, getSchema, print, range } from './operators-sources.ts';
import { summarize } from './operators-summarize.ts';
import type { Relation } from './relation.ts';
import type { Scope } from './scope.ts';
import { kindOf, part, simpleName, symbolClass, textOf } from './syntax.ts';
import type { SyntaxNode } from './syntax.ts';

type Operator = (node: SyntaxNode, input: Relation, scope: Scope) => Relation;

const OPERATORS: Readonly<Record<string, Operator>> = {
  FilterOperator: where,
  ProjectOperator: project,
  ExtendOperator: extend,
  ProjectAwayOperator: selectNames,
  ProjectKeepOperator: selectNames,
  ProjectReorderOperator: selectNames,
  ProjectRenameOperator: rename,
  DistinctOperator: distinct,
  CountOperator: count,
  TakeOperator: take,
  SortOperator: sort,
  TopOperator: top,
  SampleOperator: sample,
  SampleDistinctOperator: sampleDistinct,
  SerializeOperator: serialize,
  SummarizeOperator: summarize,
  UnionOperator: union,
  JoinOperator: join,
  LookupOperator: lookup,
  MvExpandOperator: mvExpand,
  GetSchemaOperator: getSchema,
  // Only tells a client how to draw the result; the rows are the same.
  RenderOperator: (_node, input) => input,
  // Only names the result. A reference to that name is rejected where it occurs.
  AsOperator: (_node, input) => input,
};

/** Translates a tabular expression: a source, or an operator after a pipe. */
export function tabular(node: SyntaxNode, scope: Scope): Relation {
  const kind = kindOf(node);
  switch (kind) {
    case 'PipeExpression': {
      const operator = part(node, 'Operator');
      const input = tabular(part(node, 'Expression'), scope);
      const rule = OPERATORS[kindOf(operator)];
      if (kindOf(operator) === 'InvokeOperator') return invoke(operator, input, scope);
      if (!rule) return unsupported(`operator '${textOf(operator).split(/\s/)[0] ?? ''}'`);
      return rule(operator, input, scope);
    }
    case 'ParenthesizedExpression':
      return tabular(part(node, 'Expression'), scope);
    case 'MaterializeExpression':
      return scope.compilation.share(tabular(part(node, 'Expression'), scope), true);
    case 'NameReference':
      return named(node, scope);
    case 'FunctionCallExpression': {
      const bound = scope.compilation.call(node, scope);
      return bound?.kind === 'table' ? bound.relation : unsupported(`function '${textOf(node)}' as a table`);
    }
    case 'DataTableExpression':
      return datatable(node, scope);
    case 'PrintOperator':
      return print(node, scope);
    case 'RangeOperator':
      return range(node, scope);
    case 'UnionOperator':
      return union(node, undefined, scope);
    default:
      return unsupported(`'${textOf(node).slice(0, 80)}' (${kind})`);
  }
}

function named(node: SyntaxNode, scope: Scope): Relation {
  const name = simpleName(node);
  const binding = scope.bindings.get(name);
  if (binding?.kind === 'table') return binding.relation;
  return unsupported(`table '${name}' (${symbolClass(node.ReferencedSymbol)})`);
}

function invoke(node: SyntaxNode, input: Relation, scope: Scope): Relation {
  const bound = scope.compilation.call(part(node, 'Function'), scope, input);
  return bound?.kind === 'table' ? bound.relation : unsupported(`'${textOf(node)}'`);
}
