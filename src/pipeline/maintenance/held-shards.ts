/** Which lake or shards a backup or a mirror holds, and whether a folder is the right one for a shard. */
import { ConfigError } from '../../kernel/errors.ts';
import { onDisk } from '../../kernel/files.ts';
import { plural } from '../../kernel/plural.ts';
import { SHARDS_FOLDER } from '../../model/data-dir.ts';
import { misplacedTenants, shardFolder, showShard } from '../../model/shard.ts';
import type { Shard } from '../../model/shard.ts';
import { shardFolders } from '../../query/shards.ts';

export interface Held {
  /** One lake, or one shard, is in the place itself. */
  readonly isOne: boolean;
  /** Shards with a folder of their own below it. */
  readonly shards: readonly Shard[];
}

/** The shards of a lake; none for one lake or shard. Throws ConfigError if it is not clear which of them are the lake. */
export function shardsOf({ isOne, shards }: Held, kind: 'backup' | 'mirror', place: string): readonly Shard[] {
  const numbers = [...new Set(shards.map(({ of }) => of))];
  const lakes = [...(isOne ? ['a lake that is not divided'] : []), ...numbers.map((of) => `a lake of ${of} shards`)];
  if (lakes.length < 2) return shards;
  throw new ConfigError(`The ${kind} holds ${lakes.join(' and ')}.`, {
    hint: `Restore the shards one after the other, each with --shard.${isOne ? ` To restore the lake that is not divided, move ${SHARDS_FOLDER}/ out of it first.` : ''}`,
    where: { [kind]: place },
  });
}

/** Throws ConfigError if tenants are not those of the shard. `what`: holds them. */
export function requireTenantsOf(
  shard: Shard,
  tenants: readonly string[],
  what: string,
  details: { readonly hint: string; readonly where: Readonly<Record<string, string>> },
): void {
  const others = [...misplacedTenants(tenants, shard).values()].flat();
  if (others.length === 0) return;
  throw new ConfigError(
    `${what} with ${plural(others.length, 'tenant')} that shard ${showShard(shard)} does not have, such as ${others[0] ?? ''}.`,
    details,
  );
}

/** Throws ConfigError if a data directory has folders of another number of shards: two lakes side by side cannot be read. */
export async function requireSameNumber(shared: string, { of }: Shard, kind: string): Promise<void> {
  const other = (await onDisk(shared, () => shardFolders(shared))).find((each) => each.of !== of);
  if (other === undefined) return;
  throw new ConfigError(
    `The data directory has a folder of ${plural(other.of, 'shard')}, and the ${kind} is of ${of}.`,
    { hint: 'Restore into a new data directory.', where: { folder: shardFolder(shared, other) } },
  );
}
