/** Sends the requests of the AWS client with the fetch of this program, which knows the proxies of the environment. */
import { Readable } from 'node:stream';
import type { S3ClientConfig } from '@aws-sdk/client-s3';
import type { Runtime } from '../kernel/runtime.ts';
import { requireSafe } from './send.ts';

type Handler = Extract<NonNullable<S3ClientConfig['requestHandler']>, { readonly metadata?: unknown }>;

/** What the client asks for. */
interface Request {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number | undefined;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** Set by fetch itself, or refused by it. */
const OWN_HEADERS: ReadonlySet<string> = new Set(['host', 'expect', 'content-length', 'connection']);

/** `place`: the mirror, for messages. */
export function fetchHandler(fetch: Runtime['fetch'], place: string): Handler {
  const handler = {
    metadata: { handlerProtocol: 'http/1.1' },
    async handle(request: Request, { abortSignal }: { readonly abortSignal?: unknown } = {}) {
      const headers = Object.entries(request.headers).filter(([name]) => !OWN_HEADERS.has(name.toLowerCase()));
      const url = urlOf(request);
      requireSafe(new URL(url), place);
      const answer = await fetch(url, {
        method: request.method,
        headers,
        body: bodyOf(request),
        redirect: 'manual',
        ...(abortSignal instanceof AbortSignal ? { signal: abortSignal } : {}),
      });
      return {
        response: {
          statusCode: answer.status,
          reason: answer.statusText,
          headers: Object.fromEntries(answer.headers),
          body: answer.body === null ? Readable.from([]) : Readable.fromWeb(answer.body),
        },
      };
    },
    updateHttpClientConfig() {},
    httpHandlerConfigs: () => ({}),
  };
  return handler;
}

function bodyOf({ method, body }: Request): string | Uint8Array<ArrayBuffer> | null {
  if (method === 'GET' || method === 'HEAD') return null;
  return typeof body === 'string' || isBytes(body) ? body : null;
}

function urlOf({ protocol, hostname, port, path, query = {} }: Request): string {
  const spelled = Object.entries(query).flatMap(([name, value]) => {
    const values = Array.isArray(value) ? value : [value];
    return values.map((each) => (each === null ? escaped(name) : `${escaped(name)}=${escaped(each)}`));
  });
  const search = spelled.length === 0 ? '' : `?${spelled.join('&')}`;
  return `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}${search}`;
}

/** As the signature spells it. */
function escaped(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (letter) => `%${letter.codePointAt(0)?.toString(16).toUpperCase()}`,
  );
}

/** The program shares no memory between threads. */
function isBytes(body: unknown): body is Uint8Array<ArrayBuffer> {
  return body instanceof Uint8Array;
}
