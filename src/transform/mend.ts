/**
 * Text that is nearly JSON: an escaped half of a surrogate pair (`\ud83d`) is no character, and DuckDB's parser rejects the whole
 * value because of it. It becomes U+FFFD, so that everything else in the value can be read. Escapes of both halves are characters
 * and stay, and so does `\\ud83d`, which is a backslash and five letters.
 */
import { isJsonObject, parseJson } from '../kernel/json.ts';

/** A backslash with what it escapes: both halves of a pair, one half (captured), or any character. */
const ESCAPE = /\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|[^])/g;

/** The cells of a row: their names in order, and which of them is the id. */
export interface RowCells {
  readonly order: readonly string[];
  readonly id: string;
}

/**
 * Replaces halves in the text of a row; the result has the same length in bytes. A row stays as it is if it will be refused
 * anyway, or if its id would change: an id that the source does not have would look like another row.
 */
export function mendedRow(text: string, { order, id }: RowCells): string {
  const found = idOf(parseJson(text), { order, id });
  if (found === undefined || /\p{Surrogate}/u.test(found)) return text;
  return text.replace(ESCAPE, (escape: string, half: string | undefined) => (half === undefined ? escape : '\\ufffd'));
}

/** The id of a row that has all cells. */
function idOf(row: unknown, { order, id }: RowCells): string | undefined {
  let found: unknown;
  if (isJsonObject(row)) found = order.every((name) => name in row) ? row[id] : undefined;
  else if (Array.isArray(row) && row.length === order.length) found = row[order.indexOf(id)];
  return typeof found === 'string' ? found : undefined;
}

/**
 * Halves replaced in the text of a JSON value, in SQL, which knows no function as a replacement: escapes that stay are hidden behind
 * control characters, which valid JSON does not contain.
 */
function mendedTextSql(text: string): string {
  const steps: readonly (readonly [pattern: string, replacement: string])[] = [
    [String.raw`'\\\\'`, `E'\\x01'`],
    [String.raw`'\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})'`, String.raw`E'\x02\\1\x02\\2'`],
    [String.raw`'\\u[dD][89a-fA-F][0-9a-fA-F]{2}'`, String.raw`'\\ufffd'`],
    [`E'\\x02'`, String.raw`'\\u'`],
    [`E'\\x01'`, String.raw`'\\\\'`],
  ];
  return steps.reduce((made, [pattern, by]) => `regexp_replace(${made}, ${pattern}, ${by}, 'g')`, text);
}

const SCALAR = String.raw`'^(true|false|-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?)$'`;

/**
 * The value that a cell of dynamic text means. `json` is the cell as JSON: its own value if it was an object or list that could be
 * parsed, otherwise a string with its text. That text may be nearly JSON, or a number, a boolean or a quoted string, which keep
 * their kinds. An empty text is no value. Any other text stays a string.
 */
export function mendedJsonSql(json: string): string {
  const text = `(${json} ->> '$')`;
  return `case
    when left(${json}::varchar, 1) <> '"' then ${json}
    when ${text} = '""' then null
    when regexp_matches(${text}, '^\\s*[[{"]') then coalesce(try_cast(${mendedTextSql(text)} as json), ${json})
    when regexp_matches(${text}, ${SCALAR}) then coalesce(try_cast(${text} as json), ${json})
    else ${json}
  end`;
}
