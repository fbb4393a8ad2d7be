/**
 * `tenant remove --purge`: every byte of one tenant leaves the data directory. Rows that a database deletes stay in its file
 * until their blocks are used again, so the ledger is written anew; the catalogue is, by each publish.
 */
import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { onDisk, systemFiles, writeDurably } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { text } from '../../load/ledger/engine.ts';
import { openLedger } from '../../load/ledger/ledger.ts';
import { sweepMarts } from '../../load/marts/marts.ts';
import { publish } from '../../load/publish/publish.ts';
import { recover } from '../../load/maintenance/recover.ts';
import { rewriteLedger } from '../../load/ledger/rewrite-ledger.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { TABLES, TABLE_NAMES } from '../../model/tables.ts';
import { lakeSettings } from '../lake-settings.ts';

export interface PurgeReport {
  readonly tenant: string;
  readonly rows: number;
  readonly files: number;
}

/** Readers that hold a file open keep it until they close it. Throws what opening a ledger throws. */
export async function purgeTenant(config: Config, tenant: string, runtime: Runtime): Promise<PurgeReport> {
  const { dataDir } = config;
  const disk = runtime.files ?? systemFiles;
  return onDisk(dataDir, async () => {
    const held = await removeRows(config, tenant, runtime, disk);
    await rewriteLedger(dataDir, disk);
    for (const name of await disk.readdir(dataDir))
      if (name.endsWith('.json') && name !== 'manifest.json') await scrub(join(dataDir, name), tenant, disk);
    return { tenant, ...held };
  });
}

/** Out of the ledger, of what is published, and of every folder. */
async function removeRows(
  config: Config,
  tenant: string,
  runtime: Runtime,
  disk: Files,
): Promise<Pick<PurgeReport, 'rows' | 'files'>> {
  const { dataDir } = config;
  let files = 0;
  let rows = 0;
  await using ledger = await openLedger(dataDir, lakeSettings(config), runtime);
  await recover(ledger);
  await ledger.exclusive(async () => {
    const [held = {}] = await ledger.rawRows(
      `select coalesce(sum(rows), 0)::varchar as rows, count(*)::varchar as files
       from partitions where tenant = $1 and superseded_at is null`,
      [tenant],
    );
    rows = Number(text(held, 'rows') ?? 0);
    files = Number(text(held, 'files') ?? 0);
    const tables = await ledger.rawRows(
      `select distinct table_name from duckdb_columns() where column_name = 'tenant' and not internal`,
    );
    const runs = await ledger.rawRows(`select run, stats::varchar as stats from runs where stats is not null`);
    await ledger.transaction(async () => {
      for (const table of tables)
        await ledger.run(`delete from "${text(table, 'table_name') ?? ''}" where tenant = $1`, [tenant]);
      for (const row of runs) {
        const [run = '', stats = 'null'] = [text(row, 'run'), text(row, 'stats')];
        const left = JSON.stringify(without(JSON.parse(stats), tenant));
        if (left !== stats) await ledger.run('update runs set stats = $2::json where run = $1', [run, left]);
      }
    });
  });
  await publish(ledger, { run: 'purge', head: true });
  await ledger.exclusive(() => sweepMarts(ledger, 0));
  for (const table of TABLE_NAMES)
    for (const folder of ['store', 'lake'])
      await disk.rm(join(dataDir, folder, TABLES[table].lakeName, `tenant_id=${tenant}`), {
        recursive: true,
        force: true,
      });
  for (const folder of ['landing', 'kept'])
    await disk.rm(join(dataDir, folder, tenant), { recursive: true, force: true });
  await disk.rm(join(dataDir, 'calls', `${tenant}.log`), { force: true });
  return { rows, files };
}

/** A value without the list members that name the tenant and without the members called after it. */
function without(value: unknown, tenant: string): unknown {
  const names = (member: unknown): boolean =>
    member === tenant ||
    (typeof member === 'object' && member !== null && 'tenant' in member && member.tenant === tenant);
  if (Array.isArray(value)) return value.filter((member) => !names(member)).map((member) => without(member, tenant));
  if (typeof value !== 'object' || value === null) return value;
  const left = Object.entries(value).filter(([key]) => key !== tenant && !key.startsWith(`${tenant} `));
  return Object.fromEntries(left.map(([key, member]) => [key, without(member, tenant)]));
}

async function scrub(path: string, tenant: string, disk: Files): Promise<void> {
  const content = await disk.readFile(path, 'utf8');
  const left = `${JSON.stringify(without(JSON.parse(content), tenant))}\n`;
  if (left !== content) await writeDurably(path, left, disk);
}
