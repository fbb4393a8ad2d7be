/** `backup` copies the published snapshot into a folder, also while a run is writing; `restore` makes a lake of it. No calls. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { ConfigError } from '../kernel/errors.ts';
import { notLocal } from '../kernel/local-path.ts';
import { backupSummary, checkSummary, restoreSummary, shardsText } from '../output/backup.ts';
import { json } from '../output/format.ts';
import { wholeNumber } from './numbers.ts';
import { isStoreAddress, MIRROR_HEAD, mirrorFormOf, parseMirrorPlace } from '../model/mirror-address.ts';
import type { ShardsReport } from '../pipeline/maintenance/backup-shards.ts';
import { shardFolder } from '../model/shard.ts';
import { shardFolders, shardsToRead } from '../query/shards.ts';
import { act, type Session, type Shell } from './shell.ts';

interface Options {
  readonly keep?: number;
  readonly check?: boolean;
}

export function backupCommand(shell: Shell): Command {
  return new Command('backup')
    .argument('<folder>', 'folder outside the data directory; created if missing')
    .addOption(
      new Option(
        '--keep <n>',
        'add a dated snapshot to the folder and keep the newest n; unchanged files are shared by hard links',
      ).argParser(wholeNumber(1, 9999)),
    )
    .option('--check', 'copy nothing: read every file of the backup in the folder and compare it with its checksum')
    .addHelpText(
      'after',
      `
Examples:
  $ insights-etl backup /mnt/backup/lake
  $ insights-etl backup /mnt/backup/daily --keep 14
  $ insights-etl backup --check /mnt/backup/daily
  $ insights-etl restore /mnt/backup/daily /srv/insights/data`,
    )
    .action((given: string, { keep, check }: Options, command: Command) =>
      act(shell, command, {}, async (session) => {
        const { config, io, runtime, signal } = session;
        const folder = localFolder(io.cwd, given, check === true);
        const { backupLake, checkBackupLake } = await import('../pipeline/maintenance/backup.ts');
        if (check === true) {
          if (keep !== undefined)
            throw new ConfigError('--check copies nothing, so --keep has no meaning with it.', {
              hint: 'Run the two one after the other.',
            });
          const report = await checkBackupLake(config, folder, runtime, signal);
          session.print(session.json ? `${json(report)}\n` : checkSummary(report.snapshots, report.missing));
          return report.exitCode;
        }
        const shards = config.shard ? [] : await shardsToRead(config.sharedDir);
        if (shards.length > 0) {
          const { backupShards } = await import('../pipeline/maintenance/backup-shards.ts');
          const report = await backupShards(config, shards, folder, runtime, signal, keep);
          return printShards(session, report, 'data directory', backupSummary);
        }
        const report = await backupLake(config, folder, runtime, signal, keep);
        session.print(session.json ? `${json(report)}\n` : backupSummary(report));
        return 0;
      }),
    );
}

export function restoreCommand(shell: Shell): Command {
  return new Command('restore')
    .argument('[source]', 'folder that `backup` wrote, of dated snapshots the newest, or the folder or address of a mirror')
    .argument('[folder]', 'the data directory to create; must be empty or missing (default: `dataDir`)')
    .option('--from <source>', 'the source, if only the folder is given as an argument, or nothing')
    .addHelpText(
      'after',
      `
Examples:
  $ insights-etl restore /mnt/backup/lake /srv/insights/data
  $ insights-etl restore /mnt/backup/daily/2026-11-29T03-00-08Z /srv/insights/data
  $ insights-etl restore --from s3://bucket/prefix                        into the configured \`dataDir\``,
    )
    .action((first: string | undefined, second: string | undefined, options: { readonly from?: string }, command: Command) =>
      act(shell, command, {}, async (session) => {
        const { io } = session;
        const [source, folder] = options.from === undefined ? [first, second] : [options.from, first];
        if (source === undefined || (options.from !== undefined && second !== undefined))
          throw new ConfigError('Name one source and at most one folder.', {
            hint: 'For example `insights-etl restore /mnt/backup/lake /srv/insights/data`.',
          });
        return restoreFrom(session, source, folder === undefined ? undefined : localFolder(io.cwd, folder));
      }),
    );

  /** `given`: the folder, undefined for `dataDir`. */
  async function restoreFrom(session: Session, source: string, given: string | undefined): Promise<number> {
    const { config, io, runtime, signal } = session;
    const place = isStoreAddress(source) ? parseMirrorPlace(source) : { kind: 'folder' as const, path: localFolder(io.cwd, source, true) };
    if (!place) throw new ConfigError(`"${source}" is not the address of a mirror.`, { hint: `Use ${mirrorFormOf(source)}.` });
    const { backupSource, restoreFrom: restore } = await import('../pipeline/maintenance/restore.ts');
    const { mirrorSource } = await import('../pipeline/mirror/restore.ts');
    const isBackup = place.kind === 'folder' && !(await holdsMirror(place.path));
    const from = isBackup ? backupSource(config, place.path, runtime, signal) : mirrorSource(config, place, runtime, signal);
    const report = await restore(config, from, given ?? config.sharedDir, runtime, signal);
    if ('shards' in report) return printShards(session, report, from.kind, restoreSummary);
    session.print(session.json ? `${json(report)}\n` : restoreSummary(report));
    return report.exitCode;
  }
} // oxfmt-ignore

/** True for the folder of a mirror, also one with a mirror for each shard. */
async function holdsMirror(folder: string): Promise<boolean> {
  const shards = (await shardFolders(folder)).map((shard) => shardFolder(folder, shard));
  return [folder, ...shards].some((each) => existsSync(join(each, MIRROR_HEAD)));
}

/** Prints what was done with each shard, and which are missing in what was read. Returns the exit code. */
function printShards<T>(
  session: Session,
  report: ShardsReport<T>,
  where: 'backup' | 'mirror' | 'data directory',
  summary: (report: T) => string,
): number {
  session.print(session.json ? `${json(report)}\n` : shardsText(report.shards, report.missing, where, summary));
  return report.exitCode;
}

/** Throws ConfigError for a place that is not a folder of this machine. `isSource`: it is read, not written. */
function localFolder(cwd: string, given: string, isSource = false): string {
  const instead = notLocal(given);
  if (instead === undefined) return resolve(cwd, given);
  const isRemote = /^(?!file:)[^/]+:\/\//i.test(given);
  throw new ConfigError(`"${given}" is not a folder of this machine.`, {
    hint: isSource && isRemote ? 'Use a path on this machine; copy it first.' : `Use ${instead}.`,
  });
}
