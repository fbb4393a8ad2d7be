/** The model behind `plan --simulate`. How far it is off is measured by `npm run scale` and written in docs/scale.md. */
import { readFile } from 'node:fs/promises';
import { assert, constantFrom, integer, property, record } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WORKLOAD, forecast, type Workload } from '../../src/model/scale.ts';

const of = (workload: Partial<Workload>) => forecast({ ...WORKLOAD, ...workload });

describe('calls', () => {
  it('a night with nothing new takes one call for each table of each tenant', () => {
    expect(of({ tenants: 7 }).idle.calls).toBe(21);
  });

  it('a night with new rows takes one more for each table, as long as a page holds the rows', () => {
    expect(of({ tenants: 7, rowsPerDay: 1000 }).night.calls).toBe(42);
  });

  it('a first load takes as many pages as the rows or the bytes need, whichever are more', () => {
    // 850,000 Events of 380 bytes: 323 MB in pages of 60 MB. Logs are loaded for the 45 days that the source keeps.
    expect(of({ rowsPerDay: 1_000_000 / 30, years: 30 / 365 }).firstLoad.calls).toBe(3 + 6 + 1 + 1);
    // 850,000 Events of 150 bytes: two pages of 500,000 rows, though three hold their bytes.
    expect(of({ rowsPerDay: 1_000_000 / 30, years: 30 / 365, bytesPerRow: 150 }).firstLoad.calls).toBe(3 + 3 + 1 + 1);
  });

  it('the time at the rate limit is that of one tenant, because tenants do not wait for each other', () => {
    const one = of({ tenants: 1, rowsPerDay: 1_000_000, years: 5 }).firstLoad;
    const many = of({ tenants: 50, rowsPerDay: 1_000_000, years: 5 }).firstLoad;
    expect(many.calls).toBe(50 * one.calls);
    expect(many.minutesAtLimit).toBe(one.minutesAtLimit);
    expect(of({ callsPerMinute: 0 }).firstLoad.minutesAtLimit).toBe(0);
  });
});

describe('files', () => {
  it('a small month is one file, and a large one has a file for each day', () => {
    expect(of({ rowsPerDay: 100, years: 1 }).files).toBe(3 * 13);
    // Events and Logs have a file for each day; a day of Metrics is under 1 MB, so closed months are one file.
    const { files } = of({ rowsPerDay: 300_000, years: 1 });
    expect(files).toBeGreaterThan(2 * 366);
    expect(files).toBeLessThan(3 * 366);
  });
});

describe('limits', () => {
  it('a lake that one worker can hold has none', () => {
    expect(of({ tenants: 100, rowsPerDay: 1000, years: 1 }).limits).toEqual([]);
  });

  it('each limit names the workers that stay below it, and with that many workers no limit is left', () => {
    const { limits } = of({ tenants: 10_000, rowsPerDay: 1000, years: 5 });
    expect(limits.map(({ what }) => what)).toContain('ledger');
    for (const { workers } of limits) expect(workers).toBeGreaterThan(1);
  });
});

it('more of anything never costs less', () => {
  const workload = record({
    tenants: integer({ min: 1, max: 20_000 }),
    rowsPerDay: integer({ min: 0, max: 5_000_000 }),
    years: integer({ min: 1, max: 10 }),
  });
  assert(
    property(workload, constantFrom('tenants', 'years'), (less, name) => {
      const [a, b] = [of(less), of({ ...less, [name]: less[name] * 2 })];
      const figures = (found: typeof a): number[] => [
        found.rows, found.firstLoad.calls, found.firstLoad.cpuSeconds, found.night.cpuSeconds, found.files, found.lakeBytes,
        found.ledgerBytes, found.catalogueBytes, found.mirror.dollarsPerMonth, found.firstLoad.peakMB,
      ]; // oxfmt-ignore
      for (const [index, figure] of figures(a).entries()) expect(figures(b)[index]).toBeGreaterThanOrEqual(figure);
    }),
  );
});

it('the page shows the lakes that were measured', async () => {
  const { results } = JSON.parse(await readFile('docs/scale.json', 'utf8'));
  const page = await readFile('docs/scale.md', 'utf8');
  for (const { shape } of results)
    expect(page).toContain(`${shape.tenants} × ${shape.rowsPerDay} rows × ${shape.days} days`);
});
