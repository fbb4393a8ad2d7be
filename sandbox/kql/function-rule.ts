import type { Scope, Value } from './scope.ts';
import type { SyntaxNode } from './syntax.ts';
import type { KqlScalarType } from './types.ts';

/** One call of a scalar function; `type` is its return type according to the analyser. */
export interface Call {
  readonly node: SyntaxNode;
  readonly name: string;
  readonly type: KqlScalarType;
  readonly scope: Scope;
}

/** SQL of a call, or the SQL with more information about its value. A missing argument is `undefined`. */
export type FunctionRule = (args: readonly Value[], call: Call) => string | Partial<Value> | undefined;

export type FunctionFamily = Readonly<Record<string, FunctionRule>>;
