/** Every HTTP status, and what the client does about it when a real server answers with it. */
import { describe, expect, test } from 'vitest';
import { createClient } from '../../../src/extract/source/client.ts';
import { meaningOf } from '../../../src/extract/source/statuses.ts';
import type { StatusMeaning } from '../../../src/extract/source/statuses.ts';
import { InsightsError, SourceError } from '../../../src/kernel/errors.ts';
import { hastyClock } from '../support/clock.ts';
import { CLIENT_SETTINGS, unlimited } from '../support/limits.ts';
import { testServers } from '../support/server.ts';

/** The statuses that differ from the others of their class. */
const SPECIAL: Readonly<Record<number, StatusMeaning>> = {
  200: 'answer',
  201: 'answer',
  203: 'answer',
  401: 'key',
  403: 'scope',
  404: 'tenant',
  408: 'retry',
  413: 'oversized',
  421: 'retry',
  425: 'retry',
  429: 'throttled',
  499: 'retry',
  501: 'failure',
  504: 'timeout',
  505: 'failure',
  506: 'failure',
  508: 'failure',
  510: 'failure',
  511: 'failure',
};

const ALL = Array.from({ length: 500 }, (_, k) => 100 + k);

function expected(status: number): StatusMeaning {
  return SPECIAL[status] ?? (status >= 500 ? 'retry' : 'failure');
}

describe('the meaning of a status', () => {
  test('is known for each of 100 to 599, and a failure for any other', () => {
    expect(ALL.map((status) => [status, meaningOf(status)])).toEqual(ALL.map((status) => [status, expected(status)]));
    for (const status of [0, 99, 600, 999]) expect(meaningOf(status)).toBe('failure');
  });

  test.each([520, 521, 522, 523, 524, 525, 526, 527, 528, 529, 530])("Cloudflare's %i is retried", (status) => {
    expect(meaningOf(status)).toBe('retry');
  });
});

/** What a caller of the client sees, and the calls that the server received. */
const OUTCOMES: Readonly<Record<StatusMeaning, readonly [outcome: string, calls: number]>> = {
  answer: ['rows', 1],
  key: ['auth', 1],
  scope: ['auth', 1],
  tenant: ['auth', 1],
  oversized: ['too-large', 1],
  timeout: ['too-large', 1],
  throttled: ['source spent', 2],
  retry: ['source spent', 2],
  failure: ['source unusable', 1],
};

describe('a server that always answers with a status', () => {
  const serve = testServers();

  async function outcomeOf(status: number): Promise<readonly [string, number]> {
    const server = await serve((_, response) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end('{"rows":[["1"]]}');
    });
    const client = createClient({
      tenant: 'demo',
      baseUrl: server.baseUrl,
      credential: async () => ({ header: 'X-API-KEY', value: 'key' }),
      limiter: unlimited(),
      settings: { ...CLIENT_SETTINGS, attempts: 2 },
      runtime: hastyClock(),
    });
    try {
      return [(await client.ask('print hash_md5("a")', ['a'])).kind, server.calls.length];
    } catch (error) {
      if (!(error instanceof InsightsError)) throw error;
      return [error instanceof SourceError ? `source ${error.reason}` : error.failure, server.calls.length];
    } finally {
      await server.close();
    }
  }

  const special = [...Object.keys(SPECIAL).map(Number), 520, 522, 525, 530, 598, 599, 507];
  const odd = [202, 204, 205, 206, 226, 300, 301, 302, 304, 307, 308, 400, 402, 405, 409, 410, 415, 422, 451];
  test.each([...special, ...odd])('%i', async (status) => {
    const [outcome, calls] = OUTCOMES[expected(status)];
    // Node's fetch itself sends a request once more after a 421, on another connection.
    expect(await outcomeOf(status)).toEqual([outcome, status === 421 ? calls * 2 : calls]);
  });
});
