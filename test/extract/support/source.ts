import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import pLimit from 'p-limit';
import { afterAll } from 'vitest';
import { createClient } from '../../../src/extract/source/client.ts';
import type { Client, ClientSettings } from '../../../src/extract/source/client.ts';
import type { FetchOptions } from '../../../src/extract/fetch/fetch.ts';
import { EMPTY, combine } from '../../../src/model/fingerprint.ts';
import type { Fingerprint } from '../../../src/model/fingerprint.ts';
import type { LandedPage } from '../../../src/model/page.ts';
import { startSandbox } from '../../../sandbox/sandbox.ts';
import type { Sandbox, SandboxOptions } from '../../../sandbox/sandbox.ts';
import { hastyClock } from './clock.ts';
import { CLIENT_SETTINGS, unlimited } from './limits.ts';

export const NOW = '2026-03-20T10:30:00Z';

export interface Source {
  readonly sandbox: Sandbox;
  readonly client: Client;
  /** Calls that the sandbox has received so far. */
  calls(): number;
  options(more?: Partial<FetchOptions>): FetchOptions;
}

/** Returns a function that starts a sandbox with a client. All of them are closed after the tests of the file. */
export function sources(): (options: SandboxOptions, settings?: Partial<ClientSettings>) => Promise<Source> {
  const started: Sandbox[] = [];
  afterAll(async () => {
    for (const sandbox of started) await sandbox.close();
  });
  return async (options, settings = {}) => {
    const sandbox = await startSandbox({ now: NOW, rate: 0, memory: true, ...options });
    started.push(sandbox);
    const client = createClient({
      tenant: 'demo',
      baseUrl: sandbox.url,
      credential: async () => ({ header: 'X-API-KEY', value: sandbox.keyOf('demo') }),
      limiter: unlimited(),
      settings: { ...CLIENT_SETTINGS, ...settings },
      runtime: hastyClock(),
    });
    return {
      sandbox,
      client,
      calls: () => sandbox.calls.length,
      options: (more = {}) => ({ client, caps: { rows: 500_000, bytes: 60_000_000 }, limit: pLimit(4), ...more }),
    };
  };
}

/** The fingerprint of one id, as the source and the lake compute it. */
export function fingerprintOf(id: string): Fingerprint {
  const h = createHash('md5').update(id.toLowerCase()).digest('hex');
  const part = (from: number, length: number): bigint => BigInt(`0x${h.slice(from, from + length)}`);
  return { rows: 1n, sum0: part(0, 8), sum1: part(8, 8), xor: part(16, 15), content: undefined };
}

/** The fingerprint of the rows in landed files, from the ids in their first cells. */
export async function landedFingerprint(pages: readonly LandedPage[]): Promise<Fingerprint> {
  let sum = EMPTY;
  for (const page of pages) {
    let rows = 0;
    for await (const line of createInterface({ input: createReadStream(page.file) })) {
      if (line.startsWith('#')) continue;
      const [id]: readonly unknown[] = JSON.parse(line);
      sum = combine(sum, fingerprintOf(typeof id === 'string' ? id : ''));
      rows++;
    }
    if (rows !== page.rows) throw new Error(`${page.page.id} says ${page.rows} rows and holds ${rows}`);
  }
  return sum;
}
