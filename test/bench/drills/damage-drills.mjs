/** Drills in which files of the lake are damaged or gone, and in which the whole lake is elsewhere. */
import { cp, open, readdir, rename, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';

const BLOCK = 65_536;

const DAMAGES = {
  truncated: async (file) => truncate(file, Math.floor((await stat(file)).size / 2)),
  'bit-flipped': flipBits,
  deleted: (file) => rm(file),
};

const FILES = {
  ledger: (dir) => join(dir, 'state.duckdb'),
  manifest: (dir) => join(dir, 'manifest.json'),
  catalogue: (dir) => join(dir, 'insights.duckdb'),
  'Parquet file': async (dir) => {
    const store = join(dir, 'store', 'events');
    const names = (await readdir(store, { recursive: true })).filter((name) => name.endsWith('.parquet')).sort();
    return join(store, names[Math.floor(names.length / 2)]);
  },
};

/** One bit in each block, so that a file of many blocks is damaged wherever it is read. */
async function flipBits(file) {
  const handle = await open(file, 'r+');
  const { size } = await handle.stat();
  const byte = Buffer.alloc(1);
  for (let at = Math.min(Math.floor(size / 2), BLOCK / 2); at < size; at += BLOCK) {
    await handle.read(byte, 0, 1, at);
    byte[0] ^= 0x10;
    await handle.write(byte, 0, 1, at);
  }
  await handle.close();
}

/** The first of the commands that does not succeed; the first one if all do. */
async function firstFault(stage, ...commands) {
  const all = [];
  for (const args of commands) {
    all.push({ ...(await stage.run(args)), command: args.join(' ') });
    if (all.at(-1).code !== 0) return all.at(-1);
  }
  return all[0];
}

const damaged = (file, damage) => ({
  name: `${file} ${damage}`,
  isDamage: true,
  // What a run puts right by itself is no failure.
  expected: [0, 9],
  async run(stage) {
    await stage.loaded();
    await DAMAGES[damage](await FILES[file](stage.dataDir));
    return firstFault(stage, ['run'], ['verify', '--deep']);
  },
  recover: (stage, done) => (done.code === 0 ? undefined : stage.run(['repair'])),
});

async function moveAway(stage) {
  await stage.loaded();
  stage.moved = join(stage.folder, 'moved');
  await rename(stage.dataDir, stage.moved);
}

async function moveBack(stage) {
  await rm(stage.dataDir, { recursive: true, force: true });
  await rename(stage.moved, stage.dataDir);
}

export const DAMAGE_DRILLS = [
  ...Object.keys(FILES).flatMap((file) => Object.keys(DAMAGES).map((damage) => damaged(file, damage))),
  {
    name: 'folder moved: `publish`, then `sql`',
    expected: 0,
    async run(stage) {
      await moveAway(stage);
      const published = await stage.run(['publish'], { dir: stage.moved });
      if (published.code !== 0) return published;
      return stage.run(['sql', 'select count(*) as events from events'], { dir: stage.moved });
    },
    recover: moveBack,
  },
  {
    name: 'folder moved: the next `run`',
    expected: 0,
    async run(stage) {
      await moveAway(stage);
      return stage.run(['run'], { dir: stage.moved });
    },
    recover: moveBack,
  },
  {
    name: 'lake lost, `restore` from a backup',
    expected: 0,
    async run(stage) {
      await stage.loaded();
      stage.backup = join(stage.folder, 'backup');
      const made = await stage.run(['backup', stage.backup]);
      if (made.code !== 0) return made;
      await rm(stage.dataDir, { recursive: true });
      return stage.run(['restore', stage.backup, stage.dataDir]);
    },
    async recover(stage, done) {
      if (done.code === 0) return;
      await rm(stage.dataDir, { recursive: true, force: true });
      await cp(stage.backup, stage.dataDir, { recursive: true });
    },
    end: (stage) => rm(stage.backup, { recursive: true, force: true }),
  },
];
