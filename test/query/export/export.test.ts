import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { lstatSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { EXIT } from '../../../src/kernel/errors.ts';
import { packageVersion } from '../../../src/kernel/version.ts';
import { publish } from '../../../src/load/publish/publish.ts';
import { event, load, scratchLake, span, type Scratch } from '../../load/support/lake.ts';
import { openStage, type Stage } from '../../support/shell.ts';
import { rowsOf } from './support/read.ts';
import { LONG } from '../../support/campaign.ts';

let lake: Scratch;
let stage: Stage;

const ROWS = [
  event('a', '2026-06-30T23:59:59Z', { properties: '{"passId":"A","note":"line\\nbreak, \\"quoted\\" é 🎟"}' }),
  event('b', '2026-07-01T00:00:00.123456Z', { properties: '{"n":9007199254740993}' }),
  event('c', '2026-07-03T10:00:00Z', { type: '=cmd|calc' }),
];

beforeAll(async () => {
  lake = await scratchLake();
  stage = await openStage();
  await load(lake, span('2026-06-30T00:00:00Z', '2026-07-04T00:00:00Z'), ROWS);
  await load(lake, span('2026-07-01T00:00:00Z', '2026-07-02T00:00:00Z'), [event('x', '2026-07-01T05:00:00Z')], {
    tenant: 'nordlys-1',
  });
  await publish(lake.ledger, { run: 'run-1', head: true });
});
afterAll(async () => {
  await stage[Symbol.asyncDispose]();
  await lake[Symbol.asyncDispose]();
});

const run = (...words: string[]): ReturnType<Stage['run']> => stage.run(['export', ...words, '--data-dir', lake.dir]);
const at = (name: string): string => join(stage.folder, name);

const READERS = {
  parquet: (file: string) => `read_parquet('${file}')`,
  csv: (file: string) => `read_csv('${file}', header = true)`,
  ndjson: (file: string) => `read_json('${file}', format = 'newline_delimited')`,
  json: (file: string) => `read_json('${file}', format = 'array')`,
};

describe('a table', () => {
  it.each(Object.entries(READERS))('as %s can be read back with every row and instant', async (format, reader) => {
    const file = at(`events.${format}`);
    const { code, err, out } = await run('events', '--out', file);
    expect(`${code} ${err}`).toBe('0 ');
    expect(out).toContain(`${file}: 4 rows as ${format}`);
    expect(await rowsOf(`select event_id, timestamp::timestamptz, tenant_id from ${reader(file)} order by 1`)).toEqual([
      ['a', '2026-06-30 23:59:59+00', 'acme'],
      ['b', '2026-07-01 00:00:00.123456+00', 'acme'],
      ['c', '2026-07-03 10:00:00+00', 'acme'],
      ['x', '2026-07-01 05:00:00+00', 'nordlys-1'],
    ]);
    expect(await rowsOf(`select (properties::json)->>'note' from ${reader(file)} where event_id = 'a'`)).toEqual([
      ['line\nbreak, "quoted" é 🎟'],
    ]);
    expect(await rowsOf(`select ((properties::json)->'n')::varchar from ${reader(file)} where event_id = 'b'`)).toEqual(
      [['9007199254740993']],
    );
  });

  it('is cut by a half-open range and by tenant', async () => {
    const file = at('july.parquet');
    const bounds = ['--from', '2026-07-01', '--to', '2026-07-03T10:00:00Z'];
    expect((await run('events', ...bounds, '--out', file)).code).toBe(0);
    expect(await rowsOf(`select event_id from '${file}' order by 1`)).toEqual([['b'], ['x']]);
    expect((await run('events', ...bounds, '--tenant', 'acme', '--out', file, '--force')).code).toBe(0);
    expect(await rowsOf(`select event_id from '${file}'`)).toEqual([['b']]);
  });

  it('of one tenant by its schema, and a view of queries/views, can be named', async () => {
    const file = at('one.csv');
    expect((await run('nordlys-1.events', '--out', file)).out).toContain('1 row as csv');
    expect((await run('pass_events', '--out', at('two.csv'))).err).toBe('');
  });

  it('is written with nothing in it where nothing is chosen', async () => {
    for (const format of ['parquet', 'csv', 'ndjson', 'json', 'xlsx', 'duckdb']) {
      const { err, out } = await run('events', '--tenant', 'nobody', '--out', at(`none.${format}`));
      expect(err).toBe('');
      expect(out).toContain(`0 rows as ${format}`);
    }
  });
});

describe('the report about a file', () => {
  it('rows, snapshot and the checksum of the file, as JSON too', async () => {
    const file = at('reported.parquet');
    const { out } = await run('events', '--out', file, '--json');
    const report = z.record(z.string(), z.unknown()).parse(JSON.parse(out));
    const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex');
    expect(report).toMatchObject({ file, format: 'parquet', rows: 4, bytes: statSync(file).size, sha256 });
    const [[snapshot] = []] = await rowsOf('select snapshot::varchar from snapshot', join(lake.dir, 'insights.duckdb'));
    expect(report['snapshot']).toBe(snapshot);
  });

  it('the file is readable only by its owner under the umask of the program, and nothing else is left next to it', () => {
    expect(readdirSync(stage.folder).filter((name) => name.startsWith('.'))).toEqual([]);
  });
});

describe('Parquet metadata', () => {
  const factsOf = async (file: string): Promise<Record<string, string>> => {
    const sql = `select decode(key), decode(value) from parquet_kv_metadata('${file}') where decode(key) like 'insights.%'`;
    return Object.fromEntries(z.array(z.tuple([z.string(), z.string()])).parse(await rowsOf(sql)));
  };

  it('says where the rows of an export, a file of the lake and its coverage come from, without a free text', async () => {
    const range = ['--from', '2026-07-01', '--to', '2026-07-02', '--tenant', 'acme'];
    expect((await run('events', ...range, '--out', at('origin.parquet'))).err).toBe('');
    const program = packageVersion();
    const bounds = { 'insights.from': '2026-07-01T00:00:00Z', 'insights.to': '2026-07-02T00:00:00Z' };
    const facts = await factsOf(at('origin.parquet'));
    expect(facts).toMatchObject({ ...bounds, 'insights.tenant': 'acme', 'insights.table': 'events', 'insights.program': program }); // oxfmt-ignore
    expect(facts['insights.snapshot']).toMatch(/^\d+$/);
    expect(facts['insights.coverage']).toBe('unchecked 24');

    const words = ['zone=Europe/Paris', 'grain=week'];
    expect((await run('--report', 'installs', '--param', ...words, '--out', at('report.parquet'))).err).toBe('');
    const ofReport = await factsOf(at('report.parquet'));
    expect(ofReport).toMatchObject({ 'insights.table': 'installs', 'insights.zone': 'Europe/Paris', 'insights.grain': 'week' }); // oxfmt-ignore
    // The hours of the tables that a report reads.
    expect(ofReport['insights.coverage']).toBe('unchecked 120');
    expect((await run('--report', 'log_volume', '--out', at('logs.parquet'))).err).toBe('');
    expect(await factsOf(at('logs.parquet'))).not.toHaveProperty(['insights.coverage']);
    const select = "select event_id from events where event_type <> 'Jane Doe'";
    expect((await run('--query', select, '--out', at('select.parquet'))).err).toBe('');
    expect(JSON.stringify(await factsOf(at('select.parquet')))).not.toContain('Jane');

    const stored = "select file from lake_files where tenant_id = 'nordlys-1'";
    const [[file = ''] = []] = z.array(z.array(z.string())).parse(await rowsOf(stored, join(lake.dir, 'insights.duckdb'))); // oxfmt-ignore
    const ofStore = { 'insights.table': 'events', 'insights.tenant': 'nordlys-1' };
    expect(await factsOf(file)).toMatchObject(ofStore);
    expect(await factsOf(join(lake.dir, 'lake/coverage.parquet'))).toMatchObject({ 'insights.table': 'coverage' });
  });
});

describe('a DuckDB file', () => {
  it('has native tables with their comments and needs no other file', async () => {
    const file = at('all.duckdb');
    const { code, out, err } = await run('events', 'coverage', '--out', file);
    expect(`${code} ${err}`).toBe('0 ');
    expect(out).toContain('  events: 4 rows\n  coverage: ');
    expect(await rowsOf('select event_id from events order by 1', file)).toEqual([['a'], ['b'], ['c'], ['x']]);
    expect(await rowsOf('select table_name from duckdb_tables() order by 1', file)).toEqual([['coverage'], ['events']]);
    expect(await rowsOf(`select comment <> '' from duckdb_columns() where column_name = 'event_type'`, file)).toEqual([
      [true],
    ]);
    expect(readdirSync(stage.folder).filter((name) => name.endsWith('.wal'))).toEqual([]);
  });
});

describe('an answer', () => {
  it('of a select is filtered by its own columns', async () => {
    const file = at('answer.csv');
    const select = 'select tenant_id, count(*) as n from events group by all order by 1; -- by tenant';
    expect((await run('--query', select, '--tenant', 'acme', '--out', file)).err).toBe('');
    expect(readFileSync(file, 'utf8')).toBe('tenant_id,n\nacme,3\n');
  });

  it('of a report gets range and tenant as parameters', async () => {
    const file = at('report.ndjson');
    const words = ['--report', 'freshness', '--tenant', 'acme', '--out', file];
    expect((await run(...words)).err).toBe('');
    expect(await rowsOf(`select distinct tenant_id from '${file}'`)).toEqual([['acme']]);
  });

  it('that is different each time cannot be verified and is not kept', async () => {
    const file = at('random.csv');
    // Two counts of these rows are equal about once in a million times.
    const query = 'select 1 from range(1000000) as rows (n) where n < (select random() * 1000000)';
    const { code, err } = await run('--query', query, '--out', file);
    expect(code).toBe(EXIT.damaged);
    expect(err).toContain('it was not kept');
    expect(readdirSync(stage.folder)).not.toContain('random.csv');
  });
});

describe('refused, with what to do next', () => {
  it.each([
    [['--out', 'x.csv'], 'There is nothing to export.'],
    [['events', '--query', 'select 1', '--out', 'x.csv'], 'Only one kind of export is possible at a time.'],
    [['events', '--out', 'x.dat'], 'The extension of the file is not a known format.'],
    [['event', '--out', 'x.csv'], 'There is no table or view "event".'],
    [['events', 'coverage', '--out', 'x.csv'], 'A csv file can hold one table, not 2.'],
    [['lake_files', '--from', '2026-01-01', '--out', 'x.csv'], 'The result has no date or time column'],
    [['--query', 'select 1 as a', '--tenant', 'acme', '--out', 'x.csv'], 'The result has no tenant_id'],
    [['--query', `copy (select 1) to 'LAKE/y.csv'`, '--out', 'x.csv'], 'Only a select can be run here, not copy.'],
    [['--query', `explain analyze select 1`, '--out', 'x.csv'], 'Only a select can be run here, not explain.'],
    [['--query', `select 1) to 'FOLDER/y.csv' --`, '--out', 'x.csv'], 'The statement failed: Parser Error'],
    [['--query', 'select 1; select 2', '--out', 'x.csv'], 'There are 2 statements.'],
    [['--query', `from read_text('/etc/hostname')`, '--out', 'x.csv'], 'The statement failed: Permission Error'],
    [['events', '--out', 'LAKE/lake/x.csv'], 'An export cannot be written into the lake itself.'],
    [['events', '--out', 'LAKE/insights.duckdb', '--force'], 'An export cannot be written into the lake itself.'],
  ])('%j', async (words, message) => {
    const before = readdirSync(stage.folder);
    const { code, err, out } = await run(
      ...words.map((word) => word.replace('FOLDER', stage.folder).replace('LAKE', lake.dir)),
    );
    expect(err).toContain(`error: ${message}`);
    expect(err).toContain('\nnext:  ');
    expect([code, out]).toEqual([EXIT.config, '']);
    expect(readdirSync(stage.folder)).toEqual(before);
  });

  it('an existing file, unless --force is given', async () => {
    const file = at('kept.csv');
    writeFileSync(file, 'old');
    expect((await run('events', '--out', file)).err).toContain('error: The file already exists.');
    expect(readFileSync(file, 'utf8')).toBe('old');
    expect((await run('events', '--out', file, '--force')).code).toBe(0);
    expect(readFileSync(file, 'utf8')).toContain('event_id');
  });

  it.each(['csv', 'parquet', 'xlsx', 'duckdb'])('a stop while writing %s leaves no file', async (format) => {
    const before = readdirSync(stage.folder);
    const running = run(
      '--query',
      'select range as n, md5(range::varchar) as t from range(30000000)',
      '--out',
      at(`stop.${format}`),
    );
    await new Promise((resolve) => setTimeout(resolve, 400));
    stage.signal('SIGTERM');
    const { code } = await running;
    expect(code).toBe(EXIT.stopped);
    expect(readdirSync(stage.folder)).toEqual(before);
  });
});

describe('with --force, what is at the place of the file stays what it is', () => {
  const csv = ['events', '--format', 'csv', '--force', '--out'];

  it('a symbolic link leads to the new file, also where it led to nothing', async () => {
    writeFileSync(at('target.csv'), 'old');
    symlinkSync('target.csv', at('link.csv'));
    symlinkSync('fresh.csv', at('dangling.csv'));
    for (const [link, file] of [['link.csv', 'target.csv'], ['dangling.csv', 'fresh.csv']] as const) {
      expect((await run(...csv, at(link))).code).toBe(0);
      expect(lstatSync(at(link)).isSymbolicLink()).toBe(true);
      expect(readFileSync(at(file), 'utf8').split('\n')).toHaveLength(6);
    } // oxfmt-ignore
  });

  it('a pipe and a device get the bytes, and the report goes to standard error', async () => {
    execFileSync('mkfifo', [at('pipe')]);
    const read = readFile(at('pipe'), 'utf8');
    const { code, out, err } = await run(...csv, at('pipe'));
    expect([code, out, err]).toEqual([0, '', expect.stringContaining('4 rows as csv')]);
    expect((await read).split('\n')).toHaveLength(6);
    expect(lstatSync(at('pipe')).isFIFO()).toBe(true);
    expect((await run(...csv, '/dev/null')).code).toBe(0);
    expect(lstatSync('/dev/null').isCharacterDevice()).toBe(true);
  });

  it('a folder that does not exist is named and not created', async () => {
    const { code, err } = await run(...csv, at('missing/deep/x.csv'));
    expect(code).toBe(EXIT.config);
    expect(err).toContain(
      `error: The folder of the file does not exist.\nwhere: folder ${at('missing/deep')}\nnext:  Create it`,
    );
    expect(readdirSync(stage.folder)).not.toContain('missing');
  });

  it('a folder, and a link into the lake, are refused', async () => {
    symlinkSync(join(lake.dir, 'manifest.json'), at('into.csv'));
    expect((await run(...csv, at('into.csv'))).err).toContain('An export cannot be written into the lake itself.');
    expect((await run(...csv, stage.folder)).err).toContain('An export cannot be written to a folder.');
  });
});

describe('while runs publish', () => {
  it('each export is exactly one snapshot', LONG, async () => {
    const day = span('2026-08-01T00:00:00Z', '2026-08-02T00:00:00Z');
    // The n-th snapshot of this day has n times 10 rows.
    const batch = (n: number): unknown[][] =>
      Array.from({ length: n * 10 }, (_, row) => event(`${n}-${row}`, '2026-08-01T10:00:00Z', { type: `batch ${n}` }));
    await load(lake, day, batch(1), { id: 'w1' });
    await publish(lake.ledger, { run: 'w1', head: true });
    const state = { publishing: true };
    const writer = (async () => {
      for (let n = 2; n <= 8; n++) {
        await load(lake, day, batch(n), { id: `w${n}` });
        await publish(lake.ledger, { run: `w${n}`, head: true });
      }
      state.publishing = false;
    })();
    const seen = new Set<number>();
    while (state.publishing) {
      const file = at('during.parquet');
      const { code, err } = await run('events', '--from', '2026-08-01', '--out', file, '--force');
      expect(`${code} ${err}`).toBe('0 ');
      const [[rows, types, type] = []] = await rowsOf(
        `select count(*)::integer, count(distinct event_type)::integer, any_value(event_type) from '${file}'`,
      );
      expect([types, `batch ${Number(rows) / 10}`]).toEqual([1, type]);
      seen.add(Number(rows));
    }
    await writer;
    expect(seen.size).toBeGreaterThan(1);
  });
});
