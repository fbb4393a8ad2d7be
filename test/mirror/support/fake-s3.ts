/** The part of S3 that the mirror uses, on this machine and in memory: conditions of writes, multipart uploads, checksums, lists by pages. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Server } from 'node:http';
import { buffer } from 'node:stream/consumers';

interface Stored {
  readonly content: Buffer;
  readonly etag: string;
  readonly metadata: Readonly<Record<string, string>>;
}

interface Upload {
  readonly key: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly startedMs: number;
  readonly parts: Map<number, Buffer>;
}

/** What a request gets instead of its answer. `lost`: it is carried out, and the connection ends before the answer. */
export type Fault =
  | { readonly status: number; readonly code: string; readonly headers?: Readonly<Record<string, string>> }
  | 'drop'
  | 'lost'
  | 'hang';

export interface FakeS3 extends AsyncDisposable {
  readonly url: string;
  readonly bucket: string;
  readonly objects: Map<string, Stored>;
  readonly uploads: Map<string, Upload>;
  /** Method and key of each request. */
  readonly requests: string[];
  /** Asked before each request. `nth`: from 1. */
  fault: (request: { readonly method: string; readonly key: string; readonly nth: number }) => Fault | undefined;
  /** Conditions of writes are ignored, as by some servers. */
  ignoresConditions: boolean;
}

