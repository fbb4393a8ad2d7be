import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createFaults, type FaultRule } from '../faults.ts';
import { startSandbox, type Sandbox } from '../sandbox.ts';
import { ask, elements, members, rowsOf, type Reply } from './support/client.ts';

const PAGE = 'Events | take 20';
let sandbox: Sandbox;
let folder: string;
let file: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'sandbox-test-'));
  file = path.join(folder, 'faults.json');
  sandbox = await startSandbox({
    rows: 1000,
    tenants: ['demo', 'other'],
    now: '2026-11-01T00:00:00Z',
    rate: 0,
    memory: true,
  });
});
afterAll(async () => {
  await sandbox.close();
  await rm(folder, { recursive: true });
});
beforeEach(async () => {
  await sandbox.apply({ action: 'faults', rules: [] });
});

/** Requests a page with a fault, then again without: the fault must be over. */
async function meet(reply: FaultRule['reply'], query = PAGE): Promise<Reply> {
  await sandbox.apply({ action: 'faults', rules: [{ reply }] });
  const met = await ask(sandbox, query);
  expect(await rowsOf(sandbox, PAGE)).toHaveLength(20);
  return met;
}

describe('a rule applies to', () => {
  const reply = { kind: 'status', status: 503 } as const;
  const now = new Date(0);
  const names = (rules: FaultRule[], calls: { tenant?: string; query?: string }[]): boolean[] => {
    const faults = createFaults(rules);
    return calls.map(({ tenant = 't', query = PAGE }) => faults.next({ tenant, query, now }) !== undefined);
  };
  const five = Array.from({ length: 5 }, () => ({}));

  it('the first matching call by default', () => {
    expect(names([{ reply }], five)).toEqual([true, false, false, false, false]);
  });

  it('the next `times` calls, after the first `after` calls', () => {
    expect(names([{ reply, after: 1, times: 2 }], five)).toEqual([false, true, true, false, false]);
  });

  it('all calls when `times` is null', () => {
    expect(names([{ reply, times: null }], five)).toEqual([true, true, true, true, true]);
  });

  it('only calls of its tenant, table, kind and query text', () => {
    expect(names([{ reply, match: { tenant: 'a' } }], [{ tenant: 'b' }, { tenant: 'a' }])).toEqual([false, true]);
    expect(names([{ reply, match: { table: 'Logs' } }], [{}, { query: 'Logs | take 1' }])).toEqual([false, true]);
    expect(names([{ reply, match: { kind: 'summary' } }], [{}, { query: 'Logs | summarize count()' }])).toEqual([
      false,
      true,
    ]);
    expect(names([{ reply, match: { kind: 'other' } }], [{}, { query: 'print now()' }])).toEqual([false, true]);
    expect(names([{ reply, match: { query: 'take 2\\d' } }], [{ query: 'Logs | take 1' }, {}])).toEqual([false, true]);
  });

  it('a share of the calls, the same ones for the same seed', () => {
    const many = Array.from({ length: 400 }, () => ({}));
    const some = (seed: number): boolean[] => names([{ reply, times: null, probability: 0.25, seed }], many);
    expect(some(1)).toEqual(some(1));
    expect(some(1)).not.toEqual(some(2));
    expect(some(1).filter(Boolean).length).toBeGreaterThan(60);
    expect(some(1).filter(Boolean).length).toBeLessThan(140);
  });

  it('calls for which no earlier rule is left', () => {
    const rules: FaultRule[] = [{ reply }, { reply: { kind: 'html' }, times: 2 }];
    const faults = createFaults(rules);
    const met = [1, 2, 3, 4].map(() => faults.next({ tenant: 't', query: PAGE, now })?.name);
    expect(met).toEqual(['status', 'html', 'html', undefined]);
  });

  it.each([
    [{ reply: { kind: 'nonsense' } }, /Invalid input|kind/],
    [{ reply, match: { query: '(' } }, /regular expression/],
    [{ reply, afterwards: 1 }, /afterwards/],
  ])('is rejected when it is %j', async (rule, message) => {
    await writeFile(file, JSON.stringify([rule]));
    await expect(startSandbox({ rows: 1, faults: file })).rejects.toThrow(message);
  });
});

