/**
 * `tenant remove --purge`: every byte of one tenant leaves the data directory. What happens to each file is declared in the
 * inventory (model/data-dir.ts). A database keeps deleted rows in its file until their blocks are used again, so the ledger is
 * rewritten; the catalogue is rewritten by each publish.
 */
import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { didYouMean } from '../../kernel/closest.ts';
import { ConfigError } from '../../kernel/errors.ts';
import { isMissing, onDisk, systemFiles, TEMPORARY, writeDurably } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { parseJson } from '../../kernel/json.ts';
import { sqlName } from '../../kernel/sql.ts';
import { asCount, asText } from '../../load/ledger/cells.ts';
import { raiseGenerationFloor } from '../../load/ledger/generation-floor.ts';
import type { Ledger } from '../../load/ledger/ledger.ts';
import { rewriteLedger } from '../../load/ledger/rewrite-ledger.ts';
import { listDataDir, tenantPaths, tenantsOnDisk } from '../../load/maintenance/list-data-dir.ts';
import { recover } from '../../load/maintenance/recover.ts';
import { sweepMarts } from '../../load/marts/mart-files.ts';
import { publish } from '../../load/publish/publish.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { writtenBy } from '../../kernel/version.ts';
import { DATA_DIR, PURGE_MARK, unfinishedPath } from '../../model/data-dir.ts';
import type { DataEntry, Purge } from '../../model/data-dir.ts';
import { TABLE_NAMES } from '../../model/tables.ts';
import type { FormerMirrors } from '../../model/former-mirror.ts';
import { duePurges, formerMirrors, isPurgeDue, requestPurge } from '../mirror/record.ts';
import { purgeMark, removeMark, requireCutOff } from '../cut-off-purges.ts';
import { openExisting } from './existing.ts';

export interface PurgeReport extends FormerMirrors, Removed {
  readonly tenant: string;
  /** Nothing was deleted: rows and files are those that a purge would delete. */
  readonly dryRun: boolean;
}

interface Removed {
  /** False: this data directory holds nothing of the tenant. Only a mirror may, because a purge is still due there. */
  readonly found: boolean;
  readonly rows: number;
  readonly files: number;
}

export interface PurgeOptions {
  /** Delete nothing. */
  readonly dryRun?: boolean;
  /** Throw ConfigError unless an earlier purge of the tenant was cut off. */
  readonly mustBeCutOff?: boolean;
  /** Removes the tenant from what is written outside of the data directory. If that is cut off, the purge can be run again. */
  readonly removeElsewhere?: () => Promise<void>;
}

interface Place {
  readonly dataDir: string;
  readonly files: Files;
  readonly tenant: string;
  readonly mustBeCutOff: boolean;
}

/**
 * Readers that have a file open keep it until they close it. A purge that was cut off is completed by another one, or by the next run: a
 * mark says that it has begun, because the ledger's free blocks may hold the tenant when nothing else names it. Once that is gone, only the
 * push to the mirrors can be missing. Throws ConfigError for a tenant without data, unless a purge is due in a mirror; what `openExisting`
 * throws; and DiskError.
 */
export async function purgeTenant(
  config: Config,
  tenant: string,
  runtime: Runtime,
  { dryRun = false, mustBeCutOff = false, removeElsewhere }: PurgeOptions = {},
): Promise<PurgeReport> {
  const { dataDir } = config;
  const place: Place = { dataDir, files: runtime.files ?? systemFiles, tenant, mustBeCutOff };
  return onDisk(dataDir, async () => {
    const mark = purgeMark(dataDir, tenant);
    if (dryRun) {
      const held = await heldUnderLock(config, place, runtime);
      return { tenant, dryRun, ...held, ...(await (held.found ? formerMirrors : duePurges)(place.files, config)) };
    }
    const removed = await purgeUnderLock(config, place, mark, runtime);
    if (removed.found) {
      await rewriteLedger(dataDir, place.files);
      await removeElsewhere?.();
      await removeMark(place.files, mark);
    }
    return { tenant, dryRun, ...removed, ...(await duePurges(place.files, config)) };
  });
}

async function heldUnderLock(config: Config, place: Place, runtime: Runtime): Promise<Removed> {
  await using ledger = await openExisting(config, runtime, { privacyKey: 'unused' });
  if (!(await isKnown(ledger, place))) return NOTHING;
  // Awaited here, because the ledger is closed at the end of this function.
  return await heldRows(ledger, place.tenant);
}

const NOTHING: Removed = { found: false, rows: 0, files: 0 };

/**
 * True if the ledger or a name in the data directory knows the tenant. If neither does, an earlier purge may have been cut off before its
 * push, and which tenant that was is written nowhere. Throws ConfigError if no purge is due in a mirror, and what
 * `mustBeCutOff` says.
 */
async function isKnown(ledger: Ledger, { dataDir, files, tenant, mustBeCutOff }: Place): Promise<boolean> {
  if (mustBeCutOff) await requireCutOff(files, dataDir, tenant);
  const known = await tenantsOnDisk(files, dataDir);
  for (const name of await tenantTables(ledger))
    for (const row of await ledger.rows(`select distinct tenant from ${sqlName(name)}`, { tenant: asText }))
      known.add(row.tenant);
  if (known.has(tenant)) return true;
  if (await isPurgeDue(files, dataDir)) return false;
  const others = [...known].toSorted();
  throw new ConfigError(`This data directory holds nothing of a tenant "${tenant}".`, {
    hint: `${didYouMean(tenant, others)}\`insights-etl tenant list\` shows the tenants.`,
    where: { folder: dataDir },
  });
}

