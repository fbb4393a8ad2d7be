/** Which mirror settings mean: two stores may have a bucket of the same name. */
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { systemRuntime } from '../../src/kernel/runtime.ts';
import { openAzure } from '../../src/mirror/azure.ts';
import { withClaimed, withMirror, writtenAt } from '../../src/mirror/head.ts';
import { mirrorAddress } from '../../src/mirror/open.ts';
import { isSameMirror } from '../../src/model/mirror-address.ts';

const KEY = 'SECRETVALUE';

function endpointOf(mirror: Readonly<Record<string, string>>, env: Readonly<Record<string, string>> = {}): unknown {
  const flags = { values: { baseUrl: 'http://127.0.0.1:1', tenants: [{ id: 'demo' }], mirror }, names: {} };
  const { mirror: settings } = loadConfig({ file: false, env: { INSIGHTS_API_KEY: 'k', ...env }, cwd: '/', flags });
  return settings && mirrorAddress(settings).endpoint;
}

describe('the endpoint of a mirror', () => {
  it.each([
    ['s3://lake', {}, 'https://s3.us-east-1.amazonaws.com'],
    ['s3://lake', { AWS_REGION: 'cn-north-1' }, 'https://s3.cn-north-1.amazonaws.com.cn'],
    ['s3://lake', { AWS_ENDPOINT_URL: 'https://minio.example.com/' }, 'https://minio.example.com'],
    ['s3://lake', { AWS_ENDPOINT_URL: 'https://a.example', AWS_ENDPOINT_URL_S3: 'https://b.example' }, 'https://b.example'],
    ['s3://lake', { AWS_ENDPOINT_URL: 'https://a.example', AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true' }, 'https://s3.us-east-1.amazonaws.com'],
    ['gs://lake', { AWS_ENDPOINT_URL: 'https://a.example' }, 'https://storage.googleapis.com'],
    ['az://lake', {}, undefined],
    ['az://lake', { AZURE_STORAGE_ACCOUNT: 'acc', AZURE_STORAGE_KEY: KEY }, 'https://acc.blob.core.windows.net'],
    ['az://lake', { AZURE_STORAGE_CONNECTION_STRING: `AccountName=acc;AccountKey=${KEY}==;EndpointSuffix=core.example` }, 'https://acc.blob.core.example'],
    ['az://lake', { AZURE_STORAGE_CONNECTION_STRING: `BlobEndpoint=https://acc.example/?sig=${KEY};AccountName=acc` }, 'https://acc.example'],
    ['az://lake', { AZURE_STORAGE_CONNECTION_STRING: 'UseDevelopmentStorage=true' }, 'http://127.0.0.1:10000/devstoreaccount1'],
    ['/mnt/nas', { AWS_ENDPOINT_URL: 'https://a.example' }, undefined],
  ])('%s with %j is known, without a key', (to, env, endpoint) => {
    expect(endpointOf({ to }, env)).toBe(endpoint);
  }); // oxfmt-ignore

  it('is that of the configuration before that of the environment', () => {
    const mirror = { to: 's3://lake', endpoint: 'https://minio.example.com' };
    expect(endpointOf(mirror, { AWS_ENDPOINT_URL: 'https://a.example' })).toBe(mirror.endpoint);
  });

  it('is another mirror, unless it is another region of Amazon or was not noted', () => {
    const at = (endpoint?: string): Parameters<typeof isSameMirror>[0] => ({ to: 's3://lake', endpoint });
    const amazon = at('https://s3.us-east-1.amazonaws.com');
    expect(isSameMirror(at('https://a.example'), at('https://b.example'))).toBe(false);
    expect(isSameMirror(amazon, at('https://a.example'))).toBe(false);
    expect(isSameMirror(amazon, at('https://s3.eu-west-1.amazonaws.com'))).toBe(true);
    expect(isSameMirror(amazon, at())).toBe(true);
    expect(isSameMirror(amazon, { ...amazon, to: 's3://other' })).toBe(false);
  });

  it('is noted for a mirror of an earlier version, and a purge that is due stays due at a new one', () => {
    const [first, second] = ['https://a.example', 'https://b.example'].map((endpoint) => ({
      to: 's3://lake',
      endpoint,
    }));
    if (!first || !second) throw new RangeError('no address');
    const done = { snapshot: 2, publishedAt: 't' };
    const old = { writer: 'w', pushes: [], mirrors: [{ to: 's3://lake', done, purgeDue: true as const }] };
    const record = withMirror(old, writtenAt(old, first));
    expect(record.mirrors).toEqual([{ ...first, done, purgeDue: true }]);
    expect(writtenAt(record, second)).toEqual({ ...second, purgeDue: true });
    expect(withMirror(record, { ...second, done }).mirrors).toHaveLength(2);
    // Taken over where the head does not show that it is the old one.
    expect(withClaimed(old, second, undefined).mirrors).toEqual([...old.mirrors, { ...second, purgeDue: true }]);
  });

  it('of Azure must be that of the connection string, which would go first', async () => {
    const environment = { connection: `AccountName=acc;AccountKey=${KEY}` };
    const options = { place: 'az://c', container: 'c', prefix: '', endpoint: 'https://former.blob.core.windows.net', parallel: 1, environment }; // oxfmt-ignore
    const opened = openAzure(options, systemRuntime(pino({ level: 'silent' })), new AbortController().signal);
    await expect(opened).rejects.toMatchObject({
      reason: 'credentials',
      message: expect.stringContaining('another storage account'),
      where: { endpoint: 'former.blob.core.windows.net', connection: 'acc.blob.core.windows.net' },
    });
  });
});
