/**
 * The second half of `docs/analyst.md` is generated from the headers of the queries. After a change of a header, run
 * `npx vitest run test/query/kpi/reference.test.ts -u`. The first half is written by hand.
 */
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { allParameters, listChecks, listReports, type Report } from '../../../src/query/report.ts';
import { formatMarkdown } from '../../support/markdown.ts';

const LINE = '<!-- Below this line: generated';
const COMMON = [
  'from',
  'to',
  'tenant',
  'zone',
  'grain',
  'week_start',
  'pass_type',
  'platform',
  'store',
  'medium',
  'origin',
  'tag',
  'total',
  'range',
  'compare',
];

function parameterText({ kind, fallback, description }: Report['parameters'][number]): string {
  return `${description} (${kind.replaceAll('|', ', ')}; default ${fallback ?? 'none'})`;
}

function kpi(report: Report): string {
  const { name, title, description, formula, grain, unit, parameters, caveats, chart } = report;
  const own = parameters.filter((parameter) => !COMMON.includes(parameter.name));
  return [
    `### ${title}`,
    `\`${name}\`: ${description}`,
    [
      ...(formula === undefined ? [] : [`- Formula: \`${formula}\``]),
      `- Rows: ${grain}`,
      `- Unit: ${unit ?? '-'}`,
      `- Parameters: ${allParameters(report)
        .map((parameter) => `\`${parameter.name}\``)
        .join(', ')}`,
      ...own.map((parameter) => `- \`${parameter.name}\`: ${parameterText(parameter)}`),
      ...report.dimensions.additive.map(
        ({ figure, over }) =>
          `- Adds up: \`${figure}\` over ${over === undefined ? 'all dimensions except tag' : over.join(', ')}`,
      ),
      `- Chart: ${chart ?? 'none'}`,
      ...caveats.filter((caveat) => !caveat.startsWith('coverage says')).map((caveat) => `- Caveat: ${caveat}`),
    ].join('\n'),
  ].join('\n\n');
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', String.raw`\|`)).join(' | ')} |`;
}

async function generated(): Promise<string> {
  const [kpis, checks] = [await listReports(), await listChecks()];
  const views = await listReports('views');
  const common = COMMON.flatMap((name) => kpis.flatMap(allParameters).filter((parameter) => parameter.name === name).slice(0, 1)); // oxfmt-ignore
  return [
    '## KPIs',
    'Parameters that mean the same everywhere:',
    ['| parameter | meaning |', '|---|---|', ...common.map((parameter) => row([`\`${parameter.name}\``, parameterText(parameter)]))].join('\n'), // oxfmt-ignore
    ...kpis.map(kpi),
    '## Tables behind them',
    'Selectable by name in `insights-etl sql`; those with arguments are called like a function. Where the catalogue is attached under a name, `use` that name before you call one.',
    [
      '| name | holds | rows |',
      '|---|---|---|',
      ...views.map(({ name, sql, description, grain, caveats }) => {
        const given = /^-- arguments: (.+)$/m.exec(sql)?.[1];
        return row([
          `\`${name}${given === undefined ? '' : `(${given})`}\``,
          [description, ...caveats].join(' '),
          grain,
        ]);
      }),
    ].join('\n'),
    '## Checks',
    'A row that a check returns is a failure. `insights-etl check` ends with 5 when one of severity error returns any.',
    [
      '| check | severity | what a row means |',
      '|---|---|---|',
      ...checks.map(({ name, severity, title, description }) => row([`\`${name}\``, severity ?? '', `${title}. ${description}`])), // oxfmt-ignore
    ].join('\n'),
  ].join('\n\n');
}

const DOCUMENT = new URL('../../../docs/analyst.md', import.meta.url);

describe('the reference of KPIs', () => {
  it('docs/analyst.md matches the headers of the queries', async () => {
    const text = await readFile(DOCUMENT, 'utf8');
    const start = text.indexOf(LINE);
    expect(start).toBeGreaterThan(0);
    const line = text.indexOf('\n', start);
    const whole = `${text.slice(0, line)}\n\n${await generated()}\n`;
    const formatted = await formatMarkdown(whole);
    await expect(formatted).toMatchFileSnapshot('../../../docs/analyst.md');
  });

  it('names only queries that exist', async () => {
    const text = await readFile(DOCUMENT, 'utf8');
    const names = (await listReports()).map(({ name }) => name);
    const named = [...text.matchAll(/insights-etl query (\w+)/g)].map((match) => match[1] ?? '');
    expect(named.length).toBeGreaterThan(1);
    expect(named.filter((name) => !names.includes(name))).toEqual([]);
  });
});

describe('the header of every KPI', () => {
  it('has title, description, formula, grain, unit, caveats, and a chart over existing columns', async () => {
    for (const { name, formula, unit, caveats, chart, sql } of await listReports()) {
      expect({ name, formula, unit, caveats: caveats.length > 0 }).toEqual({
        name, formula: expect.any(String), unit: expect.any(String), caveats: true,
      }); // oxfmt-ignore
      const columns = [...(chart ?? '').matchAll(/\b(?:x|y|series)=([\w,]+)/g)].flatMap((match) => (match[1] ?? '').split(',')); // oxfmt-ignore
      expect(chart).toMatch(/^(line|bar|area) x=\w+ y=[\w,]+( series=\w+)?$/);
      const last = sql.slice(sql.lastIndexOf('\nselect\n'));
      expect({ name, missing: columns.filter((column) => !new RegExp(`\\b${column}\\b`).test(last)) }).toEqual({ name, missing: [] }); // oxfmt-ignore
    }
  });

  it('has from, to, tenant, zone and grain, except for KPIs of the present state', async () => {
    const states = ['freshness', 'active_passes_by_platform'];
    const others = (await listReports()).filter(({ name }) => !states.includes(name));
    const first = others.map(({ name, parameters }) => [name, ...parameters.slice(0, 5).map((parameter) => parameter.name)]); // oxfmt-ignore
    expect(first).toEqual(others.map(({ name }) => [name, 'from', 'to', 'tenant', 'zone', 'grain']));
  });
});
