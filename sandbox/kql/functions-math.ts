import { as } from './convert.ts';
import type { FunctionFamily, FunctionRule } from './function-rule.ts';

/** A function of reals that DuckDB has with the same rules. `guard`: the domain; outside it the result is NaN. */
const real =
  (name: string, guard?: (x: string) => string): FunctionRule =>
  ([value]) => {
    if (!value) return undefined;
    const x = as(value, 'real');
    return guard
      ? `(case when ${guard(x)} then ${name}(${x}) when ${x} is not null then 'nan'::double end)`
      : `${name}(${x})`;
  };

const bits =
  (operator: string): FunctionRule =>
  ([a, b]) =>
    a && b && `(${as(a, 'long')} ${operator} ${as(b, 'long')})`;

/** Arithmetic, rounding and bitwise functions. */
export const MATHS: FunctionFamily = {
  abs: ([value], { type }) => value && `abs(${as(value, type)})`,
  sign: ([value]) => value && { sql: `sign(${value.sql})::double`, type: 'real' },
  sqrt: real('sqrt', (x) => `${x} >= 0`),
  exp: real('exp'),
  exp2: ([value]) => value && `pow(2, ${as(value, 'real')})`,
  exp10: ([value]) => value && `pow(10, ${as(value, 'real')})`,
  log: real('ln', (x) => `${x} > 0`),
  log10: real('log10', (x) => `${x} > 0`),
  log2: real('log2', (x) => `${x} > 0`),
  pow: ([base, exponent]) =>
    base && exponent && { sql: `pow(${as(base, 'real')}, ${as(exponent, 'real')})`, type: 'real' },
  pi: () => 'pi()',
  rand: ([limit]) => (limit ? `floor(random() * ${as(limit, 'real')})` : 'random()'),
  sin: real('sin'),
  cos: real('cos'),
  tan: real('tan'),
  asin: real('asin', (x) => `${x} between -1 and 1`),
  acos: real('acos', (x) => `${x} between -1 and 1`),
  atan: real('atan'),
  atan2: ([y, x]) => y && x && `atan2(${as(y, 'real')}, ${as(x, 'real')})`,
  cot: real('cot'),
  degrees: real('degrees'),
  radians: real('radians'),
  gamma: real('gamma'),
  loggamma: real('lgamma'),
  // Halves are rounded away from zero, as in DuckDB.
  round: ([value, digits], { type }) => {
    if (!value) return undefined;
    if (digits) return { sql: `round(${as(value, 'real')}, (${as(digits, 'long')})::integer)`, type: 'real' };
    return type === 'long' || type === 'int' ? as(value, type) : `round(${as(value, 'real')})`;
  },
  ceiling: ([value], { type }) => value && { sql: `ceil(${value.sql})::${type === 'long' ? 'bigint' : 'double'}` },
  isnan: ([value]) => value && `coalesce(isnan(${as(value, 'real')}), false)`,
  isinf: ([value]) => value && `coalesce(isinf(${as(value, 'real')}), false)`,
  isfinite: ([value]) => value && `coalesce(isfinite(${as(value, 'real')}), false)`,
  binary_and: bits('&'),
  binary_or: bits('|'),
  binary_xor: ([a, b]) => a && b && `xor(${as(a, 'long')}, ${as(b, 'long')})`,
  binary_not: ([value]) => value && `(~(${as(value, 'long')}))`,
  binary_shift_right: ([value, count]) =>
    value && count && `kql_shift_right(${as(value, 'long')}, ${as(count, 'long')})`,
  binary_shift_left: ([value, count]) => value && count && `kql_shift_left(${as(value, 'long')}, ${as(count, 'long')})`,
  bitset_count_ones: ([value]) => value && `bit_count(${as(value, 'long')})::bigint`,
};
