import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { createClient } from '../../../src/extract/source/client.ts';
import type { Client, ClientOptions, ClientSettings } from '../../../src/extract/source/client.ts';
import { openLimiter } from '../../../src/extract/source/limiter.ts';
import type { Limiter } from '../../../src/extract/source/limiter.ts';
import { createPageWriter } from '../../../src/extract/fetch/page-file.ts';
import type { PageWriter } from '../../../src/extract/fetch/page-file.ts';
import { InsightsError } from '../../../src/kernel/errors.ts';
import { hastyClock } from '../support/clock.ts';
import { scratchFolders } from '../support/scratch.ts';
import { json, raw, testServers } from '../support/server.ts';
import type { Reply, TestServer } from '../support/server.ts';

const scratch = scratchFolders();
const serve = testServers();
const columns = ['a', 'b'];
const rows = [
  ['1', 'x'],
  ['2', 'y'],
];
const SECRET = 'very-secret-key';

const opened: Limiter[] = [];
afterEach(async () => {
  for (const limiter of opened.splice(0)) await limiter.close();
});

interface Bench {
  readonly client: Client;
  readonly server: TestServer;
  readonly clock: ReturnType<typeof hastyClock>;
  readonly folder: string;
  readonly open: () => Promise<PageWriter>;
}

async function bench(
  replies: readonly Reply[],
  settings: Partial<ClientSettings> = {},
  options: Partial<ClientOptions> = {},
): Promise<Bench> {
  const [server, folder, clock] = [await serve(...replies), await scratch(), hastyClock()];
  const limiter = await openLimiter({ callsPerMinute: 0, file: join(folder, 'demo.log'), runtime: clock });
  opened.push(limiter);
  const client = createClient({
    tenant: 'demo',
    baseUrl: server.baseUrl,
    credential: async () => ({ header: 'X-API-KEY', value: SECRET }),
    limiter,
    settings: {
      timeoutMs: 5000,
      stallMs: 5000,
      attempts: 4,
      totalMs: 600_000,
      maxBodyBytes: 1e9,
      graceMs: 0,
      ...settings,
    },
    runtime: clock,
    ...options,
  });
  const header = {
    page: { id: 'p1', windows: [], rows: undefined, bytes: 0 },
    run: 'r',
    query: 'q',
    tenant: 'demo',
    table: 'Events',
  } as const;
  return { client, server, clock, folder, open: () => createPageWriter(join(folder, 'p1.ndjson'), header) };
}

async function failure(work: Promise<unknown>): Promise<InsightsError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof InsightsError) return error;
    throw error;
  }
  throw new Error('The call did not fail.');
}