async function purgeUnderLock(config: Config, place: Place, mark: string, runtime: Runtime): Promise<Removed> {
  await using ledger = await openExisting(config, runtime, { privacyKey: 'unused' });
  if (!(await isKnown(ledger, place))) return NOTHING;
  await recover(ledger);
  const content = { ...writtenBy(), begunAt: new Date(runtime.now()).toISOString() };
  await writeDurably(mark, `${JSON.stringify(content)}\n`, place.files, unfinishedPath(ledger.dataDir, mark));
  await requestPurge(place.files, config);
  const removed = await ledger.onAllThreads(() => deleteRows(ledger, place.tenant));
  // Entries of the logs name the tenant in paths, also those that remove its files.
  const restartLogs = new Set(TABLE_NAMES.map((name) => ledger.settings.tables[name].lakeName));
  await publish(ledger, { run: 'purge', head: true, restartLogs });
  await ledger.exclusive(() => sweepMarts(ledger, 0));
  for (const entry of DATA_DIR) if (entry.path !== PURGE_MARK) await STEPS[entry.purge](entry, place);
  return removed;
}

/** What remains to be done of an entry when the ledger has no row of the tenant any more and is published. */
const STEPS: Readonly<Record<Purge, (entry: DataEntry, place: Place) => Promise<void>>> = {
  recovers: async () => {},
  rewrites: async () => {},
  republishes: async () => {},
  restarts: async () => {},
  leaves: async () => {},
  'deletes-of-tenant': async (entry, { dataDir, files, tenant }) => {
    for (const path of await tenantPaths(files, dataDir, entry, tenant))
      await files.rm(join(dataDir, path), { recursive: true, force: true });
  },
  deletes: async (entry, { dataDir, files }) => {
    for (const { path, entry: found } of await listDataDir(files, dataDir, [entry]))
      if (found) await files.rm(join(dataDir, path), { recursive: true, force: true });
  },
  edits: async (entry, { dataDir, files, tenant }) => {
    const path = join(dataDir, entry.path);
    await files.rm(path + TEMPORARY, { force: true });
    await removeMembers(path, tenant, files);
  },
};

export async function heldRows(ledger: Ledger, tenant: string): Promise<Removed> {
  const held = await ledger.row(
    `select coalesce(sum(rows), 0)::bigint as rows, count(*) as files
     from partitions where tenant = $1 and superseded_at is null`,
    { rows: asCount, files: asCount },
    [tenant],
  );
  return { found: true, ...held };
}

/** The tables of the ledger that have rows of tenants. */
async function tenantTables(ledger: Ledger): Promise<string[]> {
  const tables = await ledger.rows(
    `select distinct table_name as name from duckdb_columns() where column_name = 'tenant' and not internal`,
    { name: asText },
  );
  return tables.map(({ name }) => name);
}

/** Deletes the tenant from every table of the ledger. Returns what the lake held. */
async function deleteRows(ledger: Ledger, tenant: string): Promise<Removed> {
  const held = await heldRows(ledger, tenant);
  // By `mart_days` the following publish sees which marts still have rows of the tenant, and then deletes it there.
  const tables = (await tenantTables(ledger)).filter((name) => name !== 'mart_days');
  const runs = await ledger.rows(`select run, stats::varchar as stats from runs where stats is not null`, {
    run: asText,
    stats: asText,
  });
  await ledger.transaction(async () => {
    // If the tenant is added again, its files must not get the names of the old ones, which the mirror or a backup may still have.
    await raiseGenerationFloor(ledger);
    for (const name of tables) await ledger.run(`delete from ${sqlName(name)} where tenant = $1`, [tenant]);
    for (const { run, stats } of runs) {
      const left = JSON.stringify(withoutTenant(JSON.parse(stats), tenant));
      if (left !== stats) await ledger.run('update runs set stats = $2::json where run = $1', [run, left]);
    }
  });
  return held;
}

async function removeMembers(path: string, tenant: string, files: Files): Promise<void> {
  let content: string;
  try {
    content = await files.readFile(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  const record = parseJson(content);
  // Its owner takes a record that cannot be read for none, and here it may name the tenant.
  if (record === undefined) return files.rm(path, { force: true });
  const left = `${JSON.stringify(withoutTenant(record, tenant))}\n`;
  if (left !== content) await writeDurably(path, left, files);
}

/** A value without the list members that name the tenant and without the members that are named after it. */
function withoutTenant(value: unknown, tenant: string): unknown {
  const namesTenant = (member: unknown): boolean =>
    member === tenant ||
    (typeof member === 'object' && member !== null && 'tenant' in member && member.tenant === tenant);
  if (Array.isArray(value))
    return value.filter((member) => !namesTenant(member)).map((member) => withoutTenant(member, tenant));
  if (typeof value !== 'object' || value === null) return value;
  const left = Object.entries(value).filter(([key]) => key !== tenant && !key.startsWith(`${tenant} `));
  return Object.fromEntries(left.map(([key, member]) => [key, withoutTenant(member, tenant)]));
}
