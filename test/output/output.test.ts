import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Credential } from '../../src/config/secret.ts';
import { count } from '../../src/kernel/plural.ts';
import { bytes, duration, json, percent } from '../../src/output/format.ts';
import { createLog } from '../../src/output/log.ts';
import { systemRuntime } from '../../src/kernel/runtime.ts';
import { LiveLines } from '../../src/output/live.ts';
import { createProgress } from '../../src/output/progress.ts';
import { runSummary } from '../../src/output/summary.ts';
import { renderBox } from '../../src/output/box.ts';
import { renderTable } from '../../src/output/table.ts';
import { colours } from '../../src/output/terminal.ts';
import type { RunReport, TableReport } from '../../src/model/report.ts';
import { Collector } from '../support/shell.ts';
import { screenOf } from '../support/tty.ts';

describe('figures', () => {
  it('numbers have separators; sizes, times and shares have units and digits that are easy to read', () => {
    for (const value of [0, 7, 999, 1000, -1000, 1234567, -12345, 1234.5, 1e21, NaN])
      expect(count(value)).toBe(value.toLocaleString('en-US'));
    expect([count(1234567), count(9007199254740993n)]).toEqual(['1,234,567', '9,007,199,254,740,993']);
    expect([0, 999, 1500, 123_456_789, 5e12].map(bytes)).toEqual(['0 B', '999 B', '1.5 kB', '123 MB', '5.0 TB']);
    expect([0.04, 9.96, 59.4, 200, 18_720, 270_000].map(duration)).toEqual([
      '0.0 s',
      '10.0 s',
      '59 s',
      '3 min 20 s',
      '5 h 12 min',
      '3 d 3 h',
    ]);
    expect([1, 0.25, 0.025, 0.0025].map(percent)).toEqual(['100 %', '25 %', '2.5 %', '0.25 %']);
  });

  it('JSON keeps integers beyond 2^53 as text, and maps as objects', () => {
    expect(json({ a: 12n, b: 9007199254740993n, c: new Map([['x', 1]]) })).toBe(
      '{"a":12,"b":"9007199254740993","c":{"x":1}}',
    );
  });
});

describe('colours', () => {
  it('only on a terminal, and never against NO_COLOR', () => {
    expect(colours(new Collector(true), {})).toBe(true);
    expect(colours(new Collector(false), {})).toBe(false);
    expect(colours(new Collector(true), { NO_COLOR: '1' })).toBe(false);
    expect(colours(new Collector(true), { NO_COLOR: '' })).toBe(true);
    expect(colours(new Collector(true), { TERM: 'dumb' })).toBe(false);
  });

  it('a table has escape codes only where colours are enabled', () => {
    const columns = [{ title: 'a' }, { title: 'n', align: 'right' as const }];
    expect(renderTable(columns, [['x', '12']], { colour: true })).toBe(
      '\u001B[1ma\u001B[22m   \u001B[1mn\u001B[22m\nx  12\n',
    );
    expect(renderTable(columns, [['x', '12']], { colour: false })).toBe('a   n\nx  12\n');
  });
});

