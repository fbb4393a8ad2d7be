/** Azure Blob Storage. Its clients are optional packages, loaded only here. */
import type { BlobRequestConditions, BlobServiceClient, StoragePipelineOptions } from '@azure/storage-blob';
import { contentType } from '../kernel/content-type.ts';
import { MirrorError } from '../kernel/errors.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { accountUrl } from './azure-account.ts';
import type { AzureEnvironment } from './azure-account.ts';
import { eachAtOnce } from './each.ts';
import { md5Of, partsOf } from './object-store.ts';
import type { Condition, ObjectHead, ObjectStore } from './object-store.ts';
import { clientMissing, createSend, downloadTo, isNetworkError, requireSafe, valueOf } from './send.ts';
import type { Judged } from './send.ts';

export interface AzureOptions {
  readonly place: string;
  readonly container: string;
  readonly prefix: string;
  /** Of the storage account. */
  readonly endpoint: string | undefined;
  readonly parallel: number;
  readonly environment: AzureEnvironment;
  /** Largest part of an upload. @default 8 MiB */
  readonly partBytes?: number;
  readonly timeoutMs?: number;
}

export const AZURE_PACKAGE = ['@azure/storage-blob', '12.32.0'] as const;
export const AZURE_IDENTITY_PACKAGE = ['@azure/identity', '4.13.1'] as const;

/** The key of the checksum in a blob's metadata. */
const SHA256 = 'insightssha256';

