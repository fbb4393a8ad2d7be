/** The output of `privacy audit`. */
import type { AuditReport } from '../model/report.ts';
import { count, plural } from '../kernel/plural.ts';
import { percent } from './format.ts';
import { renderTable } from './table.ts';
import type { Style } from './terminal.ts';
import { visible } from './visible.ts';

export function auditSummary({ paths, notChecked, rowsOfAType }: AuditReport, style: Style): string {
  const skipped = notChecked.map(
    ({ table, rows }) => ` ${plural(rows, 'row')} of ${table} could not be examined: the text is not valid JSON.`,
  );
  const scope = `At most ${count(rowsOfAType)} rows of each type were examined.${skipped.join('')}`;
  if (paths.length === 0) return `No path without a rule looks like personal data. ${scope}\n`;
  const columns = [
    { title: 'table' },
    { title: 'type' },
    { title: 'path' },
    { title: 'looks like' },
    { title: 'values', align: 'right' as const },
    { title: 'share', align: 'right' as const, rank: 1 },
  ];
  const rows = paths.map(({ table, type, path, looksLike, values, share }) => [
    table,
    visible(type),
    visible(path),
    looksLike,
    count(values),
    percent(share),
  ]);
  const end = `${plural(paths.length, 'path')} without a rule. ${scope}\nAdd rules under \`privacy.rules\` in the configuration (docs/privacy.md); \`insights-etl rebuild\` applies them to stored rows.\n`;
  return `${renderTable(columns, rows, style)}\n${end}`;
}
