/**
 * The admin API, on its own loopback port, so that a client under test cannot reach it through the public address.
 * `POST /rows`, `/generate`, `/erase`, `/expire`, `/clock`, `/faults`, `/limits` and `/wire` carry out the action of that
 * name; `GET /calls`, `/counts` and `/clock` read the state. It needs no credential, because it listens only on 127.0.0.1.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { z } from 'zod';
import { SandboxError } from './error.ts';
import type { ActionResult } from './actions.ts';
import type { CallRecord } from './calls.ts';
import type { HourCount } from './store.ts';

export interface AdminService {
  readonly apply: (action: unknown) => Promise<ActionResult>;
  readonly calls: () => readonly CallRecord[];
  readonly counts: () => Promise<HourCount[]>;
  readonly now: () => string;
}

export function createAdminServer(service: AdminService): Server {
  return createServer((request, response) => {
    void handle(service, request, response);
  });
}

async function handle(service: AdminService, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { status, body } = await answer(service, request);
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' });
  response.end(`${JSON.stringify(body)}\n`);
}

async function answer(service: AdminService, request: IncomingMessage): Promise<{ status: number; body: unknown }> {
  try {
    const { pathname, searchParams } = new URL(`http://sandbox${request.url ?? '/'}`);
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString('utf8');
    if (request.method === 'GET') {
      const read = { '/calls': service.calls, '/counts': service.counts, '/clock': () => ({ now: service.now() }) }[
        pathname
      ];
      return read
        ? { status: 200, body: await read() }
        : { status: 404, body: { error: 'Only /calls, /counts and /clock can be read.' } };
    }
    if (request.method !== 'POST') return { status: 405, body: { error: 'Only GET and POST are allowed.' } };
    const action = pathname.slice(1);
    return { status: 200, body: await service.apply({ ...parseAction(action, text, searchParams), action }) };
  } catch (error) {
    if (error instanceof z.ZodError) return { status: 400, body: { error: z.prettifyError(error) } };
    if (error instanceof SandboxError) return { status: 400, body: { error: error.message } };
    if (error instanceof SyntaxError) return { status: 400, body: { error: 'The body is not JSON.' } };
    return { status: 500, body: { error: error instanceof Error ? error.message : 'failed' } };
  }
}

/**
 * The body is the action without its name. `/rows?table=…&tenant=…` takes NDJSON, which keeps every value as written.
 * `/faults` also takes just the list of rules.
 */
function parseAction(action: string, text: string, query: URLSearchParams): Record<string, unknown> {
  if (action === 'rows' && query.has('table')) {
    const rows = text.split('\n').filter((line) => line.trim() !== '');
    return { table: query.get('table'), tenant: query.get('tenant'), rows };
  }
  const json = JSON.parse(text) as unknown;
  if (Array.isArray(json)) return action === 'faults' ? { rules: json } : {};
  return typeof json === 'object' && json !== null ? { ...json } : {};
}
