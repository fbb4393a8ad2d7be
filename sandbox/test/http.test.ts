import { readFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startSandbox, type Sandbox } from '../sandbox.ts';
import { ask, members, rowsOf } from './support/client.ts';

const QUERY = 'print x = 1';
let sandbox: Sandbox;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'sandbox-test-'));
  const calls = path.join(folder, 'calls.ndjson');
  sandbox = await startSandbox({
    rows: 2000,
    tenants: ['one', 'two'],
    now: '2026-11-01T00:00:00Z',
    rate: 0,
    calls,
    memory: true,
  });
});
afterAll(async () => {
  await sandbox.close();
  await rm(folder, { recursive: true });
});

describe('access', () => {
  it('is granted to the key of the tenant, as X-API-KEY or as a bearer token', async () => {
    expect((await ask(sandbox, QUERY)).status).toBe(200);
    expect((await ask(sandbox, QUERY, { key: null, headers: { authorization: 'Bearer sandbox-one' } })).status).toBe(
      200,
    );
  });

  it.each([
    ['without a credential', 401, { key: null }],
    ['with an unknown credential', 401, { key: 'sandbox-nobody' }],
    ['with a scheme that is not Bearer', 401, { key: null, headers: { authorization: 'Basic sandbox-one' } }],
    ['with the credential of another tenant', 403, { key: 'sandbox-two' }],
    ['with a credential that lacks the scope', 403, { key: 'sandbox-one-noscope' }],
    ['to a tenant that does not exist', 404, { tenant: 'nobody', key: 'sandbox-one' }],
  ])('is denied %s (%i), with a problem document', async (_, status, init) => {
    const reply = await ask(sandbox, QUERY, init);
    expect(reply.status).toBe(status);
    expect(reply.headers.get('content-type')).toContain('application/problem+json');
    expect(members(reply)).toMatchObject({
      status,
      type: expect.any(String),
      title: expect.any(String),
      detail: expect.any(String),
    });
    expect(reply.text).not.toContain('sandbox-');
  });

  it('shows a tenant only its own rows', async () => {
    expect(await rowsOf(sandbox, 'Events | distinct tenantId', { tenant: 'one' })).toEqual([['one']]);
    expect(await rowsOf(sandbox, 'Events | distinct tenantId', { tenant: 'two' })).toEqual([['two']]);
  });
});

describe('the request', () => {
  it.each([
    ['not JSON', '{', '$'],
    ['no object', '[]', '$'],
    ['without a query', '{}', 'query'],
    ['with an empty query', '{"query":" "}', 'query'],
    ['with a query that is no text', '{"query":5}', 'query'],
    ['with a parameter that is no text', '{"query":"print 1","parameters":{"a":1}}', 'parameters.a'],
    ['with a field that the schema does not know', '{"query":"print 1","timeout":5}', 'timeout'],
  ])('is rejected with the errors of each field when it is %s', async (_, body, field) => {
    const reply = await ask(sandbox, '', { body });
    expect(reply.status).toBe(400);
    expect(Object.keys(members(reply)['errors'] ?? {})).toEqual([field]);
  });

  it('may have parameters, which the query declares, and options', async () => {
    const query = 'declare query_parameters(n:long, t:string = "none"); print n + 1, t';
    expect(
      await rowsOf(sandbox, '', { body: { query, parameters: { n: '41' }, options: { servertimeout: '1m' } } }),
    ).toEqual([[42, 'none']]);
  });

  it('is rejected when it is larger than a megabyte', async () => {
    expect((await ask(sandbox, `print '${'x'.repeat(1_100_000)}'`)).status).toBe(413);
  });

  it.each([
    ['a path that is not there', '/api/one/insights', 'POST', 404],
    ['a path that is no path', '//', 'POST', 404],
    ['a tenant that cannot be decoded', '/api/%E0%A4%A/insights/query', 'POST', 404],
    ['a method other than POST', '/api/one/insights/query', 'GET', 405],
  ])('is rejected for %s', async (_, at, method, status) => {
    expect((await fetch(sandbox.url + at, { method })).status).toBe(status);
  });

  it.each([
    ['a column that does not exist', 'Events | where nothing == 1', 'BadRequest_SemanticError', 'SEM0100'],
    ['a table that does not exist', 'Passes | count', 'BadRequest_SemanticError', 'SEM'],
    ['broken syntax', 'Events | where (', 'BadRequest_SyntaxError', 'SYN'],
  ])('is rejected like in the engine for %s', async (_, query, kind, code) => {
    const reply = await ask(sandbox, query);
    expect(reply.status).toBe(400);
    expect(members(reply)['detail']).toContain(kind);
    expect(members(reply)['detail']).toContain(code);
  });
});

describe('the rows of an answer', () => {
  it('come in the order of the query, however many they are', async () => {
    const rows = await rowsOf(
      sandbox,
      'range x from 1 to 30000 step 1 | extend y = x * 7919 % 30011 | project y | sort by y asc',
    );
    const order = rows.map(([y]) => Number(y));
    expect(order).toHaveLength(30_000);
    expect(order.every((y, index) => index === 0 || y >= (order[index - 1] ?? 0))).toBe(true);
  });
});

describe('parallel calls', () => {
  it('are all answered, even if there are more calls than connections', async () => {
    const counts = await Promise.all(Array.from({ length: 12 }, async () => rowsOf(sandbox, 'Events | count')));
    expect(new Set(counts.map((rows) => JSON.stringify(rows)))).toEqual(new Set(['[[1700]]']));
  });
});

describe('the record of calls', () => {
  it('has one line per call, with its query and outcome, by the time the client has read the answer', async () => {
    const before = sandbox.calls.length;
    await ask(sandbox, 'Events | take 7');
    await ask(sandbox, 'Events | take 7', { key: null });
    const lines = (await readFile(path.join(folder, 'calls.ndjson'), 'utf8')).trim().split('\n').slice(before);
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(sandbox.calls.slice(before));
    const [good, refused] = sandbox.calls.slice(before);
    expect(good).toMatchObject({ tenant: 'one', status: 200, rows: 7, query: 'Events | take 7' });
    expect(good?.bytes).toBeGreaterThan(500);
    expect(good?.received).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(Date.parse(good?.finished ?? '')).toBeGreaterThanOrEqual(Date.parse(good?.received ?? ''));
    expect(refused).toMatchObject({ tenant: 'one', status: 401, rows: 0 });
  });

  it('never holds a credential', async () => {
    expect(await readFile(path.join(folder, 'calls.ndjson'), 'utf8')).not.toContain('sandbox-');
  });
});

describe('the sandbox', () => {
  it('frees its connections when a client disconnects in the middle of a query', async () => {
    const slow =
      'let n = range x from 1 to 100000 step 1 | extend k = 1; n | join kind=inner n on k | summarize sum(x * x1)';
    for (let n = 0; n < 6; n++) {
      await expect(ask(sandbox, slow, { signal: AbortSignal.timeout(30) })).rejects.toThrow('timeout');
    }
    expect(await rowsOf(sandbox, QUERY)).toEqual([[1]]);
  });

  it('rejects a start time that is not an instant', async () => {
    await expect(startSandbox({ now: 'soon', rows: 1 })).rejects.toThrow('now: "soon" is not an instant.');
  });

  it('rejects a folder without data, and names it', async () => {
    await expect(startSandbox({ data: folder })).rejects.toThrow(
      'The data folder has no file named logs, events or metrics',
    );
  });
});
