/** Splits and filters of every report: rows of `by` add up where the header says so, and a filter gives the rows with its value. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Json } from '@duckdb/node-api';
import { PROMOTED } from '../../../src/query/dimensions.ts';
import { listReports, type Report } from '../../../src/query/report.ts';
import { caseOfMany } from '../../support/campaign.ts';
import { openLake, type Happening, type Lake } from './support/lake.ts';
import { randomWorld } from './support/random.ts';

type Row = Record<string, Json>;

const textOf = (cell: Json | undefined): string => (typeof cell === 'string' ? cell : JSON.stringify(cell ?? null));

/** Sums of a figure by tenant and period. A combination that never occurs has no row, so sums of 0 are left out. */
function sums(rows: readonly Row[], figure: string): Record<string, number> {
  const found: Record<string, number> = {};
  for (const row of rows) {
    const key = `${textOf(row['tenant_id'])} ${textOf(row['period'])}`;
    found[key] = (found[key] ?? 0) + Number(row[figure] ?? 0);
  }
  return Object.fromEntries(Object.entries(found).filter(([, sum]) => sum !== 0));
}

function ownWords({ parameters, sql }: Report): string[] {
  return /\$by\b/.test(sql) ? (parameters.find(({ name }) => name === 'by')?.kind.split('|') ?? []) : [];
}

const reports = await listReports();

describe('a report split by a dimension', () => {
  let lake: Lake;
  beforeAll(async () => {
    lake = await openLake(randomWorld(2, 7).rows);
  });
  afterAll(async () => lake[Symbol.asyncDispose]());

  for (const [index, report] of reports.entries())
    it(`'${report.name}': additive figures add up to the total`, caseOfMany(index), async () => {
      const words = report.parameters.some(({ name }) => name === 'grain') ? ['grain=month'] : [];
      const total = await lake.ask(report.name, words);
      const dimensions = report.dimensions.allowed.filter(
        (name) => name !== PROMOTED && !ownWords(report).includes(name),
      );
      for (const dimension of dimensions) {
        const split = await lake.ask(report.name, [...words, `by=${dimension}`]);
        expect(split.every((row) => typeof row[dimension] === 'string')).toBe(true);
        for (const { figure, over } of report.dimensions.additive) {
          if (dimension === 'tag' || (over !== undefined && !over.includes(dimension))) continue;
          expect({ dimension, figure, sums: sums(split, figure) }).toEqual({ dimension, figure, sums: sums(total, figure) }); // oxfmt-ignore
        }
      }
    });
});

