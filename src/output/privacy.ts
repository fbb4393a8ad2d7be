/** What `privacy audit` prints. */
import type { AuditReport } from '../model/report.ts';
import { count, plural } from './format.ts';
import { renderTable } from './table.ts';
import { visible } from './visible.ts';

export function auditSummary({ paths, rowsOfAType }: AuditReport, colour: boolean): string {
  const looked = `Looked at ${count(rowsOfAType)} rows of a type at most.`;
  if (paths.length === 0) return `No path without a rule looks like personal data. ${looked}\n`;
  const columns = [
    { title: 'table' },
    { title: 'type' },
    { title: 'path' },
    { title: 'looks like' },
    { title: 'values', align: 'right' as const },
    { title: 'share', align: 'right' as const },
  ];
  const rows = paths.map(({ table, type, path, looksLike, values, share }) => [
    table,
    visible(type),
    visible(path),
    looksLike,
    count(values),
    `${(share * 100).toFixed(share < 0.01 ? 2 : 0)} %`,
  ]);
  const end = `${plural(paths.length, 'path')} without a rule. ${looked}\nRules are \`privacy.rules\` of the configuration (docs/privacy.md); \`insights-etl rebuild\` applies them to what is stored.\n`;
  return `${renderTable(columns, rows, colour)}\n${end}`;
}
