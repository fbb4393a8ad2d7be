/** Restores from a folder that a mirror is in, also after one that was cut off. */
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { EXIT } from '../../../src/kernel/errors.ts';
import { sha256Of, systemFiles } from '../../../src/kernel/files.ts';
import type { Files } from '../../../src/kernel/files.ts';
import { publishLake } from '../../../src/pipeline/maintenance/publish.ts';
import { pushMirror } from '../../../src/pipeline/mirror/push.ts';
import { lakeStatus } from '../../../src/pipeline/status.ts';
import { restoreMirror } from '../../../src/pipeline/mirror/restore.ts';
import { entriesBelow, knownFile } from '../../../src/model/data-path.ts';
import { watchedFiles, type Operation } from '../../campaigns/soak/support/disk.ts';
import { openMirroredLake, type MirroredLake } from './support/lake.ts';

const NEVER = new AbortController().signal;
const LOG = '00000000000000000000.json';

let lake: MirroredLake;
let folder: string;
let mirror: string;

const config = (): ReturnType<MirroredLake['world']['config']> =>
  lake.world.config({ mirror: { to: mirror }, lake: { keepHours: 0, delta: true } });
const restore = (to: string, files: Files = systemFiles): ReturnType<typeof restoreMirror> =>
  restoreMirror(config(), config().mirrorAt({ kind: 'folder', path: mirror }), to, { ...lake.world.runtime, files }, NEVER); // oxfmt-ignore
const stored = async (to: string): Promise<string[]> =>
  (await readdir(join(to, 'store'), { recursive: true })).toSorted();

