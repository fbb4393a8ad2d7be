import { as, convert, toText } from './convert.ts';
import type { FunctionFamily, FunctionRule } from './function-rule.ts';
import { sqlString } from './literals.ts';
import type { Value } from './scope.ts';
import { kindOf, list, part, scalarType } from './syntax.ts';
import type { SyntaxNode } from './syntax.ts';
import type { KqlScalarType } from './types.ts';

const onText =
  (build: (text: string) => string): FunctionRule =>
  ([value]) =>
    value && build(toText(value));

/** Text functions. Positions are counted in characters from 0. */
export const STRINGS: FunctionFamily = {
  strcat: (args) => `concat(${args.map(toText).join(', ')})`,
  strcat_delim: ([delimiter, ...rest]) => delimiter && `(${rest.map(toText).join(` || ${toText(delimiter)} || `)})`,
  strcat_array: ([array, delimiter]) =>
    array &&
    delimiter &&
    `array_to_string(list_transform(kql_json_list(${as(array, 'dynamic')}), lambda kql_item: kql_dynamic_text(kql_item)), ${toText(delimiter)})`,
  substring: ([text, start, length]) => {
    if (!text || !start) return undefined;
    const from = start.literal === undefined ? undefined : Number(start.literal);
    if (from !== undefined && from >= 0) {
      const count = length
        ? `, ${length.literal === undefined ? `greatest(${as(length, 'long')}, 0)` : Number(length.literal)}`
        : '';
      return `substr(${toText(text)}, ${from + 1}${count})`;
    }
    return `kql_substring(${toText(text)}, ${as(start, 'long')}, ${length ? as(length, 'long') : '9223372036854775807'})`;
  },
  split: ([text, delimiter, index]) => {
    if (!text || !delimiter) return undefined;
    const parts = `kql_split(${toText(text)}, ${toText(delimiter)})`;
    const chosen = index ? `kql_only(${parts}, ${as(index, 'long')})` : parts;
    return { sql: `kql_text_array(${chosen})`, container: true };
  },
  extract: ([pattern, group, text], { node, type }) => {
    if (pattern?.literal === undefined || group?.literal === undefined || !text) return undefined;
    const found = `regexp_extract(${toText(text)}, ${sqlString(pattern.literal)}, ${Number(group.literal)})`;
    const requested = typeArgument(node) ?? type;
    return { sql: convert({ sql: found, type: 'string' }, requested), type: requested };
  },
  extract_all: (args) => {
    const [pattern, second] = args;
    const text = args.at(-1);
    if (args.length < 2 || pattern?.literal === undefined || !text) return undefined;
    const every = Array.from({ length: captureGroups(pattern.literal) }, (_, index) => index + 1);
    const groups = args.length === 3 ? chosenGroups(pattern.literal, second) : every;
    if (!groups || groups.length === 0) return undefined;
    const regex = sqlString(pattern.literal);
    const matches = groups.map((group) => `regexp_extract_all(${toText(text)}, ${regex}, ${group})`);
    if (groups.length === 1) return `kql_some(kql_text_array(${matches.join('')}))`;
    const cells = groups.map((_, index) => `kql_row[${index + 1}]`).join(', ');
    return `kql_some(kql_json_array(list_transform(list_zip(${matches.join(', ')}), lambda kql_row: kql_text_array([${cells}]))))`;
  },
  replace_string: ([text, from, to]) =>
    text && from && to && `replace(${toText(text)}, ${toText(from)}, ${toText(to)})`,
  replace_regex: ([text, from, to]) =>
    text && from && to && `regexp_replace(${toText(text)}, ${toText(from)}, ${toText(to)}, 'g')`,
  replace: ([from, to, text]) =>
    text && from && to && `regexp_replace(${toText(text)}, ${toText(from)}, ${toText(to)}, 'g')`,
  trim: ([pattern, text]) =>
    pattern && text && `kql_trim_end(${toText(pattern)}, kql_trim_start(${toText(pattern)}, ${toText(text)}))`,
  trim_start: ([pattern, text]) => pattern && text && `kql_trim_start(${toText(pattern)}, ${toText(text)})`,
  trim_end: ([pattern, text]) => pattern && text && `kql_trim_end(${toText(pattern)}, ${toText(text)})`,
  toupper: onText((text) => `upper(${text})`),
  tolower: onText((text) => `lower(${text})`),
  strlen: onText((text) => `length(${text})`),
  string_size: onText((text) => `strlen(${text})`),
  reverse: onText((text) => `reverse(${text})`),
  strcmp: ([a, b]) => a && b && `kql_strcmp(${toText(a)}, ${toText(b)})`,
  strrep: ([value, count, delimiter]) =>
    value &&
    count &&
    `array_to_string(list_transform(range(greatest(${as(count, 'long')}, 0)), lambda kql_i: ${toText(value)}), ${delimiter ? toText(delimiter) : "''"})`,
  indexof: ([text, lookup, start, length, occurrence]) =>
    text &&
    lookup &&
    `kql_index_of(${toText(text)}, ${toText(lookup)}, ${start ? as(start, 'long') : '0'}, ${length ? as(length, 'long') : '-1'}, ${occurrence ? as(occurrence, 'long') : '1'})`,
  countof: ([text, search, kind]) => {
    if (!text || !search) return undefined;
    if (kind?.literal === 'regex') return `len(regexp_extract_all(${toText(text)}, ${toText(search)}))`;
    return kind === undefined || kind.literal === 'normal'
      ? `kql_count_of(${toText(text)}, ${toText(search)})`
      : undefined;
  },
  format_bytes: ([size, digits, unit]) => {
    if (!size) return undefined;
    const units = ['Bytes', 'KB', 'MB', 'GB', 'TB', 'PB', 'EB'];
    if (unit && unit.literal !== '' && !units.includes(unit.literal ?? '')) return undefined;
    const bytes = as(size, 'real');
    const chosen = unit?.literal ? String(units.indexOf(unit.literal)) : `kql_bytes_unit(${bytes})`;
    return `coalesce(kql_format_bytes(${bytes}, ${digits ? as(digits, 'long') : '0'}, ${chosen}), '')`;
  },
  parse_version: onText((text) => `kql_parse_version(${text})`),
  regex_quote: onText((text) => `regexp_replace(${text}, '([\\\\.+*?()|\\[\\]{}^$])', '\\\\\\1', 'g')`),
  unicode_codepoints_to_string: (args) => {
    const pieces = args.map((arg) =>
      arg.type === 'dynamic'
        ? `array_to_string(list_transform(kql_json_list(${arg.sql}), lambda kql_item: chr(kql_item::integer)), '')`
        : `chr((${as(arg, 'long')})::integer)`,
    );
    return `concat(${pieces.join(', ')})`;
  },
  has_any_index: ([text, terms]) =>
    text &&
    terms &&
    `(coalesce(list_position(list_transform(kql_json_list(${as(terms, 'dynamic')}), lambda kql_item: kql_has(${toText(text)}, kql_dynamic_text(kql_item))), true), 0) - 1)`,
  translate: ([from, to, text]) =>
    from && to && text && `kql_translate(${toText(from)}, ${toText(to)}, ${toText(text)})`,
  parse_url: onText((text) => `kql_parse_url(${text})`),
  parse_urlquery: onText((text) => `kql_parse_urlquery(${text})`),
  make_string: (args) => `concat(${args.map((arg) => `chr((${as(arg, 'long')})::integer)`).join(', ')})`,
  to_utf8: onText((text) => `kql_code_points(${text})`),
  unicode_codepoints_from_string: onText((text) => `kql_code_points(${text})`),
  isascii: onText((text) => `(length(${text}) = strlen(${text}))`),
  extract_json: ([path, text], { node }) => {
    if (path?.literal === undefined || !text) return undefined;
    const requested = typeArgument(node) ?? 'string';
    const found = `kql_json_at(${toText(text)}, ${sqlString(path.literal)})`;
    return { sql: convert({ sql: found, type: 'dynamic' }, requested), type: requested };
  },
  extractjson: (args, call) => STRINGS['extract_json']?.(args, call),
};

