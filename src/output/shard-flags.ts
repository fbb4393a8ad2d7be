/**
 * Completes the commands that a text of ours names: in a divided lake, most of them work only with the shard. Whoever writes such a text
 * knows the data directory, but not whether it is that of a shard.
 */
import { dirname, isAbsolute } from 'node:path';
import { shardOfDirectory, showShard } from '../model/shard.ts';
import type { Shard } from '../model/shard.ts';

export interface ShardFlags {
  readonly shard: Shard;
  /** What --data-dir is to be; undefined: the configuration has it. */
  readonly dataDir: string | undefined;
}

/** Commands that write to one shard or call the source for it. */
const OF_ONE_SHARD =
  /`insights-etl\s+(?:run|plan|doctor|verify|repair|rebuild|publish|quarantine|mirror|tenant\s+(?:pin|remove))(?=[\s`])[^`]*`/g;

export function withShardFlags(text: string, flags: ShardFlags | undefined): string {
  if (flags === undefined) return text;
  const { shard, dataDir } = flags;
  const given = `--shard ${showShard(shard)}${dataDir === undefined ? '' : ` --data-dir ${dataDir}`}`;
  return text.replaceAll(OF_ONE_SHARD, (command) =>
    /\s--(?:shard|data-dir|help)\b/.test(command) ? command : `${command.slice(0, -1)} ${given}\``,
  );
}

/** The shard that one of these places is in: the first that is a path into the data directory of a shard. */
export function shardOfPlaces(where: Readonly<Record<string, string | number>>): Shard | undefined {
  for (const value of Object.values(where)) {
    let folder = String(value);
    while (isAbsolute(folder) && dirname(folder) !== folder) {
      const place = shardOfDirectory(folder);
      if (place) return place.shard;
      folder = dirname(folder);
    }
  }
  return undefined;
}
