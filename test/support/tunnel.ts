/** A host that is reached only through the proxy of a company network: a server with a certificate, and a proxy that tunnels to it. */
import { once } from 'node:events';
import { createServer as createHttpServer, request as httpRequest } from 'node:http';
import type { IncomingHttpHeaders, RequestListener, Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { z } from 'zod';
import { NAMED } from '../pipeline/support/certificate.ts';

export interface Tunnel extends AsyncDisposable {
  /** Port of the proxy on loopback. */
  readonly port: number;
  /** What the proxy was asked to connect to, with the credentials that it was given. */
  seen: string[];
  /** Answer to a request for a tunnel. 200 opens one. */
  status: number;
}

interface TunnelOptions {
  /** Where the host passes requests on to, decrypted. */
  readonly inner: string;
  /** Headers of a request as it is passed on. @default as they came */
  readonly headersOf?: (headers: IncomingHttpHeaders) => IncomingHttpHeaders;
  /** Answers requests that ask the proxy to forward them, not to tunnel. */
  readonly forwards?: RequestListener;
}

export async function startTunnel({ inner, headersOf = (same) => same, forwards }: TunnelOptions): Promise<Tunnel> {
  const sockets = new Set<Duplex>();
  const host = createHttpsServer(NAMED, (request, response) => {
    const { method, url = '/', headers } = request;
    const passedOn = httpRequest(new URL(url, inner), { method, headers: headersOf(headers) });
    passedOn.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    request.pipe(passedOn);
  });
  const proxy = createHttpServer(forwards);
  const servers = [host, proxy];
  for (const server of servers) await once(server.listen(0, '127.0.0.1'), 'listening');
  const tunnel: Tunnel = {
    port: portOf(proxy),
    seen: [],
    status: 200,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      for (const server of servers) {
        server.closeAllConnections();
        server.close();
      }
    },
  };
  proxy.on('connect', (request, socket: Duplex) => {
    tunnel.seen.push(`CONNECT ${request.url} ${request.headers['proxy-authorization'] ?? ''}`.trim());
    sockets.add(socket);
    if (tunnel.status !== 200) return socket.end(`HTTP/1.1 ${tunnel.status} No\r\n\r\n`);
    const upstream = connect(portOf(host), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    for (const end of [socket, upstream]) end.on('error', () => end.destroy());
    return undefined;
  });
  return tunnel;
}

function portOf(server: Server): number {
  return z.object({ port: z.number() }).parse(server.address()).port;
}
