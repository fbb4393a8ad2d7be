import { readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { main } from '../../src/commands/program.ts';
import { EXIT } from '../../src/kernel/errors.ts';
import { contentsOf } from '../support/files.ts';
import { writeLake } from '../support/lake.ts';
import { Collector, openStage, type Stage } from '../support/shell.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
  await writeLake(join(stage.folder, 'data'), { events: '2026-03-01T09:00:00Z | Pass:Installed' });
});
afterAll(() => stage[Symbol.asyncDispose]());

/** Runs `sql` with the given standard input and returns its output. */
async function talk(
  input: string,
  options: { terminal: boolean; words?: readonly string[] },
): Promise<{ code: number; out: string; err: string }> {
  const stdin = Object.assign(new PassThrough(), { isTTY: options.terminal });
  const [stdout, stderr] = [new Collector(options.terminal), new Collector()];
  const nothing = (): void => {};
  stdin.end(input);
  const io = { stdout, stderr, stdin, env: { NO_COLOR: '1' }, cwd: stage.folder, onStop: () => nothing, exit: nothing };
  const code = await main(['--log-format', 'text', 'sql', ...(options.words ?? [])], io);
  return { code, out: stdout.text, err: stderr.text };
}

describe('statements from a pipe or a file', () => {
  it('run one after another, the last with or without a semicolon', async () => {
    const text = `select 1 as a; -- one; still a comment\nselect ';' as "b;";\n/* ; */ select $x$;$x$ as c`;
    const { code, out } = await talk(text, { terminal: false, words: ['--format', 'csv'] });
    expect([code, out]).toEqual([0, 'a\n1\nb;\n;\nc\n;\n']);
    await stage.write('three.sql', text);
    expect((await stage.run(['sql', '--file', 'three.sql', '--format', 'csv'])).out).toBe(out);
  });

  it('stop at the first that fails', async () => {
    const { code, out, err } = await talk('select 1 as a; selec 2; select 3 as c;', { terminal: false });
    expect([code, out]).toEqual([EXIT.config, 'a\n1\n\n']);
    expect(err).toContain('error: The statement failed: Parser Error');
  });

  it('no statement at all, or a missing file, is reported', async () => {
    expect((await talk(' -- nothing\n', { terminal: false })).err).toContain('error: There is no statement.');
    expect((await stage.run(['sql', '--file', 'no.sql'])).err).toContain(
      'error: The file of statements cannot be read (ENOENT).',
    );
  });
});

describe('the prompt', () => {
  it('runs statements of several lines, reports failures and goes on, and never changes the lake', async () => {
    const { code, out } = await talk(
      'select count(*) as n\nfrom events;\nselec;\n.format csv\nselect 7 as seven;\ncreate table t (a integer);\n.quit\n',
      { terminal: true },
    );
    expect(code).toBe(0);
    expect(out).toContain('.help lists the commands');
    expect(out).toContain('│ n │\n├───┤\n│ 1 │\n└───┘\n');
    expect(out).toContain('error: The statement failed: Parser Error');
    expect(out).toContain('seven\n7\n');
    expect(out).toContain('error: Only a select can be run here, not create.');
  });

  it('has commands for tables, columns, format and time, and corrects one that is misspelt', async () => {
    const { out, err } = await talk(
      '.mode csv\n.tables\n.schema coverage\n.timer on\nselect 1 as x;\n.timr\n.mode cvs\n.help\nfrom evens;\n.schema nothing\nselect * from mart_installs_per_day;\n.quit\n',
      { terminal: true },
    );
    expect(out).toMatch(/^name\n(.+\n)*coverage\n/m);
    expect(out).toMatch(/^column_name,column_type,.*\ntenant_id,VARCHAR,/m);
    expect(out).toMatch(/timer on\n(.*\n)?x\n1\n\d+\.\d{3} s\n/);
    expect(out).toContain('Did you mean ".timer"? .help lists the commands.');
    expect(out).toContain('Did you mean "csv"? Formats: ');
    expect(out).toContain('.schema [name]');
    expect(out).toContain('Did you mean "events"?\nLINE 1: from evens\n             ^\n');
    expect(err).toContain('mart_installs_per_day is now called mart_installs.');
  });

  it('keeps its history in the data directory, readable only by its owner', async () => {
    await talk('select 42;\n', { terminal: true });
    await talk('select 43;\n', { terminal: true });
    const path = join(stage.folder, 'data', '.sql_history');
    expect(readFileSync(path, 'utf8')).toMatch(/select 42;\n(.*\n)*select 43;\n$/);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('completes tables and columns, and sees what a run publishes between two statements', async () => {
    const [next, data] = [join(stage.folder, 'next'), join(stage.folder, 'moving')];
    await writeLake(next, { coverage: '2026-03-01T09:00:00Z | verified' });
    await writeLake(data, {});
    const stdin = Object.assign(new PassThrough(), { isTTY: true });
    const stdout = new Collector(true);
    const nothing = (): void => {};
    const io = {
      stdout,
      stderr: new Collector(),
      stdin,
      env: { NO_COLOR: '1', INSIGHTS_DATA_DIR: data },
      cwd: stage.folder,
      onStop: () => nothing,
      exit: nothing,
    };
    const running = main(['sql', '--format', 'csv'], io);
    const shown = (text: string): Promise<void> => vi.waitFor(() => expect(stdout.text).toContain(text), 60_000);
    try {
      stdin.write('select count(*) as before from cover\t');
      await shown('from coverage');
      stdin.write(';\n');
      await shown('before\n0\n');
      // A run publishes: another catalogue under the same name.
      renameSync(join(next, 'insights.duckdb'), join(data, 'insights.duckdb'));
      stdin.write('select count(*) as hours from coverage;\n');
      await shown('hours\n1\n');
    } finally {
      stdin.end();
    }
    expect(await running).toBe(0);
  });
});

describe('explain', () => {
  it.each(['explain analyze', 'explain (analyze)', '/* x */ explain analyze', 'EXPLAIN -- x\n ANALYZE'])(
    '%s runs nothing except a select',
    async (words) => {
      const before = await contentsOf(stage.folder);
      const path = join(stage.folder, 'data', 'store', 'hole.csv');
      const { code } = await stage.run(['sql', `${words} copy (select 1) to '${path}'`]);
      expect(code).toBe(EXIT.config);
      expect(await contentsOf(stage.folder)).toEqual(before);
      expect((await stage.run(['sql', 'explain analyze select 1'])).code).toBe(0);
    },
  );
});
