import { describe, expect, test } from 'vitest';
import { decide, parseRetryAfter } from '../../../src/extract/source/retry.ts';
import type { Decision, RetryState, Trouble } from '../../../src/extract/source/retry.ts';

const QUERY = 'Events\n| extend h = hash_md5(tolower(eventId))\n| summarize n = count(), x = binary_all_xor(h)';
const first: RetryState = {
  query: QUERY,
  attempt: 1,
  attempts: 8,
  leftMs: 1_800_000,
  random: 0.5,
  toNextMinuteMs: 20_000,
};

function status(code: number, text = '', retryAfterMs?: number): Trouble {
  return { kind: 'status', status: code, text, retryAfterMs };
}

function after(trouble: Trouble, state: Partial<RetryState> = {}): Decision {
  return decide(trouble, { ...first, ...state });
}

describe('retries', () => {
  test.each([408, 425, 499, 500, 502, 503, 507, 520, 524, 525, 530, 598])('after a %i with any body', (code) => {
    expect(after(status(code, '<html>'))).toEqual({ next: 'retry', afterMs: 500, throttled: false });
  });

  test('after a broken connection or body, and after an unknown engine failure', () => {
    expect(after({ kind: 'broken', reason: 'reset' }).next).toBe('retry');
    expect(after({ kind: 'engine', text: '{"error":"something new"}' }).next).toBe('retry');
  });

  test('with back-off that doubles up to a minute, with full jitter', () => {
    const waits = [1, 2, 3, 6, 7].map((attempt) => after(status(503), { attempt, random: 0.999 }));
    expect(waits.map((wait) => wait.next === 'retry' && Math.round(wait.afterMs / 1000))).toEqual([1, 2, 4, 32, 60]);
    expect(after(status(503), { attempt: 7, random: 0 })).toMatchObject({ afterMs: 0 });
  });

  test('after a 429 not before the time that the source names, and all calls of the tenant wait', () => {
    expect(after(status(429, '', 7000))).toEqual({ next: 'retry', afterMs: 7000, throttled: true });
    expect(after(status(429, '', 0), { attempt: 3 })).toEqual({ next: 'retry', afterMs: 2000, throttled: true });
  });

  test('at the next minute after a 429 that names no time', () => {
    expect(after(status(429))).toEqual({ next: 'retry', afterMs: 20_000, throttled: true });
  });

  test('no more often than `attempts` allows, and not beyond the total time', () => {
    expect(after(status(503), { attempt: 8 })).toEqual({ next: 'stop-table', why: 'spent' });
    expect(after(status(503), { leftMs: 100 })).toEqual({ next: 'stop-table', why: 'spent' });
    expect(after(status(503, '', 86_400_000))).toEqual({ next: 'stop-table', why: 'spent' });
  });
});

describe('splits', () => {
  test.each([
    ['a result that is too large', 'E_QUERY_RESULT_SET_TOO_LARGE', 'rows'],
    ['its code', 'code 80DA0003', 'rows'],
    ['its number', 'HRESULT -2133196797', 'rows'],
    ['a data size', 'exceeded the internal data size limit (80DA0003)', 'bytes'],
    ['a runaway query', 'E_RUNAWAY_QUERY (80DA0001)', 'rows'],
  ] as const)('after %s, in a 200 or in a 400', (_, text, by) => {
    expect(after({ kind: 'engine', text })).toEqual({ next: 'split', by });
    expect(after(status(400, `BadRequest_LimitsExceeded: ${text}`))).toEqual({ next: 'split', by });
  });

  test('after a timeout, 504 or 413', () => {
    expect(after({ kind: 'timeout' })).toEqual({ next: 'split', by: 'timeout' });
    expect(after(status(504))).toEqual({ next: 'split', by: 'timeout' });
    expect(after(status(413))).toEqual({ next: 'split', by: 'bytes' });
  });

  test('after one retry, when the engine is low on memory', () => {
    const low: Trouble = { kind: 'engine', text: 'E_LOW_MEMORY_CONDITION (80DA0007)' };
    expect(after(low)).toMatchObject({ next: 'retry', afterMs: 1000 });
    expect(after(low, { attempt: 2 })).toMatchObject({ next: 'split' });
  });
});

describe('gives up', () => {
  test('the tenant, when its key, scope or id is rejected', () => {
    expect(after(status(401))).toEqual({ next: 'stop-tenant', why: 'key' });
    expect(after(status(403))).toEqual({ next: 'stop-tenant', why: 'scope' });
    expect(after(status(404))).toEqual({ next: 'stop-tenant', why: 'tenant' });
  });

  const refused = { next: 'stop-table', why: 'refused' };
  const unusable = { next: 'stop-table', why: 'unusable' };

  test.each([
    "BadRequest_SemanticError: Semantic error: SEM0260: Unknown function: 'binary_all_xor'.",
    'SEM0219: hash_md5() is not supported here',
    'Syntax error: SYN0002: A recognition error occurred in | extend h = hash_md5(tolower(eventId))',
    'Syntax error in the query: | summarize n = count(), x = binary_all_xor(h)',
  ])('the query, when the engine rejects it and names a part of it, in whatever status: %s', (text) => {
    for (const code of [400, 422, 500, 501]) expect(after(status(code, text))).toEqual(refused);
    expect(after({ kind: 'engine', text })).toEqual(refused);
  });

  test.each([
    '',
    'Semantic error',
    'Semantic error: SEM0100',
    "SEM0260: Unknown function: 'another_function'.",
    'BadRequest: the request is invalid',
    'binary_all_xor and hash_md5 are unavailable, said a proxy',
  ])('the table, when a rejection does not name a part of the query: %s', (text) => {
    for (const code of [400, 422]) expect(after(status(code, text))).toEqual(unusable);
    expect(after(status(500, text)).next).toBe('retry');
  });

  test('the table, when the engine calls the request bad in a 200, or the answer cannot be understood', () => {
    expect(after({ kind: 'engine', text: '{"error":{"code":"BadRequest","message":"invalid"}}' })).toEqual(unusable);
    expect(after({ kind: 'engine', text: 'BadRequest_SemanticError' })).toEqual(unusable);
    expect(after({ kind: 'engine', text: 'SYN0002' })).toEqual(unusable);
    expect(after({ kind: 'unexpected', reason: 'no rows' })).toEqual({ next: 'stop-table', why: 'unexpected' });
  });
});

describe('Retry-After', () => {
  const now = Date.parse('2026-03-01T00:00:00Z');
  test.each([
    ['120', 120_000],
    [' 0 ', 0],
    ['Sun, 01 Mar 2026 00:01:30 GMT', 90_000],
    ['Sat, 28 Feb 2026 23:59:00 GMT', 0],
    ['-1', undefined],
    ['1.5', undefined],
    ['soon', undefined],
    ['2026-03-01', undefined],
    [null, undefined],
  ])('%s is read strictly', (value, expected) => {
    expect(parseRetryAfter(value, now)).toBe(expected);
  });
});
