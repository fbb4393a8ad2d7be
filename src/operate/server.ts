/** `/healthz`, `/readyz` and `/metrics` of a process that stays. Numbers and names alone: no row, no key, no query. */
import { createServer, type ServerResponse } from 'node:http';
import { ConfigError } from '../kernel/errors.ts';
import { CONTENT_TYPE } from './exposition.ts';

/** `ok` decides the status code, 200 or 503; `detail` is one line for the person who looks. */
export interface Probe {
  readonly ok: boolean;
  readonly detail: string;
}

export interface Answers {
  /** The process does its work: restart it when it says no. */
  healthy(): Probe;
  /** There is a lake to read. */
  ready(): Promise<Probe>;
  metrics(): Promise<string>;
}

export interface HealthServer extends AsyncDisposable {
  /** The one given, or the one chosen for port 0. */
  readonly port: number;
}

/** Listens until disposed. Throws ConfigError when the address cannot be had. */
export async function startHealthServer(host: string, port: number, answers: Answers): Promise<HealthServer> {
  const server = createServer((request, response) => {
    answer(request.method, request.url ?? '/', response, answers).catch(() => {
      // What went wrong may quote a path or a row: the log of the run tells it, not this page.
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' });
      response.end('error\n');
    });
  });
  server.requestTimeout = 10_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        new ConfigError(`The health address ${host}:${port} cannot be used (${error.code ?? 'error'}).`, {
          hint: 'Choose another `health.port`, or stop the process that has it.',
          where: { key: 'health.port' },
        }),
      );
    });
    server.listen(port, host, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(
  method: string | undefined,
  url: string,
  response: ServerResponse,
  answers: Answers,
): Promise<void> {
  const path = url.split('?')[0];
  const send = (status: number, body: string, type = 'text/plain; charset=utf-8'): void => {
    response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
    response.end(method === 'HEAD' ? '' : body);
  };
  const probe = ({ ok, detail }: Probe): void => send(ok ? 200 : 503, `${ok ? 'ok' : 'not ok'}: ${detail}\n`);
  if (method !== 'GET' && method !== 'HEAD') return send(405, 'only GET\n');
  if (path === '/healthz') return probe(answers.healthy());
  if (path === '/readyz') return probe(await answers.ready());
  if (path === '/metrics') return send(200, await answers.metrics(), CONTENT_TYPE);
  return send(404, '/healthz, /readyz, /metrics\n');
}
