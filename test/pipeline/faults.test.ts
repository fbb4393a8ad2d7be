/**
 * A source that fails for a moment. The run retries, and its lake equals that of an undisturbed run. Faults that do not
 * pass are in `faults-stay.test.ts`, wrong answers in `faults-content.test.ts`.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import type { FaultRule } from '../../sandbox/faults.ts';
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import { CAMPAIGN, caseOfMany } from '../support/campaign.ts';
import { CONTENT } from './support/content.ts';
import { SOURCE, orderFaults, undisturbedContent } from './support/faulty.ts';
import { openWorld, reportOf } from './support/world.ts';

/** Several pages, so that one of them can fail; short timeouts, so that stalls end soon. */
const SETTINGS = { page: { maxRows: 250 }, http: { timeoutSeconds: 1, stallSeconds: 1, maxBodyBytes: 8 << 20 } };

type Reply = FaultRule['reply'];
let sandbox: Sandbox;
let undisturbed: unknown;

beforeAll(async () => {
  sandbox = await startSandbox(SOURCE);
  undisturbed = await undisturbedContent(sandbox);
});
afterAll(() => sandbox.close());
beforeEach(() => order([]));

const order = (rules: FaultRule[]): Promise<void> => orderFaults(sandbox, rules);

/** Answers that are delivered badly or not at all. */
const passing: readonly (readonly [string, Reply])[] = [
  ['429 with Retry-After in seconds', { kind: 'status', status: 429, retryAfter: 1 }],
  ['429 with Retry-After as a date', { kind: 'status', status: 429, retryAfter: 'date' }],
  ['429 with a Retry-After that is neither', { kind: 'status', status: 429, retryAfter: 'nonsense' }],
  ['429 without Retry-After', { kind: 'status', status: 429 }],
  ['408', { kind: 'status', status: 408 }],
  ['500', { kind: 'status', status: 500 }],
  ['a problem document as plain text', { kind: 'status', status: 500, body: 'problem-text' }],
  ['502 as a page of HTML', { kind: 'status', status: 502, body: 'html' }],
  ['503 with text', { kind: 'status', status: 503, body: 'text', retryAfter: 2 }],
  ['504', { kind: 'status', status: 504 }],
  ...[520, 521, 522, 523, 524].map(
    (status) => [`${status} of a proxy`, { kind: 'status', status, body: 'html' }] as const,
  ),
  ['a page of HTML with status 200', { kind: 'html' }],
  ['a reset before the answer', { kind: 'reset', at: 'before' }],
  ['a reset within the headers', { kind: 'reset', at: 'headers' }],
  ['a reset inside the answer', { kind: 'reset', at: 'body' }],
  ['a stall before the answer', { kind: 'stall', at: 'before' }],
  ['a stall inside the answer', { kind: 'stall', at: 'body' }],
  ['a stall that ends', { kind: 'stall', at: 'body', ms: 50 }],
  ['an answer that arrives in drips', { kind: 'drip', bytes: 2000, everyMs: 2 }],
  ['a truncated body with a content length', { kind: 'truncated-body', contentLength: true }],
  ['a truncated body without one', { kind: 'truncated-body', contentLength: false }],
  ['a content length that is too small', { kind: 'wrong-length', by: -10 }],
  ['a content length that is too large', { kind: 'wrong-length', by: 10 }],
  ['gzip', { kind: 'encoding', form: 'gzip' }],
  ['deflate', { kind: 'encoding', form: 'deflate' }],
  ['chunks', { kind: 'encoding', form: 'chunked' }],
  ['gzip in chunks', { kind: 'encoding', form: 'gzip-chunked' }],
  ['a corrupt gzip', { kind: 'encoding', form: 'corrupt-gzip' }],
  ['half a gzip', { kind: 'encoding', form: 'cut-gzip' }],
  ['a body that only says it is gzip', { kind: 'encoding', form: 'not-gzip' }],
  ['a gzip bomb', { kind: 'gzip-bomb', bytes: 100_000_000 }],
  ['an endless answer of rows', { kind: 'endless-body', form: 'rows' }],
  ['an endless text', { kind: 'endless-body', form: 'text' }],
  ['endless blanks', { kind: 'endless-body', form: 'blanks' }],
  ['a cell nested a million levels deep', { kind: 'deep-nesting', at: 'cell' }],
  ['an answer nested a million levels deep', { kind: 'deep-nesting', at: 'answer' }],
  ['a row larger than a body may be', { kind: 'giant-row', bytes: 20_000_000 }],
];

/** A refusal that names a wait, a proxy's page, a broken and a hostile body. */
const REPRESENTATIVES = ['a reset inside the answer'];

describe('a delivery that fails once', () => {
  for (const [index, [name, reply]] of passing.entries()) {
    const options = REPRESENTATIVES.includes(name) ? CAMPAIGN : caseOfMany(index);
    it(`${name}: the run ends verified, and the lake equals that of an undisturbed run`, options, async () => {
      await using world = await openWorld(sandbox);
      const before = sandbox.calls.length;
      // Once for the first comparison, and once for a page in the middle.
      await order([
        { match: { kind: 'summary' }, reply },
        { match: { kind: 'page' }, after: 1, reply },
      ]);
      const report = await world.run({ tables: ['Events'] }, SETTINGS);
      expect(reportOf(report, 'Events')).toMatchObject({ outcome: 'verified', hours: { partial: 0 } });
      expect(report.exitCode).toBe(EXIT.ok);
      expect(await world.sql(CONTENT)).toEqual(undisturbed);
      const calls = sandbox.calls.slice(before);
      expect(calls.filter((call) => call.fault === reply.kind)).toHaveLength(2);
      expect(reportOf(report, 'Events').calls).toBe(calls.length);
    });
  }
});
