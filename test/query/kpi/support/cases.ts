/**
 * Reads `cases/<report>.txt`: rows put in and rows expected, both counted by hand.
 *
 *     == what is required
 *     events:
 *     2026-03-01T08:00:00Z | Pass:Created | {"passId":"A"} | an id, where it matters
 *     metrics:                        time | type | value | properties
 *     coverage:
 *     events | 2026-03-01 | 2026-03-02 | verified          every hour of the range
 *     query: grain=day zone=UTC
 *     period | passes_created         the columns compared; - is null
 *     2026-03-01 | 1
 *
 * A title may be followed by several queries. Lines that begin with # say why. Each case is a tenant of its own.
 */
import type { Json } from '@duckdb/node-api';
import type { Coverage, Happening, LakeRows, Metric } from './lake.ts';

interface Query {
  readonly words: readonly string[];
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

interface Case {
  readonly title: string;
  readonly tenant: string;
  readonly queries: readonly Query[];
}

export interface CaseFile {
  readonly cases: readonly Case[];
  readonly rows: LakeRows;
}

/** Reads one file. Throws an Error that quotes a line that it cannot read. */
export function parseCases(report: string, text: string): CaseFile {
  const cases: {
    title: string;
    tenant: string;
    queries: { words: string[]; columns: string[]; rows: string[][] }[];
  }[] = [];
  const rows: { happenings: Happening[]; metrics: Metric[]; coverage: Coverage[] } = {
    happenings: [],
    metrics: [],
    coverage: [],
  };
  let section = '';
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    if (line.startsWith('== ')) {
      cases.push({ title: line.slice(3), tenant: `${report}-${cases.length + 1}`, queries: [] });
      section = '';
      continue;
    }
    const current = cases.at(-1);
    const head = /^(events|logs|metrics|coverage|query):(.*)$/.exec(line);
    if (current === undefined) throw new Error(`${report}: a case begins with "== title", not "${line}"`);
    if (head) {
      section = head[1] ?? '';
      const words = (head[2] ?? '').split(/\s+/).filter((word) => word !== '');
      if (section === 'query') current.queries.push({ words, columns: [], rows: [] });
      continue;
    }
    const cells = line.split(' | ').map((cell) => cell.trim());
    const [first = '', second = '', third = '{}', fourth] = cells;
    const { tenant } = current;
    const query = current.queries.at(-1);
    if (section === 'events' || section === 'logs')
      rows.happenings.push({
        table: section,
        tenant,
        time: first,
        type: second,
        properties: third,
        id: fourth ?? `id-${String(rows.happenings.length).padStart(4, '0')}`,
      });
    else if (section === 'metrics')
      rows.metrics.push({ tenant, time: first, type: second, value: third, properties: fourth ?? '{}' });
    else if (section === 'coverage')
      rows.coverage.push({ tenant, table: first, from: second, to: third, state: fourth ?? '' });
    else if (query && query.columns.length === 0) query.columns.push(...cells);
    else if (query) query.rows.push(cells);
    else throw new Error(`${report}: "${line}" is in no section`);
  }
  return { cases, rows };
}

/** One cell as the files write it. */
export function shown(cell: Json | undefined): string {
  if (cell === null || cell === undefined) return '-';
  return (typeof cell === 'string' ? cell : JSON.stringify(cell)).replace(/ 00:00:00(\+00)?$/, '');
}
