/** Every KPI against rows counted by hand: `cases/<report>.txt`, one tenant per case, all in one lake. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listReports } from '../../../src/query/report.ts';
import { parseCases, shown } from './support/cases.ts';
import { openLake, type Lake } from './support/lake.ts';
import { CAMPAIGN } from '../../support/campaign.ts';

const FOLDER = fileURLToPath(new URL('cases', import.meta.url));
const files = readdirSync(FOLDER).map((file) => {
  const report = basename(file, '.txt');
  return { report, ...parseCases(report, readFileSync(join(FOLDER, file), 'utf8')) };
});

let lake: Lake;
beforeAll(async () => {
  lake = await openLake({
    happenings: files.flatMap(({ rows }) => rows.happenings),
    metrics: files.flatMap(({ rows }) => rows.metrics),
    coverage: files.flatMap(({ rows }) => rows.coverage),
  });
});
afterAll(() => lake[Symbol.asyncDispose]());

describe.each(files)('$report', ({ report, cases }) => {
  const asked = async ({ tenant, queries }: (typeof cases)[number]): Promise<object[]> => {
    const answers: object[] = [];
    for (const { words, columns } of queries) {
      const found = await lake.ask(report, [`tenant=${tenant}`, ...words]);
      const cells = found.map((row) => columns.map((column) => (column in row ? shown(row[column]) : '(no column)')));
      answers.push({ words, columns, rows: cells });
    }
    return answers;
  };
  it.each(cases.slice(0, 1))('$title', async (each) => {
    expect(each.queries.length).toBeGreaterThan(0);
    expect(await asked(each)).toEqual(each.queries);
  });
  it.each(cases.slice(1))('$title', CAMPAIGN, async (each) => {
    expect(each.queries.length).toBeGreaterThan(0);
    expect(await asked(each)).toEqual(each.queries);
  });
});

describe('the cases', () => {
  it('exist for every KPI, and each file belongs to one', async () => {
    const reports = (await listReports()).map(({ name }) => name);
    expect(files.map(({ report }) => report).sort()).toEqual(reports.sort());
  });

  it('with a tenant, a KPI shows only its rows; without one, those of all', async () => {
    const all = await lake.ask('gross_installs', ['grain=month']);
    const tenants = new Set(all.map((row) => shown(row['tenant_id'])));
    expect(tenants.size).toBeGreaterThan(20);
    for (const tenant of [...tenants].slice(0, 5)) {
      const ofTenant = await lake.ask('gross_installs', ['grain=month', `tenant=${tenant}`]);
      expect(ofTenant).toEqual(all.filter((row) => row['tenant_id'] === tenant));
    }
  });

  it('every KPI shows its coverage and when it was loaded', CAMPAIGN, async () => {
    for (const { report } of files) {
      const [row] = await lake.ask(report, []);
      expect(Object.keys(row ?? {}).slice(-5)).toEqual([
        'verified_share', 'partial_share', 'open_share', 'coverage', 'loaded_at',
      ]); // oxfmt-ignore
      expect(row?.['loaded_at']).toBe('2026-05-01 00:00:00+00');
    }
  });
});
