/**
 * DuckDB functions that rebuild JSON (`json_structure`, `json_merge_patch`) recurse on the stack: text nested 100,000 levels deep
 * crashes the process (measured; 50,000 levels are fine). So they are applied only to text that is known to be shallow.
 */

/** Depth that is always allowed: shorter text, or text with fewer brackets, cannot be nested more deeply. */
const MAX_LEVELS = 5_000;

/** Depth that is allowed for text that is longer and has more brackets. */
const MAX_LEVELS_OF_LONG_TEXT = 64;

/**
 * True for JSON that is shallow enough; null for null. Nearly all rows are decided by their length, long text by its number of
 * opening brackets, and text with many brackets by removing the innermost pairs, one level at a time.
 */
export function shallowSql(json: string): string {
  const text = `${json}::varchar`;
  const unquoted = `regexp_replace(${text}, '"(?:[^"\\\\]|\\\\.)*"', '', 'g')`;
  const brackets = `regexp_replace(${unquoted}, '[^][{}]', '', 'g')`;
  const levels = `list_prepend(${brackets}, list_resize(['']::varchar[], ${MAX_LEVELS_OF_LONG_TEXT}, ''))`;
  return `case
    when length(${text}) < ${2 * MAX_LEVELS} then true
    when length(${text}) - length(translate(${text}, '[{', '')) < ${MAX_LEVELS} then true
    else list_reduce(${levels}, lambda rest, level: regexp_replace(rest, '\\[\\]|\\{\\}', '', 'g')) = ''
  end`;
}
