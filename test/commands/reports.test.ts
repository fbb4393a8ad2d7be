import { readdir } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { QUERIES_FOLDER } from '../../src/kernel/queries-folder.ts';
import { listReports, parameterValues, reportOf } from '../../src/query/report.ts';
import { parseSqlFile } from '../../src/query/sql-file.ts';

describe('the headers of reports', () => {
  it('every report has title, description, grain, a chart, and a caveat about unfinished days or lower bounds', async () => {
    const bare = (await listReports()).filter(({ chart, caveats }) => chart === undefined || caveats.length === 0);
    expect(bare.map(({ name }) => name)).toEqual([]);
  });

  it('every parameter of a header is used by its statement, and the statement uses no others', async () => {
    for (const report of await listReports()) {
      const used = new Set([...report.sql.matchAll(/\$(\w+)/g)].map((match) => match[1]));
      expect({ report: report.name, used }).toEqual({
        report: report.name,
        used: new Set(report.parameters.map(({ name }) => name)),
      });
    }
  });

  it('every file in queries/ has a lower-case name in a known folder', async () => {
    for (const file of await readdir(QUERIES_FOLDER, { recursive: true })) {
      if (!file.endsWith('.sql')) continue;
      expect(file).toMatch(/^((kpi|views|checks)\/[a-z_]+|ledger\/\d{3}-[a-z-]+|openings)\.sql$/);
    }
  });

  it('a header without a title is refused with what to add', () => {
    expect(() => reportOf(parseSqlFile('x', '-- description: d\n-- grain: g\nselect 1'))).toThrow(
      'The header of "x" has no title.',
    );
  });

  it('a parameter that cannot be read is refused', () => {
    const head = '-- title: t\n-- description: d\n-- grain: g\n';
    expect(() => reportOf(parseSqlFile('x', `${head}-- parameter: from\nselect 1`))).toThrow(
      'A parameter of "x" cannot be read.',
    );
  });
});

describe('values for parameters', () => {
  const report = reportOf(
    parseSqlFile(
      'x',
      `-- title: t
-- description: d
-- grain: g
-- parameter: from:date=null First day
-- parameter: zone:text=UTC Zone
-- parameter: top:integer=10 How many
select $from, $zone, $top`,
    ),
  );

  it('a parameter without a value takes its default', () => {
    expect(parameterValues(report, ['top=5'])).toEqual({ from: null, zone: 'UTC', top: '5' });
    expect(parameterValues(report, ['from=null', 'zone=a=b'])).toEqual({ from: null, zone: 'a=b', top: '10' });
  });

  it.each([
    [
      ['form=2026-01-01'],
      'Report "x" has no parameter "form".',
      'Did you mean "from"? Write name=value with one of from, zone, top.',
    ],
    [['from'], 'Report "x" has no parameter "from" with a value.', 'Write name=value with one of from, zone, top.'],
    [['from=yesterday'], 'Parameter "from" cannot be "yesterday".', 'Allowed: a day such as 2026-01-31.'],
    [['top=1.5'], 'Parameter "top" cannot be "1.5".', 'Allowed: a whole number.'],
  ])('%j is refused', (words, message, hint) => {
    let refused: unknown;
    try {
      parameterValues(report, words);
    } catch (error) {
      refused = error;
    }
    expect(refused).toMatchObject({ message, hint });
  });
});
