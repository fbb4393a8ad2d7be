/** `tenant list`: who is in the configuration and in the lake. Reads the catalogue and names of folders, so it waits for no run. */
import type { Config } from '../../config/config.ts';
import { ConfigError } from '../../kernel/errors.ts';
import { onDisk, systemFiles } from '../../kernel/files.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { asCount, asOptional, asText } from '../../load/ledger/cells.ts';
import type { RowOf } from '../../load/ledger/cells.ts';
import { tenantsOnDisk } from '../../load/maintenance/list-data-dir.ts';
import { requireShardToRead, shardsToRead } from '../../query/shards.ts';
import { openReader } from '../../query/reader.ts';
import { catalogueRows } from '../catalogue-rows.ts';

const SHAPE = {
  tenant: asText,
  rows: asCount,
  files: asCount,
  bytes: asCount,
  first: asOptional(asText),
  last: asOptional(asText),
};

const SQL = `
select
  tenant_id as tenant, sum(rows) as rows, count(*) as files, sum(bytes) as bytes,
  strftime(min(min_timestamp), '%Y-%m-%dT%H:%M:%SZ') as first, strftime(max(max_timestamp), '%Y-%m-%dT%H:%M:%SZ') as last
from lake_files
group by tenant_id`;

export interface TenantEntry extends RowOf<typeof SHAPE> {
  /** False: no run loads it any more; its data stays until `tenant remove`. */
  readonly configured: boolean;
}

/** All tenants by name. Rows and files are those that are published. Throws ConfigError for a shard that the lake does not have. */
export async function listTenants(config: Config, runtime: Runtime): Promise<readonly TenantEntry[]> {
  const { dataDir, shard, sharedDir } = config;
  if (shard) await requireShardToRead(sharedDir, shard);
  const published = new Map((await publishedTenants(config)).map((row) => [row.tenant, row]));
  const shards = await shardsToRead(dataDir);
  const onDiskNow = new Set<string>();
  for (const place of [dataDir, ...shards.map((shard) => shard.dataDir)])
    for (const tenant of await onDisk(place, () => tenantsOnDisk(runtime.files ?? systemFiles, place)))
      onDiskNow.add(tenant);
  const configured = new Set(config.tenants.map(({ id }) => id));
  return [...new Set([...configured, ...published.keys(), ...onDiskNow])].toSorted().map((tenant) => ({
    rows: 0,
    files: 0,
    bytes: 0,
    first: undefined,
    last: undefined,
    ...published.get(tenant),
    tenant,
    configured: configured.has(tenant),
  }));
}

/** None before the first publish. */
async function publishedTenants({ dataDir, engine }: Config): Promise<RowOf<typeof SHAPE>[]> {
  try {
    await using reader = await openReader(dataDir, engine);
    return await catalogueRows(reader, SQL, SHAPE);
  } catch (error) {
    if (error instanceof ConfigError) return [];
    throw error;
  }
}
