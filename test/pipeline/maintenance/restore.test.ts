/** `restore` of a backup and of a mirror: cut off, twice at the same time, and into a folder with the files of another lake. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXIT } from '../../../src/kernel/errors.ts';
import { systemFiles } from '../../../src/kernel/files.ts';
import type { Files } from '../../../src/kernel/files.ts';
import { backupLake } from '../../../src/pipeline/maintenance/backup.ts';
import { repairLake } from '../../../src/pipeline/maintenance/inspect.ts';
import { publishLake } from '../../../src/pipeline/maintenance/publish.ts';
import { restoreLake } from '../../../src/pipeline/maintenance/restore.ts';
import type { RestoreReport } from '../../../src/pipeline/maintenance/restore.ts';
import { pushMirror } from '../../../src/pipeline/mirror/push.ts';
import { restoreMirror } from '../../../src/pipeline/mirror/restore.ts';
import { campaign } from '../../support/campaign.ts';
import { openMirroredLake, type MirroredLake } from '../mirror/support/lake.ts';

const NEVER = new AbortController().signal;
const LOST = join('store', 'events', 'tenant_id=demo', 'month=2026-10', '2026-10.1.parquet');

let lake: MirroredLake;
let folder: string;
type Config = ReturnType<MirroredLake['world']['config']>;
const config = (dataDir = lake.world.dataDir): Config => ({
  ...lake.world.config({ mirror: { to: join(folder, 'mirror') } }),
  dataDir,
  sharedDir: dataDir,
});

beforeAll(async () => {
  lake = await openMirroredLake();
  folder = await mkdtemp(join(tmpdir(), 'insights-etl-restore-'));
  await pushMirror(config(), lake.world.runtime, NEVER);
  await backupLake(config(), join(folder, 'backup'), lake.world.runtime, NEVER);
  for (const kind of KINDS) {
    await cp(join(folder, kind), join(folder, `${kind}-damaged`), { recursive: true });
    await rm(join(folder, `${kind}-damaged`, LOST));
  }
});
afterAll(async () => {
  await lake[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const KINDS = ['backup', 'mirror'] as const;
type Restore = (source: string, to: string, files?: Files) => Promise<RestoreReport>;
const RESTORE: Readonly<Record<(typeof KINDS)[number], Restore>> = {
  backup: (source, to, files = systemFiles) =>
    restoreLake(config(), join(folder, source), join(folder, to), { ...lake.world.runtime, files }, NEVER),
  mirror: (source, to, files = systemFiles) => {
    const settings = config().mirrorAt({ kind: 'folder', path: join(folder, source) });
    return restoreMirror(config(), settings, join(folder, to), { ...lake.world.runtime, files }, NEVER);
  },
};
const listed = async (to: string): Promise<string[]> =>
  (await readdir(join(folder, to), { recursive: true })).toSorted();
const cutAt = (path: string): Files => ({
  ...systemFiles,
  rename: async (from, to) => {
    if (String(to).endsWith(path)) throw new RangeError('cut off');
    await systemFiles.rename(from, to);
  },
});

describe.each(KINDS)('a restore of a %s', (kind) => {
  const restore = RESTORE[kind];

  for (const [at, isRepresentative] of [
    [LOST.replaceAll('2026-10', '2026-11'), false],
    ['manifest.json', false],
    ['insights.duckdb', false],
    ['state.duckdb', true],
  ] as const)
    it(`that is cut off at ${at} is continued by the same command, with its report of damaged files`, campaign(isRepresentative && kind === 'mirror'), async () => {
      const to = `${kind}-cut-${basename(at)}`;
      await expect(restore(`${kind}-damaged`, to, cutAt(join(to, at)))).rejects.toThrow('cut off');
      const refused = publishLake(config(join(folder, to)), lake.world.runtime);
      await expect(refused).rejects.toMatchObject({ exitCode: EXIT.config, message: expect.stringMatching(/is not complete|Nothing has been loaded/) });
      const report = { withLedger: true, rows: 3, damaged: [{ file: LOST, problem: 'missing' }], exitCode: EXIT.damaged };
      expect(await restore(`${kind}-damaged`, to)).toMatchObject(report);
      expect(await restore(`${kind}-damaged`, to)).toMatchObject({ ...report, restoredBefore: true });
      // From another source, or when it is used, it is a lake as any other.
      await expect(restore(kind, to)).rejects.toThrow('The folder holds a lake already.');
      expect(await publishLake(config(join(folder, to)), lake.world.runtime)).toMatchObject({ rows: 3, missing: 0 });
      await expect(restore(`${kind}-damaged`, to)).rejects.toThrow('The folder holds a lake already.');
      expect(await listed(to)).not.toContain('restore.duckdb');
    }); // oxfmt-ignore

  it('that is cut off can be repaired instead', campaign(kind === 'backup'), async () => {
    const to = `${kind}-repaired`;
    await expect(restore(kind, to, cutAt(join(to, 'state.duckdb')))).rejects.toThrow('cut off');
    expect(await repairLake(config(join(folder, to)), lake.world.runtime)).toMatchObject({ rows: lake.rows() });
    await expect(restore(kind, to)).rejects.toThrow('The folder holds a lake already.');
  });

  it('deletes nothing in a folder that holds only the files of a lake, and names repair', async () => {
    const to = `${kind}-store`;
    await cp(join(lake.world.dataDir, 'store'), join(folder, to, 'store'), { recursive: true });
    await cp(join(folder, to, LOST), join(folder, to, LOST.replace('.1.parquet', '.2.parquet')));
    const before = await listed(to);
    await expect(restore(kind, to)).rejects.toMatchObject({ exitCode: EXIT.config, hint: expect.stringContaining('`insights-etl repair') }); // oxfmt-ignore
    expect(await listed(to)).toEqual(before);
  });

  it('is refused while another one works on the folder, and so is repair; when that one is killed, it continues', campaign(kind === 'backup'), async () => {
    const to = `${kind}-twice`;
    await expect(restore(kind, to, cutAt(join(to, 'state.duckdb')))).rejects.toThrow('cut off');
    const script = `import { DuckDBInstance } from '@duckdb/node-api';
      await DuckDBInstance.create(process.argv[1]); console.log('held'); setInterval(() => {}, 1000);`;
    const argv = ['--input-type=module', '-e', script, join(folder, to, 'restore.duckdb')];
    const holder = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await once(holder.stdout, 'data');
      const before = await listed(to);
      await expect(restore(kind, to)).rejects.toMatchObject({ exitCode: EXIT.locked });
      await expect(repairLake(config(join(folder, to)), lake.world.runtime)).rejects.toMatchObject({ exitCode: EXIT.locked });
      expect(await listed(to)).toEqual(before);
    } finally {
      holder.kill('SIGKILL');
      await once(holder, 'exit');
    }
    await writeFile(join(folder, to, 'letter.txt'), 'mine');
    await expect(restore(kind, to)).rejects.toThrow('The folder is not empty.');
    await rm(join(folder, to, 'letter.txt'));
    expect(await restore(kind, to)).toMatchObject({ exitCode: EXIT.ok, rows: lake.rows() });
  }); // oxfmt-ignore
});
