import { unsupported } from './error.ts';
import { kindOf, part, simpleName, textOf } from './syntax.ts';
import type { SyntaxNode } from './syntax.ts';
import type { Column, Relation } from './relation.ts';
import type { KqlScalarType } from './types.ts';

/** A scalar expression, translated to SQL. */
export interface Value {
  readonly sql: string;
  readonly type: KqlScalarType;
  /** True when it is known not to be null: literals and everything of type string. */
  readonly known?: boolean;
  /** The text of a string literal, or the content of another literal. */
  readonly literal?: string;
  /** For dynamic values that this translation builds: true when it is an array or object, never a scalar. */
  readonly container?: boolean;
  /** For an access into a dynamic value: SQL that gives its text directly, for where only the text is needed. */
  readonly text?: string;
}

export type Binding =
  | { readonly kind: 'scalar'; readonly value: Value }
  | { readonly kind: 'table'; readonly relation: Relation }
  | { readonly kind: 'function'; readonly declaration: SyntaxNode; readonly scope: Scope };

/** State of one compilation that all modules share: the clock, the tables, and the functions that translate nodes. */
export interface Compilation {
  readonly nowTicks: bigint;
  table(node: SyntaxNode, scope: Scope): Relation;
  call(node: SyntaxNode, scope: Scope, input?: Relation): Binding | undefined;
  /** Registers a common table expression and returns its SQL name. */
  share(relation: Relation, materialized: boolean): Relation;
  unique(prefix: string): string;
}

export interface Scope {
  readonly compilation: Compilation;
  readonly bindings: ReadonlyMap<string, Binding>;
  /** Columns of the current row. */
  readonly columns: readonly Column[];
  /** The order of the rows, for functions that read neighbouring rows. */
  readonly order?: Relation['order'];
  /** Set inside `summarize`, where aggregates may be called. */
  readonly aggregating?: boolean;
  /** Set inside a join's condition. */
  readonly sides?: { readonly left: readonly Column[]; readonly right: readonly Column[] };
}

export function findColumn(columns: readonly Column[], name: string, node: SyntaxNode): Column {
  return columns.find((column) => column.name === name) ?? unsupported(`column '${name}' in '${textOf(node)}'`);
}

export function inRow(scope: Scope, input: Relation): Scope {
  return { compilation: scope.compilation, bindings: scope.bindings, columns: input.columns, order: input.order };
}

/** The value of `name=value` among an operator's parameters, as written. */
export function parameterText(nodes: readonly SyntaxNode[], name: string): string | undefined {
  for (const node of nodes) {
    if (kindOf(node) !== 'NamedParameter') continue;
    if (simpleName(part(node, 'Name')) !== name) continue;
    return textOf(part(node, 'Expression'));
  }
  return undefined;
}
