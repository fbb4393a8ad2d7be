/** `rebuild`: rewrites files that were written under other promoted columns or privacy rules. Sends no calls. */
import { Command } from 'commander';
import { json } from '../output/format.ts';
import { rebuildSummary } from '../output/summary.ts';
import { requestOf, tableOption, tenantOption } from './run.ts';
import { act, type Shell } from './shell.ts';

interface Selection {
  readonly tenant?: readonly string[];
  readonly table?: readonly string[];
  readonly from?: string;
  readonly to?: string;
  readonly dryRun?: boolean;
}

export function rebuildCommand(shell: Shell): Command {
  return new Command('rebuild')
    .addOption(tenantOption())
    .addOption(tableOption())
    .option('--from <instant>', 'only days and months that end after this instant, UTC')
    .option('--to <instant>', 'only days and months that begin before this instant, UTC')
    .option('--dry-run', 'show what would be rewritten without changing anything')
    .addHelpText(
      'after',
      `
Files that already follow the current rules are skipped: a second rebuild does nothing, and a stopped one can be resumed.

Examples:
  $ insights-etl rebuild --dry-run
  $ insights-etl rebuild
  $ insights-etl rebuild --table Events --from 2026-01-01`,
    )
    .action((options: Selection, command: Command) =>
      act(shell, command, {}, async (session) => {
        const { rebuildLake } = await import('../pipeline/maintenance/rebuild.ts');
        const { config, runtime, signal } = session;
        const request = requestOf(session, options);
        const report = await rebuildLake(config, request, { dryRun: options.dryRun === true, runtime, signal });
        session.print(session.json ? `${json(report)}\n` : session.withShard(rebuildSummary(report, session.style)));
        return report.exitCode;
      }),
    );
}
