/** The adapters, and what they make of faults of a store. */
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { MirrorError } from '../../src/kernel/errors.ts';
import { systemFiles, type Files } from '../../src/kernel/files.ts';
import { systemRuntime, type Runtime } from '../../src/kernel/runtime.ts';
import { judgeAt, openAzure } from '../../src/mirror/azure.ts';
import { openFolder } from '../../src/mirror/folder.ts';
import { fileSource, partsOf, textSource, type ObjectStore } from '../../src/mirror/object-store.ts';
import { judge, openS3, type S3Options } from '../../src/mirror/s3.ts';
import { describeContract, PART } from './support/contract.ts';
import { startFakeS3, type FakeS3 } from './support/fake-s3.ts';

const NEVER = new AbortController().signal;

let folder: string;
let fake: FakeS3;
let waits: number[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'insights-etl-stores-'));
  fake = await startFakeS3();
});
afterAll(async () => {
  await fake[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});
beforeEach(() => {
  waits = [];
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'key');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'SECRETVALUE');
  fake.objects.clear();
  fake.uploads.clear();
  fake.requests.length = 0;
  fake.fault = () => undefined;
});
afterEach(() => vi.unstubAllEnvs());

const runtime = (): Runtime => ({
  ...systemRuntime(pino({ level: 'silent' })),
  sleep: async (ms) => void waits.push(ms),
});
const openFake = (options: Partial<S3Options> = {}, signal = NEVER): Promise<ObjectStore> =>
  openS3(
    { place: 's3://lake/p', bucket: fake.bucket, prefix: 'p/', endpoint: fake.url, region: 'us-east-1', pathStyle: true, parallel: 4, partBytes: PART, ...options },
    runtime(),
    signal,
  ); // oxfmt-ignore

describe('a folder', () => {
  describeContract(async () => openFolder(join(folder, 'mirror'), systemFiles, NEVER));
});
describe('S3', () => {
  describeContract(() => openFake());
});

