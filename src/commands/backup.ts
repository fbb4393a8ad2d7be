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
import type { RestoreReport } from '../pipeline/maintenance/backup.ts';
import type { ShardsReport } from '../pipeline/maintenance/backup-shards.ts';
import { shardsToRead } from '../query/shards.ts';
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
    .argument('[source]', 'folder that `backup` wrote, of dated snapshots the newest, or the address of a mirror')
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
    if (place.kind !== 'folder' || existsSync(join(place.path, MIRROR_HEAD))) {
      const { restoreMirror } = await import('../pipeline/mirror/restore.ts');
      return printRestored(session, await restoreMirror(config, config.mirrorAt(place), given ?? config.dataDir, runtime, signal));
    }
    const { restoreLake, restoreShard, shardsInBackup } = await import('../pipeline/maintenance/backup.ts');
    const [from, to] = [place.path, given ?? config.sharedDir];
    if (config.shard) return printRestored(session, await restoreShard(config, config.shard, from, to, runtime, signal));
    const shards = await shardsInBackup(from);
    if (shards.length === 0) return printRestored(session, await restoreLake(config, from, to, runtime, signal));
    const { restoreShards } = await import('../pipeline/maintenance/backup-shards.ts');
    return printShards(session, await restoreShards(config, shards, from, to, runtime, signal), 'backup', restoreSummary);
  }
} // oxfmt-ignore

function printRestored(session: Session, report: RestoreReport): number {
  session.print(session.json ? `${json(report)}\n` : restoreSummary(report));
  return report.exitCode;
}

/** Prints what was done with each shard, and which are missing in what was read. Returns the exit code. */
function printShards<T>(
  session: Session,
  report: ShardsReport<T>,
  where: 'backup' | 'data directory',
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