export async function openAzure(
  options: AzureOptions,
  runtime: Pick<Runtime, 'now' | 'sleep' | 'random' | 'log'>,
  signal: AbortSignal,
): Promise<ObjectStore> {
  const { place, prefix, parallel, partBytes, timeoutMs } = options;
  const service = await serviceOf(options);
  requireSafe(new URL(service.url), place);
  const container = service.getContainerClient(options.container);
  const judge = (error: unknown): Judged => judgeAt(error, runtime.now());
  const send = createSend({ place, parallel, runtime, signal, judge, ...(timeoutMs ? { timeoutMs } : {}) });
  const blob = (name: string): ReturnType<typeof container.getBlockBlobClient> =>
    container.getBlockBlobClient(prefix + name);
  const ifs = (condition: Condition | undefined): { conditions?: BlobRequestConditions } => {
    if (condition === undefined) return {};
    return { conditions: 'ifMatch' in condition ? { ifMatch: condition.ifMatch } : { ifNoneMatch: '*' } };
  };

  async function head(name: string): Promise<ObjectHead | undefined> {
    const answer = await send({
      what: `look at ${name}`,
      send: (abortSignal) => blob(name).getProperties({ abortSignal }),
    });
    if (typeof answer === 'string') return undefined;
    const { contentLength: bytes = 0, etag = '', metadata } = answer.value;
    return { bytes, etag, sha256: metadata?.[SHA256] };
  }

  /** Also of blobs of which only blocks were sent. */
  async function allNames(): Promise<string[]> {
    const what = 'list unfinished uploads';
    const answer = await send({
      what,
      async send(abortSignal) {
        const names: string[] = [];
        for await (const { name } of container.listBlobsFlat({ prefix, includeUncommitedBlobs: true, abortSignal }))
          names.push(name.slice(prefix.length));
        return names;
      },
    });
    return valueOf(answer, place, what);
  }

  /** Blocks of an upload that was not finished are dropped when a list of blocks is committed. */
  async function dropBlocks(name: string): Promise<void> {
    const what = `drop unfinished blocks of ${name}`;
    await send({
      what,
      async send(abortSignal) {
        const { uncommittedBlocks = [], committedBlocks = [] } = await blob(name).getBlockList('all', { abortSignal });
        if (uncommittedBlocks.length === 0) return;
        const found = await blob(name)
          .getProperties({ abortSignal })
          .catch((error: unknown) => {
            if (judge(error).kind === 'missing') return undefined;
            throw error;
          });
        if (found === undefined) {
          await blob(name).commitBlockList([], { abortSignal, conditions: { ifNoneMatch: '*' } });
          await blob(name).delete({ abortSignal });
          return;
        }
        const { etag = '', metadata = {}, contentType: blobContentType = '' } = found;
        await blob(name).commitBlockList(
          committedBlocks.map((block) => block.name),
          {
            abortSignal,
            conditions: { ifMatch: etag },
            metadata,
            blobHTTPHeaders: { blobContentType },
          },
        );
      },
    });
  }

  return {
    place,
    head,
    async put(name, source, condition) {
      const what = `write ${name}`;
      const parts = partsOf(source.bytes, partBytes);
      // Blocks that are never listed in a blob are removed by the store. Their ids must be equally long.
      const ids = parts.map((_, index) => Buffer.from(`${source.sha256.slice(0, 16)}-${String(index).padStart(6, '0')}`).toString('base64')); // oxfmt-ignore
      await eachAtOnce(source.bytes === 0 ? [] : [...parts.entries()], parallel, async ([index, { from, length }]) => {
        const part = `${what}, part ${index + 1}`;
        const answer = await send({
          what: part,
          bytes: length,
          async send(abortSignal) {
            const body = await source.read(from, length);
            await blob(name).stageBlock(ids[index] ?? '', body, length, {
              abortSignal,
              transactionalContentMD5: md5Of(body),
            });
          },
        });
        valueOf(answer, place, part);
      });
      const answer = await send({
        what,
        send: (abortSignal) =>
          blob(name).commitBlockList(source.bytes === 0 ? [] : ids, {
            abortSignal,
            ...ifs(condition),
            blobHTTPHeaders: { blobContentType: contentType(name) },
            metadata: { [SHA256]: source.sha256 },
          }),
      });
      return answer === 'condition' ? undefined : (valueOf(answer, place, what).etag ?? '');
    },
    async read(name) {
      const answer = await send({
        what: `read ${name}`,
        async send(abortSignal) {
          const { readableStreamBody: body, etag = '' } = await blob(name).download(0, undefined, { abortSignal });
          const chunks: Buffer[] = [];
          for await (const chunk of body ?? []) chunks.push(Buffer.from(chunk));
          return { content: Buffer.concat(chunks), etag };
        },
      });
      return typeof answer === 'string' ? undefined : answer.value;
    },
    download: (name, path) =>
      downloadTo(path, name, head, send, async (abortSignal) => {
        const { readableStreamBody } = await blob(name).download(0, undefined, { abortSignal });
        return readableStreamBody;
      }),
    async *list(below) {
      for (let continuationToken: string | undefined; ;) {
        const what = `list ${below === '' ? 'the mirror' : below}`;
        const answer = await send({
          what,
          send: async (abortSignal) => {
            const pages = container.listBlobsFlat({ prefix: prefix + below, abortSignal });
            return pages.byPage({ maxPageSize: 5000, ...(continuationToken ? { continuationToken } : {}) }).next();
          },
        });
        const { value: page } = valueOf(answer, place, what);
        for (const { name, properties } of page?.segment?.blobItems ?? [])
          yield { name: name.slice(prefix.length), bytes: properties.contentLength ?? 0 };
        continuationToken = page?.continuationToken;
        if (!continuationToken) return;
      }
    },
    async delete(name) {
      await send({ what: `delete ${name}`, send: (abortSignal) => blob(name).delete({ abortSignal }) });
    },
    async abortUploads(before) {
      // The store itself removes blocks of unfinished uploads after a week, and does not say when they were sent.
      if (before !== 'any') return;
      await eachAtOnce(await allNames(), parallel, dropBlocks);
    },
  };
}

