import { as, convert, toText } from './convert.ts';
import type { FunctionFamily, FunctionRule } from './function-rule.ts';
import { sqlString } from './literals.ts';
import type { KqlScalarType } from './types.ts';

const to =
  (type: KqlScalarType): FunctionRule =>
  ([value]) =>
    value && { sql: convert(value, type), type, ...(value.container && type === 'dynamic' ? { container: true } : {}) };

/** A hash of the UTF-8 text of a value, in lower-case hexadecimal as in the engine. */
const hash =
  (name: string): FunctionRule =>
  ([value]) =>
    value && `${name}(${toText(value)})`;

/** Conversions between types, hashes and encodings. */
export const CONVERSIONS: FunctionFamily = {
  tostring: to('string'),
  tolong: to('long'),
  toint: to('int'),
  toreal: to('real'),
  todouble: to('real'),
  todecimal: to('decimal'),
  tobool: to('bool'),
  toboolean: to('bool'),
  toguid: to('guid'),
  todatetime: to('datetime'),
  totimespan: to('timespan'),
  parse_json: ([value]) =>
    value && parseJson(value.type === 'string' ? value.sql : undefined, convert(value, 'dynamic')),
  todynamic: ([value]) =>
    value && parseJson(value.type === 'string' ? value.sql : undefined, convert(value, 'dynamic')),
  toobject: ([value]) => value && parseJson(value.type === 'string' ? value.sql : undefined, convert(value, 'dynamic')),
  new_guid: () => 'uuid()::varchar',
  gettype: ([value]) => value && (value.type === 'dynamic' ? `kql_json_type(${value.sql})` : sqlString(value.type)),
  hash_md5: hash('md5'),
  hash_sha1: hash('sha1'),
  hash_sha256: hash('sha256'),
  tohex: ([value, width]) => {
    if (!value) return undefined;
    // An int is shown with 32 bits.
    const wide = as(value, 'long');
    const digits = `kql_hex(${value.type === 'int' ? `(${wide} & 4294967295)` : wide})`;
    return width ? `lpad(${digits}, greatest(${as(width, 'long')}, length(${digits}))::integer, '0')` : digits;
  },
  base64_encode_tostring: ([value]) => value && `to_base64(encode(${toText(value)}))`,
  base64_decode_tostring: ([value]) => value && `kql_base64_text(${toText(value)})`,
  url_encode: ([value]) => value && `replace(kql_url_encode(${toText(value)}), '%20', '+')`,
  url_encode_component: ([value]) => value && `kql_url_encode(${toText(value)})`,
  url_decode: ([value]) => value && `url_decode(replace(${toText(value)}, '+', ' '))`,
};

function parseJson(text: string | undefined, otherwise: string): string {
  return text === undefined ? otherwise : `kql_parse_json(${text})`;
}
