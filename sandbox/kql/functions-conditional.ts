import { as, toText } from './convert.ts';
import type { FunctionFamily, FunctionRule } from './function-rule.ts';
import type { Value } from './scope.ts';
import { nullOf } from './types.ts';
import type { KqlScalarType } from './types.ts';

const iff: FunctionRule = ([test, yes, no], { type }) => {
  if (!test || !yes || !no) return undefined;
  const sql = branch(test, as(yes, type), as(no, type));
  // The text of a dynamic branch is taken inside the branch. Outside, the whole branch would be evaluated at each access.
  return type === 'dynamic' ? { sql, text: branch(test, toText(yes), toText(no)) } : sql;
};

/** Conditional functions, and tests for null and empty values. */
export const CONDITIONALS: FunctionFamily = {
  iff,
  iif: iff,
  case: (args, { type }) => {
    const otherwise = args.at(-1);
    if (!otherwise || args.length % 2 === 0) return undefined;
    const whens: string[] = [];
    for (let index = 0; index + 1 < args.length; index += 2) {
      const [test, value] = [args[index], args[index + 1]];
      if (!test || !value) return undefined;
      whens.push(`when ${as(test, 'bool')} then ${as(value, type)}`);
    }
    return `(case ${whens.join(' ')} else ${as(otherwise, type)} end)`;
  },
  coalesce: (args, { type }) => {
    if (type !== 'string') return `coalesce(${args.map((arg) => as(arg, type)).join(', ')})`;
    return `coalesce(${[...args.map((arg) => `nullif(${toText(arg)}, '')`), nullOf('string')].join(', ')})`;
  },
  column_ifexists: ([name, otherwise], { scope, type }) => {
    if (name?.literal === undefined || !otherwise) return undefined;
    const column = scope.columns.find((candidate) => candidate.name === name.literal);
    return column ? as(column, type) : as(otherwise, type);
  },
  isnull: ([value]) => value && isNull(value),
  isnotnull: ([value]) => value && `(not ${isNull(value)})`,
  notnull: ([value]) => value && `(not ${isNull(value)})`,
  isempty: ([value]) => value && isEmpty(value),
  isnotempty: ([value]) => value && `(not ${isEmpty(value)})`,
  notempty: ([value]) => value && `(not ${isEmpty(value)})`,
  not: ([value]) => value && `(not ${as(value, 'bool')})`,
  min_of: (args, { type }) => `least(${args.map((arg) => as(arg, type)).join(', ')})`,
  max_of: (args, { type }) => `greatest(${args.map((arg) => as(arg, type)).join(', ')})`,
};

function branch(test: Value, yes: string, no: string): string {
  return `(case when ${as(test, 'bool')} then ${yes} else ${no} end)`;
}

/** KQL text is never null, so `isnull` of it is false. */
function isNull(value: Value): string {
  if (value.type === 'string') return 'false';
  if (value.type === 'dynamic') return `(coalesce(${value.sql}, 'null') = 'null')`;
  return `(${value.sql} is null)`;
}

function isEmpty(value: Value): string {
  const byText: readonly KqlScalarType[] = ['string', 'dynamic'];
  return byText.includes(value.type) ? `(${toText(value)} = '')` : `(${value.sql} is null)`;
}
