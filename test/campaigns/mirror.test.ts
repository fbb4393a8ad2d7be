/**
 * The mirror against servers that nobody here wrote, which `.ci/mirror` starts and names in MIRROR_SERVERS: whatever a server or the network
 * does, the mirror holds one whole snapshot, and what is restored is equal byte for byte. Without servers, against the fake of S3.
 */
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { BlobServiceClient, type BlockBlobClient } from '@azure/storage-blob';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { EXIT } from '../../src/kernel/errors.ts';
import { systemFiles } from '../../src/kernel/files.ts';
import type { Tree } from '../../src/config/layers.ts';
import type { Config, MirrorSettings } from '../../src/config/config.ts';
import { openStore } from '../../src/mirror/open.ts';
import { openAzure } from '../../src/mirror/azure.ts';
import { openS3 } from '../../src/mirror/s3.ts';
import { textSource, type ObjectStore } from '../../src/mirror/object-store.ts';
import { knownFile } from '../../src/model/data-path.ts';
import { parseMirrorPlace } from '../../src/model/mirror-address.ts';
import { checkMirror } from '../../src/pipeline/mirror/inspect.ts';
import { pushMirror } from '../../src/pipeline/mirror/push.ts';
import { restoreMirror } from '../../src/pipeline/mirror/restore.ts';
import { describeContract, PART } from '../mirror/support/contract.ts';
import { startFakeS3, type FakeS3 } from '../mirror/support/fake-s3.ts';
import { startProxy, type Proxy } from '../mirror/support/proxy.ts';
import { openMirroredLake, type MirroredLake } from '../pipeline/mirror/support/lake.ts';
import { CAMPAIGN, LONG } from '../support/campaign.ts';

const SERVERS = z.array(
  z.object({
    name: z.string(),
    kind: z.enum(['s3', 'az']),
    /** An empty bucket or container. */
    bucket: z.string(),
    url: z.string(),
    key: z.string(),
    secret: z.string(),
    /** It refuses wrong keys. */
    checksKeys: z.boolean(),
    /** It refuses another region and another time. */
    checksRequests: z.boolean(),
  }),
);
type Server = z.output<typeof SERVERS>[number];

const NEVER = new AbortController().signal;
const FAKE: Server = { name: 'a fake of S3', kind: 's3', bucket: 'lake', url: '', key: 'k', secret: 's', checksKeys: false, checksRequests: false }; // oxfmt-ignore
const named = process.env['MIRROR_SERVERS'];
const servers = named === undefined ? [FAKE] : SERVERS.parse(JSON.parse(named));

let lake: MirroredLake;
let fake: FakeS3;
let folder: string;
let n = 0;

