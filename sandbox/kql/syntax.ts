import { KqlError, unsupported } from './error.ts';
import type { KqlScalarType } from './types.ts';

/** The members of an analyser symbol that the translation uses. */
export interface KustoSymbol {
  readonly Name: string;
  readonly constructor: { readonly $$name?: string };
  readonly Columns?: KustoList<ColumnSymbol>;
}

interface ColumnSymbol {
  readonly Name: string;
  readonly Type: KustoSymbol;
}

export interface KustoList<T> {
  readonly Count: number;
  getItem(index: number): T;
}

/** The members of a syntax node that the translation uses. Child nodes are read with `part` and `list`. */
export interface SyntaxNode {
  readonly Kind: number;
  readonly ChildCount: number;
  readonly Parent?: SyntaxNode | null;
  readonly ResultType?: KustoSymbol | null;
  readonly ReferencedSymbol?: KustoSymbol | null;
  readonly LiteralValue?: unknown;
  /** Of a name: the name without brackets and quotes. */
  readonly SimpleName?: string | null;
  /** Of a token: its text without quotes and escapes. */
  readonly ValueText?: string;
  GetChild(index: number): SyntaxNode | null;
  /** The name of a child, such as `Left`. The names are those of the library's properties. */
  GetName(index: number): string | null;
  GetCalledFunctionBody?(): SyntaxNode | null;
  ToString(includeTrivia: number): string;
}

/** Node kinds by their number in the loaded library. Filled once by `useKinds`. */
let kindNames: readonly string[] = [];

export function useKinds(kinds: Readonly<Record<string, unknown>>): void {
  const names: string[] = [];
  for (const [name, value] of Object.entries(kinds)) if (typeof value === 'number') names[value] = name;
  kindNames = names;
}

export function kindOf(node: SyntaxNode): string {
  return kindNames[node.Kind] ?? `node ${node.Kind}`;
}

/** The node's text with white space reduced, for messages and token values. */
export function textOf(node: SyntaxNode): string {
  return node.ToString(2).trim();
}

export function optionalPart(node: SyntaxNode, name: string): SyntaxNode | undefined {
  for (let index = 0; index < node.ChildCount; index++) {
    if (node.GetName(index) === name) return node.GetChild(index) ?? undefined;
  }
  return undefined;
}

export function part(node: SyntaxNode, name: string): SyntaxNode {
  return optionalPart(node, name) ?? unsupported(`'${textOf(node)}'`, `has no ${name}`);
}

/** The elements of a list part, without their separators; a missing part is an empty list. */
export function list(node: SyntaxNode, name: string): SyntaxNode[] {
  const value = optionalPart(node, name);
  if (!value) return [];
  const nodes: SyntaxNode[] = [];
  for (let index = 0; index < value.ChildCount; index++) {
    const child = value.GetChild(index);
    if (!child) continue;
    const element = kindOf(child) === 'SeparatedElement' ? child.GetChild(0) : child;
    if (element) nodes.push(element);
  }
  return nodes;
}

export function simpleName(node: SyntaxNode): string {
  return node.SimpleName ?? unsupported(`'${textOf(node)}'`, 'is not a name');
}

/** The class of the symbol that a name refers to, e.g. `ColumnSymbol`. */
export function symbolClass(symbol: KustoSymbol | null | undefined): string {
  const name = symbol?.constructor.$$name ?? '';
  return name.slice(name.lastIndexOf('.') + 1);
}

export function isTabular(node: SyntaxNode): boolean {
  return node.ResultType?.Columns !== undefined && symbolClass(node.ResultType) !== 'TupleSymbol';
}

export interface NamedType {
  readonly name: string;
  readonly type: KqlScalarType;
}

/** Names and types of the columns of a tabular node, according to the analyser. */
export function columnsOf(node: SyntaxNode): NamedType[] {
  const columns = node.ResultType?.Columns;
  if (!columns) return unsupported(`'${textOf(node)}'`, 'is not tabular');
  return Array.from({ length: columns.Count }, (_, index) => {
    const column = columns.getItem(index);
    return { name: column.Name, type: scalarType(column.Type, column.Name) };
  });
}

export function typeOf(node: SyntaxNode): KqlScalarType {
  return scalarType(node.ResultType, textOf(node));
}

const SCALARS: Readonly<Record<string, KqlScalarType>> = {
  bool: 'bool',
  int: 'int',
  long: 'long',
  real: 'real',
  decimal: 'decimal',
  datetime: 'datetime',
  timespan: 'timespan',
  guid: 'guid',
  string: 'string',
  dynamic: 'dynamic',
};

export function scalarType(symbol: KustoSymbol | null | undefined, construct: string): KqlScalarType {
  const type = SCALARS[symbol?.Name ?? ''];
  if (type) return type;
  if (symbolClass(symbol).startsWith('Dynamic')) return 'dynamic';
  throw new KqlError('SEM', `Semantic error: the type of '${construct}' is not known`, construct);
}