describe('a reply instead of the answer', () => {
  it.each([401, 403, 429, 500, 502, 503, 504])('can be a %i as a problem document', async (status) => {
    const reply = await meet({ kind: 'status', status });
    expect([reply.status, members(reply)['status'], reply.headers.get('retry-after')]).toEqual([status, status, null]);
  });

  it('can give the time to wait, in seconds or as a date', async () => {
    expect((await meet({ kind: 'status', status: 429, retryAfter: 3 })).headers.get('retry-after')).toBe('3');
    const date = (await meet({ kind: 'status', status: 429, retryAfter: 'date' })).headers.get('retry-after') ?? '';
    expect(Date.parse(date)).toBeGreaterThan(Date.now() - 1000);
  });

  it('can be a page of HTML, with an error status or with 200', async () => {
    for (const status of [200, 502]) {
      const reply = await meet({ kind: 'html', status });
      expect([reply.status, reply.headers.get('content-type')]).toEqual([status, 'text/html; charset=UTF-8']);
      expect(reply.text).toMatch(/^<!DOCTYPE html>/);
    }
  });

  it('can be text or nothing', async () => {
    expect((await meet({ kind: 'status', status: 500, body: 'text' })).text).toBe('error');
    expect((await meet({ kind: 'status', status: 500, body: 'empty' })).text).toBe('');
  });

  it('can be the rejection of a function, only for queries that call it', async () => {
    await sandbox.apply({
      action: 'faults',
      rules: [{ reply: { kind: 'refused-function', name: 'hash_md5' }, times: null }],
    });
    const reply = await ask(sandbox, 'Events | summarize max(hash_md5(tostring(eventId)))');
    expect([reply.status, members(reply)['detail']]).toEqual([
      400,
      expect.stringContaining("Unknown function: 'hash_md5'"),
    ]);
    expect(await rowsOf(sandbox, PAGE)).toHaveLength(20);
  });
});

describe('a broken delivery', () => {
  it.each(['before', 'body'] as const)('can be a reset %s the answer', async (at) => {
    await expect(meet({ kind: 'reset', at })).rejects.toThrow(/fetch failed|terminated/);
    expect(sandbox.calls.at(-1)).toMatchObject({ fault: 'reset', status: at === 'before' ? 0 : 200 });
  });

  it.each(['before', 'body'] as const)(
    'can be a stall %s the answer that lasts until the client disconnects',
    async (at) => {
      await sandbox.apply({ action: 'faults', rules: [{ reply: { kind: 'stall', at } }] });
      await expect(ask(sandbox, PAGE, { signal: AbortSignal.timeout(200) })).rejects.toThrow('timeout');
      expect(await rowsOf(sandbox, PAGE)).toHaveLength(20);
      expect(sandbox.calls.some((call) => call.fault === 'stall')).toBe(true);
    },
  );

  it.each(['before', 'body'] as const)('can be a stall %s the answer that ends by itself', async (at) => {
    expect(members(await meet({ kind: 'stall', at, ms: 20 }))['rows']).toHaveLength(20);
  });

  it('can be half a body after its full length was announced', async () => {
    await expect(meet({ kind: 'truncated-body' })).rejects.toThrow('terminated');
  });

  it('can be half a body that ends as if it were complete', async () => {
    const reply = await meet({ kind: 'truncated-body', contentLength: false });
    expect(reply.status).toBe(200);
    expect(() => members(reply)).toThrow('JSON');
  });
});

describe('a wrong answer', () => {
  it('can have fewer rows than there are, without any error', async () => {
    expect(members(await meet({ kind: 'silent-truncation', rows: 7 }))).toEqual({
      rows: expect.objectContaining({ length: 7 }),
    });
  });

  it('can have no rows, without any error', async () => {
    expect(members(await meet({ kind: 'silent-truncation', rows: 0 }))).toEqual({ rows: [] });
  });

  it.each([
    ['one-api-errors', 'OneApiErrors'],
    ['exceptions', 'Exceptions'],
  ] as const)('can hold an error object inside the rows (%s)', async (form, member) => {
    const rows = elements(await meet({ kind: 'error-in-rows', form }));
    expect(rows.at(-1)).toEqual({ [member]: expect.any(Array) });
    expect(JSON.stringify(rows.at(-1))).toContain('80DA0007');
  });

  it.each(['error', 'errors', 'exceptions', 'OneApiErrors'] as const)(
    'can have %s next to the rows',
    async (member) => {
      expect(Object.keys(members(await meet({ kind: 'top-level-error', member })))).toEqual(['rows', member]);
    },
  );

  it.each(['rows', 'bytes'] as const)('can be rejected as too large by %s, in any form', async (by) => {
    expect((await meet({ kind: 'too-large', by })).text).toContain('OneApiErrors');
    const reply = await meet({ kind: 'too-large', by, mode: 'error-400' });
    expect([reply.status, reply.text]).toEqual([400, expect.stringContaining('E_QUERY_RESULT_SET_TOO_LARGE')]);
  });

  it.each([1, -1] as const)('can have rows of a wrong width (%i)', async (width) => {
    const rows = elements(await meet({ kind: 'malformed-rows', width, rows: 2 }));
    expect(rows.map((row) => (Array.isArray(row) ? row.length : undefined))).toEqual([
      6 + width,
      6 + width,
      ...Array.from({ length: 18 }, () => 6),
    ]);
  });

  it('can have rows of another tenant', async () => {
    const reply = await meet({ kind: 'wrong-tenant' }, 'Events | take 5 | project t = tostring(tenantId)');
    expect(members(reply)['rows']).toEqual(Array.from({ length: 5 }, () => ['somebody-else']));
  });

  it('can have every row twice', async () => {
    expect(members(await meet({ kind: 'duplicate-rows' }, 'Events | count'))['rows']).toEqual([[1700]]);
  });
});
