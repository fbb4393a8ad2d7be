/**
 * Completes the commands that a text of ours names: in a divided lake, most of them work only with the shard. Whoever writes such a text
 * knows the data directory, but not whether it is that of a shard.
 */
import { dirname, isAbsolute } from 'node:path';
import { shardOfDirectory, showShard } from '../model/shard.ts';
import type { Shard } from '../model/shard.ts';

export interface ShardFlags {
  /** Undefined: the command works on no shard, so only commands that have one already need the data directory. */
  readonly shard: Shard | undefined;
  /** What --data-dir is to be; undefined: the configuration has it. */
  readonly dataDir: string | undefined;
}

/** Commands that write to one shard or call the source for it, and `reshard`. */
const OF_SHARDS =
  /`insights-etl\s+(?:run|reshard|plan|doctor|verify|repair|rebuild|publish|quarantine|mirror|tenant\s+(?:pin|remove))(?=[\s`])[^`]*`/g;

export function withShardFlags(text: string, flags: ShardFlags | undefined): string {
  if (flags === undefined) return text;
  const { shard, dataDir } = flags;
  const place = dataDir === undefined ? '' : ` --data-dir ${dataDir}`;
  return text.replaceAll(OF_SHARDS, (command) => {
    if (/\s--(?:data-dir|help)\b/.test(command)) return command;
    const isWhole = /\s(?:--shard|reshard)\b/.test(command);
    if (!isWhole && shard === undefined) return command;
    return `${command.slice(0, -1)}${isWhole || shard === undefined ? '' : ` --shard ${showShard(shard)}`}${place}\``;
  });
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
