import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { fromEpochMs, HOUR, parseInstant, SECOND } from '../instant.ts';
import { createClock } from '../clock.ts';
import { startSandbox, type Sandbox, type SandboxOptions } from '../sandbox.ts';
import { ask, rowsOf } from './support/client.ts';

let sandbox: Sandbox | undefined;
afterEach(async () => sandbox?.close());

async function start(options: SandboxOptions = {}): Promise<Sandbox> {
  sandbox = await startSandbox({
    rows: 1000,
    now: '2026-11-01T00:00:00Z',
    frozen: true,
    rate: 0,
    memory: true,
    ...options,
  });
  return sandbox;
}

const EVENT = { eventId: 'late', timestamp: '2026-10-31T12:00:00.1234567Z', eventType: 'Late', properties: { a: 1 } };

describe('the clock', () => {
  it("starts at the given instant and runs on with the machine's", () => {
    let realMs = 5000;
    const clock = createClock({ start: parseInstant('2026-11-01') ?? 0n, realNowMs: () => realMs });
    realMs += 1500;
    expect(clock.now()).toBe(parseInstant('2026-11-01T00:00:01.5Z'));
    clock.advance(HOUR);
    expect(clock.now()).toBe(parseInstant('2026-11-01T01:00:01.5Z'));
    clock.set(parseInstant('2027-01-01') ?? 0n);
    realMs += 1;
    expect(clock.now()).toBe(parseInstant('2027-01-01T00:00:00.001Z'));
  });

  it("is the machine's by default", () => {
    expect(createClock({ realNowMs: () => 42 }).now()).toBe(fromEpochMs(42));
  });

  it('starts when the sandbox begins to serve, however long the data took to load', async () => {
    const api = await start({ rows: 200_000, frozen: false });
    expect(api.now() - (parseInstant('2026-11-01') ?? 0n)).toBeLessThan(SECOND);
  });

  it('determines now() and ago()', async () => {
    expect(await rowsOf(await start(), 'print now(), ago(1d)')).toEqual([
      ['2026-11-01T00:00:00.0000000Z', '2026-10-31T00:00:00.0000000Z'],
    ]);
  });

  it('determines the retention of Logs', async () => {
    const api = await start();
    const earliest = async (): Promise<string> =>
      String((await rowsOf(api, 'Logs | summarize min(timestamp)'))[0]?.[0]);
    expect((await earliest()) >= '2026-09-17').toBe(true);
    await api.apply({ action: 'clock', advance: '30d' });
    expect((await earliest()) >= '2026-10-17').toBe(true);
    expect(await rowsOf(api, 'Events | count')).toEqual([[850]]);
  });

  it('expires Logs after the given number of days', async () => {
    const api = await start({ logsDays: 1 });
    expect(await rowsOf(api, 'Logs | where timestamp < ago(1d) | count')).toEqual([[0]]);
  });
});

describe('while it runs', () => {
  it('late rows are seen by the next call', async () => {
    const api = await start();
    expect(await api.apply({ action: 'rows', table: 'Events', tenant: 'demo', rows: [EVENT] })).toEqual({ rows: 1 });
    expect(await rowsOf(api, 'Events | where eventType == "Late"')).toEqual([
      ['late', '2026-10-31T12:00:00.1234567Z', 'demo', 'Late', '', { a: 1 }],
    ]);
  });

  it('rows are generated in a window, and another seed gives other rows', async () => {
    const api = await start();
    const window = {
      table: 'Events',
      tenant: 'demo',
      rows: 500,
      from: '2026-10-20T05:00:00Z',
      to: '2026-10-20T06:00:00Z',
    } as const;
    await api.apply({ action: 'generate', ...window });
    await api.apply({ action: 'generate', ...window, seed: 2 });
    const count =
      'Events | where timestamp >= datetime(2026-10-20T05:00:00Z) and timestamp < datetime(2026-10-20T06:00:00Z) | summarize count(), dcount(eventId)';
    const [rows, ids] = (await rowsOf(api, count))[0] ?? [];
    expect(rows).toBeGreaterThanOrEqual(1000);
    expect(ids).toBe(rows);
  });

  it('rows can be erased and can expire', async () => {
    const api = await start();
    const erased = await api.apply({
      action: 'erase',
      table: 'Events',
      tenant: 'demo',
      from: '2026-10-01',
      to: '2026-11-01',
    });
    expect(await rowsOf(api, 'Events | where timestamp >= datetime(2026-10-01) | count')).toEqual([[0]]);
    expect(await rowsOf(api, 'Events | count')).toEqual([[850 - ('rows' in erased ? erased.rows : 0)]]);
    await api.apply({ action: 'expire', table: 'Events', tenant: 'demo', before: '2026-10-01' });
    expect(await rowsOf(api, 'Events | count')).toEqual([[0]]);
  });

  it('caps and the wire form can change, each apart from the others', async () => {
    const api = await start();
    const text = async (): Promise<string> => (await ask(api, 'Events | project n = 1')).text;
    expect(await api.apply({ action: 'limits', rows: 2, mode: 'silent' })).toEqual({ changed: ['rows', 'mode'] });
    expect(await text()).toBe('{"rows":[[1],[1]]}');
    expect(await api.apply({ action: 'wire', row: 'object', layout: 'indented' })).toEqual({
      changed: ['row', 'layout'],
    });
    await api.apply({ action: 'limits', rows: 1 });
    expect(await text()).toBe('{\n  "rows": [\n    {\n      "n": 1\n    }\n  ]\n}');
    await api.apply({ action: 'limits', rows: 0 });
    await api.apply({ action: 'wire', row: 'array', layout: 'compact' });
    expect(await rowsOf(api, 'Events | project n = 1')).toHaveLength(850);
  });

  it('an invalid action is rejected and changes nothing', async () => {
    const api = await start();
    await expect(api.apply({ action: 'clock', advance: 'a while' })).rejects.toThrow('advance');
    await expect(api.apply({ action: 'erase', table: 'Events', tenant: 'demo', from: 'then' })).rejects.toThrow(
      'instant',
    );
    expect(await rowsOf(api, 'Events | count')).toEqual([[850]]);
  });
});

