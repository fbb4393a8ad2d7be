/** What `reshard` has to know of the shards that it reads. Each is opened, so none of them is in use, and nothing in them is unfinished. */
import { join } from 'node:path';
import { ConfigError, DamagedError, LockedError } from '../../kernel/errors.ts';
import type { Files } from '../../kernel/files.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { openLedger } from '../../load/ledger/ledger.ts';
import type { LakeSettings } from '../../load/ledger/ledger.ts';
import { listDataDir } from '../../load/maintenance/list-data-dir.ts';
import { knownTenants, lakeFigures, lakeTenants } from '../../load/maintenance/move-tenants.ts';
import { recover } from '../../load/maintenance/recover.ts';
import { DATA_DIR, LEDGER_FILE, PURGE_MARK } from '../../model/data-dir.ts';
import { showShard } from '../../model/shard.ts';
import { shardsWithLedger } from '../../query/shards.ts';
import type { Reshard, ShardPlace } from '../../query/shards.ts';
import { cutOffPurges, purgeDecision } from '../cut-off-purges.ts';

interface Place {
  readonly shared: string;
  readonly settings: LakeSettings;
  readonly runtime: Runtime;
  readonly files: Files;
}

export interface Source extends ShardPlace {
  /** All that it knows. */
  readonly tenants: readonly string[];
  /** Those with rows or hours. */
  readonly held: readonly string[];
  readonly snapshot: number;
  readonly rows: number;
}

/** Waits for nobody: a ledger that is locked belongs to a run. What killed runs left is removed. */
export async function readSources(
  place: Place,
  from: number,
  begun: Reshard | undefined,
  givesUp: boolean,
): Promise<readonly Source[]> {
  const { shared, settings, runtime, files } = place;
  const sources: Source[] = [];
  for (const shard of (await shardsWithLedger(shared)).filter(({ of }) => of === from)) {
    if (!givesUp) await requireNoLeftovers(files, shard, begun);
    await using ledger = await openShard(shard, settings, runtime);
    await recover(ledger);
    const { snapshot, rows } = await lakeFigures(ledger);
    const [tenants, held] = [[...(await knownTenants(ledger))].toSorted(), await lakeTenants(ledger)];
    sources.push({ ...shard, tenants, held, snapshot, rows });
  }
  return sources;
}

async function openShard(place: ShardPlace, settings: LakeSettings, runtime: Runtime): ReturnType<typeof openLedger> {
  try {
    return await openLedger(place.dataDir, settings, runtime);
  } catch (error) {
    // The ledger does not know that it is one of several.
    if (error instanceof DamagedError) {
      const where = { folder: place.dataDir, ...error.where };
      throw new DamagedError(error.message, { ...(error.hint && { hint: error.hint }), where, cause: error });
    }
    if (!(error instanceof LockedError)) throw error;
    throw new LockedError(`Shard ${showShard(place)} is in use: ${error.message}`, {
      hint: 'Wait for the run, or stop it: it continues after the reshard. Then run this command again.',
      where: error.where,
    });
  }
}

/** Throws ConfigError for what would not be moved: a purge that was cut off, and a ledger that `repair` set aside. */
async function requireNoLeftovers(
  files: Files,
  { dataDir, ...shard }: ShardPlace,
  begun: Reshard | undefined,
): Promise<void> {
  const entries = DATA_DIR.filter(({ path }) => path === PURGE_MARK || path.startsWith(`${LEDGER_FILE}.<`));
  const [left] = (await listDataDir(files, dataDir, entries)).filter(({ entry }) => entry !== undefined);
  if (left === undefined) return;
  const [purge] = await cutOffPurges(files, dataDir);
  // A change that has begun keeps every other command away.
  const giveUp = begun
    ? `Give the change up first: \`insights-etl reshard --from ${begun.from} --to ${begun.from}\`. `
    : '';
  throw new ConfigError(
    `Shard ${showShard(shard)} holds ${purge ? 'a purge that was cut off' : 'a ledger that `repair` set aside'}, which cannot be moved.`,
    {
      hint: purge ? giveUp + purgeDecision(purge.tenant) : 'Move it to another place, or delete it.',
      where: { file: purge?.mark ?? join(dataDir, left.path) },
    },
  );
}
