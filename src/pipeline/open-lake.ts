/**
 * Opens the ledger that a command writes. A tenant is in the shard that the number of shards gives it, so a run with another number
 * would find no tenant where it is and fetch everything again. Such a run is refused before it begins.
 */
import type { Config } from '../config/config.ts';
import { ConfigError } from '../kernel/errors.ts';
import { onDisk, systemFiles } from '../kernel/files.ts';
import { plural } from '../kernel/plural.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { openLedger } from '../load/ledger/ledger.ts';
import type { LakeSettings, Ledger } from '../load/ledger/ledger.ts';
import { tenantsOnDisk } from '../load/maintenance/list-data-dir.ts';
import { lakeTenants } from '../load/maintenance/move-tenants.ts';
import { DATA_DIR, STORE_FOLDER } from '../model/data-dir.ts';
import { shardFolder } from '../model/shard.ts';
import { readReshard, requireDivision, requireOwnTenants } from '../query/shards.ts';

/**
 * Throws ConfigError if the tenants of this data directory are in other shards, ShardsError if the shard holds tenants of others,
 * otherwise as `openLedger`.
 */
export async function openLake(config: Config, settings: LakeSettings, runtime: Runtime): Promise<Ledger> {
  await requireShards(config);
  const ledger = await openLedger(config.dataDir, settings, runtime);
  try {
    // A reshard may have begun since, which takes no notice of ledgers that are opened after it has looked at them.
    await requireNoReshard(config);
    if (config.shard)
      await requireOwnTenants(config.sharedDir, [{ ...config.shard, tenants: await lakeTenants(ledger) }]);
  } catch (error) {
    await ledger.close();
    throw error;
  }
  return ledger;
}

/** Only what is below these can be counted twice. */
const STORE = DATA_DIR.filter(({ path }) => path.startsWith(`${STORE_FOLDER}/`));

/**
 * Throws ConfigError if the lake is divided in another way or is just being divided, ShardsError if there are several lakes or the shard
 * has files of tenants that are not its own.
 */
export async function requireShards(config: Pick<Config, 'shard' | 'sharedDir'>): Promise<void> {
  await requireNoReshard(config);
  const { shard, sharedDir } = config;
  await requireDivision(
    sharedDir,
    shard,
    (from, to) =>
      `, or move the tenants without fetching them again: \`insights-etl reshard --from ${from} --to ${to}\``,
  );
  if (shard === undefined) return;
  const tenants = await onDisk(sharedDir, () => tenantsOnDisk(systemFiles, shardFolder(sharedDir, shard), STORE));
  await requireOwnTenants(sharedDir, [{ ...shard, tenants }]);
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
