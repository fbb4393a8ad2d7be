/** Requests to an object store: bounded in number and time, and repeated when that can help. */
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import pLimit from 'p-limit';
import { errorCode, InsightsError, MirrorError } from '../kernel/errors.ts';
import type { MirrorFailure } from '../kernel/errors.ts';
import { isLocal } from '../kernel/network.ts';
import type { Runtime } from '../kernel/runtime.ts';
import type { ObjectStore } from './object-store.ts';

/** What an adapter makes of an error of its client. */
export interface Judged {
  /** retry: the same request may succeed later. */
  readonly kind: MirrorFailure | 'retry' | 'missing' | 'condition';
  /** The store's own word for it, such as AccessDenied. Never its message, which may quote a key id. */
  readonly code: string;
  readonly status?: number | undefined;
  /** The region in which the bucket is, if the store says so. */
  readonly region?: string | undefined;
}

interface Request<T> {
  /** What is done, for messages, such as `write store/x.parquet`. */
  readonly what: string;
  /** Bytes that are sent or received: more of them may take longer. */
  readonly bytes?: number;
  readonly send: (signal: AbortSignal) => Promise<T>;
}

/** `missing`: there is no such object. `condition`: the condition of the request is not met. */
export type Answer<T> = { readonly value: T } | 'missing' | 'condition';

export type Send = <T>(request: Request<T>) => Promise<Answer<T>>;

const ATTEMPTS = 6;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 20_000;
const TIMEOUT_MS = 60_000;
/** Slower than this is taken for a connection that has died. */
const LEAST_BYTES_PER_MS = 32;

export interface SendOptions {
  readonly place: string;
  readonly parallel: number;
  readonly runtime: Pick<Runtime, 'sleep' | 'random' | 'log'>;
  readonly signal: AbortSignal;
  readonly judge: (error: unknown) => Judged;
  /** @default 60 s, and more for many bytes */
  readonly timeoutMs?: number;
}

export function createSend({ place, parallel, runtime, signal, judge, timeoutMs = TIMEOUT_MS }: SendOptions): Send {
  const limit = pLimit(parallel);
  return async ({ what, bytes = 0, send }) =>
    limit(async () => {
      for (let attempt = 1; ; attempt++) {
        signal.throwIfAborted();
        const timeout = AbortSignal.timeout(timeoutMs + Math.ceil(bytes / LEAST_BYTES_PER_MS));
        try {
          return { value: await send(AbortSignal.any([signal, timeout])) };
        } catch (error) {
          signal.throwIfAborted();
          if (error instanceof InsightsError) throw error;
          const judged: Judged = timeout.aborted ? { kind: 'retry', code: 'timeout' } : judge(error);
          if (judged.kind === 'missing' || judged.kind === 'condition') return judged.kind;
          // The client corrects its clock after the first such answer.
          const mayHelp = judged.kind === 'retry' || (judged.kind === 'clock' && attempt === 1);
          if (!mayHelp || attempt === ATTEMPTS) throw refusalOf(judged, place, what, attempt);
          const { code, status } = judged;
          runtime.log.debug({ event: 'mirror.retry', what, attempt, code, status }, 'the object store failed');
          const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (attempt - 1));
          await runtime.sleep(wait * (0.5 + runtime.random() / 2), signal);
        }
      }
    });
}

/** Codes of errors of the network itself, which every client passes on. */
export function isNetworkError(error: unknown): boolean {
  for (let each = error; each instanceof Error; each = each.cause) {
    if (NETWORK.test(errorCode(each) ?? '') || /^(fetch failed|terminated|socket hang up)/.test(each.message))
      return true;
  }
  return false;
}

const NETWORK =
  /^(ECONN\w+|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|UND_ERR_\w+|REQUEST_SEND_ERROR|ERR_STREAM_PREMATURE_CLOSE)$/;

type Texts = Readonly<Record<Exclude<MirrorFailure, 'client' | 'damaged' | 'conflict' | 'version' | 'disk' | 'gone'>, readonly [string, string]>>; // oxfmt-ignore

const TEXTS: Texts = {
  credentials: [
    'has no credentials, or refused them',
    "Set the credentials as the store's own client expects them, for example AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AZURE_STORAGE_CONNECTION_STRING (docs/mirror.md).",
  ],
  denied: [
    'denied access',
    'Give the identity of this machine the rights that docs/mirror.md lists, for the bucket and the prefix.',
  ],
  bucket: ['does not exist', 'Create the bucket or container, or correct `mirror.to`.'],
  region: ['is in another region', 'Set `mirror.region` to the region of the bucket.'],
  clock: [
    "refused this machine's clock",
    'Synchronise the clock of this machine, for example with `timedatectl set-ntp true`.',
  ],
  unavailable: [
    'is not available',
    'Check the network, the proxy if HTTPS_PROXY names one, and `mirror.endpoint`. The next run, or `insights-etl mirror push`, continues.',
  ],
  unexpected: [
    'gave an answer that this program does not know',
    'Run `insights-etl mirror push --verbose` and report the code of the answer.',
  ],
};

function isTexted(kind: Judged['kind']): kind is keyof Texts {
  return kind in TEXTS;
}

function refusalOf(judged: Judged, place: string, what: string, attempts: number): MirrorError {
  const reason = judged.kind === 'retry' ? 'unavailable' : isTexted(judged.kind) ? judged.kind : 'unexpected';
  const [text, hint] = TEXTS[reason];
  const answer = [judged.code, ...(judged.status === undefined ? [] : [`status ${judged.status}`])].join(', ');
  const times = attempts === 1 ? '' : ` after ${attempts} attempts`;
  const other = reason === 'region' && judged.region !== undefined ? `Set \`mirror.region: ${judged.region}\`.` : hint;
  return new MirrorError(`The mirror ${place} ${text}${times} (${answer}).`, {
    reason,
    hint: other,
    where: { mirror: place, request: what },
  });
}

/** Writes an object to a file (`ObjectStore.download`). `open`: its bytes. */
export async function downloadTo(
  path: string,
  name: string,
  head: ObjectStore['head'],
  send: Send,
  open: (signal: AbortSignal) => Promise<NodeJS.ReadableStream | undefined>,
): Promise<boolean> {
  const size = (await head(name))?.bytes;
  if (size === undefined) return false;
  const answer = await send({
    what: `read ${name}`,
    bytes: size,
    async send(signal) {
      const body = await open(signal);
      if (body) await pipeline(body, createWriteStream(path), { signal });
    },
  });
  return typeof answer === 'object';
}

/** The value of an answer that has to have one. */
export function valueOf<T>(answer: Answer<T>, place: string, what: string): T {
  if (typeof answer === 'object') return answer.value;
  throw refusalOf({ kind: 'unexpected', code: answer }, place, what, 1);
}

/** Throws MirrorError for plain http to another machine, wherever the address is from. */
export function requireSafe(url: URL, place: string): void {
  if (url.protocol === 'https:' || isLocal(url)) return;
  throw new MirrorError(`The address of the mirror ${place} is not https.`, {
    reason: 'unexpected',
    hint: 'Use https. Plain http is allowed only to this machine.',
    where: { mirror: place, host: url.host },
  });
}

/** The error for a client that is not installed. */
export function clientMissing(name: string, version: string, cause: unknown): MirrorError {
  return new MirrorError(`The mirror needs the package ${name}, which is not installed.`, {
    reason: 'client',
    hint: `Run \`npm install ${name}@${version}\` next to insights-etl (\`npm install --global …\` if it is installed globally).`,
    cause,
  });
}
