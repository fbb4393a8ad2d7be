/** The figures of a report, as `query` computes them and as the page shows and saves them. */
import { readFile } from 'node:fs/promises';
import type { Json } from '@duckdb/node-api';
import type { Page } from 'playwright-core';
import type { ChartPlan } from '../../../dashboard/reports.ts';
import type { Reader } from '../../../src/query/reader.ts';
import { findReport, parameterValues } from '../../../src/query/report.ts';
import { prepareReport } from '../../../src/query/split.ts';

export type Row = Record<string, Json>;
type Choice = [tenant: string, from: string, to: string, more?: Readonly<Record<string, string>>];

/** Keeps what the page saves instead of saving it: faster than a download for each chart. */
export const KEEP_SAVED = `
  let receive = () => {};
  globalThis.nextSaved = () => new Promise((resolve) => (receive = resolve));
  URL.createObjectURL = (blob) => (receive(blob.text()), 'blob:none');
  HTMLAnchorElement.prototype.click = () => {};
`;

/** The CSV text of each chart; of one without figures, why. */
export async function allSaved(page: Page): Promise<Record<string, string>> {
  return page.evaluate(`(async () => {
    const texts = {};
    for (const card of document.querySelectorAll('.card')) {
      const next = globalThis.nextSaved();
      const save = [...card.querySelectorAll('button')].find((button) => button.textContent === 'Save as CSV');
      save?.click();
      texts[card.dataset.report] = save ? await next : card.querySelector('.empty').textContent;
    }
    return texts;
  })()`);
}

/** Rows of a mart with splits, without the columns that the report itself does not have. */
export function splitRows(text: string, like: readonly Row[]): Row[] {
  const [first] = like;
  const isOwn = (name: string): boolean =>
    !['grain', 'pass_type', 'platform'].includes(name) || (first && name in first) === true;
  const rows = csvRows(text).map((row) => Object.fromEntries(Object.entries(row).filter(([name]) => isOwn(name))));
  return withoutBefore(sorted(rows));
}

/** Rows of a report on the published catalogue, as a mart has them. */
export async function reportRows(
  reader: Reader,
  name: string,
  ...[tenant, from, to, more = {}]: Choice
): Promise<Row[]> {
  const report = await findReport(name);
  const words = Object.entries({ tenant, from, to, ...more }).map(([key, value]) => `${key}=${value}`);
  const values = parameterValues(report, words, { nowMs: Date.now() });
  const { sql, parameters } = await prepareReport(reader, report, values, '--param');
  const result = await reader.query(sql, parameters);
  const rows: Row[] = [];
  for await (const batch of result.batches())
    for (const cells of batch)
      rows.push(asRow(Object.fromEntries(result.columns.map((column, nth) => [column.name, cells[nth] ?? null]))));
  return sorted(rows);
}

/** The rows behind a chart: those of its report, or what they add up to. */
export async function chartRows(reader: Reader, plan: ChartPlan, ...of: Choice): Promise<Row[]> {
  const rows = await reportRows(reader, plan.report, ...of);
  if (plan.drawing?.kind !== 'ages') return rows;
  const add = (column: string, of: readonly Row[]): number => of.reduce((sum, row) => sum + Number(row[column]), 0);
  const curve = [0, 1, 7, 30, 90, 180, 365].flatMap((days): Row[] => {
    const column = days === 0 ? 'cohort' : `alive_d${days}`;
    const old = rows.filter((row) => row[column] !== '');
    const [passes, active] = [add('cohort', old), add(column, old)];
    return passes === 0 ? [] : [{ age_days: days, passes, active_passes: active, active_share: active / passes }];
  });
  return sorted(curve);
}

export async function savedRows(page: Page, name: string): Promise<Row[]> {
  const text = await saved(page, () => choose(page, name, 'Save as CSV'));
  return withoutBefore(sorted(csvRows(text)));
}

/** A curve also has the shares of the period before. */
function withoutBefore(rows: readonly Row[]): Row[] {
  return rows.map((row) => Object.fromEntries(Object.entries(row).filter(([name]) => name !== 'before_share')));
}

export async function choose(page: Page, name: string, what: string): Promise<void> {
  const card = page.locator(`[data-report="${name}"]`);
  await card.locator('summary').nth(1).click();
  await card.getByText(what).click();
}

/** The text of the file that a click saves. */
export async function saved(page: Page, click: () => Promise<void>): Promise<string> {
  const [download] = await Promise.all([page.waitForEvent('download'), click()]);
  return readFile(await download.path(), 'utf8');
}

export function csvRows(text: string): Row[] {
  const [head = '', ...lines] = text.trimEnd().split('\r\n');
  const names = head.split(',');
  return lines.map((line) => {
    const cells = line.split(',');
    return asRow(Object.fromEntries(names.map((name, nth) => [name, cells[nth] ?? null])));
  });
}

/** A mart calls a period its day, and was computed earlier. Numbers are compared as numbers. */
function asRow(row: Row): Row {
  return Object.fromEntries(
    Object.entries(row)
      .filter(([name]) => name !== 'loaded_at')
      .map(([name, value]) => {
        const text = value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value);
        if (name === 'period') return ['day', text.slice(0, 10)];
        return [name, text !== '' && Number.isFinite(Number(text)) ? Number(text) : text];
      }),
  );
}

/** A row as text that does not depend on the order of its columns. */
export function keyOf(row: Row): string {
  return JSON.stringify([row['day'], ...Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1))]);
}

function sorted(rows: Row[]): Row[] {
  return rows.sort((a, b) => keyOf(a).localeCompare(keyOf(b)));
}
