/** What is said of a folder that a restore has marked and not completed. */
import { ConfigError } from '../kernel/errors.ts';
import { plural } from '../kernel/plural.ts';
import { shardOfDirectory, showShard } from './shard.ts';
import type { Shard } from './shard.ts';

/** `folder`: a data directory, that of a shard, or the one that `shards` share. */
export function unfinishedRestore(folder: string, shards: readonly Shard[]): ConfigError {
  const [first = shardOfDirectory(folder)?.shard] = shards;
  const which = first && shards.length <= 1 ? `shard ${showShard(first)}` : plural(shards.length, 'shard');
  const flag = first ? ` --shard ${showShard(first)}` : '';
  return new ConfigError(`A restore ${first ? `of ${which} ` : ''}into ${folder} is not complete.`, {
    hint: `Wait for it, or run the same \`insights-etl restore\` command again: it continues. Only if its source is lost, \`insights-etl repair${flag}\` makes a lake of what is here, and the next run loads what the Insights API still has.`,
    where: { folder },
  });
}
