/** The output of the `quarantine` commands and of `tenant pin`. */
import type { DropCount, QuarantineCount, QuarantinedRow, ReplayCount } from '../model/report.ts';
import { count, plural } from '../kernel/plural.ts';
import { renderTable } from './table.ts';
import type { Style } from './terminal.ts';
import { visible } from './visible.ts';

const PLACE = [{ title: 'tenant' }, { title: 'table' }] as const;
const numberColumn = (title: string) => ({ title, align: 'right' as const });
const NOTHING = 'no rows in quarantine match\n';

export function quarantineList(counts: readonly QuarantineCount[], style: Style): string {
  if (counts.length === 0) return NOTHING;
  const columns = [...PLACE, { title: 'day' }, { title: 'reason' }, numberColumn('rows'), numberColumn('dropped')];
  const rows = counts.map((row) => [row.tenant, row.table, row.day, row.reason, count(row.rows), count(row.dropped)]);
  const total = counts.reduce((sum, row) => sum + row.rows, 0);
  return `${renderTable(columns, rows, style)}\n${plural(total, 'row')} in quarantine\n`;
}

/** Two lines per row: where it came from, and its text. */
export function quarantinedRowsText(rows: readonly QuarantinedRow[], more: number): string {
  if (rows.length === 0) return NOTHING;
  const blocks = rows.map(({ tenant, table, at, reason, id, page, run, text }) => {
    const head = [tenant, table, at, reason, `id ${id ?? '(none)'}`, `page ${page}`, `run ${run ?? '(none)'}`];
    return `${visible(head.join(' · '))}\n  ${text === undefined ? '(dropped)' : visible(text)}\n`;
  });
  return blocks.join('') + (more > 0 ? `… ${plural(more, 'more row')}; --limit shows more\n` : '');
}

export function replayText(tables: readonly ReplayCount[], published: boolean, style: Style): string {
  if (tables.length === 0) return NOTHING;
  const columns = [...PLACE, ...['checked', 'loaded', 'copies', 'still refused'].map(numberColumn)];
  const rows = tables.map((row) => [
    row.tenant,
    row.table,
    ...[row.judged, row.loaded, row.copies, row.refused].map(count),
  ]);
  return `${renderTable(columns, rows, style)}\n${published ? 'published' : 'nothing changed'} · 0 calls\n`;
}

export function pinText(
  report: {
    readonly tenant: string;
    readonly pinned: string;
    readonly expelled: number;
    readonly tables: readonly ReplayCount[];
    readonly published: boolean;
  },
  style: Style,
): string {
  const { tenant, pinned, expelled, tables, published } = report;
  return (
    `rows of ${tenant} must have the tenantId "${visible(pinned)}"; ${plural(expelled, 'row')} of the lake did not and moved to quarantine\n` +
    (tables.length === 0 ? '' : `\n${replayText(tables, published, style)}`)
  );
}

export function dropText(tables: readonly DropCount[], style: Style): string {
  if (tables.length === 0) return NOTHING;
  const columns = [...PLACE, numberColumn('texts dropped, rows still counted'), numberColumn('entries removed')];
  const rows = tables.map((row) => [row.tenant, row.table, count(row.emptied), count(row.removed)]);
  return renderTable(columns, rows, style);
}
