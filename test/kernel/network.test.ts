/** Calls through a proxy on loopback, and the program as a process behind one. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createHttpServer, type Server } from 'node:http';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import { createClient } from '../../src/extract/source/client.ts';
import { openLimiter } from '../../src/extract/source/limiter.ts';
import { EXIT } from '../../src/kernel/errors.ts';
import { openNetwork } from '../../src/kernel/network.ts';
import { hastyClock } from '../extract/support/clock.ts';
import { NAMED } from '../pipeline/support/certificate.ts';
import { buildPackage } from '../support/built.ts';
import { LONG } from '../support/campaign.ts';
import { startTunnel, type Tunnel } from '../support/tunnel.ts';

const portOf = (server: Server): number => z.object({ port: z.number() }).parse(server.address()).port;
async function listen<S extends Server>(server: S): Promise<S> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server;
}

let tunnel: Tunnel;
let sandbox: Sandbox;
const agents = new Set<string | undefined>();

beforeAll(async () => {
  sandbox = await startSandbox({ rows: 60, days: 1, rate: 0, memory: true });
  tunnel = await startTunnel({
    inner: sandbox.url,
    headersOf: (headers) => {
      agents.add(headers['user-agent']);
      return { ...headers, host: 'sandbox' };
    },
    forwards: (request, response) => {
      tunnel.seen.push(`${request.method} ${request.url} ${request.headers['proxy-authorization'] ?? ''}`.trim());
      response.end(`forwarded for ${request.headers['user-agent']}`);
    },
  });
});
beforeEach(() => {
  tunnel.seen = [];
  tunnel.status = 200;
});
afterAll(async () => {
  await tunnel[Symbol.asyncDispose]();
  await sandbox.close();
});

describe('the variables of a proxy', () => {
  const PROXY = 'http://proxy.example:3128';
  const proxyOf = (url: string, env: Record<string, string>) => openNetwork(env).proxyOf(url);

  it.each<[string, Record<string, string>, string | undefined]>([
    ['https://a.example', { HTTPS_PROXY: PROXY }, PROXY],
    ['https://a.example', { https_proxy: PROXY, HTTPS_PROXY: 'http://other.example' }, PROXY],
    ['https://a.example', { HTTPS_PROXY: 'proxy.example:3128' }, PROXY],
    ['https://a.example', { HTTPS_PROXY: 'http://user:secret@proxy.example:3128' }, PROXY],
    ['https://a.example', { HTTPS_PROXY: ' ' }, undefined],
    ['https://a.example', { HTTP_PROXY: PROXY }, undefined],
    ['http://a.example', { HTTP_PROXY: PROXY }, PROXY],
    ['http://127.0.0.1:8080', { HTTP_PROXY: PROXY }, undefined],
    ['http://localhost', { HTTP_PROXY: PROXY }, undefined],
    ['http://[::1]', { HTTP_PROXY: PROXY }, undefined],
  ])('%s with %j goes through %s', (url, env, expected) => {
    expect(proxyOf(url, env)).toBe(expected);
  });

  it.each<[string, string, boolean]>([
    ['a.example', 'https://a.example', true],
    ['example', 'https://a.example', true],
    ['.example', 'https://a.example', true],
    ['*.example', 'https://a.example', true],
    ['A.EXAMPLE', 'https://a.example', true],
    ['b.example, a.example', 'https://a.example', true],
    ['*', 'https://a.example', true],
    ['a.example:443', 'https://a.example', true],
    ['a.example:8443', 'https://a.example', false],
    ['ample', 'https://a.example', false],
    ['10.0.0.0/8', 'https://10.1.2.3', true],
    ['10.0.0.0/8', 'https://11.1.2.3', false],
    ['10.1.2.3', 'https://10.1.2.3:8443', true],
    ['fd00::/8', 'https://[fd00::1]', true],
    ['', 'https://a.example', false],
  ])('NO_PROXY=%s: %s is called directly: %s', (exceptions, url, isDirect) => {
    expect(proxyOf(url, { HTTPS_PROXY: PROXY, NO_PROXY: exceptions }) === undefined).toBe(isDirect);
  });

  it.each(['socks5://user:secret@proxy.example', 'http://:3128', 'http://user:secret@bad host'])(
    'an address that is not one of an HTTP proxy is refused without being shown: %s',
    (value) => {
      const refused = () => proxyOf('https://a.example', { HTTPS_PROXY: value });
      expect(refused).toThrow(/^The variable HTTPS_PROXY does not hold the address of an HTTP proxy\.$/);
    },
  );
});

describe('a server that closes the connection after its answer', () => {
  const body = Buffer.alloc(1_000_000, 'x');
  /** As HTTP/1.1 asks for it, and as a server does that does not say how long its answer is. */
  const answers: Record<string, (socket: Socket) => void> = {
    'with the length of the answer': (socket) =>
      socket.end(Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n`), body])), // oxfmt-ignore
    'without its length': (socket) => socket.end(Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\n\r\n'), body])),
  };

  it.each(Object.entries(answers))('%s: the answer is read whole, however slowly', async (_name, answer) => {
    const server = await listen(createHttpServer((request) => request.resume().once('end', () => answer(request.socket)))); // oxfmt-ignore
    try {
      const { fetch } = openNetwork({});
      // An error outside the call, as Node 24.19's own fetch throws it, fails the run of the tests.
      for (let round = 0; round < 15; round++) {
        const response = await fetch(`http://127.0.0.1:${portOf(server)}/`, { method: 'POST', body: '{}' });
        let bytes = 0;
        for await (const part of chunksOf(response)) {
          bytes += part.length;
          await delay(round % 4);
        }
        expect(bytes).toBe(body.length);
      }
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

async function* chunksOf({ body }: Response): AsyncGenerator<Uint8Array> {
  for (const reader = body?.getReader(); ;) {
    const part = await reader?.read();
    if (part?.value === undefined) return;
    yield part.value;
  }
}

describe('a proxy', () => {
  const through = (at = tunnel.port): Record<string, string> => ({
    HTTPS_PROXY: `http://user:p%40ss@127.0.0.1:${at}`,
    HTTP_PROXY: `http://127.0.0.1:${at}`,
  });

  it('receives plain http as a request, with the name and version of the program', async () => {
    const answer = await openNetwork(through()).fetch('http://hooks.example/x', { method: 'POST', body: '{}' });
    expect(await answer.text()).toMatch(/^forwarded for insights-etl\/\d+\.\d+\.\d+ \(node\/\d/);
    expect(tunnel.seen).toEqual(['POST http://hooks.example/x']);
  });

  it('that refuses or is down is named in the error, without its password', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'insights-proxy-'));
    const failureThrough = async (env: Record<string, string>) => {
      const runtime = { ...hastyClock(), ...openNetwork(env) };
      const limiter = await openLimiter({ callsPerMinute: 0, file: join(folder, 'demo.log'), runtime });
      const settings = { timeoutMs: 5000, stallMs: 5000, attempts: 2, totalMs: 600_000, maxBodyBytes: 1e6, graceMs: 0 };
      const credential = async () => ({ header: 'X-API-KEY', value: 'k' }) as const;
      const baseUrl = 'https://insights.example';
      const client = createClient({ tenant: 'demo', baseUrl, credential, limiter, settings, runtime });
      const error: unknown = await client.ask('q', []).catch((failure: unknown) => failure);
      await limiter.close();
      return error;
    }; // oxfmt-ignore
    try {
      const at = `http://127.0.0.1:${tunnel.port}`;
      tunnel.status = 407;
      expect(await failureThrough(through())).toMatchObject({
        message: `The source gave no usable answer in 2 calls: the proxy ${at} did not connect to https://insights.example (status 407): it requires a user name and password.`,
        where: { address: 'https://insights.example', proxy: at },
      });
      expect(tunnel.seen).toEqual(Array(2).fill('CONNECT insights.example:443 Basic dXNlcjpwQHNz'));
      const closed = await listen(createHttpServer());
      const port = portOf(closed);
      closed.close();
      const down = { message: expect.stringContaining(`the proxy http://127.0.0.1:${port} refused the connection (ECONNREFUSED)`) };
      expect(await failureThrough(through(port))).toMatchObject(down);
      const direct = { message: expect.stringMatching(/https:\/\/insights\.example (?:was not found|could not be looked up) by name/) };
      expect(await failureThrough({ ...through(), NO_PROXY: 'insights.example' })).toMatchObject(direct);
    } finally {
      await rm(folder, { recursive: true });
    }
  }); // oxfmt-ignore

  it('carries a run of the program, which trusts the certificate in NODE_EXTRA_CA_CERTS and no other', LONG, async () => {
    const built = await buildPackage();
    const folder = await mkdtemp(join(tmpdir(), 'insights-proxy-'));
    await writeFile(join(folder, 'ca.pem'), NAMED.cert);
    const run = async (env: Record<string, string>): Promise<{ code: unknown; text: string }> =>
      new Promise((resolve) => {
        const settings = {
          INSIGHTS_BASE_URL: 'https://insights.example',
          INSIGHTS_TENANT: 'demo',
          INSIGHTS_API_KEY: sandbox.keyOf('demo'),
          INSIGHTS_HTTP_ATTEMPTS: '1',
          ...env,
        };
        execFile(process.execPath, [built.cli, 'run', '--table', 'Events'], { cwd: folder, env: settings }, (error, stdout, stderr) =>
          resolve({ code: error?.code ?? 0, text: stdout + stderr }),
        );
      });
    try {
      const untrusted = await run(through());
      expect([untrusted.code, untrusted.text]).toEqual([EXIT.source, expect.stringContaining('NODE_EXTRA_CA_CERTS')]);
      const trusted = await run({ ...through(), NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem') });
      expect([trusted.code, trusted.code === 0 ? '' : trusted.text]).toEqual([EXIT.ok, '']);
      expect(new Set(tunnel.seen)).toEqual(new Set(['CONNECT insights.example:443 Basic dXNlcjpwQHNz']));
      expect([...agents].join()).toMatch(/^insights-etl\/\d+\.\d+\.\d+ \(node\/[\d.]+\)$/);
    } finally {
      await rm(folder, { recursive: true });
    }
  }); // oxfmt-ignore
});
