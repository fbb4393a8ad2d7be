/** Changes in the shape of the source's rows as text. */
import type { RunReport } from '../model/report.ts';
import { andMore } from './format.ts';
import { renderTable } from './table.ts';
import type { Style } from './terminal.ts';

/** Lines shown at most; `insights-etl properties --drift` shows the rest. */
const SHOWN = 10;

const CHANGES = {
  new_type: 'new type',
  new_path: 'new path',
  new_kind: 'new kind',
  stopped: 'stopped',
} as const satisfies Readonly<Record<RunReport['drift'][number]['change'], string>>;

/** Empty if nothing has changed. */
export function driftText(drift: RunReport['drift'], title: string, style: Style): string {
  if (drift.length === 0) return '';
  const columns = ['tenant', 'table', 'type', 'change', 'path', 'kind', 'since'].map((name) => ({ title: name }));
  const rows = drift
    .slice(0, SHOWN)
    .map(({ tenant, table, type, change, path, kind, at }) => [tenant, table, type, CHANGES[change], path, kind, at]);
  const more = drift.length > SHOWN ? `… ${andMore(drift.length - SHOWN)}: insights-etl properties --drift\n` : '';
  return `\n${title}:\n${renderTable(columns, rows, style)}${more}`;
}
