/**
 * Copies tenants from the data directory of one shard into that of another, for `reshard`: their rows of the ledger, and hard links to
 * their files. What publishing computes from those is left out. The source is only read.
 */
import { dirname, join } from 'node:path';
import { errorCode } from '../../kernel/errors.ts';
import { makeFolder, syncPath } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { sqlName, sqlText, sqlTexts } from '../../kernel/sql.ts';
import { DATA_DIR, HEAD_FOLDER, LEDGER_FILE, PURGE_MARK } from '../../model/data-dir.ts';
import { asCount, asText } from '../ledger/cells.ts';
import { highestGeneration, raiseGenerationFloor } from '../ledger/generation-floor.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { tenantPaths, tenantsOnDisk } from './list-data-dir.ts';

/** The ledger of another data directory, while it is attached. */
const OTHER = 'other_shard';

/** Publishing computes the marts of all days, and names types and paths in these. */
const COMPUTED = ['mart_days', 'view_names', 'view_columns'];

/** Entries of the inventory that are named after a tenant and are not published again. */
const MOVED = DATA_DIR.filter(
  ({ path }) => path.includes('<tenant>') && path !== PURGE_MARK && !path.startsWith(`${HEAD_FOLDER}/`),
);

/** The tenants that the ledger or a name in its data directory knows. */
export async function knownTenants(ledger: Ledger): Promise<ReadonlySet<string>> {
  const known = await tenantsOnDisk(ledger.files, ledger.dataDir);
  for (const table of await tenantTables(ledger))
    for (const { tenant } of await ledger.rows(`select distinct tenant from ${sqlName(table)}`, { tenant: asText }))
      known.add(tenant);
  return known;
}

/** The tables of the ledger that have rows of tenants. */
async function tenantTables(ledger: Ledger): Promise<readonly string[]> {
  const tables = await ledger.rows(
    `select distinct table_name as name from duckdb_columns()
     where column_name = 'tenant' and not internal and database_name = current_database() order by 1`,
    { name: asText },
  );
  return tables.map(({ name }) => name);
}

/** Hard links to all files of the tenants, or copies on another disk. Nothing of them may be there yet. Returns their number. */
export async function linkTenants(files: Files, from: string, to: string, tenants: readonly string[]): Promise<number> {
  const folders = new Set<string>();
  let linked = 0;
  for (const entry of MOVED)
    for (const tenant of tenants)
      for (const path of await tenantPaths(files, from, entry, tenant))
        linked += await linkAll(files, from, to, path, folders);
  for (const folder of folders) await syncPath(folder, files);
  return linked;
}

/** `folders` gets those that have new names in them. */
async function linkAll(files: Files, from: string, to: string, path: string, folders: Set<string>): Promise<number> {
  const source = join(from, path);
  if (!(await files.stat(source)).isDirectory()) {
    await makeFolder(dirname(join(to, path)), files);
    folders.add(dirname(join(to, path)));
    await linkOrCopy(files, source, join(to, path));
    return 1;
  }
  await makeFolder(join(to, path), files);
  let linked = 0;
  for (const name of await files.readdir(source)) linked += await linkAll(files, from, to, join(path, name), folders);
  return linked;
}

async function linkOrCopy(files: Files, from: string, to: string): Promise<void> {
  try {
    await files.link(from, to);
  } catch (error) {
    const code = errorCode(error) ?? '';
    // Several entries of the inventory are in one folder.
    if (code === 'EEXIST') return;
    // Another disk, or a file system without links.
    if (!['EXDEV', 'EPERM', 'ENOTSUP', 'EMLINK'].includes(code)) throw error;
    await files.copyFile(from, to);
    await syncPath(to, files);
  }
}

/** Copies the tenants' rows from the ledger of another data directory, which must not be open, in one transaction. */
export async function copyRows(ledger: Ledger, from: string, tenants: readonly string[]): Promise<void> {
  const tables = await tenantTables(ledger);
  const list = sqlTexts(tenants);
  await withOther(ledger, from, () =>
    ledger.transaction(async () => {
      for (const table of tables.filter((name) => !COMPUTED.includes(name)))
        await ledger.run(
          `insert into main.${sqlName(table)} by name select * from ${OTHER}.main.${sqlName(table)} where tenant in (${list})`,
        );
      await copyNames(ledger, list);
      await copyRuns(ledger, list);
    }),
  );
}