async function serviceOf({ place, endpoint, environment }: AzureOptions): Promise<BlobServiceClient> {
  const sdk = await import('@azure/storage-blob').catch((error: unknown) => {
    throw clientMissing(...AZURE_PACKAGE, error);
  });
  const { connection, account, key } = environment;
  const url = accountUrl(endpoint, environment);
  const pipelineOptions: StoragePipelineOptions = { retryOptions: { maxTries: 1 } };
  if (connection !== undefined) {
    requireSameHost(place, endpoint, url);
    try {
      return sdk.BlobServiceClient.fromConnectionString(connection, pipelineOptions);
    } catch {
      // The error of the client quotes the text, which has the key.
      throw new MirrorError('AZURE_STORAGE_CONNECTION_STRING is not a connection string.', {
        reason: 'credentials',
        hint: 'Copy it from the access keys of the storage account.',
        where: { mirror: place },
      });
    }
  }
  if (url === undefined)
    throw new MirrorError(`The mirror ${place} does not say which storage account it is in.`, {
      reason: 'credentials',
      hint: 'Set `mirror.endpoint: https://<account>.blob.core.windows.net`, or AZURE_STORAGE_ACCOUNT, or AZURE_STORAGE_CONNECTION_STRING.',
      where: { mirror: place },
    });
  if (account !== undefined && key !== undefined)
    return new sdk.BlobServiceClient(url, new sdk.StorageSharedKeyCredential(account, key), pipelineOptions);
  const identity = await import('@azure/identity').catch((error: unknown) => {
    throw clientMissing(...AZURE_IDENTITY_PACKAGE, error);
  });
  return new sdk.BlobServiceClient(url, new identity.DefaultAzureCredential(), pipelineOptions);
}

/** The connection string goes first: without this, a push to the account of the endpoint would end well in another one. */
function requireSameHost(mirror: string, endpoint: string | undefined, connected: string | undefined): void {
  if (endpoint === undefined || connected === undefined || !URL.canParse(connected)) return;
  const [wanted, host] = [new URL(endpoint).host, new URL(connected).host];
  if (wanted === host) return;
  throw new MirrorError('AZURE_STORAGE_CONNECTION_STRING is of another storage account than `mirror.endpoint`.', {
    reason: 'credentials',
    hint: 'Set the connection string of that account, or AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY in its place.',
    where: { mirror, endpoint: wanted, connection: host },
  });
}

interface AzureFailure {
  readonly name?: string;
  readonly code?: string;
  readonly statusCode?: number;
  readonly response?: { readonly headers?: { get(name: string): string | undefined } };
}

/** Azure refuses requests of a clock that is more than 15 minutes off, with the same code as a wrong key. */
const CLOCK_MS = 14 * 60_000;

/** What an error of the client means. Exported for its table of tests. */
export function judgeAt(error: unknown, nowMs: number): Judged {
  if (isNetworkError(error)) return { kind: 'retry', code: 'no connection' };
  if (!(error instanceof Error)) return { kind: 'unexpected', code: typeof error };
  const { name = 'error', code = name, statusCode: status, response } = error as AzureFailure;
  const theirs = Date.parse(response?.headers?.get('date') ?? '');
  const isSkewed = status === 403 && Math.abs(theirs - nowMs) > CLOCK_MS;
  return { kind: isSkewed ? 'clock' : kindOf(name, code, status), code, status };
}

function kindOf(name: string, code: string, status = 0): Judged['kind'] {
  if (/^(CredentialUnavailableError|AggregateAuthenticationError|AuthenticationError)$/.test(name)) return 'credentials'; // oxfmt-ignore
  if (/^(AuthenticationFailed|InvalidAuthenticationInfo|NoAuthenticationInformation)$/.test(code) || status === 401) return 'credentials'; // oxfmt-ignore
  if (code === 'ContainerNotFound') return 'bucket';
  if (/^(ConditionNotMet|BlobAlreadyExists|TargetConditionNotMet)$/.test(code) || status === 412) return 'condition';
  if (/^(Md5Mismatch|ContainerBeingDeleted|OperationTimedOut)$/.test(code)) return 'retry';
  if (status >= 500 || status === 429 || status === 408) return 'retry';
  if (status === 404) return 'missing';
  if (status === 403) return 'denied';
  return 'unexpected';
} // oxfmt-ignore