describe('a call', () => {
  test("is a POST to the tenant's URL with its key, and the body holds only the query", async () => {
    const { client, server } = await bench([json({ rows })]);
    expect(await client.ask('Events | take 1', columns)).toEqual({ kind: 'rows', rows, named: false, form: 'arrays' });
    const [call] = server.calls;
    expect(call?.url).toBe('/api/demo/insights/query');
    expect(call?.headers['x-api-key']).toBe(SECRET);
    expect(call?.headers['cache-control']).toBe('no-cache');
    expect(JSON.parse(call?.body ?? '')).toEqual({ query: 'Events | take 1' });
    expect(client.stats).toMatchObject({ calls: 1, retries: 0, bytes: JSON.stringify({ rows }).length });
  });

  test('returns cells in the requested order, even if the answer orders its columns differently or sends objects', async () => {
    const { client } = await bench([
      json({ columns: ['b', 'x', 'a'], rows: [['x', null, '1']] }),
      json({ rows: [{ b: 'x', a: '1' }] }),
    ]);
    expect(await client.ask('q', columns)).toEqual({ kind: 'rows', rows: [['1', 'x']], named: true, form: 'arrays' });
    expect(await client.ask('q', columns)).toMatchObject({ kind: 'rows', rows: [['1', 'x']] });
  });

  test('streams its rows into a file and decompresses them', async () => {
    const many = Array.from({ length: 50_000 }, (_, k) => [`${k}`, 'é'.repeat(20)]);
    const body = gzipSync(JSON.stringify({ rows: many }));
    const { client, open } = await bench([
      (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(body),
    ]);
    const outcome = await client.download('q', columns, open);
    if (outcome.kind !== 'rows') throw new Error(outcome.by);
    expect(outcome).toMatchObject({ rows: 50_000, bytes: Buffer.byteLength(JSON.stringify({ rows: many })) });
    const { rows: count, bytes, largestRow } = outcome;
    const file = await outcome.sink.commit({ rows: count, bytes, largestRow, columns: undefined });
    const lines = (await readFile(file, 'utf8')).split('\n').slice(1, -2);
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(many);
  });

  test('ends when its total time is used up, even if the answer keeps trickling in, and says so', async () => {
    const drip: Reply = (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('{"rows":[');
      const timer = setInterval(() => response.write(' '), 20);
      response.once('close', () => clearInterval(timer));
    };
    // Each piece arrives long before the answer would count as stalled.
    const { client, server, open, folder } = await bench([drip], { totalMs: 500, attempts: 2 });
    const error = await failure(client.download('Events | take 1', columns, open));
    expect(error.failure).toBe('source');
    expect(error.message).toContain('the time for one query was used up');
    expect(server.calls.length).toBeLessThanOrEqual(2);
    expect((await readdir(folder)).filter((name) => name.startsWith('p1'))).toEqual([]);
  });

  test('is cut off when its answer exceeds the size limit after decompression', async () => {
    const bomb = gzipSync(Buffer.concat([Buffer.from('{"rows":[["'), Buffer.alloc(50_000_000, 'a')]));
    expect(bomb.length).toBeLessThan(100_000);
    const reply: Reply = (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
      response.end(bomb);
    };
    const { client, open, folder, server } = await bench([reply], { maxBodyBytes: 1_000_000 });
    let written = 0;
    const counted = async (): Promise<PageWriter> => {
      const sink = await open();
      return { ...sink, write: (part: Buffer) => ((written += part.length), sink.write(part)) };
    };
    expect(await client.download('Events | take 1', columns, counted)).toMatchObject({
      kind: 'too-large',
      by: 'bytes',
    });
    expect(written).toBeLessThanOrEqual(1_000_000);
    expect(server.calls).toHaveLength(1);
    expect((await readdir(folder)).filter((name) => name.startsWith('p1'))).toEqual([]);
  });
});

describe('a failed call is retried', () => {
  const cut: Reply = (_, response) => {
    response.writeHead(200, { 'content-length': '1000' });
    response.write('{"rows":[["1","x"],["2"');
    setTimeout(() => response.destroy(), 5);
  };
  const faults: Readonly<Record<string, Reply>> = {
    'a 503': raw('busy', 503),
    'a 502 of HTML': raw('<html>', 502),
    'a 500 of a problem': json({ title: 'Oops', status: 500 }, 500),
    'a 522': raw('', 522),
    'a reset before the response': (_, response) => response.destroy(),
    'a body that is cut off': cut,
    'a body that ends early without an error': raw('{"rows":[["1","x"]', 200),
    'a 200 of HTML': raw('<!doctype html>', 200),
    'a failure inside an answer': json({ rows: [['1', 'x'], { OneApiErrors: [{ error: { code: 'Internal' } }] }] }),
  };
  test.each(Object.entries(faults))('after %s, and nothing of the first answer remains', async (_, fault) => {
    const { client, clock, open } = await bench([fault, json({ rows })]);
    const outcome = await client.download('q', columns, open);
    expect(outcome).toMatchObject({ kind: 'rows', rows: 2 });
    if (outcome.kind !== 'rows') return;
    const file = await outcome.sink.commit({ rows: 2, bytes: 1, largestRow: 1, columns: undefined });
    expect((await readFile(file, 'utf8')).split('\n').slice(1, 3)).toEqual(rows.map((row) => JSON.stringify(row)));
    expect(client.stats).toMatchObject({ calls: 2, retries: 1 });
    expect(clock.sleeps).toEqual([500]);
  });

  test('after a body that stalls', async () => {
    const { client } = await bench([(_, response) => void response.writeHead(200).write('{"rows":['), json({ rows })], {
      stallMs: 30,
    });
    expect(await client.ask('q', columns)).toMatchObject({ rows });
    expect(client.stats.retries).toBe(1);
  });

  test('after a 429 not before the time that it names, in seconds or as a date', async () => {
    const date = new Date(Date.now() + 90_000).toUTCString();
    const { client, clock } = await bench([
      raw('', 429, { 'retry-after': '7' }),
      raw('', 429, { 'retry-after': date }),
      json({ rows }),
    ]);
    await client.ask('q', columns);
    const [first = 0, second = 0] = clock.sleeps;
    expect(first).toBeGreaterThan(6900);
    expect(first + second).toBeGreaterThan(85_000);
    expect(client.stats.waitedMs).toBeGreaterThan(85_000);
  });

  test('a limited number of times, then the table is given up with the last error', async () => {
    const { client, server, folder, open } = await bench([json({ title: 'Down', detail: 'for repair' }, 503)]);
    const error = await failure(client.download('q', columns, open));
    expect(error.failure).toBe('source');
    expect(error.message).toBe('The source gave no usable answer in 4 calls: status 503, Down: for repair.');
    expect(error.where).toMatchObject({ tenant: 'demo', status: 503 });
    expect(error).toMatchObject({ reason: 'spent' });
    expect(server.calls).toHaveLength(4);
    expect(await readdir(folder)).toEqual(['demo.log']);
  });

  test('when nothing listens at the address', async () => {
    const { client, server } = await bench([]);
    await server.close();
    const error = await failure(client.ask('q', columns));
    expect(error.message).toMatch(/in 4 calls: http:\/\/127\.0\.0\.1:\d+ refused the connection \(ECONNREFUSED\)\.$/);
  });
});

describe('"too large" is an outcome, not an error', () => {
  const large =
    'Query result set has exceeded the internal record count limit (E_QUERY_RESULT_SET_TOO_LARGE; 0x80DA0003)';
  test.each<[string, Reply, object]>([
    [
      'an error object inside the rows',
      json({ rows: [...rows, { OneApiErrors: [{ error: { '@message': large } }] }] }),
      { by: 'rows', rowsSeen: 2 },
    ],
    ['an error next to the rows', json({ rows, error: { message: large } }), { by: 'rows', rowsSeen: 2 }],
    ['a 400', json({ title: 'Bad', detail: large }, 400), { by: 'rows', rowsSeen: 0 }],
    ['a 504', raw('', 504), { by: 'timeout', rowsSeen: 0 }],
    ['a 413', raw('', 413), { by: 'bytes', rowsSeen: 0 }],
    ['no response in time', () => {}, { by: 'timeout', rowsSeen: 0 }],
  ])('after %s', async (_, reply, outcome) => {
    const { client, folder, open } = await bench([reply], { timeoutMs: 100 });
    expect(await client.download('q', columns, open)).toMatchObject({ kind: 'too-large', ...outcome });
    expect(await readdir(folder)).toEqual(['demo.log']);
  });

  test('after a body that exceeds our own size limit', async () => {
    const { client, open } = await bench([json({ rows: [['x'.repeat(5000), 'y']] })], { maxBodyBytes: 1000 });
    expect(await client.download('q', columns, open)).toMatchObject({ kind: 'too-large', by: 'bytes' });
  });
});

describe('an error says what happened, where, and what to do next', () => {
  test.each<[number, string, RegExp]>([
    [401, 'auth', /rejected the key/],
    [403, 'auth', /lacks a scope/],
    [404, 'auth', /does not know tenant "demo"/],
    [400, 'source', /gave no usable answer: status 400, SEM0100: unknown function/],
    [302, 'source', /gave no usable answer: status 302/],
  ])('status %i', async (status, kind, message) => {
    const { client, server } = await bench([
      json({ title: 'SEM0100', detail: 'unknown function' }, status, { location: 'http://127.0.0.1:9/' }),
    ]);
    const error = await failure(client.ask('q', columns));
    expect(error.failure).toBe(kind);
    expect(error.message).toMatch(message);
    expect(error.where).toMatchObject({ tenant: 'demo', status });
    expect(server.calls).toHaveLength(1);
  });

  test.each<[string, Reply, RegExp]>([
    ['another tenant', json({ detail: 'Forbidden: the credential belongs to another tenant.' }, 403), /not belong to tenant "demo"/],
    ['another tenant', json({ title: 'Forbidden', detail: 'The key is not valid for this tenant.' }, 403), /not belong to tenant/],
    ['a scope', json({ detail: 'The credential lacks the scope Insights.Read.' }, 403), /"demo" lacks a scope \(403\)/],
    ['nothing', raw('', 403), /lacks a scope, or belongs to another tenant/],
  ])('a 403 that names %s', async (_, reply, message) => {
    const { client } = await bench([reply]);
    expect(await failure(client.ask('q', columns))).toMatchObject({ failure: 'auth', message: expect.stringMatching(message) });
  }); // oxfmt-ignore

  test.each<[number, Reply, RegExp]>([
    [403, raw('<!DOCTYPE html><title>Access denied</title>', 403), /status 403, an HTML page/],
    [403, json({ error: 'challenge' }, 403, { 'cf-mitigated': 'challenge' }), /status 403/],
    [404, raw('<html>Not here</html>', 404), /status 404, an HTML page/],
    [401, raw('Sign in', 401, { 'content-type': 'text/html; charset=utf-8' }), /status 401/],
    [405, raw(' <html></html>', 405), /status 405, an HTML page/],
  ])('a web page with %i says nothing about the key or the tenant', async (_, reply, message) => {
    const { client, server } = await bench([reply]);
    const error = await failure(client.ask('q', columns));
    expect(error).toMatchObject({ failure: 'source', reason: 'edge', message: expect.stringMatching(message) });
    expect(error.message).toMatch(/^A web page came/);
    expect(error.where).toMatchObject({ tenant: 'demo', address: server.baseUrl });
    expect(server.calls).toHaveLength(1);
  });

  test('a web page with 503 is retried like any other 503', async () => {
    const { client } = await bench([raw('<html>busy</html>', 503), json({ rows })]);
    expect(await client.ask('q', columns)).toMatchObject({ kind: 'rows', rows });
  });

  test('a missing scope is named in both spellings', async () => {
    const { client } = await bench([raw('', 403)]);
    expect((await failure(client.ask('q', columns))).hint).toMatch(/Insights\.Read or Insights:Read/);
  });

  test('an answer that cannot be understood is not retried; the error shows its keys and none of its data', async () => {
    const { client, server } = await bench([json({ result: [['private@example.com']], meta: 1 })]);
    const error = await failure(client.ask('q', columns));
    expect(error.message).toMatch(/keys are: result, meta\.$/);
    expect(error.message).not.toMatch(/private/);
    expect(server.calls).toHaveLength(1);
  });

  test('an answer that lacks columns, or has rows of another width, is rejected', async () => {
    const { client, folder, open } = await bench([
      json({ columns: ['a', 'c'], rows: [['1', '2']] }),
      json({ rows: [['1', '2', '3']] }),
    ]);
    expect((await failure(client.download('q', columns, open))).message).toMatch(/columns lack b/);
    expect(await readdir(folder)).toEqual(['demo.log']);
    expect((await failure(client.ask('q', columns))).message).toMatch(/exactly 2 cells/);
  });

  test('a key that a header cannot hold is rejected before it is sent, and never shown', async () => {
    const value = `${SECRET}\n`;
    const { client, server } = await bench(
      [json({ rows })],
      {},
      { credential: async () => ({ header: 'X-API-KEY', value }) },
    );
    const error = await failure(client.ask('q', columns));
    expect(error.failure).toBe('auth');
    expect(`${error.message}${error.hint}${JSON.stringify(error.where)}`).not.toContain(SECRET);
    expect(server.calls).toHaveLength(0);
  });
});

describe('a rotated key', () => {
  test('is read again once when the old one is rejected', async () => {
    const keys = ['old', 'new'];
    const { client, server } = await bench(
      [raw('', 401), json({ rows })],
      {},
      {
        credential: async () => ({ header: 'Authorization', value: `Bearer ${keys.shift()}` }),
      },
    );
    expect(await client.ask('q', columns)).toMatchObject({ rows });
    expect(server.calls.map((call) => call.headers.authorization)).toEqual(['Bearer old', 'Bearer new']);
  });

  test('stops the tenant when it is rejected too', async () => {
    let reads = 0;
    const { client, server } = await bench(
      [raw('', 401)],
      {},
      { credential: async () => ({ header: 'X-API-KEY', value: `k${++reads}` }) },
    );
    expect((await failure(client.ask('q', columns))).failure).toBe('auth');
    expect(server.calls).toHaveLength(2);
  });
});

describe('every wait can be aborted', () => {
  test.each<[string, Reply]>([
    ['for the head', () => {}],
    ['for the body', (_, response) => void response.writeHead(200).write('{"rows":[["1","x"],')],
  ])('%s', async (_, reply) => {
    const stop = new AbortController();
    const { client, folder, open } = await bench([
      (call, response, index) => {
        reply(call, response, index);
        setTimeout(() => stop.abort(), 20);
      },
    ]);
    const error = await failure(client.download('q', columns, open, stop.signal));
    expect(error.failure).toBe('stopped');
    expect(await readdir(folder)).toEqual(['demo.log']);
  });

  test('before a retry', async () => {
    const stop = new AbortController();
    const { client, clock } = await bench([raw('', 503)]);
    const error = failure(client.ask('q', columns, stop.signal));
    clock.sleep = async (_, signal) => {
      stop.abort();
      signal?.throwIfAborted();
    };
    expect((await error).failure).toBe('stopped');
  });
});
