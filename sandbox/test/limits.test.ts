import { afterEach, describe, expect, it } from 'vitest';
import { createRateLimit } from '../rate.ts';
import { startSandbox, type Sandbox, type SandboxOptions } from '../sandbox.ts';
import { ask, elements, members, rowsOf } from './support/client.ts';

let sandbox: Sandbox | undefined;
afterEach(async () => sandbox?.close());

async function start(options: SandboxOptions): Promise<Sandbox> {
  sandbox = await startSandbox({ rows: 1000, now: '2026-11-01T00:00:00Z', rate: 0, memory: true, ...options });
  return sandbox;
}

describe('the row cap', () => {
  it('allows an answer of exactly this size, and fails with one row more', async () => {
    const api = await start({ rowCap: 10 });
    expect(await rowsOf(api, 'Events | take 10')).toHaveLength(10);
    expect((await ask(api, 'Events | take 11')).text).toContain('E_QUERY_RESULT_SET_TOO_LARGE');
  });

  it('fails with an error object as the last element of the rows of a 200 by default', async () => {
    const rows = elements(await ask(await start({ rowCap: 10 }), 'Events | take 50'));
    expect(rows).toHaveLength(11);
    expect(rows.at(-1)).toMatchObject({ OneApiErrors: [{ error: { code: 'LimitsExceeded' } }] });
  });

  it('fails with an Exceptions element in the rows of a 200', async () => {
    const rows = elements(await ask(await start({ rowCap: 10, limitMode: 'exceptions' }), 'Events | take 50'));
    expect(rows.at(-1)).toEqual({ Exceptions: [expect.stringContaining('80DA0003')] });
  });

  it('fails with an error next to the rows of a 200', async () => {
    const reply = await ask(await start({ rowCap: 10, limitMode: 'top-level' }), 'Events | take 50');
    expect(reply.status).toBe(200);
    expect(members(reply)).toMatchObject({
      rows: { length: 10 },
      error: { message: expect.stringContaining('E_QUERY_RESULT_SET_TOO_LARGE') },
    });
  });

  it('fails with a 400', async () => {
    const reply = await ask(await start({ rowCap: 10, limitMode: 'error-400' }), 'Events | take 50');
    expect(reply.status).toBe(400);
    expect(members(reply)['detail']).toContain('E_QUERY_RESULT_SET_TOO_LARGE');
  });

  it('ends the rows without any error in silent mode', async () => {
    const reply = await ask(await start({ rowCap: 10, limitMode: 'silent' }), 'Events | take 50');
    expect(Object.keys(members(reply))).toEqual(['rows']);
    expect(members(reply)['rows']).toHaveLength(10);
  });

  it('counts the rows of the answer, not those that the query reads', async () => {
    expect(await rowsOf(await start({ rowCap: 10 }), 'Events | count')).toEqual([[850]]);
  });
});

describe('the byte cap', () => {
  it('fails an answer whose rows are larger, regardless of their number', async () => {
    const api = await start({ byteCap: 1000 });
    expect((await ask(api, `print strrep('x', 900)`)).status).toBe(200);
    const reply = await ask(api, `print strrep('x', 1001)`);
    expect(reply.text).toContain('E_QUERY_RESULT_SET_TOO_LARGE');
    expect(reply.text).toContain('data size');
  });

  it('keeps the rows that fit in silent mode', async () => {
    const api = await start({ byteCap: 100, limitMode: 'silent' });
    const rows = await rowsOf(api, `range i from 1 to 100 step 1 | project i, t = 'xxxxxxxx'`);
    expect(rows).toHaveLength(6);
    expect(Buffer.byteLength(JSON.stringify(rows)) - 2).toBeLessThanOrEqual(100);
  });
});

describe('the time limit', () => {
  it('stops a query with a 504, and the next query is answered', async () => {
    const api = await start({ queryTimeoutMs: 100 });
    const slow =
      'let n = range x from 1 to 100000 step 1 | extend k = 1; n | join kind=inner n on k | summarize sum(x * x1)';
    expect((await ask(api, slow)).status).toBe(504);
    expect(await rowsOf(api, 'print 1')).toEqual([[1]]);
  });
});

describe('the rate limit', () => {
  it('admits a number of calls in any sliding minute, and says when the next one is allowed', () => {
    let now = 0;
    const limit = createRateLimit(3, () => now);
    const at = (time: number): number | undefined => {
      now = time;
      return limit.admit('t');
    };
    expect([at(0), at(10_000), at(20_000)]).toEqual([undefined, undefined, undefined]);
    expect(at(30_000)).toBe(30_000);
    expect(at(59_999)).toBe(1);
    expect(at(60_000)).toBeUndefined();
    expect(at(60_001)).toBe(9_999);
  });

  it('does not count a rejected call', () => {
    const limit = createRateLimit(1, () => 0);
    limit.admit('t');
    expect([limit.admit('t'), limit.admit('t')]).toEqual([60_000, 60_000]);
  });

  it('applies to each tenant, and 0 means no limit', () => {
    const limit = createRateLimit(1, () => 0);
    expect([limit.admit('a'), limit.admit('b')]).toEqual([undefined, undefined]);
    const none = createRateLimit(0, () => 0);
    expect(Array.from({ length: 100 }, () => none.admit('a')).every((wait) => wait === undefined)).toBe(true);
  });

  it('is 60 by default, and the 61st call gets a 429 with the seconds to wait', async () => {
    const api = await start({ rate: undefined });
    for (let n = 0; n < 60; n++) expect((await ask(api, 'print 1')).status).toBe(200);
    const reply = await ask(api, 'print 1');
    expect(reply.status).toBe(429);
    const seconds = Number(reply.headers.get('retry-after'));
    expect(seconds).toBeGreaterThan(30);
    expect(seconds).toBeLessThanOrEqual(60);
  });

  it('does not count calls without access', async () => {
    const api = await start({ rate: 1 });
    for (let n = 0; n < 3; n++) expect((await ask(api, 'print 1', { key: 'wrong' })).status).toBe(401);
    expect((await ask(api, 'print 1')).status).toBe(200);
  });

  it('gives the time to wait as a date, or not at all', async () => {
    const dated = await start({ rate: 1, retryAfter: 'date' });
    await ask(dated, 'print 1');
    const when = Date.parse((await ask(dated, 'print 1')).headers.get('retry-after') ?? '');
    expect(when).toBeGreaterThan(Date.now() + 30_000);
    await dated.close();
    const silent = await start({ rate: 1, retryAfter: 'none' });
    await ask(silent, 'print 1');
    const refused = await ask(silent, 'print 1');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, null]);
  });
});
