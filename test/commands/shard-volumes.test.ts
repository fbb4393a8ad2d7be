/** Shards on volumes or disks of their own: their folders are mount points or symbolic links. */
import { cp, mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { describe, expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import { reshardLake } from '../../src/pipeline/maintenance/reshard.ts';
import { shardFolders } from '../../src/query/shards.ts';
import type { World } from '../pipeline/support/world.ts';
import { withMountPoints } from '../support/mount-points.ts';
import type { Stage } from '../support/shell.ts';
import { useTwoShards } from '../support/two-shards.ts';

let world: World;
let stage: Stage;
useTwoShards(['lyon', 'paris'], (opened) => {
  ({ world, stage } = opened);
});

const folder = (name: string): string => join(world.dataDir, 'shards', name);

describe('reshard of shards that are elsewhere', () => {
  const rows = ['sql', 'select tenant_id, count(*) from events group by all order by all', '--format', 'csv'];

  it('empties mount points, which are no shards from then on, and fills one that is a new shard', async () => {
    const before = await stage.run(rows);
    const old = [folder('0-of-2'), folder('1-of-2')];
    await mkdir(folder('0-of-2/lost+found'));
    const runtime = { ...world.runtime, files: withMountPoints([...old, folder('0-of-3')]) };
    await mkdir(folder('0-of-3'));
    const { stay } = await reshardLake(world.config(), { from: 2, to: 3 }, runtime);
    expect(stay).toEqual(['shards/0-of-2', 'shards/1-of-2']);
    expect(await Promise.all(old.map((each) => readdir(each)))).toEqual([['lost+found'], []]);
    expect((await shardFolders(world.dataDir)).every(({ of }) => of === 3)).toBe(true);
    expect((await stage.run(rows)).out).toBe(before.out);
    expect(await readdir(folder('0-of-3'))).toContain('state.duckdb');
  });

  it('deletes the files of a shard that is a symbolic link, and not what else is there', async () => {
    const target = join(stage.folder, '0-of-2');
    await rename(folder('0-of-2'), target);
    await symlink(target, folder('0-of-2'));
    await writeFile(join(target, 'notes.txt'), '');
    const disk = join(stage.folder, '2-of-3');
    await mkdir(disk);
    await symlink(disk, folder('2-of-3'));
    const { code, err } = await stage.run(['reshard', '--from', '2', '--to', '3'], { KEY: 'k' });
    expect([code, err]).toEqual([0, '']);
    expect(await readdir(target)).toEqual(['notes.txt']);
    const shards = await readdir(join(world.dataDir, 'shards'));
    expect([shards.filter((name) => name.endsWith('-of-2')), shards.includes('2-of-3')]).toEqual([[], true]);
    expect(await readdir(disk)).toContain('state.duckdb');
  });
});

describe('a shard that is a symbolic link to a folder of another name', () => {
  const sql = async (...argv: string[]): Promise<string> => {
    const { code, out, err } = await stage.run(['sql', 'select count(*) as n from events', '--format', 'csv', ...argv]);
    expect([argv, code, err]).toEqual([argv, EXIT.ok, '']);
    return out;
  };
  const link = async (target: string): Promise<void> => {
    await rm(folder('0-of-2'), { recursive: true });
    await symlink(target, folder('0-of-2'));
  };

  it('is read with the others, by itself and by other tools, also after its folder was moved', async () => {
    const [all, own] = [await sql(), await sql('--shard', '0/2')];
    const [target, moved] = [join(stage.folder, 'volume'), join(stage.folder, '1-of-2')];
    await cp(folder('0-of-2'), target, { recursive: true });
    await link(target);
    expect(await stage.run(['publish', '--shard', '0/2'])).toMatchObject({ code: EXIT.ok, err: '' });
    expect([await sql(), await sql('--shard', '0/2')]).toEqual([all, own]);
    await rename(target, moved);
    await link(moved);
    expect([await sql(), await sql('--shard', '0/2')]).toEqual([all, own]);
    const instance = await DuckDBInstance.create(join(moved, 'insights.duckdb'), { access_mode: 'READ_ONLY' });
    const connection = await instance.connect();
    await connection.run(`set variable insights_folder = '${moved}'`);
    const result = await connection.runAndReadAll('select count(*)::integer as n from events');
    expect(result.getRowsJson()).toEqual([[Number(own.split('\n')[1])]]);
    connection.closeSync();
    instance.closeSync();
  });

  it('is read with the others when it was published under the name of that folder', async () => {
    const all = await sql();
    const target = join(stage.folder, 'disk');
    await cp(folder('0-of-2'), target, { recursive: true });
    await link(target);
    expect(await stage.run(['publish', '--data-dir', target])).toMatchObject({ code: EXIT.ok, err: '' });
    expect(await sql()).toBe(all);
  });
});
