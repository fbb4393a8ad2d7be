/** Quoting for DuckDB: only these functions turn values and names into SQL. */

/** A value as a SQL string literal. */
export function sqlText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** A value as a SQL string literal, or `null`. */
export function sqlTextOrNull(text: string | undefined | null): string {
  return text === undefined || text === null ? 'null' : sqlText(text);
}

/** A name as a quoted SQL identifier. */
export function sqlName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** String literals as the inside of a SQL list: `in (${sqlTexts(names)})`. An empty list matches nothing. */
export function sqlTexts(texts: readonly string[]): string {
  return texts.length === 0 ? 'null' : texts.map(sqlText).join(', ');
}
