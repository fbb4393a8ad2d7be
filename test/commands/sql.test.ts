import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import { contentsOf } from '../support/files.ts';
import { writeLake } from '../support/lake.ts';
import { openStage, type Stage } from '../support/shell.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
  await writeLake(join(stage.folder, 'data'), {
    events: `2026-03-01T09:00:00.123456Z | Pass:Installed | {"passId":"A","n":9007199254740993}`,
  });
});
afterAll(() => stage[Symbol.asyncDispose]());

describe('sql', () => {
  it('JSON keeps every digit, microseconds and nested documents', async () => {
    const { out } = await stage.run([
      'sql',
      'select timestamp, properties, 9007199254740993 as big, 1.10::decimal(5,2) as money, null as nothing, true as yes from events',
      '--format',
      'json',
    ]);
    expect(out).toBe(
      '[\n{"timestamp":"2026-03-01 09:00:00.123456+00","properties":{"passId":"A","n":9007199254740993},' +
        '"big":9007199254740993,"money":1.10,"nothing":null,"yes":true}\n]\n',
    );
  });

  it('names the command that writes the catalogue again where an older version has written it', async () => {
    await mkdir(join(stage.folder, 'old'));
    const engine = await DuckDBInstance.create(join(stage.folder, 'old', 'insights.duckdb'));
    engine.closeSync();
    const { code, err } = await stage.run(['--data-dir', 'old', 'sql', 'select * from history_limits']);
    expect([code, err]).toEqual([EXIT.config, expect.stringMatching(/has no table history_limits\.\nnext: {2}Run `insights-etl publish`/)]);
  }); // oxfmt-ignore

  it('periods that all begin at midnight are shown as dates in a table', async () => {
    const select = `select timestamp '2026-03-01' as period, timestamp '2026-03-01 06:00' as at, null::timestamp as nothing`;
    const { out } = await stage.run(['sql', select]);
    expect(out).toMatch(/2026-03-01 +2026-03-01 06:00:00/);
    expect((await stage.run(['sql', select, '--format', 'csv'])).out).toContain('2026-03-01 00:00:00,2026-03-01 06:00:00,');
  }); // oxfmt-ignore

  it('--json is the same as --format json', async () => {
    const { out } = await stage.run(['sql', 'select 1 as a, 2 as a', '--json']);
    expect(out).toBe('[\n{"a":1,"a":2}\n]\n');
  });

  it('CSV quotes where necessary, and distinguishes an empty text from null', async () => {
    const { out } = await stage.run(['sql', `select 'a,"b"' as x, '' as y, null as z`, '--format', 'csv']);
    expect(out).toBe('x,y,z\n"a,""b""","",\n');
  });

  it('a table is aligned, numbers to the right, without escape codes in a pipe', async () => {
    const { out } = await stage.run(['sql', `select * from (values ('a', 1), ('bb', 22)) as t (name, n)`]);
    expect(out).toBe('name   n\na      1\nbb    22\n');
  });

  it('a table escapes what would control a terminal, change the writing direction or break a line; data formats keep it', async () => {
    const hostile = `select 'a' || chr(27) || '[2J' || chr(10) || 'b' || chr(8238) || 'c' as "x\u202e"`;
    expect((await stage.run(['sql', hostile])).out).toBe('x\\u{202e}\na\\u{1b}[2J\\nb\\u{202e}c\n');
    const { out } = await stage.run(['sql', hostile, '--format', 'json']);
    expect(JSON.parse(out)).toEqual([{ ['x\u202e']: 'a\u001b[2J\nb\u202ec' }]);
  });

  it('a table cuts long cells, never through a character, and says so; data formats keep them', async () => {
    const long = `select repeat('x', 299) || '😀' || repeat('y', 65536) as cell, repeat('z', 300) as whole`;
    const { out } = await stage.run(['sql', long]);
    const [, line = '', end] = out.split('\n');
    expect(line.split(/ {2,}/)).toEqual([`${'x'.repeat(299)}…`, 'z'.repeat(300)]);
    expect(end).toBe('… 1 cell cut at 300 characters; --format csv or json shows all of it');
    expect((await stage.run(['sql', long, '--format', 'csv'])).out.length).toBeGreaterThan(65_536);
  });

  it('a long table ends with the number of rows omitted', async () => {
    const { out } = await stage.run(['sql', 'select range as n from range(1000)']);
    expect(out.trimEnd().split('\n').at(-1)).toBe('… 800 more rows; --format csv or json shows all');
  });

  it('shows tables, columns and plans', async () => {
    for (const statement of ['show tables', 'describe events', 'explain select 1', 'from coverage -- all']) {
      const { code, err } = await stage.run(['sql', statement]);
      expect(`${statement}: ${code} ${err}`).toBe(`${statement}: 0 `);
    }
  });

  it.each([
    ['create table t (a integer)', 'Only a select can be run here, not create.'],
    [`copy (select 1) to 'DATA/store/x.parquet'`, 'Only a select can be run here, not copy.'],
    ['set threads = 1', 'Only a select can be run here, not set.'],
    [`attach 'other.duckdb'`, 'Only a select can be run here, not attach.'],
    ['install httpfs', 'Only a select can be run here, not load.'],
    ['select 1; select 2', 'There are 2 statements.'],
    [' -- nothing', 'The statement is empty.'],
    ['selec 1', 'The statement failed: Parser Error: syntax error at or near "selec"'],
    ['select * from nothing', 'The statement failed: Catalog Error: Table with name nothing does not exist!'],
    [
      'select no_such from events',
      'The statement failed: Binder Error: Referenced column "no_such" not found in FROM clause!',
    ],
    [
      `from read_text('/etc/hostname')`,
      'The statement failed: Permission Error: Cannot access file "/etc/hostname" - file system operations are disabled by configuration',
    ],
    [`from read_csv('https://example.com/x.csv')`, 'The statement failed: '],
  ])('%s is refused and changes nothing', async (statement, message) => {
    const before = await contentsOf(stage.folder);
    const { code, out, err } = await stage.run(['sql', statement.replace('DATA', join(stage.folder, 'data'))]);
    expect(code).toBe(EXIT.config);
    expect(out).toBe('');
    expect(err).toContain(`error: ${message}`);
    expect(err).toContain('\nnext:  ');
    expect(await contentsOf(stage.folder)).toEqual(before);
  });

  it('shows candidates and the place in the statement, and nothing of a row', async () => {
    const { err } = await stage.run(['sql', 'select\n  event_typ,\n  1 from events']);
    expect(err).toMatch(/\nCandidate bindings: "event_type".*\nLINE 2: {3}event_typ,\n {10}\^\nnext: /);
    for (const expression of [
      'event_type::int', `event_type::json`, 'error(event_type)', `regexp_matches('a', event_type || '(')`, `strptime(event_type, '%Y')`,
      'date_trunc(event_type, now())', `(event_type || '''x')::date`, `(event_type || '"x')::decimal(3, 2)`,
    ]) {
      const refused = await stage.run(['sql', `select ${expression} from events`]);
      expect(`${expression}: ${refused.code}`).toBe(`${expression}: ${EXIT.config}`);
      expect(refused.err).not.toContain('Installed');
    } // oxfmt-ignore
    expect((await stage.run(['sql', `select ${'event_type, '.repeat(5000)} nono from events`])).err.length).toBeLessThan(1500); // oxfmt-ignore
  });

  it('intervals and infinite dates are text in every format, also inside other values', async () => {
    const select = `select interval '1 month 2 hours' as i, [interval 1 day] as l, {'s': interval 1 day} as s, 'infinity'::date as d, 'nan'::double as n`;
    expect((await stage.run(['sql', select, '--format', 'csv'])).out).toBe(
      'i,l,s,d,n\n1 month 02:00:00,"[""1 day""]","{""s"":""1 day""}",infinity,NaN\n',
    );
    expect(JSON.parse((await stage.run(['sql', select, '--json'])).out)).toEqual([
      { i: '1 month 02:00:00', l: ['1 day'], s: { s: '1 day' }, d: 'infinity', n: 'NaN' },
    ]);
  });

  it('reads a lake behind a symbolic link', async () => {
    await symlink(join(stage.folder, 'data'), join(stage.folder, 'link'));
    const { out } = await stage.run([
      'sql',
      'select count(*) as n from events',
      '--format',
      'csv',
      '--data-dir',
      'link',
    ]);
    expect(out).toBe('n\n1\n');
  });

  it('reports that there is no lake', async () => {
    const { code, err } = await stage.run(['sql', 'select 1', '--data-dir', 'elsewhere']);
    expect(code).toBe(EXIT.config);
    expect(err).toBe(
      `error: There is no published lake in this data directory.\nwhere: folder ${stage.folder}/elsewhere\n` +
        'next:  Load one with `insights-etl run`, or name another folder with --data-dir.\n',
    );
  });

  it('a catalogue that is not a DuckDB file is reported as damaged', async () => {
    await writeFile(join(stage.folder, 'insights.duckdb'), 'not a database at all, but long enough to be read as one');
    const { code, err } = await stage.run(['sql', 'select 1', '--data-dir', '.']);
    expect(code).toBe(EXIT.damaged);
    expect(err).toContain('next:  ');
  });

  it('a stop signal interrupts a long statement', async () => {
    const running = stage.run(['sql', 'select sum(hash(a.range, b.range)) from range(1000000) a, range(1000000) b']);
    await new Promise((resolve) => setTimeout(resolve, 300));
    stage.signal('SIGTERM');
    const { code, err } = await running;
    expect(code).toBe(EXIT.stopped);
    expect(err).toContain('error: Stopped by SIGTERM.');
  });
});
