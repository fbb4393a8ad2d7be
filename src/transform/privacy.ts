/**
 * Privacy rules as SQL over a JSON column. What changes in a row is a merge patch (RFC 7396) with only the members that change:
 * a row that no rule matches keeps its exact text, and other rows keep the values of all other members.
 *
 * DuckDB has no HMAC, so it is computed as two sha256 over padded keys. The keys are in session variables, never in a statement.
 */
import { globDuckDb } from '../kernel/glob.ts';
import { parseJsonPath, duckdbPath } from '../kernel/json-path.ts';
import type { PathSegment } from '../kernel/json-path.ts';
import { HASH_MARK, PRIVACY_ACTIONS } from '../model/privacy.ts';
import type { PrivacyAction, PrivacyRule } from '../model/privacy.ts';
import { commonType, commonTypeSql } from '../model/type-spelling.ts';
import { shallowSql } from './depth.ts';
import { mendedJsonSql } from './mend.ts';
import { sqlText } from '../kernel/sql.ts';

/** Session variables with the padded keys of the action `hash`. */
export const HMAC_VARIABLES = { inner: 'privacy_inner', outer: 'privacy_outer' } as const;

const HASHED = sqlText(`^${HASH_MARK}[0-9a-f]{64}$`);
const EMAIL = `'^([^@\\s])[^@\\s]*@([\\p{L}\\p{N}.-]+)$'`;

/** HMAC-SHA-256 of a text expression, hex. */
export function hmacSql(text: string): string {
  const { inner, outer } = HMAC_VARIABLES;
  return `sha256(getvariable('${outer}') || unhex(sha256(getvariable('${inner}') || encode(${text}))))`;
}

export interface PrivacyInput {
  readonly rules: readonly PrivacyRule[];
  /** JSON expression. */
  readonly json: string;
  /** Text expression of the row's type. */
  readonly type: string;
  /** The rows are from the lake: values that are hashed already stay unchanged. */
  readonly stored: boolean;
}

/**
 * The JSON with every rule applied: drops first, then hashes, then masks. Null for JSON that cannot be processed: it is nested too
 * deeply, or it is a string that looks like an object or list but cannot be parsed. JSON that arrives is mended first.
 */
export function privateJsonSql(input: PrivacyInput): string {
  if (input.stored) return withRulesSql(input);
  const mended = mendedJsonSql(input.json);
  return input.rules.length === 0 ? mended : bind(mended, 'mended', withRulesSql({ ...input, json: 'mended' }));
}

function withRulesSql({ rules, json, type, stored }: PrivacyInput): string {
  if (rules.length === 0) return json;
  const steps = PRIVACY_ACTIONS.flatMap((action) => stepsOf(rules, action));
  const marked = !stored && steps.filter(({ action }) => action === 'hash').length > 1;
  const made = steps.reduce((before, { action, hits }, depth) => {
    const value = `doc${depth}`;
    const patches = hits.map(({ types, path }) =>
      onlyOf(types, type, patchSql(value, path, { action, stored, marked, depth: 0 })),
    );
    const after = patchedSql(value, patches);
    const isLast = action === 'hash' && steps[depth + 1]?.action !== 'hash';
    return bind(before, value, marked && isLast ? publicMarkSql(after, depth) : after);
  }, json);
  return `case
    when left(${json}::varchar, 1) = '"' and regexp_matches(${json} ->> '$', '^\\s*[[{]') then null
    when ${shallowSql(json)} then ${made}
  end`;
}

interface Step {
  readonly action: PrivacyAction;
  readonly hits: readonly { readonly types: readonly string[] | undefined; readonly path: readonly PathSegment[] }[];
}

/**
 * The steps of an action. Paths that change different members are applied together, others one after the other: a patch replaces
 * an array as a whole, so two patches over the elements of one array would undo each other.
 */
function stepsOf(rules: readonly PrivacyRule[], action: PrivacyAction): Step[] {
  const hits = rules
    .filter((rule) => rule.action === action)
    .flatMap(({ types, paths }) => paths.map((path) => ({ types, path: segmentsOf(path) })));
  const entersArrays = ({ path }: Step['hits'][number]): boolean => path.some(({ text, isPattern }) => isPattern && /^\*+$/.test(text)); // oxfmt-ignore
  const together = hits.filter((hit) => !entersArrays(hit));
  const apart = hits.filter(entersArrays).map((hit) => ({ action, hits: [hit] }));
  return together.length === 0 ? apart : [{ action, hits: together }, ...apart];
}

/** Marks values that an earlier step of the same statement has hashed: a text that a source cannot forge. */
const OWN_MARK = `(sha256(getvariable('${HMAC_VARIABLES.outer}')) || ':')`;

