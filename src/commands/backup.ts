/** `backup`: copies the published snapshot into a folder, also while a run is writing. Sends no calls. */
import { resolve } from 'node:path';
import { Command } from 'commander';
import { bytes, json, plural } from '../output/format.ts';
import { act, type Shell } from './shell.ts';

export function backupCommand(shell: Shell): Command {
  return new Command('backup')
    .description('Copy the published snapshot into a folder, even while a run is writing; later copies are incremental')
    .argument('<folder>', 'folder outside the data directory; created if missing')
    .addHelpText(
      'after',
      '\nExamples:\n  $ insights-etl backup /mnt/backup/lake\n\nRestoring: docs/operate.md, Backup and restore',
    )
    .action((folder: string, _options: object, command: Command) =>
      act(shell, command, {}, async (session) => {
        const { backupLake } = await import('../pipeline/maintenance/inspect.ts');
        const report = await backupLake(
          session.config,
          resolve(session.io.cwd, folder),
          session.runtime,
          session.signal,
        );
        const { snapshot, files, copiedFiles, copiedBytes, removedFiles, withLedger } = report;
        session.print(
          session.json
            ? `${json(report)}\n`
            : `snapshot ${snapshot} is in ${report.folder}: ${plural(files, 'file')}, ${bytes(report.bytes)}\n` +
                `copied ${plural(copiedFiles, 'file')}, ${bytes(copiedBytes)}; removed ${plural(removedFiles, 'file')} of earlier snapshots\n` +
                (withLedger
                  ? 'the ledger is included\n'
                  : 'the ledger is not included because a run is using it; after a restore, `insights-etl repair` rebuilds it\n'),
        );
        return 0;
      }),
    );
}
