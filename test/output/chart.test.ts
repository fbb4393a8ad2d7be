/** Charts mark what must not be compared: periods that are not proven, and periods of which the range holds only a part. */
import type { Json } from '@duckdb/node-api';
import { describe, expect, it } from 'vitest';
import { drawChart, parseChart } from '../../src/output/chart.ts';
import type { ResultRows } from '../../src/query/reader.ts';

type Row = readonly [period: string, figure: number, isCut: boolean, share: number, coverage: string];

function result(rows: readonly Row[]): ResultRows {
  const names = ['tenant_id', 'period', 'installs', 'is_cut', 'verified_share', 'coverage'];
  const columns = names.map((name) => ({ name, numeric: false, raw: false, type: 'VARCHAR' }));
  async function* batches(): AsyncGenerator<readonly (readonly Json[])[]> {
    yield rows.map((row) => ['acme', ...row]);
  }
  return { columns, batches };
}

async function draw(kind: 'line' | 'bar', rows: readonly Row[]): Promise<string> {
  const spec = parseChart(`${kind} x=period y=installs`);
  if (spec === undefined) throw new Error('no chart');
  return drawChart(result(rows), spec, 60);
}

const ROWS: readonly Row[] = [
  ['2026-02-23', 5, true, 1, 'verified'],
  ['2026-03-02', 8, false, 1, 'verified'],
  // A rounded share does not count.
  ['2026-03-09', 8, false, 1, 'unverified'],
  ['2026-03-16', 2, true, 0.4, 'open'],
];

describe('a chart', () => {
  it('has a line of marks for each reason, below the columns', async () => {
    const lines = (await draw('line', ROWS)).split('\n');
    expect(lines.slice(7)).toEqual([
      '         ?  ?',
      '   ~        ~',
      '   2026-02-23 … 2026-03-16',
      '? marks periods that are not fully verified',
      '~ marks periods of which the range holds only a part',
      '',
    ]);
  });

  it('marks bars at their end', async () => {
    const lines = (await draw('bar', ROWS)).trimEnd().split('\n');
    expect(lines.slice(1, 5).map((line) => line.replace(/^.*█ /, ''))).toEqual(['5 ~', '8', '8 ?', '2 ? ~']);
  });

  it('has no mark where every period is whole and verified', async () => {
    expect(await draw('line', ROWS.slice(1, 2))).not.toMatch(/[?~]/);
  });
});