describe('the log', () => {
  it('is JSON lines in a pipe, and a sentence on a terminal', () => {
    const [pipe, terminal] = [new Collector(), new Collector(true)];
    for (const stream of [pipe, terminal]) {
      const log = createLog(stream, {});
      log.info('not for a person');
      log.warn({ tenant: 'demo', table: 'Logs' }, 'hours expire soon');
      log.error({ tenant: 'demo', table: 'Logs', failure: 'disk' }, 'reported in the summary');
    }
    const lines = pipe.text.trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      expect.objectContaining({ level: 30, msg: 'not for a person' }),
      expect.objectContaining({ level: 40, tenant: 'demo', msg: 'hours expire soon' }),
      expect.objectContaining({ level: 50, failure: 'disk' }),
    ]);
    expect(terminal.text).toBe('warning: demo Logs: hours expire soon\n');
  });

  it('as text outside of a terminal has the time, the level and every field, on one line that a row cannot break', () => {
    const stream = new Collector();
    const log = createLog(stream, { logFormat: 'text', logLevel: 'debug' }, () => ({ run: 'r1' }));
    log.info({ event: 'x', tenant: 'demo', rows: 3, note: 'a\n\u001B[31mb' }, 'loaded');
    log.debug('detail');
    expect(stream.text).toMatch(/^\S+Z info: demo: loaded rows=3 note=a\\n\\u\{1b\}\[31mb\n\S+Z debug: detail\n$/);
  });

  it('every line has the context of its moment, and a field is never written twice', () => {
    const stream = new Collector();
    let context: object = { run: 'r1' };
    const log = createLog(stream, {}, () => context);
    log.info({ run: 'r1', rows: 3 }, 'one');
    log.info('two');
    context = {};
    log.info('three');
    expect(stream.text.replaceAll(/"time":"[^"]*",/g, '')).toBe(
      '{"level":30,"run":"r1","rows":3,"msg":"one"}\n{"level":30,"run":"r1","msg":"two"}\n{"level":30,"msg":"three"}\n',
    );
  });

  it('lines are dropped while nobody reads the pipe, so that memory stays flat, and written again afterwards', () => {
    const stream = Object.assign(new Collector(), { pending: 2 << 20 });
    Object.defineProperty(stream, 'writableLength', { get: () => stream.pending });
    const log = createLog(stream, {});
    log.info('lost');
    stream.pending = 0;
    log.info('kept');
    expect(stream.text).toMatch(/^[^\n]*"msg":"kept"\}\n$/);
  });

  it('contains no secret, however it was passed', () => {
    const stream = new Collector();
    const log = createLog(stream, { verbose: true });
    const credential = new Credential('X-API-KEY', 'k-123');
    log.info({ credential, nested: { credential } }, `read ${String(credential)}`);
    log.info({ headers: { 'X-API-KEY': 'k-123', authorization: 'Bearer k-123' }, apiKey: 'k-123' }, 'request');
    expect(stream.text).not.toContain('k-123');
    expect(stream.text).toContain('[secret]');
  });

  it('quiet logs only errors', () => {
    const stream = new Collector();
    const log = createLog(stream, { quiet: true });
    log.warn('w');
    log.error('e');
    expect(stream.text).toContain('"msg":"e"');
    expect(stream.text).not.toContain('"msg":"w"');
  });
});

describe('progress', () => {
  const events = (listen: ReturnType<typeof createProgress>['listen']): void => {
    const at = { tenant: 'demo', table: 'Events' } as const;
    listen({ kind: 'table', ...at, phase: 'reconcile' });
    listen({ kind: 'planned', ...at, pages: 2, rows: 1000, bytes: 200_000 });
    listen({ kind: 'page', ...at, rows: 500, bytes: 100_000 });
    listen({ kind: 'merged', ...at, rows: 500 });
    listen({ kind: 'table', ...at, phase: 'done' });
  };

  it('on a terminal each table in progress has a line; warnings and retries scroll past above, and nothing stays behind', async () => {
    for (const columns of [80, 100, 120]) {
      const stream = Object.assign(new Collector(true), { columns, rows: 6 });
      const screen = new LiveLines(stream);
      const log = createLog(screen, {});
      const progress = createProgress(screen, systemRuntime(log), { bars: true, quiet: false });
      const at = (tenant: string) => ({ tenant, table: 'Events' }) as const;
      for (let n = 1; n <= 9; n++)
        progress.listen({
          kind: 'planned',
          ...at(`tenant-${n}-with-a-long-name`),
          pages: 2,
          rows: 1000,
          bytes: 200_000,
        });
      progress.listen({ kind: 'page', ...at('tenant-9-with-a-long-name'), rows: 500, bytes: 100_000 });
      for (const n of [1, 2])
        progress.listen({ kind: 'table', ...at(`tenant-${n}-with-a-long-name`), phase: n === 1 ? 'done' : 'failed' });
      // Drawn by a timer, eight times a second.
      await new Promise((resolve) => setTimeout(resolve, 150));
      const trouble =
        'status 503, Service Unavailable: no instance of the query engine answers at the moment, please be patient';
      log.warn(
        { event: 'call.retry', tenant: 'acme', attempt: 1, attempts: 8, afterMs: 1200, trouble },
        'retrying a call',
      );
      const retry = `retry: acme: ${trouble}; attempt 2 of 8 in 1.2 s`;
      const shown = screenOf(stream.text, columns);
      const kept = shown.findIndex((line) => line.startsWith('tenant-'));
      const message = (lines: readonly string[]): string => lines.map((line) => line.trim()).join(' ');
      // Folded between words.
      expect(message(shown.slice(0, kept))).toBe(retry);
      expect(shown.slice(kept)).toEqual([
        ...[6, 7, 8].map((n) => expect.stringMatching(new RegExp(`^tenant-${n}-with.* plan 1,000 rows`))),
        expect.stringMatching(/^tenant-9-with.*50% .* rows\/s · 100 kB · .* left$/),
        '1 table done · 1 not loaded · 500 rows fetched · 3 more tables in progress',
        '',
      ]);
      expect(Math.max(...shown.map((line) => line.length))).toBeLessThanOrEqual(columns);
      progress.stop();
      const after = screenOf(stream.text, columns);
      expect([message(after.slice(0, kept)), after.slice(kept)]).toEqual([retry, ['']]);
    }
  });

  it('is log lines without escape codes in a pipe', () => {
    const stream = new Collector();
    const progress = createProgress(new LiveLines(stream), systemRuntime(createLog(stream, {})), {
      bars: true,
      quiet: false,
    });
    events(progress.listen);
    progress.stop();
    expect(stream.text).not.toContain('\u001B');
    const lines = stream.text
      .trimEnd()
      .split('\n')
      .map((line) => z.object({ msg: z.string() }).parse(JSON.parse(line)));
    expect(lines.map(({ msg }) => msg)).toEqual(['reconcile', 'planned', 'merged', 'done']);
  });

  it('is nothing when quiet', () => {
    const stream = new Collector(true);
    const progress = createProgress(new LiveLines(stream), systemRuntime(createLog(stream, { quiet: true })), {
      bars: true,
      quiet: true,
    });
    events(progress.listen);
    progress.stop();
    expect(stream.text).toBe('');
  });
});