/** The type in a `typeof(long)` argument of a call. */
function typeArgument(node: SyntaxNode): KqlScalarType | undefined {
  for (const argument of list(part(node, 'ArgumentList'), 'Expressions')) {
    if (kindOf(argument) !== 'TypeOfLiteralExpression') continue;
    const [type] = list(argument, 'Types');
    if (type) return scalarType(type.ReferencedSymbol ?? type.ResultType, argument.ToString(1));
  }
  return undefined;
}

/** The capture groups of an RE2 pattern: opening brackets that are not escaped, not in a class, and not non-capturing. */
function captureGroups(pattern: string): number {
  const bare = pattern.replace(/\\./g, '').replace(/\[[^\]]*\]/g, '');
  return [...bare.matchAll(/\((?!\?)|\(\?P?</g)].length;
}

/** The numbers of the groups that `dynamic(['name', 2])` selects. */
function chosenGroups(pattern: string, chosen: Value | undefined): number[] | undefined {
  const requested: unknown = JSON.parse(chosen?.literal ?? 'null');
  if (!Array.isArray(requested)) return undefined;
  const names = [...pattern.replace(/\\./g, '').matchAll(/\((?!\?)|\(\?P?<(\w+)>/g)].map((match) => match[1]);
  const groups = requested.map((item: unknown) =>
    typeof item === 'number' ? item : names.findIndex((name) => name === item) + 1,
  );
  return groups.every((group) => group >= 1 && group <= names.length) ? groups : undefined;
}
