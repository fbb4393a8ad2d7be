/** `backup` copies the published snapshot into a folder, also while a run is writing; `restore` makes a lake of it. No calls. */
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { ConfigError } from '../kernel/errors.ts';
import { notLocal } from '../kernel/local-path.ts';
import { backupSummary, checkSummary, restoreSummary } from '../output/backup.ts';
import { json } from '../output/format.ts';
import { wholeNumber } from './numbers.ts';
import { act, type Shell } from './shell.ts';

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
          const report = await checkBackupLake(folder, runtime, signal);
          session.print(session.json ? `${json(report)}\n` : checkSummary(report.snapshots));
          return report.exitCode;
        }
        const report = await backupLake(config, folder, runtime, signal, keep);
        session.print(session.json ? `${json(report)}\n` : backupSummary(report));
        return 0;
      }),
    );
}

export function restoreCommand(shell: Shell): Command {
  return new Command('restore')
    .argument('<backup>', 'folder that `backup` wrote; of dated snapshots, the newest is taken')
    .argument('<folder>', 'the data directory to create; must be empty or missing')
    .addHelpText(
      'after',
      `
Examples:
  $ insights-etl restore /mnt/backup/lake /srv/insights/data
  $ insights-etl restore /mnt/backup/daily/2026-11-29T03-00-08Z /srv/insights/data`,
    )
    .action((backup: string, folder: string, _options: object, command: Command) =>
      act(shell, command, {}, async (session) => {
        const { config, io, runtime, signal } = session;
        const { restoreLake } = await import('../pipeline/maintenance/backup.ts');
        const report = await restoreLake(
          config,
          localFolder(io.cwd, backup, true),
          localFolder(io.cwd, folder),
          runtime,
          signal,
        );
        session.print(session.json ? `${json(report)}\n` : restoreSummary(report));
        return report.exitCode;
      }),
    );
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