describe('the summary of a run', () => {
  const table: TableReport = {
    tenant: 'demo',
    table: 'Events',
    outcome: 'verified',
    grade: 'checksum',
    calls: 4,
    retries: 0,
    waitedMs: 0,
    planned: 2,
    pages: 2,
    splits: 0,
    rowsFetched: 1000,
    bytes: 1,
    inserted: 998,
    replaced: 0,
    removed: 0,
    duplicates: 2,
    quarantined: 0,
    hours: { verified: 24, partial: 1, open: 0, expired: 2 },
    olderHours: 0,
    changed: true,
    seconds: {},
  };
  const report = (tables: TableReport[]): RunReport => ({
    run: 'r',
    startedAt: '2026-03-01T00:00:00Z',
    seconds: 3.25,
    tenants: ['demo'],
    tables,
    expired: [],
    published: true,
    drift: [],
    checks: [],
    isBehind: false,
    peakRssBytes: 1,
    exitCode: 0,
  });

  it('shows hours that are not verified, and ends with what happened', () => {
    const text = runSummary(report([table]), { colour: false });
    expect(text).toContain('24 (+ 1 partial, 2 expired)');
    expect(text.trimEnd().split('\n').at(-1)).toBe('published · 4 calls · 3.3 s');
  });

  it('says so when nothing changed', () => {
    const quiet = { ...report([{ ...table, changed: false, calls: 1 }]), published: false };
    expect(runSummary(quiet, { colour: false })).toContain('nothing new, no file changed · 1 call');
  });

  it('says so when a stop left marts or checks to the next run', () => {
    const text = runSummary({ ...report([table]), isBehind: true }, { colour: false });
    expect(text).toContain('published · stopped: the next run updates marts and checks · 4 calls');
  });

  it('a proof weaker than checksums is shown with the outcome', () => {
    expect(runSummary(report([{ ...table, grade: 'count' }]), { colour: false })).toContain('verified (count)');
  });

  it('a failed table is followed by what happened, where, and what to do next', () => {
    const error = { failure: 'source', message: 'No answer.', hint: 'Try later.', where: { status: 503 } } as const;
    const text = runSummary(report([{ ...table, outcome: 'failed', error }]), { colour: false });
    expect(text).toContain('\ndemo Events: No answer.\n  where: status 503\n  next:  Try later.\n');
  });

  it('failures come last and are counted in the last line; tables with the same failure share one message', () => {
    const down = {
      failure: 'source',
      message: 'No answer.',
      hint: 'Try later.',
      where: { tenant: 'x', status: 503 },
    } as const;
    const tenants = Array.from({ length: 50 }, (_, index) => `t${index + 1}`);
    const tables = tenants.flatMap((tenant, index) =>
      (['Logs', 'Events', 'Metrics'] as const).map((name): TableReport => ({
        ...table, tenant, table: name, ...(index < 3 ? { outcome: 'failed', error: down } : {}),
      })),
    ); // oxfmt-ignore
    const checks = Array.from({ length: 47 }, (_, index) => ({ check: `c${index}`, severity: 'error', tenant: 't9', days: 2, failures: 1 }) as const); // oxfmt-ignore
    const lines = runSummary({ ...report(tables), checks }, { colour: false })
      .trimEnd()
      .split('\n');
    const failed = lines.flatMap((line, index) => (/ failed /.test(line) && /^t\d/.test(line) ? [index] : []));
    expect(failed).toEqual(Array.from({ length: 9 }, (_, index) => 142 + index));
    expect(lines.find((line) => line.includes('more: insights-etl sql'))).toMatch(/^… and 27 more: /);
    expect(lines.slice(-6)).toEqual([
      '',
      't1 Logs, t1 Events, t1 Metrics and 6 more: No answer.',
      '  where: status 503',
      '  next:  Try later.',
      '',
      'published · 3 of 50 tenants failed · 600 calls · 3.3 s',
    ]);
  });

  it('fits every width: the least valuable columns go first, and no word is broken', () => {
    const long = {
      ...table,
      tenant: 'riviera-paris-boutique',
      replaced: 12_345,
      quarantined: 3,
      rowsFetched: 12_345_678,
    };
    const hint =
      'Run again later; downloaded pages are kept. If the error persists, ask the vendor about the state of the service.';
    const message =
      'The source gave no usable answer in 8 calls: status 503, Service Unavailable: please try again in a moment.';
    const error = { failure: 'source', message, hint } as const;
    const full = runSummary(report([long, { ...long, table: 'Logs', outcome: 'failed', error }]), { colour: false });
    const wordsOf = (text: string): string[] => text.split(/\s+/).map((word) => word.replace(/,$/, ''));
    const words = new Set(wordsOf(full));
    const heads = [40, 80, 100, 120].map((width) => {
      const text = runSummary(report([long, { ...long, table: 'Logs', outcome: 'failed', error }]), {
        colour: false,
        width,
      });
      expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(width);
      const added = wordsOf(text).filter((word) => !words.has(word));
      expect(new Set(added)).toEqual(new Set(width < 120 && width > 40 ? ['not', 'shown:'] : added));
      return text.split('\n')[0];
    });
    expect(heads[0]).toBe('tenant          riviera-paris-boutique');
    expect(heads[1]?.trim().split(/ {2,}/)).toEqual(['tenant', 'table', 'outcome', 'new', 'replaced']);
  });
});

