/** `publish`: writes the catalogue, the manifest and `lake/` again, e.g. after the data directory was moved. Sends no calls. */
import { Command } from 'commander';
import { plural } from '../kernel/plural.ts';
import { printAndPush } from './printed-push.ts';
import { act, type Shell } from './shell.ts';

export function publishCommand(shell: Shell): Command {
  return new Command('publish')
    .addHelpText(
      'after',
      `
Run it after the data directory was moved or copied, or if a reader reports that the catalogue is damaged.

Examples:
  $ insights-etl publish
  $ insights-etl publish --data-dir /srv/moved/insights`,
    )
    .action((_options: object, command: Command) =>
      act(shell, command, {}, async (session) => {
        const { publishLake } = await import('../pipeline/maintenance/publish.ts');
        const report = await publishLake(session.config, session.runtime);
        const { dataDir, snapshot, files, rows, missing } = report;
        const lost =
          missing === 0
            ? ''
            : `${plural(missing, 'file')} of the ledger are missing; \`insights-etl run\` fetches what they held\n`;
        const text = `published snapshot ${snapshot} in ${dataDir}: ${plural(rows, 'row')} in ${plural(files, 'file')}\n${lost}`;
        return printAndPush(session, { report, text });
      }),
    );
}
