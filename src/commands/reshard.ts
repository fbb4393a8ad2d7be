/** `reshard`: divides the lake into another number of shards. Sends no calls. */
import { Command } from 'commander';
import { ConfigError } from '../kernel/errors.ts';
import { count, plural } from '../kernel/plural.ts';
import { MOST_SHARDS } from '../model/shard.ts';
import { json } from '../output/format.ts';
import { wholeNumber } from './numbers.ts';
import type { ReshardReport } from '../pipeline/maintenance/reshard.ts';
import { act, type Shell } from './shell.ts';

/** One that was not divided holds the prefixes of the new shards: taken literally, "delete it" would delete those. */
function oldMirrorsText({ oldMirrors, to }: ReshardReport): string {
  if (oldMirrors.length === 0) return '';
  const places = oldMirrors.map((place) => {
    const isWhole = to > 1 && !/\/shards\/\d+-of-\d+$/.test(place);
    return `  ${place}${isWhole ? ' (all but what is below shards/)' : ''}\n`;
  });
  return `These mirrors of the old shards are not written any more. Delete them after the next push of every shard:\n${places.join('')}`;
}

interface Options {
  readonly from: number;
  readonly to: number;
}

export function reshardCommand(shell: Shell): Command {
  return new Command('reshard')
    .requiredOption('--from <n>', 'number of shards now; 1 = the lake is not divided', wholeNumber(1, MOST_SHARDS))
    .requiredOption('--to <m>', 'number of shards to be; 1 = no shards', wholeNumber(1, MOST_SHARDS))
    .addHelpText(
      'after',
      `
Files are linked, not copied, and nothing is fetched again. Stop the workers first. Readers go on. If it is cut off, the same
command continues; with --to equal to --from it gives up what it has begun.

Examples:
  $ insights-etl reshard --from 1 --to 8
  $ insights-etl reshard --from 8 --to 3`,
    )
    .action(({ from, to }: Options, command: Command) =>
      act(shell, command, {}, async (session) => {
        if (session.config.shard)
          throw new ConfigError('`reshard` works on all shards, so it takes no --shard.', {
            hint: 'Give --shard 0/1, which is the lake as a whole, also where `shard` of the configuration or INSIGHTS_SHARD sets another.',
          });
        const { reshardLake } = await import('../pipeline/maintenance/reshard.ts');
        const report = await reshardLake(session.config, { from, to }, session.runtime);
        const lines = report.shards.map(
          ({ shard, tenants, rows }) => `shard ${shard}: ${plural(tenants, 'tenant')}, ${count(rows)} rows\n`,
        );
        const whole =
          from === to
            ? `the lake is divided into ${plural(to, 'shard')}, as before\n`
            : `${plural(report.rows, 'row')} are in ${plural(to, 'shard')}; ${plural(report.files, 'file')} moved\n`;
        const stay =
          report.stay.length === 0
            ? ''
            : `${report.stay.join(', ')} ${report.stay.length === 1 ? 'is a mount point' : 'are mount points'}, now without a lake: unmount, and delete the folder\n`;
        session.print(session.json ? `${json(report)}\n` : lines.join('') + whole + stay + oldMirrorsText(report));
        return 0;
      }),
    );
}
