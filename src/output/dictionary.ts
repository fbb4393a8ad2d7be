/** The data dictionary as a Markdown document. Pure. */

export interface DictionaryRow {
  readonly name: string;
  /** table, view or macro. */
  readonly kind: string;
  readonly holds: string | undefined;
  /** Undefined for a macro: its columns are known when it is called. */
  readonly column: string | undefined;
  readonly type: string | undefined;
  readonly columnHolds: string | undefined;
  /** Share of the type's rows that have it; undefined where every row does. */
  readonly share: number | undefined;
}

/** One section a table, view or macro; rows of one must stand together. */
export function* dictionaryLines(rows: readonly DictionaryRow[]): Generator<string> {
  yield '# Data dictionary';
  let current: string | undefined;
  for (const row of rows) {
    if (row.name !== current) {
      current = row.name;
      yield '';
      yield `## ${cell(row.name)}`;
      yield '';
      yield `${row.kind[0]?.toUpperCase() ?? ''}${row.kind.slice(1)}. ${cell(row.holds ?? '')}`.trim();
      if (row.column !== undefined) {
        yield '';
        yield '| column | type | holds | in |';
        yield '| --- | --- | --- | ---: |';
      }
    }
    if (row.column === undefined) continue;
    const share =
      row.share === undefined || row.share === 1 ? '' : `${(row.share * 100).toFixed(row.share < 0.1 ? 2 : 0)} %`;
    yield `| ${cell(row.column)} | ${cell(row.type ?? '')} | ${cell(row.columnHolds ?? '')} | ${share} |`;
  }
}

/** Names and paths come from the source: no character of theirs may end a cell, or begin markup. */
function cell(text: string): string {
  return text.replaceAll(/\s+/g, ' ').replaceAll(/[\\|<>`*[\]]/g, String.raw`\$&`);
}
