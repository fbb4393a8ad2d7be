/** A mirror whose endpoint was changed: the place there is a former mirror, which a purge must name. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { EXIT } from '../../../src/kernel/errors.ts';
import { systemFiles } from '../../../src/kernel/files.ts';
import { purgeTenant } from '../../../src/pipeline/maintenance/purge.ts';
import { forgetMirror } from '../../../src/pipeline/mirror/forget.ts';
import { mirrorStatus } from '../../../src/pipeline/mirror/inspect.ts';
import { pushMirror } from '../../../src/pipeline/mirror/push.ts';
import { duePurges, formerMirrors } from '../../../src/pipeline/mirror/record.ts';
import { startFakeS3, type FakeS3 } from '../../mirror/support/fake-s3.ts';
import type { World } from '../support/world.ts';
import { useMirroredLake } from './support/lake.ts';

const TO = 's3://lake/in sights';
const NEVER = new AbortController().signal;

let world: World;
let stores: readonly [FakeS3, FakeS3];

beforeAll(async () => {
  stores = [await startFakeS3(), await startFakeS3()];
});
afterAll(async () => {
  for (const store of stores) await store[Symbol.asyncDispose]();
});
beforeEach(() => {
  for (const store of stores) store.objects.clear();
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'key');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
});
afterEach(() => vi.unstubAllEnvs());
useMirroredLake((given) => {
  ({ world } = given);
});

const OTHERS = { tenants: [{ id: 'other', apiKey: { env: 'KEY_DEMO' } }] };
const config = ({ url }: FakeS3, values: object = {}): ReturnType<World['config']> =>
  world.config({ mirror: { to: TO, endpoint: url }, ...values });
const push = (store: FakeS3, values: object = {}): ReturnType<typeof pushMirror> =>
  pushMirror(config(store, values), world.runtime, NEVER);
const ofDemo = ({ objects }: FakeS3): string[] => [...objects.keys()].filter((name) => name.includes('tenant_id=demo'));

/** The record as an earlier version wrote it. */
async function forgetEndpoint({ url }: FakeS3): Promise<void> {
  const path = join(world.dataDir, 'mirrored.json');
  const text = await readFile(path, 'utf8');
  expect(text).toContain(`"endpoint": "${url}"`);
  await writeFile(path, text.replace(/"endpoint": "[^"]*",/, ''));
}

it('a new endpoint is a new mirror, and a purge names the one at the former endpoint', async () => {
  const [first, second] = stores;
  await push(first);
  await push(second);
  const { formerMirrors } = await purgeTenant(config(second, OTHERS), 'demo', world.runtime);
  expect(formerMirrors).toEqual([{ to: TO, endpoint: first.url }]);
  for (const store of [second, first]) {
    expect(ofDemo(store)).toHaveLength(2);
    await push(store, OTHERS);
    expect(ofDemo(store)).toEqual([]);
  }
});

it('a mirror that an earlier version recorded without its endpoint is still known', async () => {
  const [store] = stores;
  await push(store);
  await forgetEndpoint(store);
  const { formerMirrors } = await purgeTenant(config(store, OTHERS), 'demo', world.runtime);
  expect(formerMirrors).toEqual([{ to: TO, mayBeConfigured: true }]);
  const objects = new Map(store.objects);
  store.objects.clear();
  await expect(push(store, OTHERS)).rejects.toMatchObject({ reason: 'gone', hint: expect.stringContaining('`mirror.endpoint`') }); // oxfmt-ignore
  for (const [name, object] of objects) store.objects.set(name, object);
  // Its head says so before the push, too.
  expect((await mirrorStatus(config(store, OTHERS), world.runtime, NEVER)).purgeDue.formerMirrors).toEqual([]);
  await push(store, OTHERS);
  expect(ofDemo(store)).toEqual([]);
  expect(await duePurges(systemFiles, config(store, OTHERS))).toEqual({ formerMirrors: [], mirrorsOfOldShards: [] });
});

it('the first push of a run after an upgrade records the endpoint, also if there is nothing new', async () => {
  const [first, second] = stores;
  await push(first);
  await forgetEndpoint(first);
  await pushMirror(config(first), world.runtime, NEVER, { onlyNew: true });
  const { formerMirrors } = await purgeTenant(config(second, OTHERS), 'demo', world.runtime);
  expect(formerMirrors).toEqual([{ to: TO, endpoint: first.url }]);
});

it.each([
  ['has nothing', EXIT.mirror],
  ['has the mirror of another data directory', EXIT.mirrorTaken],
] as const)(
  'a purge names the mirror whose endpoint is not known when the one that was taken over %s',
  async (_, exitCode) => {
    const [first, second] = stores;
    await push(first);
    await forgetEndpoint(first);
    if (exitCode === EXIT.mirrorTaken) {
      for (const [name, object] of first.objects) second.objects.set(name, object);
      const head = first.objects.get('in sights/mirror.json');
      if (!head) throw new RangeError('no head');
      const content = Buffer.from(head.content.toString().replace(/"writer": "[^"]*"/, '"writer": "other"'));
      second.objects.set('in sights/mirror.json', { ...head, content });
    }
    // Nobody knows yet which of the two it is.
    const { formerMirrors: named } = await purgeTenant(config(second, OTHERS), 'demo', world.runtime);
    expect(named).toEqual([{ to: TO, mayBeConfigured: true }]);
    await expect(push(second, OTHERS)).rejects.toMatchObject({ exitCode });
    await pushMirror(config(second, OTHERS), world.runtime, NEVER, { takeOver: true });
    const { purgeDue } = await mirrorStatus(config(second, OTHERS), world.runtime, NEVER);
    expect(purgeDue.formerMirrors).toEqual([{ to: TO }]);
    expect(ofDemo(first)).toHaveLength(2);
    await push(first, OTHERS);
    expect([first, second].flatMap(ofDemo)).toEqual([]);
    expect((await formerMirrors(systemFiles, config(second, OTHERS))).formerMirrors).toEqual([
      { to: TO, endpoint: first.url },
    ]);
    expect((await duePurges(systemFiles, config(second, OTHERS))).formerMirrors).toEqual([]);
  },
);

it('a former mirror is forgotten only under exactly the address that was recorded, and never while it may be the configured one', async () => {
  const [first, second] = stores;
  const gone = { to: TO, endpoint: first.url };
  const forget = (wanted: { to: string; endpoint?: string }): Promise<void> =>
    forgetMirror(config(second, OTHERS), wanted, world.runtime);
  await push(first);
  await forgetEndpoint(first);
  await purgeTenant(config(second, OTHERS), 'demo', world.runtime);
  await expect(forget({ to: TO })).rejects.toThrow(`${TO} may be the mirror of the configuration.`);
  await pushMirror(config(second, OTHERS), world.runtime, NEVER, { takeOver: true });
  await push(first, OTHERS);
  await expect(forget({ to: TO })).rejects.toMatchObject({ hint: `It is one of: ${TO} at ${first.url}.` });
  await expect(forget({ to: TO, endpoint: second.url })).rejects.toThrow('No former mirror is recorded');
  await forget(gone);
  await expect(forget(gone)).rejects.toMatchObject({ hint: 'This data directory knows of no former mirror.' });
  // It is still there after all: a push finds that it is its writer.
  await push(first, OTHERS);
});
