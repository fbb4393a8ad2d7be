/** Quoting for Spark SQL. */

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['\\', '\\\\'],
  ["'", String.raw`\'`],
  ['\n', String.raw`\n`],
  ['\r', String.raw`\r`],
  // Spark puts values in place of ${…} before it parses a statement.
  ['${', String.raw`\u0024{`],
]);

/** A value as a string literal. */
export function sparkText(text: string): string {
  return `'${text.replaceAll(/[\\'\n\r]|\$\{/g, (found) => ESCAPES.get(found) ?? found)}'`;
}

/** A name of a column, view or folder. */
export function sparkName(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}

/** A statement on lines of its own. */
export function sparkView(name: string, sql: string): string {
  return `create or replace temporary view ${/^[a-z_]\w*$/.test(name) ? name : sparkName(name)} as\n${sql};\n`;
}
