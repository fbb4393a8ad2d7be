/**
 * Protects text and numbers from spreadsheets. Excel and similar programs run a cell that starts with `=`, `+`, `-`, `@`, a
 * tab or a carriage return as a formula, when a CSV is opened or a cell is edited. The contents of `properties` cannot be
 * trusted, so such a cell gets an apostrophe in front. Spreadsheets keep only 15 digits of a number, so longer ones are
 * written as text.
 */

const FORMULA = String.raw`^[=+\-@\t\r]`;
const LONG_DIGITS = String.raw`^(0\d+|-?\d{16,})$`;
const FORMULA_PATTERN = new RegExp(FORMULA);

/** The text with an apostrophe in front if a spreadsheet would run it as a formula. */
export function neutralised(text: string): string {
  return FORMULA_PATTERN.test(text) ? `'${text}` : text;
}

/** `neutralised` as a SQL expression; with `digits` also for numbers that Excel would cut or round. */
export function neutralisedSql(expression: string, digits: boolean): string {
  const pattern = digits ? `${FORMULA}|${LONG_DIGITS}` : FORMULA;
  return `case when regexp_matches(${expression}, '${pattern}') then '''' || ${expression} else ${expression} end`;
}

/** The number, or undefined if a spreadsheet could not represent all its digits. */
export function exactNumber(digits: string): number | undefined {
  const significant = digits.replace(/^-/, '').replace('.', '').replace(/^0+/, '');
  return significant.length <= 15 ? Number(digits) : undefined;
}
