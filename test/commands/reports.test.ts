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
    for (const { name, sql } of await listReports()) {
      const used = new Set([...sql.matchAll(/\$(\w+)/g)].map((match) => match[1]));
      const given = parseSqlFile(name, sql).parameters();
      expect({ name, used }).toEqual({ name, used: new Set(given.map((parameter) => parameter.name)) });
    }
  });

  it('every file in queries/ has a lower-case name in a known folder', async () => {
    for (const file of await readdir(QUERIES_FOLDER, { recursive: true })) {
      if (!file.endsWith('.sql')) continue;
      expect(file).toMatch(/^((kpi|views|checks|openings|spark)\/[a-z_]+|ledger\/\d{3}-[a-z-]+)\.sql$/);
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

/** Thursday in UTC, Friday in Kiritimati. */
const NOW = { nowMs: Date.parse('2026-10-29T12:00:00Z') };

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
    expect(parameterValues(report, ['top=5'], NOW)).toEqual({ from: null, zone: 'UTC', top: '5' });
    expect(parameterValues(report, ['from=null', 'zone=a=b'], NOW)).toEqual({ from: null, zone: 'a=b', top: '10' });
  });

  it.each([
    [
      ['form=2026-01-01'],
      'Report "x" has no parameter "form".',
      'Did you mean "from"? Write name=value with one of from, zone, top.',
    ],
    [['from'], 'Report "x" has no parameter "from" with a value.', 'Write name=value with one of from, zone, top.'],
    [
      ['from=2026-13-01'],
      'Parameter "from" cannot be "2026-13-01".',
      'Allowed: a day such as 2026-01-31, a word such as yesterday or last_month, or -30d (d, w, m, q, y).',
    ],
    [['top=1.5'], 'Parameter "top" cannot be "1.5".', 'Allowed: a whole number.'],
  ])('%j is refused', (words, message, hint) => {
    let refused: unknown;
    try {
      parameterValues(report, words, NOW);
    } catch (error) {
      refused = error;
    }
    expect(refused).toMatchObject({ message, hint });
  });
});

describe('days as words', () => {
  const report = reportOf(
    parseSqlFile(
      'x',
      `-- title: t
-- description: d
-- grain: g
-- parameter: from:date=null First day
-- parameter: to:date=null End
-- parameter: at:timestamp=null Instant
-- parameter: zone:zone=UTC Zone
-- parameter: week_start:monday|sunday|saturday=monday First day of a week
select $from, $to, $at, $zone, $week_start`,
    ),
  );
  const valuesAt = (now: string, ...words: readonly string[]): Readonly<Record<string, string | null>> =>
    parameterValues(report, words, { nowMs: Date.parse(now) });
  const refusal = (run: () => unknown): unknown => {
    try {
      return run();
    } catch (error) {
      return error;
    }
  };

  it('count from today in the zone of the report', () => {
    const now = '2026-10-29T12:00:00Z';
    expect(valuesAt(now, 'from=yesterday', 'to=today')).toMatchObject({ from: '2026-10-28', to: '2026-10-29' });
    expect(valuesAt(now, 'from=today', 'zone=Pacific/Kiritimati')).toMatchObject({ from: '2026-10-30' });
    expect(valuesAt('2026-10-29T03:00:00Z', 'from=today', 'zone=America/New_York')).toMatchObject({
      from: '2026-10-28',
    });
    expect(valuesAt(now, 'at=yesterday')).toMatchObject({ at: '2026-10-28T00:00:00Z' });
  });

  it.each([
    ['2026-10-29', '-30d', '2026-09-29'],
    ['2026-10-29', '-12w', '2026-08-06'],
    ['2026-10-29', '-6m', '2026-04-29'],
    ['2026-03-31', '-1m', '2026-02-28'],
    ['2026-08-31', '-2q', '2026-02-28'],
    ['2028-02-29', '-1y', '2027-02-28'],
    ['2026-10-29', '-0d', '2026-10-29'],
    ['2026-10-29', 'this_week', '2026-10-26'],
    ['2026-10-26', 'this_week', '2026-10-26'],
    ['2026-10-25', 'this_week', '2026-10-19'],
    ['2026-10-29', 'last_week', '2026-10-19'],
    ['2026-10-29', 'this_month', '2026-10-01'],
    ['2026-01-31', 'last_month', '2025-12-01'],
    ['2026-11-29', 'this_quarter', '2026-10-01'],
    ['2026-02-01', 'last_quarter', '2025-10-01'],
    ['2026-05-31', 'last_quarter', '2026-01-01'],
    ['2026-10-29', 'this_year', '2026-01-01'],
    ['2024-02-29', 'last_year', '2023-01-01'],
  ])('on %s, from=%s is %s', (today, word, day) => {
    expect(valuesAt(`${today}T12:00:00Z`, `from=${word}`)).toMatchObject({ from: day, to: null });
  });

  it('begin a week on the chosen day', () => {
    const now = '2026-10-25T12:00:00Z';
    expect(valuesAt(now, 'from=this_week', 'week_start=sunday')).toMatchObject({ from: '2026-10-25' });
    expect(valuesAt(now, 'from=last_week', 'week_start=saturday')).toMatchObject({ from: '2026-10-17' });
  });

  it('give both ends of a range', () => {
    const now = '2026-10-29T12:00:00Z';
    expect(valuesAt(now, 'range=last_month')).toMatchObject({ from: '2026-09-01', to: '2026-10-01' });
    expect(valuesAt(now, 'range=-7d')).toMatchObject({ from: '2026-10-22', to: '2026-10-29' });
    expect(valuesAt(now, 'range=today')).toMatchObject({ from: '2026-10-29', to: '2026-10-30' });
    expect(refusal(() => valuesAt(now, 'range=last_month', 'from=2026-01-01'))).toMatchObject({
      message: 'The parameters range and from cannot be combined.',
    });
  });

  it('are refused by the flag or parameter that carried them', () => {
    const context = { ...NOW, flags: { from: '--from' } };
    expect(refusal(() => parameterValues(report, ['from=2026-13-01'], context))).toMatchObject({
      message: '--from cannot be "2026-13-01".',
      where: { flag: '--from' },
    });
    expect(refusal(() => parameterValues(report, ['to=last_mnth'], context))).toMatchObject({
      message: 'Parameter "to" cannot be "last_mnth".',
      hint: expect.stringContaining('Did you mean "last_month"?'),
      where: { flag: '--param to' },
    });
    for (const word of ['-99999y', '30d', '-30', '-1h', 'Yesterday', '2026-02-30'])
      expect(refusal(() => parameterValues(report, [`from=${word}`], context))).toMatchObject({
        where: { flag: '--from' },
      });
    expect(refusal(() => parameterValues(report, ['from=today', 'to=yesterday'], context))).toMatchObject({
      message: 'The range is empty: from=2026-10-29 is not before to=2026-10-28.',
      where: { flag: '--from, --param to' },
    });
  });
});