export async function startFakeS3(): Promise<FakeS3> {
  const server = createServer((request, response) => {
    void answer(request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = portOf(server);
  let nth = 0;
  const fake: FakeS3 = {
    url: `http://127.0.0.1:${port}`,
    bucket: 'lake',
    objects: new Map(),
    uploads: new Map(),
    requests: [],
    fault: () => undefined,
    ignoresConditions: false,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(request);
    const url = new URL(request.url ?? '', fake.url);
    const [, bucket, ...rest] = url.pathname.split('/');
    const key = decodeURIComponent(rest.join('/'));
    const method = request.method ?? '';
    fake.requests.push(`${method} ${key}`);
    const fault = fake.fault({ method, key, nth: ++nth });
    if (fault === 'hang') return;
    if (fault === 'drop') return void response.destroy();
    if (typeof fault === 'object') return refuse(response, fault.status, fault.code, method, fault.headers);
    if (fault === 'lost') response.end = () => response.destroy();
    if (bucket !== fake.bucket) return refuse(response, 404, 'NoSuchBucket', method);
    handle({ method, key, query: url.searchParams, headers: request.headers, body, response });
  }

  interface Call {
    readonly method: string;
    readonly key: string;
    readonly query: URLSearchParams;
    readonly headers: IncomingMessage['headers'];
    readonly body: Buffer;
    readonly response: ServerResponse;
  }

  function handle(call: Call): void {
    const { method, key, query, headers, body, response } = call;
    const md5 = headers['content-md5'];
    if (typeof md5 === 'string' && md5 !== createHash('md5').update(body).digest('base64'))
      return refuse(response, 400, 'BadDigest', method);
    if (query.has('uploads') || query.has('uploadId')) return multipart(call);
    if (key === '') return list(query, response);
    if (method === 'PUT') return put(call, body, metadataOf(headers));
    if (method === 'DELETE') {
      fake.objects.delete(key);
      return void response.writeHead(204).end();
    }
    const found = fake.objects.get(key);
    if (!found) return refuse(response, 404, method === 'HEAD' ? 'NotFound' : 'NoSuchKey', method);
    for (const [name, value] of Object.entries(found.metadata)) response.setHeader(`x-amz-meta-${name}`, value);
    response.writeHead(200, { etag: found.etag, 'content-length': found.content.length });
    response.end(method === 'HEAD' ? undefined : found.content);
  }

  function put({ key, headers, response, method }: Call, content: Buffer, metadata: Stored['metadata']): void {
    const held = fake.objects.get(key);
    const isRefused =
      !fake.ignoresConditions &&
      ((headers['if-none-match'] === '*' && held !== undefined) ||
        (headers['if-match'] !== undefined && headers['if-match'] !== held?.etag));
    if (isRefused && held === undefined) return refuse(response, 404, 'NoSuchKey', method);
    if (isRefused) return refuse(response, 412, 'PreconditionFailed', method);
    const etag = `"${createHash('md5').update(content).digest('hex')}"`;
    fake.objects.set(key, { content, etag, metadata });
    if (method === 'PUT') return void response.writeHead(200, { etag }).end();
    xml(response, `<CompleteMultipartUploadResult><ETag>${etag}</ETag></CompleteMultipartUploadResult>`);
  }

  function multipart(call: Call): void {
    const { method, key, query, headers, body, response } = call;
    const id = query.get('uploadId') ?? '';
    if (method === 'GET') {
      return listUploads(query, response);
    }
    if (method === 'POST' && id === '') {
      const next = `upload-${fake.uploads.size + nth}`;
      fake.uploads.set(next, { key, metadata: metadataOf(headers), startedMs: Date.now(), parts: new Map() });
      return xml(response, `<InitiateMultipartUploadResult><UploadId>${next}</UploadId></InitiateMultipartUploadResult>`); // oxfmt-ignore
    }
    const upload = fake.uploads.get(id);
    if (!upload) return refuse(response, 404, 'NoSuchUpload', method);
    if (method === 'PUT') {
      upload.parts.set(Number(query.get('partNumber')), body);
      return void response.writeHead(200, { etag: `"${createHash('md5').update(body).digest('hex')}"` }).end();
    }
    fake.uploads.delete(id);
    if (method === 'DELETE') return void response.writeHead(204).end();
    const parts = [...upload.parts].toSorted(([a], [b]) => a - b).map(([, part]) => part);
    put(call, Buffer.concat(parts), upload.metadata);
  }

  function listUploads(query: URLSearchParams, response: ServerResponse): void {
    const after = query.get('upload-id-marker') ?? '';
    const uploads = [...fake.uploads].filter(([id, { key }]) => key.startsWith(query.get('prefix') ?? '') && id > after).toSorted(([a], [b]) => (a < b ? -1 : 1)); // oxfmt-ignore
    const page = uploads.slice(0, 3);
    const entries = page.map(([id, { key, startedMs }]) => `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${new Date(startedMs).toISOString()}</Initiated></Upload>`); // oxfmt-ignore
    const [last, { key } = { key: '' }] = page.at(-1) ?? [];
    const next = last !== undefined && uploads.length > page.length ? `<IsTruncated>true</IsTruncated><NextKeyMarker>${key}</NextKeyMarker><NextUploadIdMarker>${last}</NextUploadIdMarker>` : ''; // oxfmt-ignore
    xml(response, `<ListMultipartUploadsResult>${next}${entries.join('')}</ListMultipartUploadsResult>`);
  }

  /** Pages of three, so that every list of a test has several. */
  function list(query: URLSearchParams, response: ServerResponse): void {
    const after = query.get('continuation-token') ?? '';
    const keys = [...fake.objects.keys()].filter((key) => key.startsWith(query.get('prefix') ?? '') && key > after);
    const page = keys.toSorted().slice(0, 3);
    const isCut = keys.length > page.length;
    const contents = page.map((key) => `<Contents><Key>${key}</Key><Size>${fake.objects.get(key)?.content.length ?? 0}</Size></Contents>`); // oxfmt-ignore
    const next = isCut ? `<NextContinuationToken>${page.at(-1) ?? ''}</NextContinuationToken>` : '';
    xml(response, `<ListBucketResult><IsTruncated>${String(isCut)}</IsTruncated>${next}${contents.join('')}</ListBucketResult>`); // oxfmt-ignore
  }

  return fake;
}

function metadataOf(headers: IncomingMessage['headers']): Record<string, string> {
  const own = Object.entries(headers).filter(([name]) => name.startsWith('x-amz-meta-'));
  return Object.fromEntries(own.map(([name, value]) => [name.slice('x-amz-meta-'.length), String(value)]));
}

function xml(response: ServerResponse, text: string): void {
  response.writeHead(200, { 'content-type': 'application/xml' }).end(`<?xml version="1.0"?>${text}`);
}

function refuse(
  response: ServerResponse,
  status: number,
  code: string,
  method: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/xml', date: new Date().toUTCString(), ...headers });
  response.end(method === 'HEAD' ? undefined : `<?xml version="1.0"?><Error><Code>${code}</Code><Message>AKIASECRET</Message></Error>`); // oxfmt-ignore
}

export function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
