/** Numbers and counted nouns in English. */

/** `1,234,567`. Without the locale's formatter, whose first use takes 30 to 90 ms, a tenth of a short command. */
export function count(value: number | bigint): string {
  const digits = String(value);
  return /^-?\d+$/.test(digits) ? digits.replace(/\B(?=(?:\d{3})+$)/g, ',') : value.toLocaleString('en-US');
}

/** `1 row`, `2 rows`. */
export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`;
}
