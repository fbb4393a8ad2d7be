/** Reports and checks of the operator: the worked example of docs/analyst.md, and files that cannot be used. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EXIT } from '../../../src/kernel/errors.ts';
import { publish } from '../../../src/load/publish/publish.ts';
import { openStage, type Stage } from '../../support/shell.ts';
import { CAMPAIGN } from '../../support/campaign.ts';
import { event, load, scratchLake, span, type Scratch } from '../support/lake.ts';

const DAY = '2026-07-01';

let folder: string;
let lake: Scratch;
let stage: Stage;
let checks: readonly { readonly check: string; readonly failures: number; readonly error?: string | undefined }[];

/** The file of the worked example with this name. */
async function example(name: string): Promise<string> {
  const docs = await readFile(new URL('../../../docs/analyst.md', import.meta.url), 'utf8');
  return new RegExp(String.raw`\`${name}\`[^\n]*\n+\`\`\`sql\n([\s\S]+?)\`\`\``).exec(docs)?.[1] ?? '';
}

const HEAD = '-- title: T\n-- description: D\n-- grain: one row\n';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'insights-custom-'));
  const custom = { reports: join(folder, 'reports'), checks: join(folder, 'checks') };
  for (const path of Object.values(custom)) await mkdir(path);
  const files: Record<string, string> = {
    'reports/installs_by_medium.sql': await example('reports/installs_by_medium.sql'),
    'checks/install_without_medium.sql': await example('checks/install_without_medium.sql'),
    'reports/churn.sql': `${HEAD}select 1`,
    'reports/headless.sql': 'select 1 as x',
    'reports/syntax.sql': `${HEAD}selec 1`,
    'reports/two.sql': `${HEAD}select 1; drop table x`,
    'reports/undeclared.sql': `${HEAD}select $x`,
    'reports/no_table.sql': `${HEAD}select * from nowhere`,
    'reports/no_mart.sql': (await example('reports/installs_by_medium.sql')).replace(
      'from registrations',
      'from nowhere',
    ),
    'reports/spans.sql': (await example('reports/installs_by_medium.sql')).replace(
      '  count(*) as installs\n',
      "  max(timestamp) - min(timestamp) as span, [interval '1 hour'] as \"all spans\", {'INTERVAL': interval '1 day', 'n': 1} as one, count(*) as installs\n",
    ),
    'checks/no_such_table.sql': `${HEAD}-- severity: error\nselect tenant_id from nowhere`,
    'checks/mild.sql': `${HEAD}-- severity: mild\nselect tenant_id from events`,
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  await mkdir(join(folder, 'reports/folder.sql'));
  lake = await scratchLake({ marts: true, checks: true, custom });
  const rows = ['{"medium":"qr"}', '{"medium":"qr"}', '{}'].map((source, n) =>
    event(`e${n}`, `${DAY}T10:0${n}:00Z`, {
      type: 'Pass:Installed',
      properties: `{"passId":"p${n}","device":"apple","registrationSource":${source}}`,
    }),
  );
  await load(lake, span(`${DAY}T00:00:00Z`, '2026-07-02T00:00:00Z'), rows);
  ({ checks } = await publish(lake.ledger, { run: 'r1', head: true }));
  await lake.ledger.close();
  stage = await openStage();
  await writeFile(join(folder, 'insights.yaml'), `dataDir: ${lake.dir}\nreports: ./reports\nchecks: ./checks\n`);
}, 60_000);
afterAll(async () => {
  await stage[Symbol.asyncDispose]();
  await rm(lake.dir, { recursive: true, force: true });
  await rm(folder, { recursive: true, force: true });
});

const run = async (...argv: readonly string[]): ReturnType<Stage['run']> =>
  stage.run([...argv, '--config', join(folder, 'insights.yaml')]);

