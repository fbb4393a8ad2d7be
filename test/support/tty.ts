const ESCAPE = String.fromCharCode(27);
const TOKEN = new RegExp(`${ESCAPE}\\[\\??\\d*[A-Za-z]|[^]`, 'g');
const UP = new RegExp(`^${ESCAPE}\\[(\\d+)A$`);

/** What is visible on a terminal after these bytes: knows line feeds, carriage returns, cursor up and clearing to the end. */
export function screenOf(written: string, columns: number): string[] {
  const lines: string[] = [''];
  let [row, column] = [0, 0];
  for (const [token] of written.matchAll(TOKEN)) {
    const up = UP.exec(token);
    if (up) row = Math.max(0, row - Number(up[1]));
    else if (token === '\r') column = 0;
    else if (token === '\n') [row, column] = [row + 1, 0];
    else if (token === '\u001B[J') {
      lines.length = row + 1;
      lines[row] = (lines[row] ?? '').slice(0, column);
    } else if (!token.startsWith('\u001B')) {
      if (column === columns) [row, column] = [row + 1, 0];
      const line = (lines[row] ?? '').padEnd(column);
      lines[row] = line.slice(0, column) + token + line.slice(column + 1);
      column++;
    }
    lines[row] ??= '';
  }
  return lines;
}