beforeAll(async () => {
  lake = await openMirroredLake();
  fake = await startFakeS3();
  folder = await mkdtemp(join(tmpdir(), 'insights-etl-servers-'));
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await fake[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});
afterEach(() => vi.unstubAllEnvs());

describe.each(servers)('$name', CAMPAIGN, (server) => {
  let proxy: Proxy;
  let prefix: string;

  beforeAll(async () => {
    proxy = await startProxy(server.url === '' ? fake.url : server.url);
  });
  afterAll(() => proxy[Symbol.asyncDispose]());
  beforeEach(async () => {
    await lake.reset();
    proxy.fault = () => undefined;
    proxy.slowMs = 0;
    prefix = `test-${n++}`;
    vi.stubEnv('AWS_ACCESS_KEY_ID', server.key);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', server.secret);
  });

  const azure = (key = server.secret): ReturnType<MirrorSettings['azure']> => ({
    connection: `DefaultEndpointsProtocol=http;AccountName=${server.key};AccountKey=${key};BlobEndpoint=${proxy.url}/${server.key};`,
  });
  /** The lake's configuration with this server as its mirror, by way of the proxy. */
  function config(own: Partial<MirrorSettings> = {}, values: Tree = {}): Config {
    const place = parseMirrorPlace(`${server.kind}://${server.bucket}/${prefix}`);
    if (!place) throw new Error('no place');
    const mirror = { place, endpoint: proxy.url, region: 'us-east-1', pathStyle: true, parallel: 4, azure: () => azure(), ...own }; // oxfmt-ignore
    return { ...lake.world.config(values), mirror, mirrorAt: () => mirror };
  }
  const push = (options: Parameters<typeof pushMirror>[3] = {}, own: Partial<MirrorSettings> = {}): ReturnType<typeof pushMirror> => pushMirror(config(own, { lake: { keepHours: 0 } }), lake.world.runtime, NEVER, options); // oxfmt-ignore
  const settings = (): MirrorSettings => config().mirrorAt({ kind: 'folder', path: '' });

  async function restoredRows(): Promise<number> {
    const to = await mkdtemp(join(folder, 'restored-'));
    const { rows, exitCode, withLedger } = await restoreMirror(config(), settings(), to, lake.world.runtime, NEVER);
    expect([exitCode, withLedger]).toEqual([EXIT.ok, true]);
    return rows;
  }
  const verify = async (): Promise<unknown> => (await checkMirror(config(), lake.world.runtime, NEVER, true)).problems;

  /** The files of the data directory that the inventory says are mirrored, by their checksums. */
  async function mirrored(): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    for (const entry of await readdir(lake.world.dataDir, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      const name = relative(lake.world.dataDir, path);
      // The ledger is copied by its engine: its rows are equal, not its blocks.
      if (!entry.isFile() || knownFile(name)?.entry.mirror === undefined || name === 'state.duckdb') continue;
      found.set(name, createHash('sha256').update(await readFile(path)).digest('hex')); // oxfmt-ignore
    }
    return new Map([...found].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  describe('is a store', () => {
    describeContract(async (): Promise<ObjectStore> => {
      const shared = { place: server.name, prefix: `${prefix}/`, parallel: 4, partBytes: PART };
      const { runtime } = lake.world;
      if (server.kind === 's3')
        return openS3({ ...shared, bucket: server.bucket, endpoint: proxy.url, region: 'us-east-1', pathStyle: true }, runtime, NEVER); // oxfmt-ignore
      return openAzure({ ...shared, container: server.bucket, endpoint: undefined, environment: azure() }, runtime, NEVER); // oxfmt-ignore
    });
  });

  it('a restore into the same folder is equal byte for byte, and the next run fetches nothing', async () => {
    expect(await push()).toMatchObject({ conditional: true });
    expect(await verify()).toEqual([]);
    const before = await mirrored();
    expect(before.size).toBeGreaterThan(4);
    await rm(lake.world.dataDir, { recursive: true });
    await restoreMirror(config(), settings(), lake.world.dataDir, lake.world.runtime, NEVER);
    expect(await mirrored()).toEqual(before);
    const run = await lake.world.run({ tables: ['Events'] });
    expect(run.tables.map(({ rowsFetched, outcome }) => [rowsFetched, outcome])).toEqual([[0, 'verified']]);
  });

  for (const [which, every, options] of [
    ['a few writes', 4, {}],
    ['any write', 1, LONG],
  ] as const)
    it(`a push that is cut off at ${which} leaves a whole snapshot, and the next one completes it`, options, async () => {
      await push();
      const before = lake.rows();
      await lake.load(2);
      for (let cut = 1, isDone = false; !isDone; cut += every) {
        const from = proxy.writes;
        proxy.fault = ({ isWrite }) => (isWrite && proxy.writes - from >= cut ? 'drop' : undefined);
        isDone = await push().then(
          () => true,
          (error: unknown) => {
            expect(error).toMatchObject({ reason: 'unavailable' });
            return false;
          },
        );
        proxy.fault = () => undefined;
        expect([before, lake.rows()]).toContain(await restoredRows());
        expect(cut).toBeLessThan(40);
      }
      expect(await restoredRows()).toBe(lake.rows());
      expect(await verify()).toEqual([]);
    }); // oxfmt-ignore

  it('answers of a busy server and answers that are lost are repeated', async () => {
    for (const fault of [{ status: 503, code: 'SlowDown' }, 'lost', 'drop'] as const) {
      proxy.fault = ({ nth }) => (nth % 3 === 0 ? fault : undefined);
      await lake.load(1);
      await push();
      expect(await restoredRows()).toBe(lake.rows());
    }
    proxy.fault = () => undefined;
    expect(await verify()).toEqual([]);
  });

  it('a slow server is waited for', LONG, async () => {
    proxy.slowMs = 150;
    await push();
    expect(await verify()).toEqual([]);
  });

  it('a refused write is reported, and the snapshot before it stays', async () => {
    await push();
    const before = lake.rows();
    await lake.load(1);
    proxy.fault = ({ isWrite }) => (isWrite ? { status: 403, code: server.kind === 'az' ? 'AuthorizationPermissionMismatch' : 'AccessDenied' } : undefined); // oxfmt-ignore
    await expect(push()).rejects.toMatchObject({ reason: 'denied', exitCode: EXIT.mirror });
    proxy.fault = () => undefined;
    expect(await restoredRows()).toBe(before);
  });

  it.runIf(server.checksKeys)('a wrong key is reported, and appears in no error', async () => {
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'WRONGSECRET');
    const wrong = Buffer.from('WRONGSECRET').toString('base64');
    const error: unknown = await push({}, { azure: () => azure(wrong) }).catch((each: unknown) => each);
    // The emulator of Azure has the code of a missing right for it.
    expect(error).toMatchObject({ reason: server.kind === 'az' ? 'denied' : 'credentials' });
    expect(JSON.stringify([error, String(error)])).not.toMatch(/WRONGSECRET|V1JPTkdTRUNSRVQ/);
  });

  it.runIf(server.kind === 'az')('blocks of an upload that was not finished are dropped, and the blobs stay', async () => {
    const store = await openStore(config().mirror ?? settings(), lake.world.runtime, systemFiles, NEVER);
    const container = BlobServiceClient.fromConnectionString(azure().connection ?? '').getContainerClient(server.bucket);
    const blob = (name: string): BlockBlobClient => container.getBlockBlobClient(`${prefix}/${name}`);
    await store.put('whole.json', textSource('whole'));
    const before = await store.head('whole.json');
    for (const name of ['whole.json', 'begun.json'])
      await blob(name).stageBlock(Buffer.from('x'.repeat(23)).toString('base64'), 'left', 4);
    await store.abortUploads('any');
    expect((await blob('whole.json').getBlockList('all')).uncommittedBlocks ?? []).toEqual([]);
    await expect(blob('begun.json').getBlockList('all')).rejects.toMatchObject({ statusCode: 404 });
    expect(await store.head('whole.json')).toMatchObject({ bytes: 5, sha256: before?.sha256 });
    expect((await store.read('whole.json'))?.content.toString()).toBe('whole');
  }); // oxfmt-ignore

  it('a bucket that does not exist is reported', async () => {
    const place = parseMirrorPlace(`${server.kind}://nothing-here/x`);
    if (!place) throw new Error('no place');
    await expect(push({}, { place })).rejects.toMatchObject({ reason: 'bucket' });
  });

  it.runIf(server.checksRequests)('another region is reported', async () => {
    await expect(push({}, { region: 'eu-west-1' })).rejects.toMatchObject({ failure: 'mirror', reason: expect.stringMatching(/region|credentials/) }); // oxfmt-ignore
  });

  it.runIf(server.checksRequests)('a wrong clock is corrected by the answers of the store', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_600_000 });
    try {
      await push();
      expect(await verify()).toEqual([]);
    } finally {
      vi.useRealTimers();
    }
  });

  it('of two data directories that start at the same moment, one gets the mirror and the other is refused', async () => {
    await using other = await openMirroredLake();
    for (let round = 0; round < (named === undefined ? 2 : 4); round++) {
      prefix = `race-${n++}`;
      await lake.load(1);
      const theirs = { ...config({}, { lake: { keepHours: 0 } }), dataDir: other.world.dataDir };
      const ended = await Promise.allSettled([push(), pushMirror(theirs, lake.world.runtime, NEVER)]);
      const refused = ended.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
      expect(refused).toEqual([expect.objectContaining({ exitCode: EXIT.mirrorTaken })]);
      expect(await verify()).toEqual([]);
    }
  });
});

it('every place of a mirror opens its own kind of store', CAMPAIGN, async () => {
  const config = lake.world.config({ mirror: { to: 'gs://bucket/x' } });
  if (!config.mirror) throw new Error('no mirror');
  const store = await openStore(config.mirror, lake.world.runtime, systemFiles, NEVER);
  expect(store.place).toBe('gs://bucket/x');
});
