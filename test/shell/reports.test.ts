import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { QUERIES_FOLDER } from '../../src/definitions.ts';
import { listReports, parameterValues, parseReport } from '../../src/report.ts';
import { writeLake, type HandMadeLake } from './lake.ts';
import { openStage } from './shell.ts';

/** Runs a report through the command line and returns its CSV lines without the head. */
async function rowsOf(lake: HandMadeLake, report: string, ...values: string[]): Promise<string[]> {
  await using stage = await openStage();
  await writeLake(join(stage.folder, 'data'), lake);
  const parameters = values.length === 0 ? [] : ['--param', ...values];
  const { code, out, err } = await stage.run(['query', report, '--format', 'csv', ...parameters]);
  if (code !== 0) throw new Error(err);
  return out.trimEnd().split('\n').slice(1);
}

describe('installs per day', () => {
  const EVENTS = `
    2026-03-01T08:00:00Z | Pass:Created   | {"passId":"A"}
    2026-03-01T09:00:00Z | Pass:Installed | {"passId":"A","device":"apple"}
    2026-03-01T23:30:00Z | pass.installed | {"passId":"B","device":"Google"}
    2026-03-02T09:00:00Z | PASS.INSTALLED | {"passId":"A","device":"apple"}
    2026-03-02T10:00:00Z | Pass:Installed | {"passId":"A","registrationInformation":{"device":"google"}}
    2026-03-02T11:00:00Z | Pass:Installed | {"passId":"C"}
    2026-03-02T12:00:00Z | Pass:Installed | {"device":"apple"}
    2026-03-02T13:00:00Z | Pass:Installed | {"passId":"A","device":"apple"} | other`;
  const COVERAGE = `
    2026-03-01T09:00:00Z | verified
    2026-03-01T23:00:00Z | verified
    2026-03-02T09:00:00Z | verified
    2026-03-02T10:00:00Z | partial
    2026-03-02T11:00:00Z | open
    2026-03-02T12:00:00Z | verified
    2026-03-02T13:00:00Z | partial | logs`;

  it('counts both spellings and both places of the device; a repetition is no first install', async () => {
    expect(await rowsOf({ events: EVENTS, coverage: COVERAGE }, 'installs_per_day', 'tenant=demo')).toEqual([
      'demo,2026-03-01,apple,1,1,1,0,0',
      'demo,2026-03-01,google,1,1,1,0,0',
      'demo,2026-03-02,(unknown),1,1,0.5,0.25,0.25',
      'demo,2026-03-02,apple,1,0,0.5,0.25,0.25',
      'demo,2026-03-02,google,1,1,0.5,0.25,0.25',
    ]);
  });

  it('days begin in the zone asked for, and their coverage with them', async () => {
    const rows = await rowsOf(
      { events: EVENTS, coverage: COVERAGE },
      'installs_per_day',
      'tenant=demo',
      'zone=Europe/Paris',
    );
    expect(rows).toContain('demo,2026-03-02,google,2,2,0.6,0.2,0.2');
  });

  it('a range is half-open and does not change what is a first install', async () => {
    const rows = await rowsOf(
      { events: EVENTS },
      'installs_per_day',
      'from=2026-03-02',
      'to=2026-03-03',
      'tenant=demo',
    );
    expect(rows).toEqual([
      'demo,2026-03-02,(unknown),1,1,0,0,0',
      'demo,2026-03-02,apple,1,0,0,0,0',
      'demo,2026-03-02,google,1,1,0,0,0',
    ]);
  });

  it('tenants are kept apart', async () => {
    const rows = await rowsOf({ events: EVENTS }, 'installs_per_day');
    expect(rows.filter((row) => row.startsWith('other'))).toEqual(['other,2026-03-02,apple,1,1,0,0,0']);
  });

  it('an empty lake gives no row', async () => {
    expect(await rowsOf({}, 'installs_per_day')).toEqual([]);
  });
});

