import { z } from 'zod';
import type { Sandbox } from '../../sandbox.ts';

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** Sends one query like a client; `init` replaces parts of the request. */
export async function ask(
  sandbox: Sandbox,
  query: string,
  init: {
    tenant?: string;
    key?: string | null;
    body?: unknown;
    headers?: Record<string, string>;
    signal?: AbortSignal;
  } = {},
): Promise<Reply> {
  const tenant = init.tenant ?? sandbox.tenants[0] ?? 'demo';
  const key = init.key === undefined ? sandbox.keyOf(tenant) : init.key;
  const response = await fetch(`${sandbox.url}/api/${encodeURIComponent(tenant)}/insights/query`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(key === null ? {} : { 'x-api-key': key }),
      ...init.headers,
    },
    body: typeof init.body === 'string' ? init.body : JSON.stringify(init.body ?? { query }),
    ...(init.signal ? { signal: init.signal } : {}),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

const answer = z.object({ rows: z.array(z.array(z.unknown())) });

/** The rows of a successful answer. Fails if an element is not an array. */
export async function rowsOf(
  sandbox: Sandbox,
  query: string,
  init: Parameters<typeof ask>[2] = {},
): Promise<unknown[][]> {
  const reply = await ask(sandbox, query, init);
  if (reply.status !== 200) throw new Error(`status ${reply.status}: ${reply.text}`);
  return answer.parse(members(reply)).rows;
}

/** The elements of `rows`, which may be anything. */
export function elements(reply: Reply): unknown[] {
  return z.object({ rows: z.array(z.unknown()) }).parse(members(reply)).rows;
}

/** The members of a JSON body. */
export function members(reply: Reply): Record<string, unknown> {
  return z.record(z.string(), z.unknown()).parse(JSON.parse(reply.text));
}