describe('the disk of a folder', () => {
  const failing = (code: string, path: string | undefined): Files => ({
    ...systemFiles,
    open: async (file, flags) => {
      if (flags === 'r') return systemFiles.open(file, flags);
      throw Object.assign(new Error(code), { code, syscall: 'write', ...(path === undefined ? {} : { path }) });
    },
    readdir: async () => {
      throw Object.assign(new Error(code), { code, syscall: 'scandir', ...(path === undefined ? {} : { path }) });
    },
  });

  it.each([
    ['ENOSPC', 'the disk is full'],
    ['EROFS', 'the file system is read-only'],
    ['EACCES', 'permission is denied'],
    ['ESTALE', 'the system says ESTALE'],
  ])('that answers %s is an error of the mirror', async (code, text) => {
    const root = join(folder, 'full');
    await mkdir(root, { recursive: true });
    for (const path of [undefined, join(root, '.uploads', 'x')]) {
      const store = openFolder(root, failing(code, path), NEVER);
      const expected = { exitCode: 15, reason: 'disk', message: `The folder of the mirror cannot be used: ${text}.`, hint: expect.stringContaining('disk of the mirror') }; // oxfmt-ignore
      await expect(store.put('x', textSource('1'))).rejects.toMatchObject(expected);
      await expect(store.list('')[Symbol.asyncIterator]().next()).rejects.toMatchObject(expected);
    }
  });

  it('is not blamed for the disk of the lake', async () => {
    const root = join(folder, 'mirror');
    const lake = join(folder, 'lake.parquet');
    const unread = { ...systemFiles, open: async () => { throw Object.assign(new Error('EIO'), { code: 'EIO', syscall: 'open', path: lake }); } }; // oxfmt-ignore
    const store = openFolder(root, systemFiles, NEVER);
    await expect(store.put('x', fileSource(lake, textSource('1'), unread))).rejects.toMatchObject({ exitCode: 10, where: { file: lake } }); // oxfmt-ignore
    await store.put('x', textSource('1'));
    const full = { ...systemFiles, copyFile: async () => { throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', syscall: 'copyfile', path: join(root, 'x') }); } }; // oxfmt-ignore
    // An upload that fails leaves nothing on a disk that may be full.
    expect(await readdir(join(root, '.uploads'))).toEqual([]);
    await expect(openFolder(root, full, NEVER).download('x', lake, full)).rejects.toMatchObject({ exitCode: 10, where: { file: lake } }); // oxfmt-ignore
  });
});

it('parts cover an object without gaps, and there are never more than 10,000', () => {
  expect(partsOf(0)).toEqual([{ from: 0, length: 0 }]);
  for (const bytes of [1, 8 << 20, (8 << 20) + 1, 80_000_000_000, 1_000_000_000_000]) {
    const parts = partsOf(bytes);
    expect(parts.length).toBeLessThan(10_000);
    expect(parts.every(({ from }, nth) => from === (nth === 0 ? 0 : (parts[nth - 1]?.from ?? 0) + (parts[nth - 1]?.length ?? 0)))).toBe(true); // oxfmt-ignore
    expect(parts.reduce((sum, { length }) => sum + length, 0)).toBe(bytes);
  }
});

describe('a request', () => {
  it.each([
    ['503', { status: 503, code: 'SlowDown' }],
    ['500', { status: 500, code: 'InternalError' }],
    ['a connection that ends', 'drop'],
    ['an answer that is lost', 'lost'],
    ['bytes that were altered', { status: 400, code: 'BadDigest' }],
  ] as const)('is repeated after %s, with longer and longer waits', async (_name, fault) => {
    fake.fault = ({ nth }) => (nth % 4 === 0 ? undefined : fault);
    const store = await openFake();
    await store.put('x', textSource('1'));
    expect((await store.read('x'))?.content.toString()).toBe('1');
    expect(waits.length).toBeGreaterThan(1);
    expect(waits.every((wait) => wait >= 250 && wait <= 20_000)).toBe(true);
  });

  it('that gets no answer in time is repeated, and ends with an error', async () => {
    fake.fault = () => 'hang';
    const store = await openFake({ timeoutMs: 50 });
    await expect(store.head('x')).rejects.toMatchObject({ reason: 'unavailable', exitCode: 15, message: expect.stringContaining('after 6 attempts (timeout)') }); // oxfmt-ignore
  });

  it('stops at once when the process is asked to stop', async () => {
    fake.fault = () => 'hang';
    const stop = new AbortController();
    const store = await openFake({}, stop.signal);
    const read = store.head('x');
    stop.abort(new RangeError('stopped'));
    await expect(read).rejects.toThrow('stopped');
  });

  it.each([
    ['denied', { status: 403, code: 'AccessDenied' }, 'docs/mirror.md'],
    ['credentials', { status: 403, code: 'SignatureDoesNotMatch' }, 'credentials'],
    ['region', { status: 301, code: 'PermanentRedirect', headers: { 'x-amz-bucket-region': 'eu-west-3' } }, 'mirror.region: eu-west-3'],
    ['clock', { status: 403, code: 'RequestTimeTooSkewed' }, 'clock'],
    ['unexpected', { status: 418, code: 'Teapot' }, '--verbose'],
  ] as const)('that is refused for %s says what to do and quotes nothing', async (reason, fault, hint) => {
    fake.fault = () => fault;
    const store = await openFake();
    const error: unknown = await store.put('x', textSource('1')).catch((each: unknown) => each);
    expect(error).toMatchObject({ reason, hint: expect.stringContaining(hint), exitCode: 15 });
    const text = error instanceof MirrorError ? `${error.message} ${error.hint ?? ''} ${JSON.stringify(error.where)}` : '';
    expect(text).not.toMatch(/AKIASECRET|SECRETVALUE/);
  }); // oxfmt-ignore

  it('with a wrong clock is repeated once, with the clock of the store', async () => {
    fake.fault = ({ nth }) => (fake.requests.length === 1 && nth > 0 ? { status: 403, code: 'RequestTimeTooSkewed' } : undefined); // oxfmt-ignore
    await (await openFake()).put('x', textSource('1'));
    expect(fake.requests).toHaveLength(2);
  });

  it('is never sent over plain http to another machine, wherever the address is from', async () => {
    vi.stubEnv('AWS_ENDPOINT_URL_S3', 'http://store.example.com');
    await expect((await openFake({ endpoint: undefined })).read('x')).rejects.toThrow('is not https');
    const environment = {
      connection:
        'DefaultEndpointsProtocol=http;AccountName=a;AccountKey=eA==;BlobEndpoint=http://store.example.com/a;',
    };
    const options = { place: 'az://c', container: 'c', prefix: '', endpoint: undefined, parallel: 1, environment };
    await expect(openAzure(options, runtime(), NEVER)).rejects.toThrow('is not https');
  });

  it('for a bucket that does not exist says so', async () => {
    const store = await openFake({ bucket: 'other' });
    await expect(store.read('x')).rejects.toMatchObject({ reason: 'bucket' });
  });
});

describe('an upload of several parts', () => {
  const large = textSource('y'.repeat(2 * PART + 1));

  it('sends a failed part again, and completes it although an answer was lost', async () => {
    let failed = 0;
    fake.fault = ({ method, key }) => (key === 'p/x' && method !== 'HEAD' && failed++ % 2 === 1 ? 'lost' : undefined);
    const store = await openFake();
    expect(await store.put('x', large, { ifAbsent: true })).toBeDefined();
    expect((await store.head('x'))?.sha256).toBe(large.sha256);
    expect([...fake.uploads.values()].map(({ parts }) => parts.size)).not.toContain(3);
  });

  it('that fails is aborted, and one that was left behind is aborted later', async () => {
    fake.fault = ({ method, nth }) => (method === 'PUT' && nth > 0 ? { status: 403, code: 'AccessDenied' } : undefined);
    const store = await openFake();
    await expect(store.put('x', large)).rejects.toMatchObject({ reason: 'denied' });
    expect(fake.uploads.size).toBe(0);
    fake.uploads.set('old', { key: 'p/x', metadata: {}, startedMs: 0, parts: new Map() });
    fake.uploads.set('new', { key: 'p/x', metadata: {}, startedMs: Date.now(), parts: new Map() });
    fake.fault = () => undefined;
    await store.abortUploads(Date.now() - 1000);
    expect([...fake.uploads.keys()]).toEqual(['new']);
    for (const name of ['2', '3', '4']) fake.uploads.set(name, { key: 'p/x', metadata: {}, startedMs: Date.now(), parts: new Map() }); // oxfmt-ignore
    fake.uploads.set('other', { key: 'q/x', metadata: {}, startedMs: 0, parts: new Map() });
    await store.abortUploads('any');
    expect([...fake.uploads.keys()]).toEqual(['other']);
  });
});

it('a text that is no connection string is not quoted', async () => {
  const environment = { connection: 'AccountKey=SECRETVALUE' };
  const options = { place: 'az://c', container: 'c', prefix: '', endpoint: undefined, parallel: 1, environment };
  const error: unknown = await openAzure(options, runtime(), NEVER).catch((each: unknown) => each);
  expect(error).toMatchObject({ reason: 'credentials' });
  expect(JSON.stringify([error, String(error)])).not.toContain('SECRETVALUE');
});

describe('an error of Azure', () => {
  const NOW = Date.parse('2026-11-30T12:00:00Z');
  const failure = (statusCode: number, code: string, date = 'Mon, 30 Nov 2026 12:00:00 GMT'): Error =>
    Object.assign(new Error('AccountKey=SECRET'), { statusCode, code, response: { headers: { get: () => date } } });
  it.each([
    [failure(409, 'BlobAlreadyExists'), 'condition'],
    [failure(412, 'ConditionNotMet'), 'condition'],
    [failure(404, 'BlobNotFound'), 'missing'],
    [failure(404, 'ContainerNotFound'), 'bucket'],
    [failure(403, 'AuthenticationFailed'), 'credentials'],
    [failure(403, 'AuthenticationFailed', 'Mon, 30 Nov 2026 13:00:00 GMT'), 'clock'],
    [failure(403, 'AuthorizationPermissionMismatch'), 'denied'],
    [failure(503, 'ServerBusy'), 'retry'],
    [Object.assign(new Error('x'), { code: 'ECONNRESET' }), 'retry'],
  ])('%#: its code says what to do', (error, kind) => {
    expect(judgeAt(error, NOW).kind).toBe(kind);
  });
});

it('an error of the network is one whatever the client wraps it in', () => {
  const inner = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
  expect(judge(new TypeError('fetch failed', { cause: inner }))).toEqual({ kind: 'retry', code: 'no connection' });
});
