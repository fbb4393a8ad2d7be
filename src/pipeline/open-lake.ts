/**
 * Opens the ledger that a command writes. A tenant is in the shard that the number of shards gives it, so a run with another number
 * would find no tenant where it is and fetch everything again. Such a run is refused before it begins.
 */
import type { Config } from '../config/config.ts';
import { ConfigError } from '../kernel/errors.ts';
import { plural } from '../kernel/plural.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { openLedger } from '../load/ledger/ledger.ts';
import type { LakeSettings, Ledger } from '../load/ledger/ledger.ts';
import { showShard } from '../model/shard.ts';
import { readReshard, shardsWithLedger } from '../query/shards.ts';

/** Throws ConfigError if the tenants of this data directory are in other shards, otherwise as `openLedger`. */
export async function openLake(config: Config, settings: LakeSettings, runtime: Runtime): Promise<Ledger> {
  await requireShards(config);
  const ledger = await openLedger(config.dataDir, settings, runtime);
  try {
    // A reshard may have begun since, which takes no notice of ledgers that are opened after it has looked at them.
    await requireNoReshard(config);
  } catch (error) {
    await ledger.close();
    throw error;
  }
  return ledger;
}

/** Throws ConfigError if the lake is divided in another way, or is just being divided. */
export async function requireShards(config: Pick<Config, 'shard' | 'sharedDir'>): Promise<void> {
  await requireNoReshard(config);
  const { shard, sharedDir } = config;
  const of = shard?.of ?? 1;
  const other = (await shardsWithLedger(sharedDir)).find((place) => place.of !== of);
  if (other === undefined) return;
  const has = other.of === 1 ? 'is not divided into shards' : `is divided into ${plural(other.of, 'shard')}`;
  throw new ConfigError(
    `The lake in this data directory ${has}${shard ? `, and this is shard ${showShard(shard)}` : ''}.`,
    {
      hint: `${other.of === 1 ? 'Omit --shard' : `Give --shard 0/${other.of} to ${other.of - 1}/${other.of}`}, or move the tenants without fetching them again: \`insights-etl reshard --from ${other.of} --to ${of}\`.`,
      where: { folder: sharedDir },
    },
  );
}

async function requireNoReshard({ sharedDir }: Pick<Config, 'sharedDir'>): Promise<void> {
  const reshard = await readReshard(sharedDir);
  if (reshard === undefined) return;
  const { from, to } = reshard;
  throw new ConfigError(
    `A change from ${plural(from, 'shard')} to ${to} was begun in this data directory and is not complete.`,
    {
      hint: `Wait for it, or run \`insights-etl reshard --from ${from} --to ${to}\`: it continues.`,
      where: { folder: sharedDir },
    },
  );
}
