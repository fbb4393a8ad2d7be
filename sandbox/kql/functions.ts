import { as } from './convert.ts';
import { unsupported } from './error.ts';
import type { Call, FunctionFamily } from './function-rule.ts';
import { CONDITIONALS } from './functions-conditional.ts';
import { CONVERSIONS } from './functions-convert.ts';
import { DYNAMICS } from './functions-dynamic.ts';
import { MATHS } from './functions-math.ts';
import { STRINGS } from './functions-string.ts';
import { TIMES } from './functions-time.ts';
import { WINDOWS } from './functions-window.ts';
import type { Value } from './scope.ts';
import { textOf } from './syntax.ts';

const FUNCTIONS: FunctionFamily = {
  ...CONDITIONALS,
  ...CONVERSIONS,
  ...DYNAMICS,
  ...MATHS,
  ...STRINGS,
  ...TIMES,
  ...WINDOWS,
};

/** Translates a call of a built-in scalar function. A function without a rule is rejected by its name. */
export function callScalar(call: Call, args: readonly Value[]): Value {
  const rule = Object.hasOwn(FUNCTIONS, call.name) ? FUNCTIONS[call.name] : undefined;
  if (!rule) return unsupported(`function '${call.name}'`);
  const result = rule(args, call);
  if (result === undefined) return unsupported(`'${textOf(call.node)}'`, 'has arguments that are not supported');
  const value = typeof result === 'string' ? { sql: result } : result;
  const { sql = '' } = value;
  const type = value.type ?? call.type;
  return {
    ...value,
    sql: type === call.type ? sql : as({ sql, type }, call.type),
    type: call.type,
    ...(call.type === 'string' ? { known: true } : {}),
  };
}
