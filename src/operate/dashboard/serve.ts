/** Serves the dashboard: GET and HEAD of the files of a site, with ETag, ranges and a strict content security policy. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { ConfigError, errorCode, ShardsError } from '../../kernel/errors.ts';
import { findResource, isImmutable } from './site.ts';
import type { Resource, Site } from './site.ts';

export interface DashboardServer extends AsyncDisposable {
  readonly url: string;
}

/** Also in index.html, for pages that another server delivers. `frame-ancestors` works in the header only. */
const POLICY = [
  `default-src 'none'`,
  `script-src 'self'`,
  `style-src 'self'`,
  `img-src 'self' blob: data:`,
  `connect-src 'self'`,
  `worker-src 'self'`,
  `base-uri 'none'`,
  `form-action 'none'`,
  `frame-ancestors 'none'`,
].join('; ');

const HEADERS = {
  'content-security-policy': POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const;

export interface Place {
  /** @default '127.0.0.1' */
  readonly host?: string;
  /** 0 = any free port. */
  readonly port: number;
  /** The flag or key to change when the port cannot be used. */
  readonly setting: { readonly flag: string } | { readonly key: string };
}

const LOOPBACK = /^(127(\.\d{1,3}){3}|localhost|\[?::1\]?)$/;

/** Listens until disposed. Throws ConfigError if the address cannot be used. */
export async function serveDashboard(
  site: Site,
  { host = '127.0.0.1', port, setting }: Place,
): Promise<DashboardServer> {
  const isPrivate = LOOPBACK.test(host);
  const server = createServer((request, response) => {
    // A page of another site could reach this address under a name of its own (DNS rebinding).
    const asked = (request.headers.host ?? '').replace(/:\d+$/, '');
    if (isPrivate && !LOOPBACK.test(asked)) return refuse(response, 403);
    void answerPage(site, request, response).then((answered) => (answered ? undefined : refuse(response, 404)));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        new ConfigError(`The dashboard cannot listen on ${host}:${port} (${error.code ?? 'error'}).`, {
          hint: `Choose another port with ${'flag' in setting ? setting.flag : `\`${setting.key}\``}. 0 is any free port.`,
          where: setting,
        }),
      );
    });
    server.listen(port, host, resolve);
  });
  const address = server.address();
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${typeof address === 'object' && address ? address.port : port}/`,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Answers a request for a file of the site. False, and no answer, if it is for anything else. */
async function answerPage(site: Site, request: IncomingMessage, response: ServerResponse): Promise<boolean> {
  const [encoded = '/'] = (request.url ?? '/').split('?');
  const path = encoded === '/' ? 'index.html' : encoded.slice(1);
  try {
    const resource = await findResource(site, path);
    if (!resource) return false;
    if (request.method === 'GET' || request.method === 'HEAD') await send(request, response, path, resource);
    else refuse(response, 405);
  } catch (error) {
    if (response.headersSent) response.destroy();
    else if (error instanceof ConfigError || error instanceof ShardsError) refuse(response, 503, `${error.message}\n`);
    // The error may quote a path, so it is not shown.
    else refuse(response, errorCode(error) === 'ENOENT' ? 404 : 500);
  }
  return true;
}

function refuse(response: ServerResponse, status: number, text = `${status}\n`): void {
  response.writeHead(status, { ...HEADERS, 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' });
  response.end(text);
}

async function send(
  { method, headers }: IncomingMessage,
  response: ServerResponse,
  path: string,
  resource: Resource,
): Promise<void> {
  const { size, etag } = await measured(resource);
  const common = {
    ...HEADERS,
    'content-type': resource.type,
    'accept-ranges': 'bytes',
    'cache-control': isImmutable(path) ? 'private, max-age=31536000, immutable' : 'private, no-cache',
    etag,
  };
  if (headers['if-none-match']?.split(/,\s*/).includes(etag) === true) {
    response.writeHead(304, common).end();
    return;
  }
  const isCurrent = headers['if-range'] === undefined || headers['if-range'] === etag;
  const range = isCurrent ? parseRange(headers.range, size) : undefined;
  if (range === 'unsatisfiable') {
    response.writeHead(416, { ...common, 'content-range': `bytes */${size}` }).end();
    return;
  }
  const [start, end] = range ?? [0, size - 1];
  response.writeHead(range ? 206 : 200, {
    ...common,
    'content-length': end - start + 1,
    ...(range ? { 'content-range': `bytes ${start}-${end}/${size}` } : {}),
  });
  if (method === 'HEAD') response.end();
  else if ('text' in resource) response.end(Buffer.from(resource.text).subarray(start, end + 1));
  else if (size === 0) response.end();
  else await pipeline(createReadStream(resource.path, { start, end }), response);
}

async function measured(resource: Resource): Promise<{ size: number; etag: string }> {
  if ('text' in resource) {
    const digest = createHash('sha256').update(resource.text).digest('base64url');
    return { size: Buffer.byteLength(resource.text), etag: `"${digest.slice(0, 27)}"` };
  }
  const { size, mtimeMs, ino } = await stat(resource.path);
  return { size, etag: `"${ino.toString(36)}-${size.toString(36)}-${Math.trunc(mtimeMs).toString(36)}"` };
}

/** First and last byte of a `Range` header. Undefined for what is answered with the whole file: no range, or several. */
function parseRange(header: string | undefined, size: number): [number, number] | 'unsatisfiable' | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === '' && last === '') return undefined;
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  return start > end ? 'unsatisfiable' : [start, end];
}
