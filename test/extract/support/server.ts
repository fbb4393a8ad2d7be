import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterEach } from 'vitest';

interface Received {
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly query: string;
  readonly body: string;
}

/** Answers a call. A response that it does not end stays open until the test ends. */
export type Reply = (call: Received, response: ServerResponse, index: number) => void;

export interface TestServer {
  readonly baseUrl: string;
  readonly calls: readonly Received[];
  close(): Promise<void>;
}

/** Returns a function that serves the replies on loopback in order and repeats the last one. Closed after each test. */
export function testServers(): (...replies: readonly Reply[]) => Promise<TestServer> {
  const stop: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of stop.splice(0)) await close();
  });
  return async (...replies) => {
    const calls: Received[] = [];
    const server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const body = Buffer.concat(parts).toString();
        const { query }: { query: string } = JSON.parse(body);
        const call = { url: request.url ?? '', headers: request.headers, query, body };
        const index = calls.push(call) - 1;
        (replies[index] ?? replies.at(-1))?.(call, response, index);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const close = (): Promise<void> =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    stop.push(close);
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('The server has no port.');
    return { baseUrl: `http://127.0.0.1:${address.port}`, calls, close };
  };
}

export function json(body: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Reply {
  return (_, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
}

export function raw(body: string, status: number, headers: Readonly<Record<string, string>> = {}): Reply {
  return (_, response) => {
    response.writeHead(status, headers);
    response.end(body);
  };
}