describe('a scenario', () => {
  it('acts after a number of calls, before the next one', async () => {
    const api = await start({
      scenario: [
        { afterCalls: 2, do: { action: 'rows', table: 'Events', tenant: 'demo', rows: [EVENT] } },
        { afterCalls: 2, do: { action: 'clock', advance: '1h' } },
        { afterCalls: 3, do: { action: 'faults', rules: [{ reply: { kind: 'status', status: 503 } }] } },
      ],
    });
    const seen = 'Events | where eventType == "Late" | summarize n = count() | extend now = now()';
    expect(await rowsOf(api, seen)).toEqual([[0, '2026-11-01T00:00:00.0000000Z']]);
    expect(await rowsOf(api, seen)).toEqual([[0, '2026-11-01T00:00:00.0000000Z']]);
    expect(await rowsOf(api, seen)).toEqual([[1, '2026-11-01T01:00:00.0000000Z']]);
    expect((await ask(api, seen)).status).toBe(503);
  });

  it('acts before the first call when `afterCalls` is 0', async () => {
    const api = await start({ scenario: [{ afterCalls: 0, do: { action: 'clock', advance: '1h' } }] });
    expect(await rowsOf(api, 'print now()')).toEqual([['2026-11-01T01:00:00.0000000Z']]);
  });

  it('acts after a time', async () => {
    const api = await start({ scenario: [{ atMs: 1, do: { action: 'clock', advance: '1h' } }] });
    for (let n = 0; n < 100 && api.now() === parseInstant('2026-11-01'); n++) await ask(api, 'print 1');
    expect(api.now()).toBe(parseInstant('2026-11-01T01:00:00Z'));
  });

  it('reports a step that fails, and continues', async () => {
    const errors: unknown[] = [];
    const erase = { action: 'erase', table: 'Events', tenant: 'nobody' } as const;
    const api = await start({ scenario: [{ afterCalls: 1, do: erase }], onError: (error) => errors.push(error) });
    await ask(api, 'print 1');
    expect(await rowsOf(api, 'print 1')).toEqual([[1]]);
    expect(errors).toHaveLength(1);
  });

  it('is rejected when a step has no time, or two; the error names the file', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'sandbox-test-'));
    const scenario = path.join(folder, 'scenario.json');
    await writeFile(scenario, '[{"do":{"action":"clock","advance":"1h"}}]');
    await expect(start({ scenario })).rejects.toMatchObject({
      message: expect.stringContaining('exactly one of afterCalls and atMs'),
      where: { file: scenario },
    });
    await writeFile(scenario, '[');
    await expect(start({ scenario })).rejects.toThrow('The scenario file cannot be read as JSON.');
    await rm(folder, { recursive: true });
  });
});

