/**
 * Privacy rules as SQL over a JSON column. What a rule hits is written as a merge patch (RFC 7396) of just the members that
 * change: a row that no rule hits keeps its text to the letter, and of the others the rest keeps its values.
 *
 * DuckDB has no HMAC: it is two of its sha256 over padded keys that stand in session variables, never in a statement.
 */
import { globDuckDb } from '../kernel/glob.ts';
import { parseJsonPath, duckdbPath } from '../kernel/json-path.ts';
import type { PathSegment } from '../kernel/json-path.ts';
import { HASH_MARK } from '../model/privacy.ts';
import type { PrivacyAction, PrivacyRule } from '../model/privacy.ts';
import { shallowSql } from './depth.ts';
import { sqlText } from '../kernel/sql.ts';

/** Session variables that `hash` reads. */
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
  /** The rows stand in the lake: what is hashed already stays as it is. */
  readonly stored: boolean;
}

/**
 * The JSON with every rule applied: what is dropped first, then hashes, then masks. Null where it cannot be taken apart:
 * nested too deep, or the text of an object or list that is none.
 */
export function privateJsonSql({ rules, json, type, stored }: PrivacyInput): string {
  if (rules.length === 0) return json;
  const hashes = stepsOf(rules, 'hash');
  const marked = !stored && hashes.length > 1;
  const steps = [...stepsOf(rules, 'drop'), ...hashes, ...stepsOf(rules, 'mask')];
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
 * An action's paths: at once where each hits other members, else one after the other. A patch holds an array as a whole, so
 * two of them over the elements of one would undo each other.
 */
function stepsOf(rules: readonly PrivacyRule[], action: PrivacyAction): Step[] {
  const hits = rules
    .filter((rule) => rule.action === action)
    .flatMap(({ types, paths }) => paths.map((path) => ({ types, path: segmentsOf(path) })));
  const entersArrays = ({ path }: Step['hits'][number]): boolean => path.some(({ text, isPattern }) => isPattern && /^\*+$/.test(text)); // prettier-ignore
  const together = hits.filter((hit) => !entersArrays(hit));
  const apart = hits.filter(entersArrays).map((hit) => ({ action, hits: [hit] }));
  return together.length === 0 ? apart : [{ action, hits: together }, ...apart];
}

/** The mark of values that an earlier step of the same pass hashed: a text that no source can know. */
const OWN_MARK = `(sha256(getvariable('${HMAC_VARIABLES.outer}')) || ':')`;

/** In the end they bear the mark that readers know. */
function publicMarkSql(json: string, depth: number): string {
  const own = `'"' || ${OWN_MARK}`;
  return bind(json, `own${depth}`, `case when contains(own${depth}::varchar, ${own}) then replace(own${depth}::varchar, ${own}, ${sqlText(`"${HASH_MARK}`)})::json else own${depth} end`); // prettier-ignore
}

/** True for types that a rule speaks of. */
function onlyOf(types: readonly string[] | undefined, type: string, patch: string): string {
  if (types === undefined) return patch;
  const globs = types.map((glob) => `spelt glob ${sqlText(globDuckDb(glob.toLowerCase().replaceAll('.', ':')))}`);
  return `case when ${bind(`replace(lower(${type}), '.', ':')`, 'spelt', `(${globs.join(' or ')})`)} then ${patch} end`;
}

function segmentsOf(path: string): readonly PathSegment[] {
  const segments = parseJsonPath(path);
  if (!segments) throw new RangeError(`not a path: ${path}`);
  return segments;
}

interface Leaf {
  readonly action: PrivacyAction;
  readonly stored: boolean;
  /** Several steps hash: what one of them made is known by `OWN_MARK`. */
  readonly marked: boolean;
  readonly depth: number;
}

/** `name` stands for `value` within `body`: long expressions are written, and computed, once. */
function bind(value: string, name: string, body: string): string {
  return `list_transform([${value}], lambda ${name}: ${body})[1]`;
}

/** The document with those of the patches that hit anything. */
function patchedSql(document: string, patches: readonly string[]): string {
  return bind(
    `list_filter([${patches.join(', ')}], lambda patch: patch is not null)`,
    'hits',
    `case when len(hits) = 0 then ${document} else list_reduce(hits, lambda done, patch: json_merge_patch(done::json, patch::json)::varchar, ${document}::varchar)::json end`,
  );
}

/** Text of the patch of a JSON value for the rest of a path; null where nothing is hit. */
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
  // By pointer, which any key can be written as.
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
  // An array is replaced as a whole, its elements patched one by one.
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

/** What becomes of the value at the end of a path: of each element of an array, of an object's text as a whole. */
function leafSql(json: string, leaf: Leaf): string {
  if (leaf.action === 'drop') return `case when ${json} is not null then 'null' end`;
  const one = (value: string): string => {
    const made = scalarSql(`json_extract_string(${value}, '$')`, leaf);
    // The shape of a truth value tells which it is, that of an object what it holds.
    return leaf.action === 'mask'
      ? `case when json_type(${value}) in ('BOOLEAN', 'OBJECT', 'ARRAY') then '"*"' else ${made} end`
      : made;
  };
  return `case
    when ${json} is null or json_type(${json}) = 'NULL' then null
    when json_type(${json}) = 'ARRAY' then '[' || array_to_string(list_transform(json_extract(${json}, '$[*]'), lambda element: coalesce(case when json_type(element) <> 'NULL' then ${one('element')} end, 'null')), ',') || ']'
    else ${one(json)}
  end`;
}

/** JSON text of the value that stands for a text. */
function scalarSql(text: string, { action, stored, marked }: Leaf): string {
  const hashed = `to_json(${marked ? OWN_MARK : sqlText(HASH_MARK)} || ${hmacSql('said')})::varchar`;
  // Of one or two characters the first would tell nearly all.
  const shown = `(length(said) > 2)::integer`;
  const masked = `to_json(case when regexp_matches(said, ${EMAIL}) then regexp_replace(said, ${EMAIL}, '\\1***@\\2') else left(said, ${shown}) || regexp_replace(said[${shown} + 1:], '[\\p{L}\\p{N}]', '*', 'g') end)::varchar`;
  const isHashed =
    action === 'mask' || stored
      ? `regexp_matches(said, ${HASHED})`
      : marked
        ? `starts_with(said, ${OWN_MARK})`
        : undefined;
  const made = action === 'mask' ? masked : hashed;
  return bind(
    text,
    'said',
    isHashed === undefined ? made : `case when ${isHashed} then to_json(said)::varchar else ${made} end`,
  );
}
