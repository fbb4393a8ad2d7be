/** How the worker reads marts: whole files, parts of large ones, and only the rows and columns that it was asked for. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { readRows } from '../../dashboard/marts.ts';

let folder: string;
/** Bytes that were fetched, by file. */
const fetched = new Map<string, number>();
let canAnswerParts = true;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'insights-marts-'));
  vi.stubGlobal('fetch', async (url: URL, { headers }: { headers: Record<string, string> }) => {
    const name = basename(url.pathname);
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(headers['range'] ?? '') ?? [];
    const isPart = canAnswerParts && from !== undefined;
    const bytes = await readFile(join(folder, name)).catch(() => undefined);
    if (!bytes) return new Response('', { status: 404 });
    if (isPart && Number(from) >= bytes.length) return new Response('', { status: 416 });
    const body = isPart ? bytes.subarray(Number(from), Number(to) + 1) : bytes;
    fetched.set(name, (fetched.get(name) ?? 0) + body.length);
    return new Response(new Uint8Array(body), { status: isPart ? 206 : 200 });
  });
});
afterAll(async () => {
  vi.unstubAllGlobals();
  await rm(folder, { recursive: true });
});

/** A mart of three tenants. With noise it does not compress. */
async function write(name: string, days: number): Promise<{ file: string; bytes: number }> {
  const instance = await DuckDBInstance.create();
  const connection = await instance.connect();
  const path = join(folder, name);
  await connection.run(
    `copy (
       select tenant as tenant_id, date '2020-01-01' + nth::int as period, 'day' as grain, nth as scans, hash(nth, tenant) as noise,
         md5(concat(nth, tenant)) as text, if(nth % 7 = 0, null, nth / 8) as rate, 'verified' as coverage, nth % 5 = 0 as is_cut,
         timestamptz '2026-11-01 00:00:00.123456+00' as loaded_at, 12345678901::hugeint::bigint as large
       from (select unnest(['milan', 'paris', 'rome']) as tenant), (select unnest(range(${days})) as nth)
       order by tenant, nth
     ) to '${path}' (format parquet, compression zstd, row_group_size 4096)`,
  );
  connection.closeSync();
  instance.closeSync();
  return { file: name, bytes: (await readFile(path)).length };
}

const all = (columns: readonly string[]): readonly string[] => columns;

it('reads the rows of a tenant and a range with the chosen columns, and values as CSV files have them', async () => {
  const source = { ...(await write('small.parquet', 100)), wanted: { tenant_id: 'paris', grain: 'day' } };
  const range = { from: '2020-01-02', to: '2020-01-04' };
  expect(await readRows(source, range, () => ['day', 'rate'])).toEqual({
    columns: ['day', 'rate'],
    rows: [
      { day: '2020-01-02', rate: 0.125 },
      { day: '2020-01-03', rate: 0.25 },
    ],
  });
  const { columns, rows } = await readRows({ ...source, without: 'noise' }, range, all);
  expect(columns).toEqual(['tenant_id', 'day', 'grain', 'scans', 'text', 'rate', 'coverage', 'is_cut', 'loaded_at', 'large']); // oxfmt-ignore
  expect(rows[0]).toEqual({
    tenant_id: 'paris',
    day: '2020-01-02',
    grain: 'day',
    scans: 1,
    text: expect.stringMatching(/^[0-9a-f]{32}$/),
    rate: 0.125,
    coverage: 'verified',
    is_cut: false,
    loaded_at: '2026-11-01T00:00:00.123Z',
    large: 12_345_678_901,
  });
  const everything = await readRows(source, undefined, all);
  expect(everything.rows.length).toBe(100);
  expect(everything.rows[0]).toMatchObject({ rate: null, is_cut: true });
  expect((await readRows({ ...source, wanted: { tenant_id: 'oslo' } }, undefined, all)).rows).toEqual([]);
});

it.each([true, false])(
  'of a large file it fetches the parts that it needs, if the host can answer with parts: %s',
  async (can) => {
    canAnswerParts = can;
    const source = { ...(await write(`large-${can}.parquet`, 18_000)), wanted: { tenant_id: 'paris' } };
    expect(source.bytes).toBeGreaterThan(1_400_000);
    const { rows } = await readRows(source, undefined, () => ['day', 'scans', 'tenant_id']);
    expect(rows.map(({ scans }) => scans)).toEqual(Array.from({ length: 18_000 }, (_, nth) => nth));
    expect(rows.every((row) => row['tenant_id'] === 'paris')).toBe(true);
    const bytes = fetched.get(source.file) ?? 0;
    // The group of rows at each end, and the end of the file, are fetched with it.
    expect([bytes < source.bytes * 0.7, bytes >= source.bytes]).toEqual([can, !can]);
  },
);

it('says which file is damaged, cut off or missing', async () => {
  const source = { ...(await write('cut.parquet', 18_000)), wanted: { tenant_id: 'paris' } };
  canAnswerParts = true;
  const missing = { ...source, file: 'missing.parquet' };
  await expect(readRows(missing, undefined, all)).rejects.toMatchObject({ file: 'missing.parquet', isMissing: true });
  const damaged = { file: 'cut.parquet', isMissing: false, message: expect.stringContaining('The file is damaged') };
  const bytes = await readFile(join(folder, 'cut.parquet'));
  for (const length of [bytes.length - 9, 1000, 0]) {
    await writeFile(join(folder, 'cut.parquet'), bytes.subarray(0, length));
    await expect(readRows(source, undefined, all)).rejects.toMatchObject(damaged);
  }
  // A failure is not remembered.
  await writeFile(join(folder, 'cut.parquet'), bytes);
  expect((await readRows(source, undefined, all)).rows.length).toBe(18_000);
});
