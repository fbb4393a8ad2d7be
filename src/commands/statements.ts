/** Splits SQL text into statements, at semicolons outside of strings, quoted names and comments. */

export interface Cut {
  /** Complete statements without their semicolon. */
  readonly statements: readonly string[];
  /** The text after the last semicolon. */
  readonly rest: string;
}

/** A comment, string, quoted name or dollar-quoted string, closed or not; a semicolon; or any other character. */
const TOKEN =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|(\$\w*\$)[\s\S]*?(?:\1|$)|;|[^;]/g;

/** Statements that contain only white space and comments are omitted. */
export function cutStatements(sql: string): Cut {
  const statements: string[] = [];
  let start = 0;
  for (const match of sql.matchAll(TOKEN)) {
    if (match[0] !== ';') continue;
    statements.push(sql.slice(start, match.index));
    start = match.index + 1;
  }
  return { statements: statements.filter((statement) => !isEmpty(statement)), rest: sql.slice(start) };
}

/** True if there is only white space and comments. */
export function isEmpty(sql: string): boolean {
  return sql.replaceAll(/--[^\n]*|\/\*[\s\S]*?\*\//g, '').trim() === '';
}
