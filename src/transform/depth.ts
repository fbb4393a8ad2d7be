/**
 * Functions that rebuild JSON (`json_structure`, `json_merge_patch`) descend on the stack, and text nested 100,000 levels
 * deep ends the process (measured; 50,000 is fine). So they are asked only of text that is known to be shallow.
 */

/** Levels that any text may have; what is wider than this but not deeper is still shallow. */
const ALWAYS = 5_000;

/** Levels of text with more brackets than that. */
const OF_LONG_TEXT = 64;

/**
 * True for JSON that may be descended into; null for null. Told from its length, of long text from the number of brackets
 * that open, and of text with many by taking the innermost pairs away, a level at a time. Each CASE spares the rows of the
 * one before: nearly all of them end at the first.
 */
export function shallowSql(json: string): string {
  const text = `${json}::varchar`;
  const unquoted = `regexp_replace(${text}, '"(?:[^"\\\\]|\\\\.)*"', '', 'g')`;
  const brackets = `regexp_replace(${unquoted}, '[^][{}]', '', 'g')`;
  const levels = `list_prepend(${brackets}, list_resize(['']::varchar[], ${OF_LONG_TEXT}, ''))`;
  return `case
    when length(${text}) < ${2 * ALWAYS} then true
    when length(${text}) - length(translate(${text}, '[{', '')) < ${ALWAYS} then true
    else list_reduce(${levels}, lambda rest, level: regexp_replace(rest, '\\[\\]|\\{\\}', '', 'g')) = ''
  end`;
}
