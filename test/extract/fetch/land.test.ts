import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createLanding, openLandings } from '../../../src/extract/fetch/land.ts';
import type { Landing } from '../../../src/extract/fetch/land.ts';
import { HOUR, parseInstant } from '../../../src/kernel/instant.ts';
import type { Batch, Page } from '../../../src/model/page.ts';
import { scratchFolders } from '../support/scratch.ts';

const scratch = scratchFolders();
const start = parseInstant('2026-03-01T00:00:00Z') ?? 0n;
const page = (id: string, hour: bigint): Page => ({
  id,
  windows: [{ from: start + hour * HOUR, to: start + (hour + 1n) * HOUR }],
  rows: 2,
  bytes: 900,
});
const batch: Batch = {
  id: 'b0001',
  tenant: 'demo',
  table: 'Events',
  windows: [{ from: start, to: start + 2n * HOUR }],
  pages: [
    page('p0001', 0n),
    { ...page('p0002', 1n), rows: undefined, hash: { from: 0, to: 9 }, atRetentionEdge: true },
  ],
};
const answer = { rows: 2, bytes: 40, largestRow: 5, columns: ['a', 'b'] };

async function land(landing: Landing, one: Page, lines = '["é"]\n["2"]\n'): Promise<void> {
  const writer = await landing.open(one, 'Events | take 1');
  for (const byte of Buffer.from(lines)) await writer.write(Buffer.from([byte]));
  await landing.commit(one, writer, answer);
}

async function reopen(root: string): Promise<Landing[]> {
  return openLandings(root, 'demo', 'Events', 'run2');
}

describe('a landed page', () => {
  test('is a header, the lines as received, and a trailer', async () => {
    const landing = await createLanding(await scratch(), batch, 'run1');
    await land(landing, page('p0001', 0n));
    const text = await readFile(join(landing.folder, 'p0001.ndjson'), 'utf8');
    const [header, ...rest] = text.split('\n');
    expect(JSON.parse(header?.slice(1) ?? '')).toMatchObject({
      format: 1,
      run: 'run1',
      tenant: 'demo',
      table: 'Events',
      query: 'Events | take 1',
      page: { id: 'p0001', rows: 2, windows: [['2026-03-01T00:00:00.0000000Z', '2026-03-01T01:00:00.0000000Z']] },
    });
    expect(rest).toEqual(['["é"]', '["2"]', `#${JSON.stringify(answer)}`, '']);
  });

  test('is complete when it is larger than a write step', async () => {
    const landing = await createLanding(await scratch(), batch, 'run1');
    const writer = await landing.open(page('p0001', 0n), 'q');
    const line = Buffer.from(`["${'x'.repeat(99_994)}"]\n`);
    for (let k = 0; k < 50; k++) await writer.write(line);
    const { file } = await landing.commit(page('p0001', 0n), writer, { ...answer, rows: 50 });
    expect((await readFile(file, 'utf8')).split('\n')).toHaveLength(53);
  });

  test('leaves nothing behind when it is given up', async () => {
    const landing = await createLanding(await scratch(), batch, 'run1');
    const writer = await landing.open(page('p0001', 0n), 'q');
    await writer.write(Buffer.alloc(2_000_000, 'x'));
    await writer.discard();
    expect(await readdir(landing.folder)).toEqual(['batch.json']);
  });
});

describe('after a crash', () => {
  test('complete pages are kept with their counts, and the batch is unchanged', async () => {
    const root = await scratch();
    const landing = await createLanding(root, batch, 'run1');
    await land(landing, page('p0001', 0n));
    const [found, ...more] = await reopen(root);
    expect(more).toEqual([]);
    expect(found?.batch).toEqual(batch);
    expect([...(found?.landed.values() ?? [])]).toEqual([...landing.landed.values()]);
    expect(found?.landed.get('p0001')).toMatchObject(answer);
  });

  test('unfinished files, files of pages that were split, and folders without a batch are removed', async () => {
    const root = await scratch();
    const landing = await createLanding(root, batch, 'run1');
    await land(landing, page('p0001', 0n));
    const unfinished = await landing.open(page('p0002', 1n), 'q');
    await unfinished.write(Buffer.alloc(2_000_000, 'x'));
    await writeFile(join(landing.folder, 'p0000.ndjson'), '#{}\n#{"rows":0,"bytes":0,"largestRow":0}\n');
    await writeFile(join(landing.folder, 'p0002.ndjson'), '#{}\n["cut"');
    await mkdir(join(root, 'demo', 'Events', 'b0000'));
    const [found] = await reopen(root);
    expect([...(found?.landed.keys() ?? [])]).toEqual(['p0001']);
    expect((await readdir(landing.folder)).sort()).toEqual(['batch.json', 'p0001.ndjson']);
    expect(await readdir(join(root, 'demo', 'Events'))).toEqual(['b0001']);
    await unfinished.discard();
  });

  test('the children of a split are known, and the file of their parent is gone', async () => {
    const root = await scratch();
    const landing = await createLanding(root, batch, 'run1');
    await land(landing, page('p0002', 1n));
    const children = [page('p0002.0', 1n), page('p0002.1', 2n)];
    await Promise.all([
      landing.replace(page('p0002', 1n), children),
      landing.replace(page('p0001', 0n), [page('p0001.0', 0n)]),
    ]);
    const [found] = await reopen(root);
    expect(found?.batch.pages.map(({ id }) => id)).toEqual(['p0001.0', 'p0002.0', 'p0002.1']);
    expect(found?.landed.size).toBe(0);
    expect(await readdir(landing.folder)).toEqual(['batch.json']);
  });

  test('batches are found oldest first; a removed one is not found', async () => {
    const root = await scratch();
    const first = await createLanding(root, batch, 'run1');
    await createLanding(root, { ...batch, id: 'b0002' }, 'run1');
    await createLanding(root, { ...batch, id: 'b0003' }, 'run1');
    await first.remove();
    expect((await reopen(root)).map((found) => found.batch.id)).toEqual(['b0002', 'b0003']);
    expect(await openLandings(root, 'other', 'Events', 'run2')).toEqual([]);
  });
});
