/** The data dictionary as a Markdown document. */
import type { Described } from '../query/export/dbt.ts';
import { percent } from './format.ts';

export interface DictionaryRow extends Described {
  /** Share of the rows of the type that have a value; undefined if every row does. */
  readonly share: number | undefined;
}

/** One section per table, view or macro. Rows with the same name must be adjacent. */
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
    const share = row.share === undefined || row.share === 1 ? '' : percent(row.share);
    yield `| ${cell(row.column)} | ${cell(row.type ?? '')} | ${cell(row.columnHolds ?? '')} | ${share} |`;
  }
}

/** Names and paths come from the source: none of their characters may end a cell or start markup. */
function cell(text: string): string {
  return text.replaceAll(/\s+/g, ' ').replaceAll(/[\\|<>`*[\]]/g, String.raw`\$&`);
}
