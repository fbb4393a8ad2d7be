/** Amazon S3 and everything that speaks its protocol. The client is an optional package, loaded only here. */
import type { Agent } from 'node:https';
import { Readable } from 'node:stream';
import type * as Client from '@aws-sdk/client-s3';
import { contentType } from '../kernel/content-type.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { eachAtOnce } from './each.ts';
import { md5Of, partsOf } from './object-store.ts';
import type { Condition, ListedObject, ObjectHead, ObjectStore, Source } from './object-store.ts';
import { clientMissing, createSend, downloadTo, isNetworkError, requireSafe, valueOf } from './send.ts';
import type { Judged } from './send.ts';

export interface S3Options {
  readonly place: string;
  readonly bucket: string;
  readonly prefix: string;
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  readonly pathStyle: boolean;
  readonly parallel: number;
  /** Largest part of an upload. @default 8 MiB */
  readonly partBytes?: number;
  readonly timeoutMs?: number;
}

export const S3_PACKAGE = ['@aws-sdk/client-s3', '3.1175.0'] as const;

/** The key of the checksum in an object's metadata. */
const SHA256 = 'insightssha256';

export async function openS3(
  { place, bucket, prefix, endpoint, pathStyle, parallel, partBytes, timeoutMs, ...given }: S3Options,
  runtime: Pick<Runtime, 'sleep' | 'random' | 'log' | 'tunnelOf'>,
  signal: AbortSignal,
): Promise<ObjectStore> {
  const sdk = await import('@aws-sdk/client-s3').catch((error: unknown) => {
    throw clientMissing(...S3_PACKAGE, error);
  });
  // Where the environment names no region either, the client would refuse every request. A bucket somewhere else answers with its region.
  const region = given.region ?? (await new sdk.S3Client({}).config.region().catch(() => 'us-east-1'));
  const requestHandler = await tunnelled(endpoint ?? `https://${bucket}.s3.${region}.amazonaws.com`, runtime);
  const client = new sdk.S3Client({
    ...(requestHandler ? { requestHandler } : {}),
    region,
    ...(endpoint === undefined ? {} : { endpoint }),
    forcePathStyle: pathStyle,
    maxAttempts: 1,
    // Content-MD5 is verified by every server of this protocol; the newer checksums are not.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  client.middlewareStack.add(
    (next) => async (args) => {
      const { request } = args;
      if (isAddressed(request)) requireSafe(new URL(`${request.protocol}//${request.hostname}`), place);
      return next(args);
    },
    { step: 'build', name: 'requireSafe' },
  );
  const send = createSend({ place, parallel, runtime, signal, judge, ...(timeoutMs ? { timeoutMs } : {}) });
  const at = (name: string): { readonly Bucket: string; readonly Key: string } => ({
    Bucket: bucket,
    Key: prefix + name,
  });
  const ifs = (condition: Condition | undefined): Pick<Client.PutObjectCommandInput, 'IfMatch' | 'IfNoneMatch'> =>
    condition === undefined ? {} : 'ifMatch' in condition ? { IfMatch: condition.ifMatch } : { IfNoneMatch: '*' };

  async function head(name: string): Promise<ObjectHead | undefined> {
    const answer = await send({
      what: `look at ${name}`,
      send: (abortSignal) => client.send(new sdk.HeadObjectCommand(at(name)), { abortSignal }),
    });
    if (typeof answer === 'string') return undefined;
    const { ContentLength: bytes = 0, ETag: etag = '', Metadata: metadata } = answer.value;
    return { bytes, etag, sha256: metadata?.[SHA256] };
  }

  async function putWhole(name: string, source: Source, condition?: Condition): Promise<string | undefined> {
    const what = `write ${name}`;
    let isRepeated = false;
    const answer = await send({
      what,
      bytes: source.bytes,
      async send(abortSignal) {
        // A server may end the connection instead of reading a body that it refuses, and the answer to an earlier attempt may be lost.
        const found = isRepeated && condition ? await writtenBefore(name, source, abortSignal) : undefined;
        isRepeated = true;
        if (found) return found;
        const body = await source.read(0, source.bytes);
        const command = new sdk.PutObjectCommand({
          ...at(name),
          ...ifs(condition),
          Body: body,
          ContentLength: body.length,
          ContentMD5: md5Of(body).toString('base64'),
          ContentType: contentType(name),
          Metadata: { [SHA256]: source.sha256 },
        });
        return client.send(command, { abortSignal });
      },
    });
    // An object that is to be replaced and is gone.
    if (answer === 'condition' || (answer === 'missing' && condition)) return undefined;
    return valueOf(answer, place, what).ETag ?? '';
  }

  /** The object, if it is what is being written. */
  async function writtenBefore(name: string, { sha256 }: Source, abortSignal: AbortSignal): Promise<{ readonly ETag?: string | undefined } | undefined> {
    try {
      const { ETag, Metadata } = await client.send(new sdk.HeadObjectCommand(at(name)), { abortSignal });
      return Metadata?.[SHA256] === sha256 ? { ETag } : undefined;
    } catch {
      // The write itself reports what is wrong.
      return undefined;
    }
  } // oxfmt-ignore

  async function putParts(name: string, source: Source, condition?: Condition): Promise<string | undefined> {
    const what = `write ${name}`;
    const begun = await send({
      what,
      send: (abortSignal) =>
        client.send(
          new sdk.CreateMultipartUploadCommand({
            ...at(name),
            ContentType: contentType(name),
            Metadata: { [SHA256]: source.sha256 },
          }),
          { abortSignal },
        ),
    });
    const { UploadId } = valueOf(begun, place, what);
    const upload = { ...at(name), UploadId };
    try {
      const Parts: Client.CompletedPart[] = [];
      const parts = [...partsOf(source.bytes, partBytes).entries()];
      await eachAtOnce(parts, parallel, async ([index, { from, length }]) => {
        const part = await send({
          what: `${what}, part ${index + 1}`,
          bytes: length,
          async send(abortSignal) {
            const body = await source.read(from, length);
            const command = new sdk.UploadPartCommand({
              ...upload,
              PartNumber: index + 1,
              Body: body,
              ContentLength: length,
              ContentMD5: md5Of(body).toString('base64'),
            });
            return client.send(command, { abortSignal });
          },
        });
        Parts[index] = { PartNumber: index + 1, ETag: valueOf(part, place, what).ETag };
      });
      const done = await send({
        what,
        send: (abortSignal) =>
          client.send(
            new sdk.CompleteMultipartUploadCommand({ ...upload, ...ifs(condition), MultipartUpload: { Parts } }),
            { abortSignal },
          ),
      });
      if (typeof done === 'object') return done.value.ETag ?? '';
      // An earlier attempt may have completed the upload although its answer was lost.
      const found = done === 'missing' ? await head(name) : undefined;
      if (found?.sha256 === source.sha256) return found.etag;
      if (done === 'condition') await abortUpload(upload);
      return done === 'condition' ? undefined : valueOf(done, place, what);
    } catch (error) {
      await abortUpload(upload);
      throw error;
    }
  }

  /** The first error is the one to report. Also when this machine is asked to stop: parts that stay are paid for. */
  async function abortUpload(upload: Client.AbortMultipartUploadCommandInput): Promise<void> {
    const abortSignal = AbortSignal.timeout(10_000);
    await client.send(new sdk.AbortMultipartUploadCommand(upload), { abortSignal }).catch(() => {});
  }

  async function* unfinishedUploads(): AsyncIterable<Client.MultipartUpload> {
    for (let next: Pick<Client.ListMultipartUploadsCommandInput, 'KeyMarker' | 'UploadIdMarker'> = {}; ;) {
      const what = 'list unfinished uploads';
      const answer = await send({
        what,
        send: (abortSignal) =>
          client.send(new sdk.ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix, ...next }), { abortSignal }), // oxfmt-ignore
      });
      const page = valueOf(answer, place, what);
      yield* page.Uploads ?? [];
      if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return;
      next = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
    }
  }

  return {
    place,
    head,
    put: (name, source, condition) =>
      partsOf(source.bytes, partBytes).length === 1
        ? putWhole(name, source, condition)
        : putParts(name, source, condition),
    async read(name) {
      const answer = await send({
        what: `read ${name}`,
        async send(abortSignal) {
          const { Body: body, ETag: etag = '' } = await client.send(new sdk.GetObjectCommand(at(name)), { abortSignal }); // oxfmt-ignore
          return { content: Buffer.from((await body?.transformToByteArray()) ?? []), etag };
        },
      });
      return typeof answer === 'string' ? undefined : answer.value;
    },
    download: (name, path) =>
      downloadTo(path, name, head, send, async (abortSignal) => {
        const { Body: body } = await client.send(new sdk.GetObjectCommand(at(name)), { abortSignal });
        return body instanceof Readable ? body : undefined;
      }),
    async *list(below) {
      for (let ContinuationToken: string | undefined; ;) {
        const what = `list ${below === '' ? 'the mirror' : below}`;
        const answer = await send({
          what,
          send: (abortSignal) =>
            client.send(
              new sdk.ListObjectsV2Command({ Bucket: bucket, Prefix: prefix + below, ContinuationToken }),
              { abortSignal },
            ),
        }); // oxfmt-ignore
        const page = valueOf(answer, place, what);
        for (const { Key: key = '', Size: bytes = 0 } of page.Contents ?? [])
          yield { name: key.slice(prefix.length), bytes } satisfies ListedObject;
        ContinuationToken = page.NextContinuationToken;
        if (page.IsTruncated !== true || ContinuationToken === undefined) return;
      }
    },
    async delete(name) {
      await send({
        what: `delete ${name}`,
        send: (abortSignal) => client.send(new sdk.DeleteObjectCommand(at(name)), { abortSignal }),
      });
    },
    async abortUploads(before) {
      for await (const { Key, UploadId, Initiated } of unfinishedUploads()) {
        if (before !== 'any' && !(Initiated && Initiated.getTime() < before)) continue;
        await send({
          what: `abort an upload of ${Key?.slice(prefix.length) ?? ''}`,
          send: (abortSignal) =>
            client.send(new sdk.AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId }), { abortSignal }),
        });
      }
    },
  };
}

