/** A proxy between the program and a third-party server. It injects the faults of a network and of a busy server. */
import { once } from 'node:events';
import { createServer, request as send } from 'node:http';
import { portOf, type Fault } from './fake-s3.ts';

export interface Proxy extends AsyncDisposable {
  readonly url: string;
  /** Requests that change something. */
  writes: number;
  slowMs: number;
  fault: (request: { readonly method: string; readonly nth: number; readonly isWrite: boolean }) => Fault | undefined;
}

export async function startProxy(target: string): Promise<Proxy> {
  const { hostname, port } = new URL(target);
  let nth = 0;
  const server = createServer((request, response) => {
    const method = request.method ?? '';
    const isWrite = method !== 'GET' && method !== 'HEAD';
    if (isWrite) proxy.writes++;
    const fault = proxy.fault({ method, nth: ++nth, isWrite });
    if (fault === 'drop') {
      request.socket.destroy();
      return;
    }
    if (typeof fault === 'object') {
      request.resume();
      response.writeHead(fault.status, { 'content-type': 'application/xml', 'x-ms-error-code': fault.code, ...fault.headers }); // oxfmt-ignore
      response.end(method === 'HEAD' ? undefined : `<?xml version="1.0"?><Error><Code>${fault.code}</Code></Error>`); // oxfmt-ignore
      return;
    }
    setTimeout(() => {
      const { url = '', headers } = request;
      const forward = send({ hostname, port, method, path: url, headers, agent: false }, (answer) => {
        if (fault === 'lost') {
          request.socket.destroy();
          return;
        }
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      forward.on('error', () => request.socket.destroy());
      request.pipe(forward);
    }, proxy.slowMs);
  });
  const proxy: Proxy = {
    url: '',
    writes: 0,
    slowMs: 0,
    fault: () => undefined,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(proxy, { url: `http://127.0.0.1:${portOf(server)}` });
}