describe('the admin API', () => {
  const post = async (api: Sandbox, at: string, body: string): Promise<[number, unknown]> => {
    const response = await fetch(api.adminUrl + at, { method: 'POST', body });
    return [response.status, await response.json()];
  };
  const get = async (api: Sandbox, at: string): Promise<unknown> => (await fetch(api.adminUrl + at)).json();

  it('listens on its own port', async () => {
    const api = await start();
    expect(api.adminUrl).not.toBe(api.url);
    expect((await fetch(`${api.url}/calls`)).status).toBe(404);
  });

  it('takes rows as JSON, or as NDJSON where the exact text of a value matters', async () => {
    const api = await start();
    expect(await post(api, '/rows', JSON.stringify({ table: 'Events', tenant: 'demo', rows: [EVENT] }))).toEqual([
      200,
      { rows: 1 },
    ]);
    const line = '{"eventId":"x","timestamp":"2026-10-31","eventType":"Late","properties":{"a":1e5}}';
    expect(await post(api, '/rows?table=Events&tenant=demo', `${line}\n\n`)).toEqual([200, { rows: 1 }]);
    expect((await ask(api, 'Events | where tostring(eventId) == "x" | project properties, tenantId')).text).toBe(
      '{"rows":[[{"a":1e5},"demo"]]}',
    );
  });

  it('erases, moves the clock, sets faults', async () => {
    const api = await start();
    expect(await post(api, '/erase', '{"table":"Events","tenant":"demo"}')).toEqual([200, { rows: 850 }]);
    expect(await post(api, '/clock', '{"advance":"2d"}')).toEqual([200, { now: '2026-11-03T00:00:00.0000000Z' }]);
    expect(await get(api, '/clock')).toEqual({ now: '2026-11-03T00:00:00.0000000Z' });
    expect(await post(api, '/faults', '[{"reply":{"kind":"html"}}]')).toEqual([200, { faults: 1 }]);
    expect((await ask(api, 'print 1')).text).toContain('<html>');
  });

  it('shows the calls and the rows of each hour', async () => {
    const api = await start();
    await ask(api, 'print 1');
    expect(await get(api, '/calls')).toMatchObject([{ tenant: 'demo', status: 200, query: 'print 1' }]);
    const counts = z.array(z.looseObject({ rows: z.number() })).parse(await get(api, '/counts'));
    expect(counts.reduce((sum, { rows }) => sum + rows, 0)).toBe(1000);
    expect(counts[0]).toEqual({
      tenant: 'demo',
      table: 'Logs',
      hour: expect.stringMatching(/:00:00\.0000000Z$/),
      rows: expect.any(Number),
    });
  });

  it.each([
    ['/rows', '{'],
    ['/rows', '{"table":"Passes","tenant":"demo","rows":[]}'],
    ['/rows?table=Events&tenant=demo', 'not JSON'],
    ['/faults', '[{"reply":{"kind":"nonsense"}}]'],
    ['/nothing', '{}'],
  ])('rejects %s with %s', async (at, body) => {
    expect(await post(await start(), at, body)).toEqual([400, { error: expect.any(String) }]);
  });
});

describe('recorded rows', () => {
  it('are served to the tenants that they name, and in a replay appear as time passes', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'sandbox-test-'));
    const line = (id: string, timestamp: string, tenantId: string): string =>
      `${JSON.stringify({ eventId: id, timestamp, tenantId, eventType: 'e', operationId: '', properties: {} })}\n`;
    const rows = line('b', '2026-11-01T00:30:00Z', 'a') + line('a', '2026-10-31', 'a') + line('c', '2026-10-31', 'b');
    await writeFile(path.join(folder, 'events.ndjson'), rows);
    const api = await start({ data: folder, replay: true, rows: undefined });
    expect(api.tenants).toEqual(['a', 'b']);
    expect(await rowsOf(api, 'Events | project eventId', { tenant: 'a' })).toEqual([['a']]);
    await api.apply({ action: 'clock', advance: '1h' });
    expect(await rowsOf(api, 'Events | project eventId', { tenant: 'a' })).toEqual([['a'], ['b']]);
    expect(await rowsOf(api, 'Logs | count', { tenant: 'b' })).toEqual([[0]]);
    await rm(folder, { recursive: true });
  });

  it.each([
    ['no row', '{"eventId":"a","tenantId":"t"', 'events.ndjson line 2 is not a JSON object'],
    [
      'a row with a dynamic value that is not JSON',
      '{"eventId":"a","tenantId":"t","properties":{a:1}}',
      'Row 2 of Events has a dynamic value',
    ],
    ['a row without a tenant', '{"eventId":"a"}', 'Some rows of Events have no tenantId'],
  ])('are rejected when a line is %s; the error names the line', async (_, bad, message) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'sandbox-test-'));
    await writeFile(
      path.join(folder, 'events.ndjson'),
      `{"eventId":"b","tenantId":"t","properties":{"a":1}}\n${bad}\n`,
    );
    await expect(start({ data: folder })).rejects.toThrow(message);
    await rm(folder, { recursive: true });
  });

  it('may show an internal tenant id', async () => {
    expect(await rowsOf(await start({ internalTenantIds: true }), 'Events | distinct tenantId')).toEqual([
      ['internal-demo'],
    ]);
  });
});
