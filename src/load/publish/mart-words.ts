/** What the columns of marts mean. Those of the operator's reports are described in the headers of their files. */
import type { ColumnWords } from '../../query/column-words.ts';
import { formerMarts } from '../../query/definitions.ts';
import { columnEntries } from '../../query/sql-file.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { usableFiles } from '../marts/custom.ts';

export async function martWords(ledger: Ledger, words: ColumnWords): Promise<(mart: string, column: string) => string> {
  const former = await formerMarts();
  const { files } = await usableFiles(ledger, 'reports');
  const custom = new Map(files.map((file) => [file.name, columnEntries(file)]));
  return (mart, column) => {
    const report = former.get(mart) ?? mart;
    return (
      custom.get(report.replace(/_by$/, ''))?.get(column) ??
      words.of(`mart_${report}`, column) ??
      `${column} of the report ${report}`
    );
  };
}
