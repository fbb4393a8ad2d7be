/** Serves `/healthz`, `/readyz` and `/metrics`. Answers contain numbers and names, never a row, key or query. */
import { createServer, type ServerResponse } from 'node:http';
import { ConfigError } from '../kernel/errors.ts';
import { CONTENT_TYPE } from './exposition.ts';

/** `ok` gives status 200 or 503; `detail` is one line for people. */
export interface Probe {
  readonly ok: boolean;
  readonly detail: string;
}

export interface Answers {
  /** If not ok, the process should be restarted. */
  healthy(): Probe;
  /** Ok if there is a lake to read. */
  ready(): Promise<Probe>;
  metrics(): Promise<string>;
}

export interface HealthServer extends AsyncDisposable {
  /** The given port, or the one chosen for port 0. */
  readonly port: number;
}

/** Listens until disposed. Throws ConfigError if the address cannot be used. */
export async function startHealthServer(host: string, port: number, answers: Answers): Promise<HealthServer> {
  const server = createServer((request, response) => {
    answer(request.method, request.url ?? '/', response, answers).catch(() => {
      // The error may quote a path or a row, so it is not shown.
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' });
      response.end('error\n');
    });
  });
  server.requestTimeout = 10_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        new ConfigError(`The health address ${host}:${port} cannot be used (${error.code ?? 'error'}).`, {
          hint: 'Choose another `health.port`, or stop the process that uses it.',
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
  if (method !== 'GET' && method !== 'HEAD') return send(405, 'only GET is allowed\n');
  if (path === '/healthz') return probe(answers.healthy());
  if (path === '/readyz') return probe(await answers.ready());
  if (path === '/metrics') return send(200, await answers.metrics(), CONTENT_TYPE);
  return send(404, '/healthz, /readyz, /metrics\n');
}