describe('a table on a terminal', () => {
  it('wraps its text between words, and shows rows as blocks where nothing else helps', () => {
    const columns = [
      { title: 'check' },
      { title: 'rows', align: 'right' as const },
      { title: 'what a row means', wraps: true },
    ];
    const rows = [['duplicate_id', '12', 'two rows of one hour have the same id although they differ in content']];
    expect(renderTable(columns, rows, { colour: false, width: 60 })).toBe(
      'check         rows  what a row means\n' +
        'duplicate_id    12  two rows of one hour have the same id\n' +
        '                    although they differ in content\n',
    );
    expect(renderTable(columns, rows, { colour: false, width: 40 })).toBe(
      'check             duplicate_id\nrows              12\n' +
        'what a row means  two rows of one hour\n                  have the same id\n' +
        '                  although they differ in\n                  content\n',
    );
  });

  it('is aligned by what characters take on the screen', () => {
    const columns = [{ title: 'name' }, { title: 'n', align: 'right' as const }];
    expect(renderTable(columns, [['日本', '1'], ['e\u0301te', '23']], { colour: false })).toBe('name   n\n日本   1\ne\u0301te   23\n'); // oxfmt-ignore
  });
});

describe('a result on a terminal', () => {
  it('has borders, shows null, shortens texts in the middle first, and becomes blocks where that is not enough', () => {
    const columns = ['id', 'note', 'n'].map((title) => ({ title, numeric: title === 'n' }));
    const rows = [['a', null, '1'], ['b', 'NULL', null], ['c', '', '22'], ['d', 'a note that is long', '3']]; // oxfmt-ignore
    expect(renderBox(columns, rows, { colour: false, width: 30 })).toBe(
      [
        '┌────┬────────────────┬──────┐',
        '│ id │ note           │    n │',
        '├────┼────────────────┼──────┤',
        '│ a  │ NULL           │    1 │',
        '│ b  │ "NULL"         │ NULL │',
        '│ c  │                │   22 │',
        '│ d  │ a note that i… │    3 │',
        '└────┴────────────────┴──────┘',
        '… marks shortened cells; --format csv or json shows all',
        '',
      ].join('\n'),
    );
    expect(renderBox(columns, rows.slice(3), { colour: false, width: 20 })).toBe(
      '─ row 1 ────────────\n  id │ d\nnote │ a note that …\n   n │ 3\n',
    );
  });
});
