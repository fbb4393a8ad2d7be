/** S3 behind the proxy of a company network: the address can be reached only through its tunnel. */
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { systemRuntime } from '../../src/kernel/runtime.ts';
import { textSource, type ObjectStore } from '../../src/mirror/object-store.ts';
import { openS3 } from '../../src/mirror/s3.ts';
import { startTunnel, type Tunnel } from '../support/tunnel.ts';
import { startFakeS3, type FakeS3 } from './support/fake-s3.ts';

const HOST = 'insights.example';

let fake: FakeS3;
let tunnel: Tunnel;

beforeAll(async () => {
  fake = await startFakeS3();
  tunnel = await startTunnel({ inner: fake.url });
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'key');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'SECRETVALUE');
  // The certificate is signed by nobody.
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
});
beforeEach(() => {
  tunnel.seen = [];
  tunnel.status = 200;
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await tunnel[Symbol.asyncDispose]();
  await fake[Symbol.asyncDispose]();
});

const open = (env: Readonly<Record<string, string>>): Promise<ObjectStore> =>
  openS3(
    { place: 's3://lake/p', bucket: fake.bucket, prefix: 'p/', endpoint: `https://${HOST}`, region: 'us-east-1', pathStyle: true, parallel: 4 },
    { ...systemRuntime(pino({ level: 'silent' }), env), sleep: async () => {} },
    new AbortController().signal,
  ); // oxfmt-ignore

it('objects are written and read through the tunnel, with the name and the password of HTTPS_PROXY', async () => {
  const through = await open({ HTTPS_PROXY: `http://user:pass@127.0.0.1:${tunnel.port}` });
  await through.put('a.txt', textSource('content'));
  expect((await through.read('a.txt'))?.content.toString()).toBe('content');
  expect(new Set(tunnel.seen)).toEqual(
    new Set([`CONNECT ${HOST}:443 Basic ${Buffer.from('user:pass').toString('base64')}`]),
  );
  expect([...fake.objects.keys()]).toEqual(['p/a.txt']);
});

it('a tunnel that is refused is an error of the mirror without the password', async () => {
  tunnel.status = 407;
  const through = await open({ HTTPS_PROXY: `http://user:pa55word@127.0.0.1:${tunnel.port}` });
  const error: unknown = await through.read('a.txt').catch((each: unknown) => each);
  expect(error).toMatchObject({ failure: 'mirror', reason: 'unavailable', hint: expect.stringContaining('proxy') });
  expect(JSON.stringify([error, String(error)])).not.toContain('pa55word');
  expect(tunnel.seen.length).toBeGreaterThan(0);
});

it('no tunnel is asked for where NO_PROXY names the host', async () => {
  const direct = await open({ HTTPS_PROXY: `http://127.0.0.1:${tunnel.port}`, NO_PROXY: HOST });
  await expect(direct.read('a.txt')).rejects.toMatchObject({ failure: 'mirror' });
  expect(tunnel.seen).toEqual([]);
});

it('a bucket whose region nobody names is looked for at the usual address of Amazon', async () => {
  for (const name of ['AWS_REGION', 'AWS_DEFAULT_REGION']) vi.stubEnv(name, undefined);
  vi.stubEnv('AWS_CONFIG_FILE', '/nowhere');
  tunnel.status = 503;
  const options = { place: 's3://some-bucket/p', bucket: 'some-bucket', prefix: 'p/', endpoint: undefined, region: undefined, pathStyle: false, parallel: 4 }; // oxfmt-ignore
  const runtime = { ...systemRuntime(pino({ level: 'silent' }), { HTTPS_PROXY: `http://127.0.0.1:${tunnel.port}` }), sleep: async () => {} }; // oxfmt-ignore
  const amazon = await openS3(options, runtime, new AbortController().signal);
  await expect(amazon.read('a.txt')).rejects.toMatchObject({ failure: 'mirror' });
  expect(new Set(tunnel.seen)).toEqual(new Set(['CONNECT some-bucket.s3.us-east-1.amazonaws.com:443']));
});
