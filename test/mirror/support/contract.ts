/** What every adapter must do, whatever is behind it. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { systemFiles } from '../../../src/kernel/files.ts';
import { textSource, type ObjectStore } from '../../../src/mirror/object-store.ts';

/** Larger than a part: 5 MiB is the least that S3 allows. */
export const PART = 5 * 1024 * 1024;
const LARGE = 'x'.repeat(PART) + 'the second part';

async function names(store: ObjectStore, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of store.list(prefix)) found.push(name);
  return found.toSorted();
}

/** `open`: the same store each time, with parts of `PART` bytes. */
export function describeContract(open: () => Promise<ObjectStore>): void {
  it('reads what it wrote, with its size, checksum and tag, and nothing for what is not there', async () => {
    const store = await open();
    const source = textSource('{"é": 1}');
    const etag = await store.put('a/b=1/é c+%.json', source);
    expect(await store.read('a/b=1/é c+%.json')).toMatchObject({ content: Buffer.from('{"é": 1}'), etag });
    expect(await store.head('a/b=1/é c+%.json')).toEqual({ bytes: 9, sha256: source.sha256, etag });
    expect([await store.read('nothing'), await store.head('nothing')]).toEqual([undefined, undefined]);
    await store.put('a/empty', textSource(''));
    expect(await store.read('a/empty')).toMatchObject({ content: Buffer.alloc(0) });
  });

  it('writes an object once with `ifAbsent`, and replaces only the one that `ifMatch` names', async () => {
    const store = await open();
    await store.delete('head');
    const first = (await store.put('head', textSource('1'), { ifAbsent: true })) ?? '';
    expect(await store.put('head', textSource('2'), { ifAbsent: true })).toBeUndefined();
    const second = (await store.put('head', textSource('3'), { ifMatch: first })) ?? '';
    expect(await store.put('head', textSource('4'), { ifMatch: first })).toBeUndefined();
    expect((await store.read('head'))?.content.toString()).toBe('3');
    expect(second).not.toBe(first);
    expect(await store.put('none', textSource('5'), { ifMatch: second })).toBeUndefined();
  });

  it('lets one of several writers create an object, and one replace it', async () => {
    const store = await open();
    await store.delete('race');
    const texts = ['1', '2', '3', '4', '5', '6', '7', '8'];
    const created = await Promise.all(texts.map((text) => store.put('race', textSource(text), { ifAbsent: true })));
    const [etag = ''] = created.filter((each) => each !== undefined);
    expect(created.filter((each) => each !== undefined)).toHaveLength(1);
    const replaced = await Promise.all(texts.map((text) => store.put('race', textSource(`${text}!`), { ifMatch: etag }))); // oxfmt-ignore
    expect(replaced.filter((each) => each !== undefined)).toHaveLength(1);
  });

  it('writes and downloads an object of several parts, also with a condition', async () => {
    const store = await open();
    const folder = await mkdtemp(join(tmpdir(), 'insights-etl-store-'));
    try {
      const source = textSource(LARGE);
      await store.delete('large');
      await store.put('large', source, { ifAbsent: true });
      expect(await store.head('large')).toMatchObject({ bytes: LARGE.length, sha256: source.sha256 });
      expect(await store.download('large', join(folder, 'file'), systemFiles)).toBe(true);
      expect((await readFile(join(folder, 'file'), 'latin1')) === LARGE).toBe(true);
      expect(await store.download('nothing', join(folder, 'none'), systemFiles)).toBe(false);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('lists what is below a prefix and forgets what is deleted', async () => {
    const store = await open();
    for (const name of ['list/1', 'list/2/3', 'list/4', 'list/5', 'listed']) await store.put(name, textSource(name));
    expect(await names(store, 'list/')).toEqual(['list/1', 'list/2/3', 'list/4', 'list/5']);
    await store.delete('list/2/3');
    await store.delete('list/2/3');
    expect(await names(store, 'list/')).toEqual(['list/1', 'list/4', 'list/5']);
    await store.abortUploads(Date.now() - 1000);
  });
}
