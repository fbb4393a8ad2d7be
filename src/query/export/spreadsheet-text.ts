/**
 * Text that a spreadsheet would take for something else. A cell that begins with `=`, `+`, `-`, `@`, a tab or a
 * carriage return is run as a formula by Excel and its like when a CSV is opened or a sheet's cell is edited, and what
 * passes write into properties is not ours to trust: such a cell gets an apostrophe in front. Integers of more than 15
 * digits lose the rest in a spreadsheet (it counts in doubles and shows 15 digits), so they go there as text.
 */

const FORMULA = String.raw`^[=+\-@\t\r]`;
const LONG_DIGITS = String.raw`^(0\d+|-?\d{16,})$`;
const FORMULA_PATTERN = new RegExp(FORMULA);

/** A text that no spreadsheet runs. */
export function neutralised(text: string): string {
  return FORMULA_PATTERN.test(text) ? `'${text}` : text;
}

/** The same as SQL over a text expression; with `digits` also for numbers that Excel would cut or round. */
export function neutralisedSql(expression: string, digits: boolean): string {
  const pattern = digits ? `${FORMULA}|${LONG_DIGITS}` : FORMULA;
  return `case when regexp_matches(${expression}, '${pattern}') then '''' || ${expression} else ${expression} end`;
}

/** Digits that a spreadsheet's number keeps: the number, otherwise nothing. */
export function exactNumber(digits: string): number | undefined {
  const significant = digits.replace(/^-/, '').replace('.', '').replace(/^0+/, '');
  return significant.length <= 15 ? Number(digits) : undefined;
}
