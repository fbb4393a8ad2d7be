import { as } from './convert.ts';
import { KqlError } from './error.ts';
import type { Call, FunctionFamily } from './function-rule.ts';
import { orderBy } from './relation.ts';
import type { Value } from './scope.ts';
import { nullOf } from './types.ts';

/** Functions that read neighbouring rows, in the order of the rows. */
export const WINDOWS: FunctionFamily = {
  row_number: ([start, restart], call) => {
    const base = start ? as(start, 'long') : '1::bigint';
    if (!restart) return `(row_number() over (${window(call)}) - 1 + ${base})`;
    return undefined;
  },
  prev: (args, call) => neighbour('lag', args, call),
  next: (args, call) => neighbour('lead', args, call),
  row_cumsum: ([value, restart], call) => {
    if (!value || restart) return undefined;
    return {
      sql: `(sum(${value.sql}) over (${window(call)} rows unbounded preceding))::${call.type === 'real' ? 'double' : 'bigint'}`,
    };
  },
};

function window(call: Call): string {
  const order = call.scope.order ?? [];
  if (order.length > 0) return `order by ${orderBy(order)}`;
  const text = `Function '${call.name}' cannot be invoked in current context: the row set is not serialized`;
  throw new KqlError('SEM', `Semantic error: SEM0001: ${text}`, call.name);
}

function neighbour(name: string, [value, offset, otherwise]: readonly Value[], call: Call): string | undefined {
  if (!value) return undefined;
  const distance = offset ? as(offset, 'long') : '1';
  const missing = otherwise ? as(otherwise, value.type) : nullOf(value.type);
  return `${name}(${value.sql}, ${distance}, ${missing}) over (${window(call)})`;
}
