/** SQL text cut into its statements, as it arrives: at semicolons outside of texts, names and comments. */

export interface Cut {
  /** Complete statements, without their semicolon. */
  readonly statements: readonly string[];
  /** What has no semicolon yet. */
  readonly rest: string;
}

/** Comments, texts, quoted names and dollar-quoted texts, closed or not; a semicolon; or any other character. */
const TOKEN =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|(\$\w*\$)[\s\S]*?(?:\1|$)|;|[^;]/g;

/** Cuts; a statement of nothing but space and comments is left out. */
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

/** Nothing but space and comments. */
export function isEmpty(sql: string): boolean {
  return sql.replaceAll(/--[^\n]*|\/\*[\s\S]*?\*\//g, '').trim() === '';
}