describe('splits and filters', () => {
  let lake: Lake;
  beforeAll(async () => {
    const event = (tenant: string, id: string, type: string, properties: object): Happening =>
      ({ table: 'events', tenant, id, time: '2026-03-01T08:00:00Z', type, properties: JSON.stringify(properties) }); // oxfmt-ignore
    const a = { passId: 'a', passType: 'gold, old' };
    lake = await openLake({
      happenings: [
        event('acme', '1', 'Pass:Created', { ...a, storeId: 'lyon' }),
        event('acme', '2', 'Pass:Installed', { ...a, device: 'Apple', medium: 'qr', tags: ['x', 'y'] }),
        event('acme', '3', 'Pass:Installed', { ...a, device: 'Google', medium: 'mail' }),
        event('acme', '4', 'Pass:Installed', { passId: 'b', passType: 'silver', device: 'Apple' }),
        event('nordlys', '1', 'Pass:Installed', { passId: 'a', passType: 'silver', device: 'Apple' }),
      ],
      metrics: [],
      coverage: ['acme', 'nordlys'].map((tenant) => ({ tenant, table: 'events', from: '2026-03-01', to: tenant === 'acme' ? '2026-03-03' : '2026-03-02', state: 'verified' })), // oxfmt-ignore
    });
  });
  afterAll(async () => lake[Symbol.asyncDispose]());

  const cells = async (report: string, words: string[], columns: string[]): Promise<string[]> =>
    (await lake.ask(report, words)).map((row) => columns.map((column) => textOf(row[column])).join(' '));
  const DAY = ['from=2026-03-01', 'to=2026-03-02'];

  it('split a report by several dimensions of the pass and of the installation', async () => {
    expect(await cells('gross_installs', [...DAY, 'by=store,platform'], ['tenant_id', 'store', 'platform', 'installs'])).toEqual([
      'acme (none) apple 1', 'acme lyon apple 1', 'acme lyon google 1', 'nordlys (none) apple 1',
    ]); // oxfmt-ignore
    expect(await cells('active_passes', [...DAY, 'by=platform'], ['tenant_id', 'platform', 'active_passes'])).toEqual([
      'acme apple 2', 'acme google 1', 'nordlys apple 1',
    ]); // oxfmt-ignore
    expect(await cells('gross_installs', [...DAY, 'tenant=acme', 'by=tag'], ['tag', 'installs'])).toEqual([
      '(none) 1', 'x 2', 'y 2',
    ]); // oxfmt-ignore
  });

  it('take several values, also with commas in them', async () => {
    const values = async (...words: string[]): Promise<string[]> =>
      cells('gross_installs', [...DAY, ...words], ['tenant_id', 'installs']);
    expect(await values('tenant=acme,nordlys', 'pass_type=silver')).toEqual(['acme 1', 'nordlys 1']);
    expect(await values('pass_type="gold, old",silver', 'tenant=acme')).toEqual(['acme 3']);
    expect(await values('store=lyon', 'platform=apple', 'tenant=acme')).toEqual(['acme 1']);
    expect(await values('medium=mail,(none)', 'tag=x')).toEqual(['acme 2', 'nordlys 0']);
  });

  it('add up all tenants, each hour with the worst of their coverage', async () => {
    expect(await cells('active_passes', ['total=true'], ['tenant_id', 'period', 'active_passes', 'coverage'])).toEqual([
      '(all) 2026-03-01 00:00:00 3 verified', '(all) 2026-03-02 00:00:00 3 open',
    ]); // oxfmt-ignore
    expect(await cells('retention', [...DAY, 'total=true', 'by=pass_type'], ['tenant_id', 'pass_type', 'retention'])).toEqual([
      '(all) gold, old 1', '(all) silver 1',
    ]); // oxfmt-ignore
  });

  it('keep the words of a report that splits by itself', async () => {
    expect(await cells('attribution', [...DAY, 'tenant=acme', 'by=medium,platform'], ['source', 'platform', 'first_installs'])).toEqual([
      '(none) apple 1', 'qr apple 1', 'mail google 1',
    ]); // oxfmt-ignore
  });

  it('are compared with an earlier time', async () => {
    const words = ['from=2026-03-01', 'to=2026-03-03', 'by=platform', 'tenant=acme', 'compare=previous'];
    expect(await cells('gross_installs', words, ['platform', 'installs', 'installs_before'])).toEqual([
      'apple 2 null', 'google 1 null', 'apple 0 null', 'google 0 null',
    ]); // oxfmt-ignore
  });

  it('have the same figures and changes with a filter as with that value of `by`, also where nothing occurred in one of the periods', async () => {
    const words = (day: string): string[] => [
      `from=2026-03-0${day}`,
      `to=2026-03-0${Number(day) + 1}`,
      'tenant=acme',
      'store=lyon',
      'compare=previous',
    ];
    const figures = ['tenant_id', 'period', 'source', 'first_installs', 'first_installs_before', 'first_installs_difference']; // oxfmt-ignore
    for (const day of ['1', '2']) {
      const filtered = await cells('attribution', words(day), figures);
      expect(filtered).not.toEqual([]);
      expect(await cells('attribution', [...words(day), 'by=store'], figures)).toEqual(filtered);
    }
    expect(await cells('attribution', [...words('2'), 'by=store'], ['store', ...figures.slice(2)])).toEqual([
      'lyon mail 0 1 -1', 'lyon qr 0 1 -1',
    ]); // oxfmt-ignore
  });

  it('refuse what the report or the lake does not know', async () => {
    await expect(lake.ask('scans', ['by=platfrm'])).rejects.toThrow('This report cannot be split by "platfrm".');
    await expect(lake.ask('scans', ['store=lyn'])).rejects.toThrow('The lake has no store "lyn".');
    await expect(lake.ask('scans', ['store=lyon,'])).rejects.toThrow('The values of "store" cannot be read');
    await expect(lake.ask('scans', ['nonsense=1'])).rejects.toThrow('Report "scans" has no parameter "nonsense".');
    await expect(lake.ask('scans', ['by=tenant', 'total=true'])).rejects.toThrow('cannot be split by tenant');
  });
});