/** Replaces the own mark with the public one after the last hash. */
function publicMarkSql(json: string, depth: number): string {
  const own = `'"' || ${OWN_MARK}`;
  return bind(json, `own${depth}`, `case when contains(own${depth}::varchar, ${own}) then replace(own${depth}::varchar, ${own}, ${sqlText(`"${HASH_MARK}`)})::json else own${depth} end`); // oxfmt-ignore
}

/** The patch, for rows whose type the rule covers; null for others. */
function onlyOf(types: readonly string[] | undefined, type: string, patch: string): string {
  if (types === undefined) return patch;
  const globs = types.map((glob) => `spelt glob ${sqlText(globDuckDb(commonType(glob)))}`);
  return `case when ${bind(commonTypeSql(type), 'spelt', `(${globs.join(' or ')})`)} then ${patch} end`;
}

function segmentsOf(path: string): readonly PathSegment[] {
  const segments = parseJsonPath(path);
  if (!segments) throw new RangeError(`not a path: ${path}`);
  return segments;
}

interface Leaf {
  readonly action: PrivacyAction;
  readonly stored: boolean;
  /** Several steps hash, so hashed values carry `OWN_MARK` in between. */
  readonly marked: boolean;
  readonly depth: number;
}

/** Binds `name` to `value` within `body`, so that a long expression is written and computed once. */
function bind(value: string, name: string, body: string): string {
  return `list_transform([${value}], lambda ${name}: ${body})[1]`;
}

/** The document with all patches applied that are not null. */
function patchedSql(document: string, patches: readonly string[]): string {
  return bind(
    `list_filter([${patches.join(', ')}], lambda patch: patch is not null)`,
    'hits',
    `case when len(hits) = 0 then ${document} else list_reduce(hits, lambda done, patch: json_merge_patch(done::json, patch::json)::varchar, ${document}::varchar)::json end`,
  );
}

/** The text of a patch of a JSON value for the rest of a path; null when the path matches nothing. */
function patchSql(json: string, [segment, ...rest]: readonly PathSegment[], leaf: Leaf): string {
  if (!segment) return leafSql(json, leaf);
  const { depth } = leaf;
  const [value, key, item] = [`v${depth}`, `k${depth}`, `e${depth}`];
  const inside = (expression: string): string => patchSql(expression, rest, { ...leaf, depth: depth + 1 });
  if (!segment.isPattern) {
    const name = sqlText(`{${JSON.stringify(segment.text)}:`);
    return bind(
      `json_extract(${json}, ${sqlText(duckdbPath([segment]))})`,
      value,
      `${name} || ${inside(value)} || '}'`,
    );
  }
  // By JSON pointer, which can express any key.
  const pointer = `'/' || replace(replace(${key}, '~', '~0'), '/', '~1')`;
  const member = `to_json(${key})::varchar || ':' || ${bind(`json_extract(${json}, ${pointer})`, value, inside(value))}`;
  const keys = `list_filter(json_keys(${json}), lambda ${key}: ${key} glob ${sqlText(globDuckDb(segment.text))})`;
  const members = `list_filter(list_transform(${keys}, lambda ${key}: ${member}), lambda hit: hit is not null)`;
  const object = bind(
    members,
    `m${depth}`,
    `case when len(m${depth}) > 0 then '{' || array_to_string(m${depth}, ',') || '}' end`,
  );
  if (!/^\*+$/.test(segment.text)) return `case when json_type(${json}) = 'OBJECT' then ${object} end`;
  // An array is replaced as a whole, with its elements patched one by one.
  const [elements, patches, at] = [`a${depth}`, `p${depth}`, `i${depth}`];
  const patched =
    rest.length === 0 ? `${patches}[${at}]` : `json_merge_patch(${item}, ${patches}[${at}]::json)::varchar`;
  const array = bind(
    `json_extract(${json}, '$[*]')`,
    elements,
    bind(
      `list_transform(${elements}, lambda ${item}: ${inside(item)})`,
      patches,
      `case when len(list_filter(${patches}, lambda hit: hit is not null)) > 0 then '[' || array_to_string(list_transform(${elements}, lambda ${item}, ${at}: case when ${patches}[${at}] is null then ${item}::varchar else ${patched} end), ',') || ']' end`,
    ),
  );
  return `case json_type(${json}) when 'OBJECT' then ${object} when 'ARRAY' then ${array} end`;
}

/** The new value at the end of a path: for an array, of each element; for an object, of its text as a whole. */
function leafSql(json: string, leaf: Leaf): string {
  const { action } = leaf;
  if (action === 'drop') return `case when ${json} is not null then 'null' end`;
  const one = (value: string): string => {
    const made = scalarSql(`json_extract_string(${value}, '$')`, action, leaf);
    // A masked boolean would still show its value by its length, a masked object its structure.
    return action === 'mask'
      ? `case when json_type(${value}) in ('BOOLEAN', 'OBJECT', 'ARRAY') then '"*"' else ${made} end`
      : made;
  };
  return `case
    when ${json} is null or json_type(${json}) = 'NULL' then null
    when json_type(${json}) = 'ARRAY' then '[' || array_to_string(list_transform(json_extract(${json}, '$[*]'), lambda element: coalesce(case when json_type(element) <> 'NULL' then ${one('element')} end, 'null')), ',') || ']'
    else ${one(json)}
  end`;
}

/** The JSON text of the value that replaces a text. A value that this program has hashed stays as it is. */
function scalarSql(text: string, action: 'hash' | 'mask', { stored, marked }: Leaf): string {
  const hashed = `to_json(${marked ? OWN_MARK : sqlText(HASH_MARK)} || ${hmacSql('txt')})::varchar`;
  // Of a text of one or two characters, the first one would reveal nearly everything.
  const shown = `(length(txt) > 2)::integer`;
  const masked = `to_json(case when regexp_matches(txt, ${EMAIL}) then regexp_replace(txt, ${EMAIL}, '\\1***@\\2') else left(txt, ${shown}) || regexp_replace(txt[${shown} + 1:], '[\\p{L}\\p{N}]', '*', 'g') end)::varchar`;
  const isHashed =
    action === 'mask' || stored
      ? `regexp_matches(txt, ${HASHED})`
      : marked
        ? `starts_with(txt, ${OWN_MARK})`
        : undefined;
  const made = action === 'mask' ? masked : hashed;
  return bind(
    text,
    'txt',
    isHashed === undefined ? made : `case when ${isHashed} then to_json(txt)::varchar else ${made} end`,
  );
}
