/** What `doctor` checks on this machine and in the data directory, without a call to the source. */
import { link, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { DamagedError, DiskError, InsightsError, ShardsError } from '../../kernel/errors.ts';
import { pathExists } from '../../kernel/files.ts';
import { memoryBytes } from '../../kernel/memory-size.ts';
import { plural } from '../../kernel/plural.ts';
import { sqlName } from '../../kernel/sql.ts';
import { asText } from '../../load/ledger/cells.ts';
import type { Ledger } from '../../load/ledger/ledger.ts';
import { checkDelta } from '../../load/publish/delta/sync.ts';
import { listDataDir } from '../../load/maintenance/list-data-dir.ts';
import type { DataFile } from '../../load/maintenance/list-data-dir.ts';
import { rebuildDue } from '../../load/maintenance/rebuild.ts';
import { CATALOGUE_FILE, HEAD_FOLDER, MANIFEST_FILE, WORK_FOLDER } from '../../model/data-dir.ts';
import { parseManifest } from '../../model/manifest.ts';
import { openReader, textRows } from '../../query/reader.ts';
import type { DoctorCheck } from '../../model/report.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { cutOffPurges, isConfigured, purgeDecision } from '../cut-off-purges.ts';
import { oldestProofs } from '../proofs.ts';

const GIB = 1024 ** 3;
/** With less free space, a merge of usual size may fail. */
const LITTLE_DISK = GIB;
const NO_DISK = GIB / 10;
/** A proof is too old when its age exceeds `reconcile.rotationDays` multiplied by this. */
const LATE_PERIODS = 2;
/** Without it, nothing else of the data directory can be examined. */
export const LEDGER_CHECK = 'ledger';
/** Names listed in one line. */
const MOST_NAMES = 5;

/** `ledger` is open, so this process holds the lock and knows the schema. */
export async function* examineMachine(config: Config, ledger: Ledger, runtime: Runtime): AsyncGenerator<DoctorCheck> {
  const { version } = await ledger.exclusive(() => ledger.row('select version() as version', { version: asText }));
  yield {
    name: 'versions',
    ok: true,
    detail: `Node ${process.versions.node}, DuckDB ${version}, ${process.platform} ${process.arch}`,
  };
  yield { name: 'lock', ok: true, detail: `no other process writes to ${ledger.dataDir}` };
  yield await diskCheck(ledger.dataDir);
  yield memoryCheck(config);
  yield await linksCheck(ledger.dataDir);
  yield await permissionsCheck(ledger.dataDir);
  const files = await listDataDir(ledger.files, ledger.dataDir);
  yield leftoversCheck(files);
  yield* purgeChecks(config, ledger);
  yield unknownCheck(files);
  if (config.shard) yield await shardsCheck(config);
  const readable = await ledgerCheck(ledger);
  yield readable;
  if (!readable.ok) return;
  yield await publishedCheck(config, ledger);
  if (config.lake.delta) yield await logsCheck(ledger);
  yield await rebuildCheck(ledger);
  yield await proofsCheck(config, ledger, runtime);
}

/** Whether this shard's tenants are in no other shard: then readers of all shards refuse to count them twice. */
async function shardsCheck({ sharedDir, engine }: Config): Promise<DoctorCheck> {
  const name = 'other shards';
  try {
    await using reader = await openReader(sharedDir, engine);
    const [[tenants] = []] = await textRows(reader, 'select count(distinct tenant_id) from lake_files');
    return { name, ok: true, detail: `each of ${plural(Number(tenants), 'tenant')} is in one shard` };
  } catch (error) {
    if (error instanceof ShardsError) return failedCheck(name, error);
    // A shard that cannot be read reports it itself.
    if (error instanceof InsightsError) return { name, ok: true, detail: `not compared: ${error.message}` };
    throw error;
  }
}

/** A log that only lacks the newest files is no fault: a run that was killed had not published them. */
async function logsCheck(ledger: Ledger): Promise<DoctorCheck> {
  const name = 'Delta logs';
  const { tables, faults } = await ledger.exclusive(() => checkDelta(ledger));
  const found = faults.filter(({ fault }) => fault === 'damaged' || fault === 'foreign');
  const named = found.map(({ table, fault }) => `${table} (${fault})`).slice(0, MOST_NAMES);
  const logs = tables - faults.filter(({ fault }) => fault === 'missing').length;
  if (named.length === 0) return { name, ok: true, detail: logs === 0 ? 'none yet' : `${logs} can be read` };
  return {
    name,
    ok: false,
    failure: 'damaged',
    detail: `${found.length} cannot be continued: ${named.join(', ')}`,
    hint: 'Run `insights-etl verify`: it starts damaged logs again. If another program has written to a log, move its folder away first.',
  };
}

/** Reads every block of the ledger that holds rows. A run reads only some of them and could miss a damaged one for months. */
async function ledgerCheck(ledger: Ledger): Promise<DoctorCheck> {
  const name = LEDGER_CHECK;
  try {
    const tables = await ledger.rows('select table_name as name from duckdb_tables() where not internal', {
      name: asText,
    });
    for (const table of tables) await ledger.run(`select bit_xor(hash(whole)) from ${sqlName(table.name)} as whole`);
    return { name, ok: true, detail: `all ${tables.length} tables can be read` };
  } catch (error) {
    if (!(error instanceof DamagedError)) throw error;
    return failedCheck(name, error);
  }
}

/** The check that an error ended, with the error's own words and exit code. */
export function failedCheck(name: string, { failure, message, hint }: InsightsError): DoctorCheck {
  return { name, ok: false, failure, detail: message, ...(hint === undefined ? {} : { hint }) };
}

/** What readers see: the tables of the catalogue, and the manifest. */
async function publishedCheck({ engine }: Config, { dataDir, files }: Ledger): Promise<DoctorCheck> {
  const name = 'published files';
  try {
    await using reader = await openReader(dataDir, engine);
    const tables = await textRows(reader, 'select table_name from duckdb_tables() where not internal');
    for (const [table = ''] of tables)
      await textRows(reader, `select bit_xor(hash(whole)) from ${sqlName(table)} as whole`);
    parseManifest(await files.readFile(join(dataDir, MANIFEST_FILE), 'utf8'));
    return { name, ok: true, detail: 'catalogue and manifest can be read' };
  } catch (error) {
    if (
      !(await pathExists(join(dataDir, CATALOGUE_FILE), files)) &&
      !(await pathExists(join(dataDir, MANIFEST_FILE), files))
    )
      return { name, ok: true, detail: 'nothing is published yet' };
    if (error instanceof DiskError) throw error;
    const detail = error instanceof InsightsError ? error.message : 'The manifest is missing or cannot be read.';
    const hint = 'Run `insights-etl publish`: it writes both again, without a call to the source.';
    return { name, ok: false, failure: 'damaged', detail, hint };
  }
}

/** The table whose oldest proof is the oldest, and whether that is much older than rotation allows. */
async function proofsCheck(config: Config, ledger: Ledger, runtime: Runtime): Promise<DoctorCheck> {
  const name = 'age of proofs';
  const proofs = (await oldestProofs(config, ledger, runtime)).toSorted((a, b) => a.oldest.localeCompare(b.oldest));
  const [oldest] = proofs;
  if (!oldest) return { name, ok: true, detail: 'no hour is verified yet' };
  const daysOf = (instant: string): number => Math.max(0, (runtime.now() - Date.parse(instant)) / 86_400_000);
  const detail = `the oldest is ${daysOf(oldest.oldest).toFixed(1)} days old (${oldest.tenant} ${oldest.table})`;
  const late = proofs.filter(({ tenant, table, oldest: at }) => {
    const days = config.tenants.find(({ id }) => id === tenant)?.tables.get(table)?.rotationDays ?? 0;
    return days > 0 && daysOf(at) > LATE_PERIODS * days;
  });
  if (late.length === 0) return { name, ok: true, detail };
  return {
    name,
    ok: true,
    detail,
    hint: 'Run `insights-etl run --deep`: it compares everything that the source has. reconcile.rotationDays does so bit by bit in nightly runs.',
  };
}

async function rebuildCheck(ledger: Ledger): Promise<DoctorCheck> {
  const files = (await rebuildDue(ledger)).reduce((sum, table) => sum + table.files, 0);
  if (files === 0)
    return { name: 'rebuild', ok: true, detail: 'every file has the promoted columns and privacy rules of today' };
  return {
    name: 'rebuild',
    ok: true,
    detail: `${plural(files, 'file')} with other promoted columns or privacy rules than today's`,
    hint: 'Run `insights-etl rebuild`: it rewrites them without a call to the source.',
  };
}

async function diskCheck(dataDir: string): Promise<DoctorCheck> {
  const { bavail, bsize } = await statfs(dataDir);
  const free = bavail * bsize;
  const detail = `${(free / GIB).toFixed(1)} GiB free`;
  if (free >= LITTLE_DISK) return { name: 'disk', ok: true, detail };
  return { name: 'disk', ok: free >= NO_DISK, detail, hint: 'Free some space, or set dataDir to a larger disk.' };
}

function memoryCheck({ engine }: Config): DoctorCheck {
  const installed = totalmem();
  const detail = `${engine.memoryLimit} for the engine, ${(installed / GIB).toFixed(1)} GiB in this machine, ${engine.threads} threads`;
  if (memoryBytes(engine.memoryLimit) < installed * 0.8) return { name: 'memory', ok: true, detail };
  return {
    name: 'memory',
    ok: true,
    detail,
    hint: 'Lower engine.memoryLimit: beyond it the engine spills to disk instead of running out of memory.',
  };
}

async function linksCheck(dataDir: string): Promise<DoctorCheck> {
  const file = join(dataDir, WORK_FOLDER, 'doctor');
  try {
    await writeFile(file, '');
    await link(file, `${file}.link`);
    return { name: 'hard links', ok: true, detail: `available: ${HEAD_FOLDER}/ takes no extra space` };
  } catch {
    return {
      name: 'hard links',
      ok: true,
      detail: `not available: ${HEAD_FOLDER}/ holds copies, so the lake takes twice the space`,
      hint: 'If that is too much, set dataDir to a local disk.',
    };
  } finally {
    for (const path of [file, `${file}.link`]) await rm(path, { force: true });
  }
}

async function permissionsCheck(dataDir: string): Promise<DoctorCheck> {
  const { mode } = await stat(dataDir);
  const open = (mode & 0o077) !== 0 && process.platform !== 'win32';
  const detail = `mode ${(mode & 0o777).toString(8)}`;
  if (!open) return { name: 'permissions', ok: true, detail: `${detail}: only its owner has access` };
  return {
    name: 'permissions',
    ok: true,
    detail,
    hint: `Rows may hold personal data. Run \`chmod 700 ${dataDir}\`, unless other users of this machine shall read them.`,
  };
}

/** Reports what the next run removes or loads, and copies that only a person can remove. */
function leftoversCheck(files: readonly DataFile[]): DoctorCheck {
  const counts = new Map<string, number>();
  for (const { entry, isUnfinished } of files) {
    const label = isUnfinished ? 'unfinished file' : entry?.leftover;
    if (label !== undefined) counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  if (counts.size === 0) return { name: 'leftovers', ok: true, detail: 'none' };
  return {
    name: 'leftovers',
    ok: true,
    detail: [...counts]
      .toSorted(([a], [b]) => a.localeCompare(b))
      .map(([label, n]) => plural(n, label))
      .join(', '),
    hint:
      'Nothing needs to be done. The next run removes unfinished files and loads landed files; ' +
      'set-aside ledgers are copies that `repair` made and that no command reads.',
  };
}

/** A run completes one that was cut off, unless the tenant is configured again: that is for the operator to decide. */
async function* purgeChecks(config: Config, { files, dataDir }: Ledger): AsyncGenerator<DoctorCheck> {
  for (const { tenant, keptOut } of await cutOffPurges(files, dataDir)) {
    const isLoaded = isConfigured(tenant, config);
    const complete = `The next \`insights-etl run\` completes it, and so does \`insights-etl tenant remove ${tenant} --purge\`.`;
    yield {
      name: 'purge',
      ok: !isLoaded,
      detail: `that of ${tenant} was cut off${isLoaded ? ', so nothing of this tenant is loaded until you decide' : ''}`,
      hint: isLoaded || !keptOut ? purgeDecision(tenant) : complete,
      ...(isLoaded ? { failure: 'config' as const } : {}),
    };
  }
}

/** What the inventory does not declare is reported and left as it is: it may be a file of the operator. */
function unknownCheck(files: readonly DataFile[]): DoctorCheck {
  const unknown = files.filter(({ entry }) => !entry).map(({ path }) => path);
  const name = 'unknown files';
  if (unknown.length === 0) return { name, ok: true, detail: 'none' };
  const more = unknown.length > MOST_NAMES ? ` and ${unknown.length - MOST_NAMES} more` : '';
  return {
    name,
    ok: true,
    detail: `${unknown.toSorted().slice(0, MOST_NAMES).join(', ')}${more}`,
    hint: 'No command reads, backs up or removes them, not even `tenant remove --purge`. Move them out of the data directory.',
  };
}
