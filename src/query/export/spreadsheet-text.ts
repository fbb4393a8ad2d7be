/**
 * Protects text and numbers from spreadsheets, in JavaScript and as SQL with the same patterns.
 *
 * Excel and similar programs run a cell that starts with `=`, `+`, `-`, `@`, a tab or a carriage return as a formula, when a
 * CSV is opened or a cell is edited. The contents of `properties` cannot be trusted, so such a cell gets an apostrophe in front.
 * On opening a CSV they also turn text that looks like a number, a date, a time or a truth value into one (`1E5`, `3/4`, `MARCH1`,
 * `007`), and they keep only 15 digits of a number. With `digits`, such cells get an apostrophe too.
 */
import { sqlText } from '../../kernel/sql.ts';

const FORMULA = String.raw`^[=+\-@\t\r]`;

/** Languages whose names of months Excel may know, depending on the settings of the machine. */
const LANGUAGES = 'en fr de es it pt nl da sv nb fi pl cs tr'.split(' ');

/** Full and short names of the months, in lower case and without a dot. */
function monthNames(): string {
  const names = LANGUAGES.flatMap((language) =>
    (['long', 'short'] as const).flatMap((month) => {
      const format = new Intl.DateTimeFormat(language, { month, timeZone: 'UTC' });
      return Array.from({ length: 12 }, (_, index) => format.format(Date.UTC(2026, index, 1)).toLowerCase());
    }),
  );
  const letters = names.map((name) => name.replace(/\.$/, '')).filter((name) => /^\p{L}+$/u.test(name));
  return [...new Set([...letters, 'sept'])].join('|');
}

const CLOCK = String.raw`\d{1,2}(?::\d{1,2}){0,2}(?:[.,]\d+)?\s*[ap]\.?(?:m\.?)?`;

/**
 * Text that a spreadsheet would turn into something that looks different. Integers of up to 11 digits without leading zeros
 * are not: they look the same as numbers, and longer ones become 1.2E+11.
 */
const LOOKALIKES = [
  // Digits, and the characters that separate digits in numbers, amounts, fractions, dates and times: at least one of each.
  String.raw`^\s*[\d.,:/()%$€£¥+'’\x{a0}\x{202f}\s-]*\d[.,:/()%$€£¥+'’\x{a0}\x{202f}\s-][\d.,:/()%$€£¥+'’\x{a0}\x{202f}\s-]*$`,
  String.raw`^\s*[.,:/()%$€£¥+'’\x{a0}\x{202f}\s-]+\d[\d.,:/()%$€£¥+'’\x{a0}\x{202f}\s-]*$`,
  String.raw`^0\d+$`,
  String.raw`^\d{12,}$`,
  String.raw`^\s*[(+-]?\d*[.,]?\d+[.,]?\s*e[+-]?\d+\)?\s*$`,
  String.raw`^\s*${CLOCK}\s*$`,
  String.raw`^\s*[\d.,/-]+[\d.,/\s-]*\s${CLOCK}\s*$`,
  String.raw`^\s*(?:true|false|wahr|falsch|vrai|faux|verdadero|falso|vero|waar|onwaar)\s*$`,
  String.raw`^#(?:n/a|ref!|value!|name\?|num!|null!|div/0!|spill!|calc!|getting_data)$`,
  String.raw`^\s*(?:\d{1,4}(?:st|nd|rd|th|er)?[\s.,/-]*)?(?:${monthNames()})\.?[\s.,/-]*\d{1,4}(?:[\s.,/-]+\d{1,4})?(?:\s+${CLOCK}|\s+\d{1,2}:[\d:.]+)?\s*$`,
  String.raw`^\s*\d{1,4}(?:st|nd|rd|th|er)?[\s.,/-]*(?:${monthNames()})\.?(?:[\s.,/-]+\d{1,4})?\s*$`,
];

const LOOKALIKE = `(?i)${LOOKALIKES.map((pattern) => `(?:${pattern})`).join('|')}`;
const FORMULA_PATTERN = new RegExp(FORMULA);
const LOOKALIKE_PATTERN = new RegExp(
  LOOKALIKE.slice('(?i)'.length).replaceAll(/\\x\{([0-9a-f]+)\}/g, (_, code: string) => `\\u{${code}}`),
  'iu',
);

/** The text with an apostrophe in front if a spreadsheet would run it as a formula, or with `digits` change it. */
export function neutralised(text: string, digits = false): string {
  return FORMULA_PATTERN.test(text) || (digits && LOOKALIKE_PATTERN.test(text)) ? `'${text}` : text;
}

/** `neutralised` as a SQL expression. */
export function neutralisedSql(expression: string, digits: boolean): string {
  const isLookalike = digits ? ` or regexp_matches(${expression}, ${sqlText(LOOKALIKE)})` : '';
  return `case when regexp_matches(${expression}, ${sqlText(FORMULA)})${isLookalike} then '''' || ${expression} else ${expression} end`;
}

/** The number, or undefined if a spreadsheet could not represent all its digits. */
export function exactNumber(digits: string): number | undefined {
  const significant = digits.replace(/^-/, '').replace('.', '').replace(/^0+/, '');
  return significant.length <= 15 ? Number(digits) : undefined;
}

/** A JSON number is a number in a spreadsheet, too. */
export const JSON_NUMBER = String.raw`^-?\d+(\.\d+)?([eE][+-]?\d+)?$`;
