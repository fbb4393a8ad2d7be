/** What a failed statement shows of DuckDB's message: the candidates and the place in the statement, and nothing of a row. */

/** Errors that arise before a row is read. Their text comes from the statement and from the names in the catalogue. */
const BEFORE_ROWS = /^(Parser|Catalog|Binder|Permission|Not implemented|IO|Dependency|Syntax) Error/;
/** Errors about a value that say what happened outside of quotes and brackets. */
const KNOWN = /^(Conversion Error|Out of Range Error|Invalid Input Error: (Malformed JSON|Could not (parse|convert)))/;

const LINES = 6;
const LINE = 300;

/** At most ten lines. The engine already shortens the line of the statement that it shows. */
export function shownMessage(message: string): string {
  const [text = '', ...more] = message.replace(/^Failed to extract statements: /, '').split('\n');
  const isSafe = BEFORE_ROWS.test(text);
  const start = more.findIndex((line) => /^LINE \d+: /.test(line));
  // The line of the statement and the caret under it.
  const place = start < 0 ? [] : more.slice(start, start + 2);
  const details = (start < 0 ? more : more.slice(0, start)).map((line) => line.trimEnd()).filter((line) => line !== '');
  const shown = isSafe ? details.slice(0, LINES) : [];
  const hidden = isSafe ? details.length - shown.length : 0;
  const lines = [isSafe ? text : masked(text), ...shown, ...(hidden > 0 ? [`… and ${hidden} more lines`] : [])];
  return [...lines.map((line) => (line.length > LINE ? `${line.slice(0, LINE)}…` : line)), ...place].join('\n');
}

/** A value in the message may come from a row. */
function masked(text: string): string {
  if (KNOWN.test(text))
    // From the first quote to the last, because the value may hold quotes itself.
    return text.replace(/(['"]).*\1/, "'…'").replaceAll(/\([^()]*\d[^()]*\)/g, '(…)');
  const kind = /^[A-Z][\w -]* Error/.exec(text)?.[0];
  if (kind === undefined || /^(Invalid Input|Invalid Configuration)/.test(text))
    return `${kind ?? 'Error'}: the message may quote a row, so it is not shown`;
  return text.replaceAll(/'[^']*'|"[^"]*"/g, "'…'");
}