/** The client does not look at HTTPS_PROXY itself. Undefined: no proxy is meant for this address. */
async function tunnelled(url: string, { tunnelOf }: Pick<Runtime, 'tunnelOf'>): Promise<{ readonly httpsAgent: Agent } | undefined> {
  const proxy = tunnelOf?.(url);
  if (proxy === undefined) return undefined;
  const { HttpsProxyAgent } = await import('https-proxy-agent');
  return { httpsAgent: new HttpsProxyAgent(proxy, { keepAlive: true }) };
} // oxfmt-ignore

function isAddressed(request: unknown): request is { readonly protocol: string; readonly hostname: string } {
  return typeof request === 'object' && request !== null && 'protocol' in request && 'hostname' in request;
}

interface S3Failure {
  readonly name?: string;
  readonly Code?: string;
  readonly Region?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

const CREDENTIALS =
  /^(CredentialsProviderError|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|TokenRefreshRequired|ExpiredTokenException)$/;

/** What an error of the client means. Exported for its table of tests. */
export function judge(error: unknown): Judged {
  if (isNetworkError(error)) return { kind: 'retry', code: 'no connection' };
  if (!(error instanceof Error)) return { kind: 'unexpected', code: typeof error };
  const { name = 'error', $metadata, $response, Region } = error as S3Failure;
  const status = $metadata?.httpStatusCode;
  const region = $response?.headers?.['x-amz-bucket-region'] ?? Region;
  return { kind: kindOf(name, status), code: name, status, ...(region === undefined ? {} : { region }) };
}

function kindOf(code: string, status = 0): Judged['kind'] {
  if (CREDENTIALS.test(code)) return 'credentials';
  if (code === 'RequestTimeTooSkewed') return 'clock';
  if (code === 'NoSuchBucket') return 'bucket';
  if (/^(PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraintException)$/.test(code) || (status >= 301 && status <= 308)) return 'region'; // oxfmt-ignore
  // 409: another request wrote the object at the same time.
  if (/^(SlowDown|InternalError|RequestTimeout|BadDigest|ConditionalRequestConflict|OperationAborted|IncompleteBody)$/.test(code)) return 'retry'; // oxfmt-ignore
  if (status >= 500 || status === 429 || status === 408) return 'retry';
  if (code === 'PreconditionFailed' || status === 412) return 'condition';
  if (status === 404) return 'missing';
  if (status === 403 || status === 401) return 'denied';
  // The proxy wants another name or password.
  if (status === 407) return 'unavailable';
  return 'unexpected';
} // oxfmt-ignore
