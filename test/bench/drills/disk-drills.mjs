/** Drills in which the disk is full or read-only, for the lake and for the log. */
import { chmod, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { mount, unmount } from './stage.mjs';

const FULL = 10;

/**
 * A first load into a file system of a share of the space that the lake takes. Where this process may not mount one, no file
 * may become larger than that share, which the program sees as another error of the disk.
 */
const diskFull = (share) => ({
  name: `disk full at ${Math.round(share * 100)} % of the lake`,
  // The last steps need the least space: a run may just fit.
  expected: [FULL, 0],
  async run(stage) {
    await stage.empty();
    const kilobytes = Math.ceil(((await stage.lakeBytes()) * share) / 1024);
    if (!stage.mounts) return stage.run(['run'], { shell: `ulimit -f ${kilobytes}; exec "$0" "$@"` });
    mount('-t', 'tmpfs', '-o', `size=${kilobytes}k`, 'tmpfs', stage.dataDir);
    return stage.run();
  },
  async recover(stage) {
    if (stage.mounts) mount('-o', 'remount,size=1g', stage.dataDir);
  },
  async end(stage) {
    if (stage.mounts) unmount(stage.dataDir);
  },
});

/** Makes a folder read-only, and returns what makes it writable again. */
async function readOnly(stage, folder, at = folder) {
  if (stage.mounts) {
    mount('--bind', folder, at);
    mount('-o', 'remount,bind,ro', at);
    return () => unmount(at);
  }
  await chmod(folder, 0o555);
  return () => chmod(folder, 0o755);
}

const loggingTo = (name, redirection) => ({
  name,
  expected: 0,
  async run(stage) {
    await stage.empty();
    return stage.run(['run'], { shell: `exec "$0" "$@" ${redirection}` });
  },
});

let undo = async () => {};

export const DISK_DRILLS = [
  ...[0.05, 0.15, 0.25, 0.35, 0.45].map(diskFull),
  {
    name: 'data directory read-only: `run`',
    expected: FULL,
    async run(stage) {
      await stage.loaded();
      undo = await readOnly(stage, stage.dataDir);
      return stage.run();
    },
    recover: () => undo(),
  },
  {
    name: 'mounted read-only somewhere else: `sql`',
    expected: 0,
    async run(stage) {
      await stage.loaded();
      const elsewhere = join(stage.folder, 'elsewhere');
      await mkdir(elsewhere);
      undo = await readOnly(stage, stage.dataDir, elsewhere);
      const hidden = stage.mounts ? join(stage.folder, 'hidden') : undefined;
      if (hidden !== undefined) {
        // The path that the catalogue was published with does not exist on the other machine.
        await mkdir(hidden);
        mount('--bind', hidden, stage.dataDir);
      }
      const done = await stage.run(['sql', 'select count(*) as events from events'], {
        dir: stage.mounts ? elsewhere : stage.dataDir,
      });
      if (hidden !== undefined) unmount(stage.dataDir);
      return done;
    },
    recover: () => undo(),
    end: (stage) => rm(join(stage.folder, 'elsewhere'), { recursive: true, force: true }),
  },
  loggingTo('disk of the log full', '2> /dev/full'),
  loggingTo('pipe of the log closed', '2> >(exec true)'),
];
