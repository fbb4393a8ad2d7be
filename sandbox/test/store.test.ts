import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DAY, parseInstant, type Instant } from '../instant.ts';
import { parseRow, readLines, type Cell } from '../ndjson.ts';
import { openStore, type Store } from '../store.ts';
import { TABLES, type TableName } from '../tables.ts';

const NOW = instant('2026-11-01T00:00:00Z');
let store: Store;
let folder: string;

beforeEach(async () => {
  store = await openStore();
  folder = await mkdtemp(path.join(tmpdir(), 'sandbox-test-'));
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

describe('a line of a data set', () => {
  const verbatim = String.raw`{"x":1e5,"y":1.0,"z":12345678901234567890,"e":"\u00e9\/ é","w" : [1, {"a":"}\"]"}]}`;

  it('keeps the exact text of each dynamic value', () => {
    const line = `{"eventId":"A","timestamp":"2026-10-01T00:00:00.1234567Z","tenantId":"t","eventType":"e","properties":${verbatim} }`;
    expect(parseRow(line, TABLES.Events, 'line 1')).toEqual([
      'a',
      instant('2026-10-01T00:00:00.1234567Z'),
      't',
      'e',
      '',
      verbatim,
    ]);
  });

  it.each(['1.10', '-0', '"text"', 'true', '[]', '""', '{"a":null}'])('keeps the value %s as it is', (value) => {
    const line = `{"value":${value},"metricId":"m"}`;
    expect(parseRow(line, TABLES.Metrics, 'line 1')[3]).toBe(value);
  });

  it('reads null guids, instants and dynamics as null, and null text as empty', () => {
    expect(parseRow('{"eventId":null,"properties":null,"eventType":null}', TABLES.Logs, 'line 1')).toEqual([
      null,
      null,
      '',
      '',
      '',
      null,
    ]);
  });

  it('lower-cases a guid and strips its braces', () => {
    expect(parseRow('{"metricId":"{AB-CD}"}', TABLES.Metrics, 'line 1')[0]).toBe('ab-cd');
  });

  it.each(['', '[]', '{"a":1', '{"a" 1}', '{"a":}', '{"a":1} x'])(
    'is rejected when it is %j; the error names the place and not the content',
    (line) => {
      expect(() => parseRow(line, TABLES.Events, 'events.ndjson line 7')).toThrow(
        'events.ndjson line 7 is not a JSON object',
      );
    },
  );

  it('is rejected when its timestamp is not valid; the error does not quote it', () => {
    expect(() => parseRow('{"timestamp":"yesterday"}', TABLES.Events, 'line 3')).toThrow(
      /^line 3: "timestamp" is not an ISO 8601 instant$/,
    );
  });

  it('ends only at a line feed, because JSON text may contain U+2028', async () => {
    const file = path.join(folder, 'x.ndjson.gz');
    await writeFile(file, gzipSync('{"a":"one\u2028two"}\n{"a":"\r é"}\n'));
    expect(await collect(readLines(file))).toEqual(['{"a":"one\u2028two"}', '{"a":"\r é"}']);
  });
});

describe('the store', () => {
  it('gives each tenant its own rows, in the order of their timestamps', async () => {
    await add('Events', [row('b', '2026-10-02', 'one'), row('a', '2026-10-01', 'one'), row('c', '2026-10-01', 'two')]);
    expect(store.tenants()).toEqual(['one', 'two']);
    expect(await ids('one')).toEqual(['a', 'b']);
    expect(await ids('two')).toEqual(['c']);
  });

  it('takes only the given tenants', async () => {
    await add('Events', [row('a', '2026-10-01', 'one'), row('b', '2026-10-01', 'two')], ['two']);
    expect(store.tenants()).toEqual(['two']);
  });

  it('hides Logs at the retention edge and not one tick before it', async () => {
    const edge = NOW - 45n * DAY;
    await add('Logs', [rowAt('old', edge - 1n), rowAt('edge', edge), rowAt('new', NOW)]);
    expect(await ids('t', 'Logs')).toEqual(['edge', 'new']);
    expect(await ids('t', 'Logs', { now: NOW + 1n })).toEqual(['new']);
  });

  it('never expires Events and Metrics', async () => {
    await add('Events', [rowAt('old', NOW - 900n * DAY)]);
    expect(await ids('t')).toEqual(['old']);
  });

  it('hides future rows only in a replay', async () => {
    await add('Events', [rowAt('past', NOW), rowAt('future', NOW + 1n)]);
    expect(await ids('t')).toEqual(['past', 'future']);
    expect(await ids('t', 'Events', { replay: true })).toEqual(['past']);
  });

  it('erases by window, by type, by id and by a share that is the same every time', async () => {
    await add(
      'Events',
      Array.from({ length: 200 }, (_, n) => rowAt(`id-${n}`, NOW + BigInt(n))),
    );
    expect(await store.erase('t', 'Events', { from: NOW, to: NOW + 10n })).toBe(10);
    expect(await store.erase('t', 'Events', { ids: ['id-10', 'id-11', 'nobody'] })).toBe(2);
    expect(await store.erase('t', 'Events', { type: 'other' })).toBe(0);
    const share = await store.erase('t', 'Events', { share: 0.5 });
    expect(share).toBeGreaterThan(60);
    expect(share).toBeLessThan(130);
    expect(await store.erase('t', 'Events', { share: 0.5 })).toBe(0);
  });

  it('quotes tenants and ids with any characters', async () => {
    const tenant = `o"brien'; drop table x`;
    await add('Events', [row("a'b", '2026-10-01', tenant)]);
    expect(await ids(tenant)).toEqual(["a'b"]);
    expect(await store.erase(tenant, 'Events', { ids: ["a'b"] })).toBe(1);
  });

  it('interrupts a query when it is aborted, and answers the next one', async () => {
    const slow = 'select count(*)::varchar from range(100000000000) a(i) where hash(i) = 7';
    const started = Date.now();
    await expect(collect(store.stream(slow, AbortSignal.timeout(50)))).rejects.toThrow(/INTERRUPT|Interrupt|timeout/);
    expect(Date.now() - started).toBeLessThan(5000);
    expect(await collect(store.stream(`select 'still here'`, new AbortController().signal))).toEqual([['still here']]);
  });

  it('removes its files when it is closed, and also those of a process that was killed', async () => {
    const abandoned = await mkdtemp(path.join(tmpdir(), 'insights-sandbox-99999999-'));
    const other = await openStore();
    expect(await ownFolders()).toHaveLength(2);
    await other.close();
    expect(await ownFolders()).toHaveLength(1);
    expect(await readdir(tmpdir())).not.toContain(path.basename(abandoned));
  });
});

async function ownFolders(): Promise<string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith(`insights-sandbox-${process.pid}-`));
}

function instant(text: string): Instant {
  const parsed = parseInstant(text);
  if (parsed === undefined) throw new Error(`bad instant in a test: ${text}`);
  return parsed;
}

function row(id: string, day: string, tenant: string): Cell[] {
  return [id, instant(day), tenant, 'e', '', '{}'];
}

function rowAt(id: string, at: Instant): Cell[] {
  return [id, at, 't', 'e', '', '{}'];
}

async function add(name: TableName, rows: Cell[][], only?: string[]): Promise<void> {
  await store.addRows(name, rows, only ? { only } : {});
}

async function ids(tenant: string, name: TableName = 'Events', view: { now?: Instant; replay?: boolean } = {}) {
  const relation = store.relations(tenant, { now: NOW, logsDays: 45, replay: false, ...view })[name];
  return (await collect(store.stream(`select "eventId" from ${relation}`, new AbortController().signal))).flat();
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
