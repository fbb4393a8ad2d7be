import type { Scope, Value } from './scope.ts';
import type { SyntaxNode } from './syntax.ts';
import type { KqlScalarType } from './types.ts';

/** One call of a scalar function; `type` is what the analyser says it returns. */
export interface Call {
  readonly node: SyntaxNode;
  readonly name: string;
  readonly type: KqlScalarType;
  readonly scope: Scope;
}

/** SQL of a call, alone or with what is known of its value. A missing argument reads as `undefined`. */
export type FunctionRule = (args: readonly Value[], call: Call) => string | Partial<Value> | undefined;

export type FunctionFamily = Readonly<Record<string, FunctionRule>>;
