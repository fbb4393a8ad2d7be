/** What the `quarantine` commands print for people. */
import type { DropCount, QuarantineCount, QuarantinedRow, ReplayCount } from '../model/report.ts';
import { count, plural } from './format.ts';
import { renderTable } from './table.ts';
import { visible } from './visible.ts';

const PLACE = [{ title: 'tenant' }, { title: 'table' }] as const;
const figure = (title: string) => ({ title, align: 'right' as const });
const NOTHING = 'no row in quarantine matches\n';

export function quarantineList(counts: readonly QuarantineCount[], colour: boolean): string {
  if (counts.length === 0) return NOTHING;
  const columns = [...PLACE, { title: 'day' }, { title: 'reason' }, figure('rows'), figure('given up')];
  const rows = counts.map((row) => [row.tenant, row.table, row.day, row.reason, count(row.rows), count(row.dropped)]);
  const total = counts.reduce((sum, row) => sum + row.rows, 0);
  return `${renderTable(columns, rows, colour)}\n${plural(total, 'row')} in quarantine\n`;
}

/** A head line and a text line a row. */
export function quarantinedRowsText(rows: readonly QuarantinedRow[], more: number): string {
  if (rows.length === 0) return NOTHING;
  const blocks = rows.map(({ tenant, table, at, reason, id, page, run, text }) => {
    const head = [tenant, table, at, reason, `id ${id ?? '(none)'}`, `page ${page}`, `run ${run ?? '(none)'}`];
    return `${visible(head.join(' · '))}\n  ${text === undefined ? '(given up)' : visible(text)}\n`;
  });
  return blocks.join('') + (more > 0 ? `… ${plural(more, 'more row')}; --limit shows more\n` : '');
}

export function replayText(tables: readonly ReplayCount[], published: boolean, colour: boolean): string {
  if (tables.length === 0) return NOTHING;
  const columns = [...PLACE, figure('judged'), figure('loaded'), figure('copies'), figure('still refused')];
  const rows = tables.map((row) => [
    row.tenant,
    row.table,
    ...[row.judged, row.loaded, row.copies, row.refused].map(count),
  ]);
  return `${renderTable(columns, rows, colour)}\n${published ? 'published' : 'nothing changed'} · 0 calls\n`;
}

export function pinText(
  report: {
    readonly tenant: string;
    readonly pinned: string;
    readonly expelled: number;
    readonly tables: readonly ReplayCount[];
    readonly published: boolean;
  },
  colour: boolean,
): string {
  const { tenant, pinned, expelled, tables, published } = report;
  return (
    `rows of ${tenant} must carry the tenantId "${visible(pinned)}"; ${plural(expelled, 'row')} of the lake did not and went into quarantine\n` +
    (tables.length === 0 ? '' : `\n${replayText(tables, published, colour)}`)
  );
}

export function dropText(tables: readonly DropCount[], colour: boolean): string {
  if (tables.length === 0) return NOTHING;
  const columns = [...PLACE, figure('texts given up, still counted'), figure('entries removed')];
  const rows = tables.map((row) => [row.tenant, row.table, count(row.emptied), count(row.removed)]);
  return renderTable(columns, rows, colour);
}