test('the example is listed, answers, compares and is kept by day; the example of a check runs', async () => {
  expect((await run('query', '--list')).out).toContain('installs_by_medium');
  const range = [`from=${DAY}`, 'to=2026-07-02'];
  const plain = await run('query', 'installs_by_medium', '--param', ...range, '--format', 'csv');
  expect(plain.out.split('\n').slice(1, 3).map((line) => line.split(',').slice(2).join())).toEqual(['(none),1', 'qr,2']); // oxfmt-ignore
  const compared = await run('query', 'installs_by_medium', '--param', ...range, 'compare=previous', '--format', 'csv');
  expect(compared.out).toContain('installs,installs_before,installs_difference,installs_change\n');
  const marts = await stage.run(['sql', 'select medium, installs from mart_installs_by_medium order by 1', '--format', 'csv', '--data-dir', lake.dir]);
  expect(marts).toMatchObject({ code: EXIT.ok, out: 'medium,installs\n(none),1\nqr,2\n' });
  expect(checks.filter(({ check, failures }) => check === 'install_without_medium' && failures === 1)).toHaveLength(1);
}); // oxfmt-ignore

test('a mart has text for intervals, which no reader of a Delta table knows', async () => {
  const columns = `select column_name, column_type from (describe mart_spans) where column_name in ('span', 'all spans', 'one')`;
  const types = await stage.run(['sql', columns, '--format', 'json', '--data-dir', lake.dir]);
  expect(types).toMatchObject({ code: EXIT.ok });
  expect(JSON.parse(types.out)).toEqual([
    { column_name: 'span', column_type: 'VARCHAR' },
    { column_name: 'all spans', column_type: 'VARCHAR[]' },
    { column_name: 'one', column_type: 'STRUCT("INTERVAL" VARCHAR, n INTEGER)' },
  ]);
  const rows = await stage.run(['sql', `select span, "all spans"[1] as first from mart_spans where medium = 'qr'`, '--format', 'csv', '--data-dir', lake.dir]); // oxfmt-ignore
  expect(rows.out).toBe('span,first\n00:01:00,01:00:00\n');
});

test('a file that cannot be used is named with the reason and stops nothing else', CAMPAIGN, async () => {
  const { code, err } = await run('config', 'check');
  expect(code).toBe(EXIT.config);
  for (const [name, reason] of [
    ['reports/churn.sql', 'A report with this name ships with the program.'],
    ['reports/headless.sql', 'The header of "headless" has no title.'],
    ['reports/syntax.sql', 'syntax error'],
    ['reports/two.sql', 'Only SELECT'],
    ['reports/undeclared.sql', 'The statement uses $x'],
    ['reports/folder.sql', 'The file cannot be read (EISDIR).'],
    ['checks/mild.sql', 'The severity of "mild" cannot be read.'],
  ] as const) {
    expect(err).toContain(join(folder, name));
    expect(err).toContain(reason);
  }
  expect((await run('query', 'churn')).code).toBe(EXIT.ok);
  expect(await run('query', 'syntax')).toMatchObject({ code: EXIT.config, err: expect.stringContaining('syntax.sql') });
  expect(await run('query', 'no_table')).toMatchObject({ code: EXIT.config, err: expect.stringContaining('nowhere') });
  // The run published all other marts and checks.
  const marts = await stage.run(['sql', 'select count(*) from mart_gross_installs', '--data-dir', lake.dir]);
  expect(marts.code).toBe(EXIT.ok);
  expect(checks.filter(({ error }) => error !== undefined).map(({ check }) => check)).toEqual(['no_such_table']);
  const checked = await run('check', '--format', 'json');
  expect(JSON.parse(checked.out)).toMatchObject({
    checks: expect.arrayContaining([
      expect.objectContaining({ name: 'no_such_table', error: expect.stringContaining('nowhere') }),
      expect.objectContaining({ name: 'install_without_medium', failures: 1 }),
    ]),
    exitCode: EXIT.partial,
  });
});

test('sql binds the values of --param', async () => {
  const sql = (...argv: readonly string[]): ReturnType<Stage['run']> => stage.run(['sql', ...argv, '--data-dir', lake.dir]);
  const found = await sql('select count(*) as n from events where month = $month and 1 = $one::int', '--param', 'month=2026-07', 'one=1', '--format', 'csv');
  expect(found.out).toBe('n\n3\n');
  expect(await sql('select $x', '--param', 'x')).toMatchObject({ code: EXIT.config, err: expect.stringContaining('name=value') });
  expect((await sql('select $x')).code).toBe(EXIT.config);
}); // oxfmt-ignore
