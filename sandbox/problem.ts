import { STATUS_CODES } from 'node:http';

/** A complete answer, ready to be sent. */
export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: Buffer;
  /** Rows in it, for the record of calls. */
  readonly rows: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Bytes that are generated while they are sent, instead of `body`. */
  readonly stream?: () => Iterable<Buffer> | AsyncIterable<Buffer>;
}

/** An RFC 7807 body, as the service documents it for its other endpoints; validation adds `errors` by field. */
export function problem(
  status: number,
  detail: string,
  extra: { errors?: Readonly<Record<string, readonly string[]>>; headers?: Readonly<Record<string, string>> } = {},
): Answer {
  const body = {
    type: `https://httpstatuses.io/${status}`,
    title: extra.errors ? 'One or more validation errors occurred.' : (STATUS_CODES[status] ?? 'Error'),
    status,
    detail,
    instance: null,
    ...(extra.errors ? { errors: extra.errors } : {}),
  };
  return {
    status,
    contentType: 'application/problem+json; charset=utf-8',
    body: Buffer.from(JSON.stringify(body)),
    rows: 0,
    ...(extra.headers ? { headers: extra.headers } : {}),
  };
}