beforeAll(async () => {
  lake = await openMirroredLake();
  folder = await mkdtemp(join(tmpdir(), 'insights-etl-restore-'));
  mirror = join(folder, 'mirror');
  await publishLake(config(), lake.world.runtime);
  await pushMirror(config(), lake.world.runtime, NEVER);
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

it('a restore that is continued after a newer push has the files and logs of the newer snapshot only', async () => {
  const to = join(folder, 'continued');
  const rename: Files['rename'] = async (from, path) => {
    if (String(path).endsWith('state.duckdb')) throw new RangeError('cut off');
    await systemFiles.rename(from, path);
  };
  await expect(restore(to, { ...systemFiles, rename })).rejects.toThrow('cut off');
  const [file = ''] = (await stored(to)).filter((name) => name.endsWith('.parquet'));
  // As of a tenant and a mart that were removed since.
  for (const [from, left] of [
    [file, file.replace('tenant_id=demo', 'tenant_id=gone')],
    [file, `${file.replace('tenant_id=demo', 'tenant_id=begun')}.tmp`],
    [join('events', '_delta_log', LOG), join('marts', 'gone', '_delta_log', LOG)],
    [join('events', '_delta_log', LOG), join('events', '_delta_log', `${LOG}.tmp`)],
    [join('events', '_delta_log', LOG), join('marts', 'begun', '_delta_log', '_last_checkpoint.tmp')],
  ] as const) {
    await mkdir(dirname(join(to, 'store', left)), { recursive: true });
    await cp(join(to, 'store', from), join(to, 'store', left));
  }
  // The log begins again, as after a purge.
  await rm(join(lake.world.dataDir, 'store', 'events', '_delta_log'), { recursive: true });
  await lake.load(2);
  await publishLake(config(), lake.world.runtime);
  await pushMirror(config(), lake.world.runtime, NEVER);
  await cp(to, `${to}-rebuilt`, { recursive: true });
  expect(await restore(to)).toMatchObject({ exitCode: EXIT.ok, rows: lake.rows(), withLedger: true });
  await restore(join(folder, 'fresh'));
  expect(await stored(to)).toEqual(await stored(join(folder, 'fresh')));
  // A ledger that is rebuilt would take the rows of every file.
  const [state = ''] = await readdir(join(mirror, 'state'));
  await rm(join(mirror, 'state', state, 'state.duckdb'));
  expect(await restore(`${to}-rebuilt`)).toMatchObject({ exitCode: EXIT.ok, rows: lake.rows(), withLedger: false });
  expect(await stored(`${to}-rebuilt`)).toEqual(await stored(join(folder, 'fresh')));
});

it('a restore that was cut off leaves only files that the same command knows, at whichever step', async () => {
  const to = join(folder, 'recorded');
  const written = new Set<string>();
  const before = ({ name, path }: Operation): void => {
    if (['copyFile', 'link', 'rename', 'writeFile'].includes(name)) written.add(path);
  };
  expect(await restore(to, watchedFiles(to, { before }))).toMatchObject({ exitCode: EXIT.ok });
  expect(written).toContain(join('store', 'events', '_delta_log', `${LOG}.tmp`));
  // Publishing also renames folders.
  expect([...written].filter((path) => !knownFile(path) && entriesBelow(path).length === 0)).toEqual([]);
});

/** Every row of every table, as text. */
async function ledgerRows(dataDir: string): Promise<Map<string, unknown>> {
  const instance = await DuckDBInstance.create(join(dataDir, 'state.duckdb'), { access_mode: 'READ_ONLY' });
  const connection = await instance.connect();
  const rowsOf = async (sql: string): Promise<unknown[][]> => (await connection.runAndReadAll(sql)).getRowsJson();
  const found = new Map<string, unknown>();
  for (const [name] of await rowsOf('select table_name from duckdb_tables() order by all')) {
    // The last word says with which rules marts and checks were found to be up to date. It is noted whenever that is found.
    const columns = name === 'snapshots' ? `* replace (split(content, ' ')[1:2] as content)` : '*';
    found.set(String(name), await rowsOf(`select ${columns} from "${String(name)}" order by all`));
  }
  connection.closeSync();
  instance.closeSync();
  return found;
}

it('a restore into the folder of the lake brings back equal files, every row of the ledger, and the age of each proof', async () => {
  await lake.load(1);
  await publishLake(config(), lake.world.runtime);
  await pushMirror(config(), lake.world.runtime, NEVER);
  const { dataDir } = lake.world;
  const filesOf = async (): Promise<Map<string, string>> => {
    const found = new Map<string, string>();
    for (const name of ['insights.duckdb', 'manifest.json', ...(await stored(dataDir)).map((each) => join('store', each))])
      if (/\.(?:duckdb|json|parquet)$/.test(name)) found.set(name, await sha256Of(join(dataDir, name), systemFiles));
    return found;
  };
  const proofs = async (): Promise<unknown[]> =>
    (await lakeStatus(config(), lake.world.runtime)).tables.map(({ table, oldestProof }) => [table, oldestProof]);
  const before = [await filesOf(), await ledgerRows(dataDir), await proofs()];
  expect((await proofs()).flat()).not.toContain(undefined);
  await rm(dataDir, { recursive: true });
  await restore(dataDir);
  expect([await filesOf(), await ledgerRows(dataDir), await proofs()]).toEqual(before);
}); // oxfmt-ignore

it('a mirror whose head is damaged or lost is restored by its manifest, and without that the error says what is needed', async () => {
  const head = join(mirror, 'mirror.json');
  await writeFile(head, 'damaged');
  const rows = lake.rows();
  expect(await restore(join(folder, 'damaged'))).toMatchObject({ exitCode: EXIT.ok, rows, withLedger: false });
  await rm(head);
  expect(await restore(join(folder, 'lost'))).toMatchObject({ exitCode: EXIT.ok, rows, withLedger: false });
  await writeFile(head, 'damaged');
  await writeFile(join(mirror, 'manifest.json'), 'damaged');
  await expect(restore(join(folder, 'none'))).rejects.toMatchObject({ reason: 'damaged', hint: expect.stringContaining('Bring mirror.json or manifest.json back') }); // oxfmt-ignore
});