async function withOther<T>(ledger: Ledger, from: string, work: () => Promise<T>): Promise<T> {
  await ledger.run(`attach ${sqlText(join(from, LEDGER_FILE))} as ${OTHER} (read_only)`);
  try {
    return await work();
  } finally {
    await ledger.run(`detach ${OTHER}`);
  }
}

/** A mirror that a new shard takes over may still have marts of shards before it, whose files were named after the floors of their ledgers. */
export async function startGenerationsAbove(ledger: Ledger, from: readonly string[]): Promise<void> {
  let highest = 0;
  for (const folder of from)
    highest = Math.max(highest, await withOther(ledger, folder, () => highestGeneration(ledger, OTHER)));
  await ledger.transaction(() => raiseGenerationFloor(ledger, highest));
}

/**
 * The names of typed views and their columns, except those that have another meaning here: publishing gives the types and paths that
 * are left the names that they have here, or new ones.
 */
async function copyNames(ledger: Ledger, list: string): Promise<void> {
  await ledger.run(
    `insert into main.view_names by name
     select * from ${OTHER}.main.view_names as theirs
     where tenant in (${list})
       and not exists (
         select 1 from main.view_names as ours
         where ours.table_name = theirs.table_name
           and ((ours.type = theirs.type) <> (ours.view_name = theirs.view_name)))`,
  );
  await ledger.run(
    `insert into main.view_columns by name
     select theirs.* from ${OTHER}.main.view_columns as theirs
     where tenant in (${list})
       and exists (
         select 1 from main.view_names as names
         where names.tenant = theirs.tenant and names.table_name = theirs.table_name and names.view_name = theirs.view_name)
       and not exists (
         select 1 from main.view_columns as ours
         where ours.view_name = theirs.view_name
           and ((ours.json_column = theirs.json_column and ours.pointer = theirs.pointer)
             <> (ours.column_name = theirs.column_name)))`,
  );
}

/** The runs that loaded these tenants, with what they say of them. */
async function copyRuns(ledger: Ledger, list: string): Promise<void> {
  await ledger.run(
    `insert into main.runs by name
     select
       run, started_at, finished_at, outcome,
       json_merge_patch(stats, json_object('tables', list_filter(parts, lambda part: (part ->> 'tenant') in (${list})))) as stats
     from (select *, from_json(stats -> 'tables', '["json"]') as parts from ${OTHER}.main.runs)
     where len(list_filter(parts, lambda part: (part ->> 'tenant') in (${list}))) > 0
       and run not in (select run from main.runs)`,
  );
}

/** So that numbers of snapshots only ever grow, also as the sum over all shards. */
export async function startSnapshotsAt(ledger: Ledger, snapshot: number): Promise<void> {
  await ledger.transaction(() =>
    ledger.run(`insert into snapshots values (${snapshot}, '', 'reshard', ${ledger.nowSql()})`),
  );
}

/** The tenants of which the lake has rows or hours. */
export async function lakeTenants(ledger: Ledger): Promise<readonly string[]> {
  const sql = 'select distinct tenant from hours union select distinct tenant from partitions order by 1';
  return (await ledger.rows(sql, { tenant: asText })).map(({ tenant }) => tenant);
}

/** The number of the last snapshot, and what the lake holds of tenants. */
export async function lakeFigures(ledger: Ledger): Promise<{ snapshot: number; rows: number; hours: number }> {
  return ledger.row(
    `select
       (select coalesce(max(snapshot), 0) from snapshots) as snapshot,
       (select coalesce(sum(rows), 0)::bigint from partitions where superseded_at is null) as rows,
       (select count(*) from hours) as hours`,
    { snapshot: asCount, rows: asCount, hours: asCount },
  );
}