describe('active passes by platform', () => {
  const EVENTS = `
    2026-03-01T09:00:00Z | Pass:Installed   | {"passId":"A","device":"apple"}
    2026-03-01T10:00:00Z | Pass:Installed   | {"passId":"B","device":"apple"}
    2026-03-02T10:00:00Z | pass.uninstalled | {"passId":"B","device":"apple"}
    2026-03-03T10:00:00Z | Pass:Installed   | {"passId":"B","device":"google"}
    2026-03-03T11:00:00Z | Pass:Installed   | {"passId":"C","device":"google"}
    2026-03-04T11:00:00Z | Pass:Uninstalled | {"passId":"C","device":"google","registrationInformation":{"activeRegistrationCount":1}}
    2026-03-04T12:00:00Z | Pass:Uninstalled | {"passId":"D","device":"google"}`;

  it('the last installation or removal decides, and a number of active registrations overrules it', async () => {
    // Google: B is active, C has one device left, D was removed and its installation never seen.
    expect(await rowsOf({ events: EVENTS }, 'active_passes_by_platform')).toEqual([
      'demo,apple,1,2,0.5,0,0,0',
      'demo,google,2,2,1,0,0,0',
    ]);
  });

  it('the state of an earlier instant', async () => {
    const coverage = '2026-03-01T09:00:00Z | verified\n2026-03-05T00:00:00Z | open';
    const rows = await rowsOf({ events: EVENTS, coverage }, 'active_passes_by_platform', 'at=2026-03-02T00:00:00Z');
    expect(rows).toEqual(['demo,apple,2,2,1,1,0,0']);
  });

  it('a re-installation is active again, one pass and not two', async () => {
    const events = `
      2026-03-01T09:00:00Z | Pass:Installed   | {"passId":"A","device":"apple"}
      2026-03-02T09:00:00Z | Pass:Uninstalled | {"passId":"A","device":"apple"}
      2026-03-03T09:00:00Z | Pass:Installed   | {"passId":"A","device":"apple"}`;
    expect(await rowsOf({ events }, 'active_passes_by_platform')).toEqual(['demo,apple,1,1,1,0,0,0']);
  });

  it('a platform that was never seen installing has no retention, not 0', async () => {
    const events = '2026-03-01T09:00:00Z | Pass:Uninstalled | {"passId":"A","device":"apple"}';
    expect(await rowsOf({ events }, 'active_passes_by_platform')).toEqual(['demo,apple,0,0,,0,0,0']);
  });
});

describe('log errors per day', () => {
  it('counts errors by type or severity, and all entries beside them', async () => {
    const logs = `
      2026-03-01T09:00:00Z | Error               | {"message":"x"}
      2026-03-01T10:00:00Z | Log:Kafka:ERROR     | {}
      2026-03-01T11:00:00Z | Log:app:information | {"severity":"Critical"}
      2026-03-01T12:00:00Z | Information         | {"level":"info"}
      2026-03-01T12:30:00Z | Terrorism           | null
      2026-03-02T12:00:00Z | Trace               | {"severity":"trace"}`;
    const coverage = '2026-03-01T09:00:00Z | verified | logs\n2026-03-01T09:00:00Z | open | events';
    expect(await rowsOf({ logs, coverage }, 'log_errors_per_day')).toEqual([
      'demo,2026-03-01,3,5,0.6,1,0,0',
      'demo,2026-03-02,0,1,0,0,0,0',
    ]);
  });
});

describe('the heads of reports', () => {
  it('every report has title, description, grain, a chart, and a caveat about unfinished days or lower bounds', async () => {
    const bare = (await listReports()).filter(({ chart, caveats }) => chart === undefined || caveats.length === 0);
    expect(bare.map(({ name }) => name)).toEqual([]);
  });

  it('every parameter of a head is used by its statement, and the other way round', async () => {
    for (const report of await listReports()) {
      const used = new Set([...report.sql.matchAll(/\$(\w+)/g)].map((match) => match[1]));
      expect({ report: report.name, used }).toEqual({
        report: report.name,
        used: new Set(report.parameters.map(({ name }) => name)),
      });
    }
  });

  it('every file in queries/ is lower-case SQL with a title', async () => {
    for (const file of await readdir(QUERIES_FOLDER, { recursive: true })) {
      if (!file.endsWith('.sql')) continue;
      expect(file).toMatch(/^(kpi|views|checks)\/[a-z_]+\.sql$/);
    }
  });

  it('a head without a title is refused with what to add', () => {
    expect(() => parseReport('x', '-- description: d\n-- grain: g\nselect 1')).toThrow(
      'The head of report "x" has no title.',
    );
  });

  it('a parameter that cannot be read is refused', () => {
    const head = '-- title: t\n-- description: d\n-- grain: g\n';
    expect(() => parseReport('x', `${head}-- parameter: from\nselect 1`)).toThrow(
      'A parameter of report "x" cannot be read.',
    );
  });
});

describe('values for parameters', () => {
  const report = parseReport(
    'x',
    `-- title: t
-- description: d
-- grain: g
-- parameter: from:date=null First day
-- parameter: zone:text=UTC Zone
-- parameter: top:integer=10 How many
select $from, $zone, $top`,
  );

  it('what is not given takes its default', () => {
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
