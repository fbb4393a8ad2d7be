/** The SQL that `export spark` writes. `.ci/lakehouse` runs it in Spark and compares the rows. */
import { describe, expect, it } from 'vitest';
import { reportsOverDays } from '../../../src/query/export/spark-periods.ts';
import { sparkName, sparkText, sparkView } from '../../../src/query/export/spark-text.ts';
import { sparkPath, sparkTypedView, type CatalogueColumn } from '../../../src/query/export/spark-types.ts';
import { sparkFiles } from '../../../src/query/export/spark.ts';
import { sqlFiles } from '../../../src/query/sql-file.ts';

const column = (name: string, type = 'VARCHAR', pointer?: string): CatalogueColumn => ({
  view: 'event_x',
  table: 'events',
  name,
  type,
  from: pointer === undefined ? undefined : { json: 'properties', pointer },
});

it('texts and names are quoted as Spark reads them', () => {
  expect(sparkText(String.raw`it's \ ${'${x}'} $y` + '\n')).toBe(String.raw`'it\'s \\ \u0024{x} $y\n'`);
  expect(sparkName('a`b')).toBe('`a``b`');
  expect(sparkView('event_é', 'select 1')).toBe('create or replace temporary view `event_é` as\nselect 1;\n');
});

describe('a typed view', () => {
  it('takes each column of the JSON by its path, with the type of the catalogue', () => {
    const columns = [
      column('tenant_id'),
      column('tags', 'VARCHAR[]', '/tags'),
      column('city', 'VARCHAR', '/metadata/city'),
      column('points', 'BIGINT', '/tier.x/points'),
      column('at', 'TIMESTAMP WITH TIME ZONE', '/at'),
      column('lines', 'JSON', '/lines'),
    ];
    expect(sparkTypedView(columns, ["Pass's", ''])).toEqual({
      missing: [],
      sql: `select
  \`tenant_id\`,
  \`tags\`,
  get_json_object(\`properties\`, '$.metadata.city') as \`city\`,
  try_cast(get_json_object(\`properties\`, '$[\\'tier.x\\'].points') as bigint) as \`points\`,
  try_cast(get_json_object(\`properties\`, '$.at') as timestamp) as \`at\`,
  get_json_object(\`properties\`, '$.lines') as \`lines\`
from events
where \`event_type\` in ('Pass\\'s') or \`event_type\` is null`,
    });
  });

  it('takes a null at the root of the JSON for null', () => {
    const value = { ...column('value'), table: 'metrics', from: { json: 'value', pointer: '' } };
    expect(sparkTypedView([value], ['x']).sql).toContain(
      "case when trim(`value`) <> 'null' then get_json_object(`value`, '$') end as `value`",
    );
  });

  it('leaves out a column whose key Spark cannot name, and says so', async () => {
    const pointers = ['', '/a b', '/~1~0', "/it's", '/a.b', '/ a', '/*', '/', "/a.b'c", '/x/*'];
    expect(pointers.map(sparkPath)).toEqual([
      '$', '$.a b', '$./~', "$.it's", "$['a.b']", undefined, undefined, undefined, undefined, undefined,
    ]); // oxfmt-ignore
    const columns = [column('event_id'), column('star', 'VARCHAR', '/*')];
    const files = await sparkFiles({
      tables: [],
      marts: [],
      dataDir: '/d',
      columns,
      types: new Map([['event_x', ['X']]]),
    });
    expect(files.get('types.sql')).toMatch(
      /^-- Without star: .*\n.* view event_x as\nselect\n {2}`event_id`\nfrom events\n/,
    );
  });
});

describe('reports by week and month', () => {
  it('name figures and columns that the report has, and say for each mart which of them follow from days', async () => {
    const overDays = new Map((await reportsOverDays()).map((each) => [each.report.name, each]));
    for (const file of await sqlFiles('kpi')) {
      const found = overDays.get(file.name);
      if (!found) continue;
      const last = file.statement.slice(file.statement.lastIndexOf('select\n'));
      const names = [...found.figures.map(({ name }) => name), ...(found.by === undefined ? [] : [found.by])];
      expect({ report: file.name, unknown: names.filter((name) => !new RegExp(`\\b${name}\\b`).test(last)) }).toEqual({ report: file.name, unknown: [] }); // oxfmt-ignore
      expect(new Set(names).size).toBe(names.length);
    }
    const marts = (await sqlFiles('kpi')).filter(({ entries }) => entries('mart').length > 0).map(({ name }) => name);
    // These count passes once per period.
    const none = ['installation_rate', 'installation_rate_period', 'passes_created'];
    expect(marts.filter((name) => !overDays.has(name))).toEqual(none);
    expect([...overDays.keys()].filter((name) => !marts.includes(name))).toEqual([]);
  });

  it('need the marts that they read', async () => {
    const source = { tables: ['events'], dataDir: '/d', columns: [], types: new Map<string, string[]>() };
    const named = async (...marts: string[]): Promise<string[]> => {
      const text = (await sparkFiles({ ...source, marts })).get('periods.sql') ?? '';
      return [...text.matchAll(/^create or replace temporary view (\w+) as$/gm)].map(([, name = '']) => name);
    };
    // Days without an installation are known from the mart of another report.
    expect(await named('installs', 'scans_by')).toEqual([]);
    const names = await named('installs', 'churn', 'scans');
    expect(names).toEqual(
      ['churn', 'installs', 'scans'].flatMap((name) => [`mart_${name}_week`, `mart_${name}_month`]),
    );
  });

  it('add up what happens on days, and take a state at the end or the start', async () => {
    const marts = ['churn', 'scans', 'log_errors'];
    const files = await sparkFiles({ tables: [], marts, dataDir: '/d', columns: [], types: new Map() });
    const text = files.get('periods.sql') ?? '';
    expect(text).toContain('if(count(days.`scans`) = count(*), sum(days.`scans`), null) as `scans`');
    expect(text).toContain('filter (where days.day = known.last_day) as `active_passes`');
    expect(text).toContain('filter (where days.day = known.first_day) as `active_at_start`');
    expect(text).toMatch(/round\(.*`errors`.* \/ nullif\(.*`entries`.*, 0\), 4\) as `error_share`/);
    // Passes counted once per period, and ratios of them, are not there.
    expect(text).not.toMatch(/scanning_passes|scan_rate|churned_passes|churn_rate/);
  });
});
