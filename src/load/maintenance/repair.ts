/**
 * Builds a new ledger from the Parquet files, for when `state.duckdb` is missing or cannot be read. The files say which rows
 * each hour holds, but not its duplicates, quarantine and proofs. So every hour starts unchecked, and the next run compares it
 * with the source and fetches the hours that do not balance.
 */
import { join, relative } from 'node:path';
import { EXIT, InsightsError } from '../../kernel/errors.ts';
import { commitFile, pathExists, systemFiles, TEMPORARY } from '../../kernel/files.ts';
import type { RepairReport } from '../../model/maintenance-report.ts';
import { formatInstant } from '../../kernel/instant.ts';
import type { TableName } from '../../model/tables.ts';
import { sqlText } from '../../kernel/sql.ts';
import { asInstant, asOptional, asText } from '../ledger/cells.ts';
import type { Generation } from '../store/generation.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { LakeRuntime, LakeSettings, Ledger } from '../ledger/ledger.ts';
import { LEDGER_FILE, MANIFEST_FILE, STORE_FOLDER, WAL, setAsideName } from '../../model/data-dir.ts';
import { parseGenerationFile } from '../../model/data-path.ts';
import type { GenerationName } from '../../model/data-path.ts';
import { manifestPartitions, parseManifest } from '../../model/manifest.ts';
import { raiseGenerationFloor } from '../ledger/generation-floor.ts';
import { learn, profileOf } from '../ledger/profile.ts';
import { FILE_FINGERPRINTS, dropFileFingerprints, insertPartitions, readBack } from '../store/file-fingerprints.ts';
import { examineGeneration, setFileAside } from './examine.ts';
import { isMarked, markRestore } from './restore-mark.ts';
import { isRefusal } from './verify.ts';
import { ZERO_SQL, foldSql, tableFilterSql, parquetSql } from '../ledger/sql.ts';

const GROUP = 200;

/**
 * Rebuilds the ledger of a data directory. The old one is set aside even if it can be opened: repair starts from the files.
 * The new ledger gets its name only when it is complete: with half a ledger, the next run would delete files as unknown.
 */
export async function repair(dataDir: string, settings: LakeSettings, runtime: LakeRuntime): Promise<RepairReport> {
  const files = runtime.files ?? systemFiles;
  if (!(await isMarked(files, dataDir))) return rebuildLedger(dataDir, settings, runtime);
  // A restore that goes on is not disturbed. What one that was cut off has left can be repaired, if its source is lost.
  const mark = await markRestore(files, dataDir, settings);
  try {
    return await rebuildLedger(dataDir, settings, runtime);
  } finally {
    await mark[Symbol.asyncDispose]();
  }
}

async function rebuildLedger(dataDir: string, settings: LakeSettings, runtime: LakeRuntime): Promise<RepairReport> {
  // The old ledger is held, if it opens, so that no run changes the files that are being read.
  const old = await openUnlessDamaged(dataDir, settings, runtime);
  let adopted: Adopted;
  try {
    await removeUnfinished(dataDir, settings, runtime);
    await using ledger = await openLedger(dataDir, settings, runtime, { adopting: true });
    adopted = await adoptFiles(ledger, await ledgerChecksums(old));
  } finally {
    await old?.close();
  }
  return { ...adopted, setAside: await replaceLedger(dataDir, runtime) };
}

/** Fills a new ledger with what the files of the data directory hold. `recorded`: checksums besides those of the manifest. */
export async function adoptFiles(ledger: Ledger, recorded: Checksums = new Map()): Promise<Adopted> {
  const published = await manifestChecksums(ledger);
  return ledger.onAllThreads(async () => {
    // Files that are lost here may be in a mirror or a backup.
    await raiseGenerationFloor(ledger);
    const result = await adopt(ledger, published, new Map([...recorded, ...published]));
    await ledger.run('checkpoint');
    return result;
  });
}

/** Throws when another process holds the ledger or a newer version wrote it. */
async function openUnlessDamaged(
  dataDir: string,
  settings: LakeSettings,
  runtime: LakeRuntime,
  adopting = false,
): Promise<Ledger | undefined> {
  const file = join(dataDir, adopting ? LEDGER_FILE + TEMPORARY : LEDGER_FILE);
  if (!(await pathExists(file, runtime.files))) return undefined;
  try {
    return await openLedger(dataDir, settings, runtime, { adopting });
  } catch (error) {
    if (!(error instanceof InsightsError) || error.exitCode !== EXIT.damaged) throw error;
    return undefined;
  }
}

/** Removes what a killed repair left. It is opened first: that fails while another repair is at work on it. */
async function removeUnfinished(dataDir: string, settings: LakeSettings, runtime: LakeRuntime): Promise<void> {
  await (await openUnlessDamaged(dataDir, settings, runtime, true))?.close();
  const files = runtime.files ?? systemFiles;
  const path = join(dataDir, LEDGER_FILE + TEMPORARY);
  for (const suffix of ['', WAL]) await files.rm(path + suffix, { force: true });
}

/** Gives the new ledger its name. Returns the path that the old one was set aside to. */
async function replaceLedger(dataDir: string, runtime: LakeRuntime): Promise<string | undefined> {
  const files = runtime.files ?? systemFiles;
  const file = join(dataDir, LEDGER_FILE);
  let aside: string | undefined;
  if (await pathExists(file, files)) {
    aside = join(dataDir, setAsideName(runtime.now()));
    await files.rename(file, aside);
  }
  // Even without its database file: the engine would replay it into the new ledger.
  if (await pathExists(file + WAL, files)) {
    if (aside === undefined) await files.rm(file + WAL);
    else await files.rename(file + WAL, aside + WAL);
  }
  await commitFile(file + TEMPORARY, file, files);
  return aside;
}

interface Found extends GenerationName {
  readonly file: string;
}

type Adopted = Omit<RepairReport, 'setAside'>;
type DamagedFile = RepairReport['damaged'][number];

async function adopt(ledger: Ledger, published: Checksums, checksums: Checksums): Promise<Adopted> {
  const found = await generationsOnDisk(ledger);
  const groups = new Map<string, Found[]>();
  for (const generation of found) {
    const key = `${generation.table}/${generation.tenant}`;
    groups.set(key, [...(groups.get(key) ?? []), generation]);
  }
  const damaged: DamagedFile[] = [];
  let [files, rows] = [0, 0];
  for (const group of groups.values()) {
    const [first] = group;
    if (!first) continue;
    const { tenant, table } = first;
    const chosen = await chooseReadable(ledger, group, { published, checksums, damaged });
    for (let start = 0; start < chosen.length; start += GROUP) {
      const part = await readBackIntact(ledger, table, chosen.slice(start, start + GROUP), damaged);
      await ledger.transaction(async () => {
        await insertPartitions(ledger, { tenant, table }, part, null);
        await ledger.run(
          `insert into hours
           select ${sqlText(tenant)}, ${sqlText(table)}, hour, null, ${foldSql('fp')}, ${ZERO_SQL}, ${ZERO_SQL},
             hour + interval 1 hour, 'unchecked', 'none', null, null, null
           from ${FILE_FINGERPRINTS} group by hour`,
        );
      });
      files += part.length;
      rows += part.reduce((sum, generation) => sum + generation.rows, 0);
    }
    await pinAgain(ledger, tenant, table);
    await ledger.transaction(() => forgetHistory(ledger, tenant, table));
  }
  await dropFileFingerprints(ledger);
  // Last, so that a repair that is cut off has moved nothing.
  for (const { file, problem } of damaged) {
    await setFileAside(ledger, file);
    ledger.runtime.log.warn({ event: 'repair.damaged', file, problem }, 'skipped and set aside: the file is damaged');
  }
  return { files, rows, leftOut: found.length - files - damaged.length, damaged };
}

/** Reads the fingerprints of the files; those that cannot be read are moved to `damaged`. Returns the others. */
async function readBackIntact(
  ledger: Ledger,
  table: TableName,
  part: readonly Generation[],
  damaged: DamagedFile[],
): Promise<readonly Generation[]> {
  try {
    await readBack(ledger, { table }, part);
    return part;
  } catch (error) {
    if (isRefusal(error)) throw error;
  }
  const intact: Generation[] = [];
  for (const generation of part) {
    try {
      await readBack(ledger, { table }, [generation]);
      intact.push(generation);
    } catch (error) {
      if (isRefusal(error)) throw error;
      damaged.push({ file: generation.file, problem: 'unreadable' });
    }
  }
  await readBack(ledger, { table }, intact);
  return intact;
}

async function generationsOnDisk({ dataDir, files }: Ledger): Promise<Found[]> {
  const store = join(dataDir, STORE_FOLDER);
  if (!(await pathExists(store, files))) return [];
  const names = await files.readdir(store, { recursive: true });
  return names.flatMap((name) => {
    const file = relative(dataDir, join(store, name));
    const parsed = parseGenerationFile(file);
    return parsed ? [{ ...parsed, file }] : [];
  });
}

interface Choice {
  /** What the manifest names. */
  readonly published: Checksums;
  /** What the manifest or the old ledger recorded. */
  readonly checksums: Checksums;
  /** Receives the files that are skipped because they are damaged. */
  readonly damaged: DamagedFile[];
}

/**
 * One generation per period: the published one, else the newest that can be read. Where a month and its days are both there, one was
 * made from the other: the newer has the higher number (rearrange.ts).
 */
async function chooseReadable(
  ledger: Ledger,
  group: readonly Found[],
  { published, checksums, damaged }: Choice,
): Promise<Generation[]> {
  const order = [...group].sort(
    (a, b) =>
      Number(published.has(b.file)) - Number(published.has(a.file)) ||
      b.generation - a.generation ||
      a.period.name.length - b.period.name.length,
  );
  const chosen: Generation[] = [];
  const taken = new Set<string>();
  for (const { table, file, period, generation } of order) {
    const month = period.name.slice(0, 7);
    const isMonth = period.name === month;
    const overlaps = isMonth
      ? [...taken].some((name) => name.startsWith(month))
      : taken.has(month) || taken.has(period.name);
    if (overlaps) continue;
    const examined = await examineGeneration(ledger, table, file, checksums.get(file));
    if ('problem' in examined) damaged.push({ file, problem: examined.problem });
    else {
      taken.add(period.name);
      chosen.push({ period, generation, file, ...examined });
    }
  }
  return chosen.sort((a, b) => (a.period.from < b.period.from ? -1 : 1));
}

/** The sha256 of each file that was recorded. */
type Checksums = ReadonlyMap<string, string>;

/** What the old ledger recorded; nothing when it cannot be read. */
async function ledgerChecksums(old: Ledger | undefined): Promise<Checksums> {
  if (!old) return new Map();
  try {
    const rows = await old.rows('select file, sha256 from partitions', { file: asText, sha256: asText });
    return new Map(rows.map(({ file, sha256 }) => [file, sha256]));
  } catch (error) {
    if (isRefusal(error)) throw error;
    return new Map();
  }
}

/** What the manifest names. Without a readable manifest there is nothing, and the newest generations are taken. */
async function manifestChecksums({ dataDir, files }: Ledger): Promise<Checksums> {
  const path = join(dataDir, MANIFEST_FILE);
  if (!(await pathExists(path, files))) return new Map();
  const json = await files.readFile(path, 'utf8');
  try {
    return new Map(manifestPartitions(parseManifest(json)).map(({ file, sha256 }) => [file, sha256]));
  } catch {
    return new Map();
  }
}

/** Nothing is known of what the old ledger had compared before the first hour with rows, so the next run compares everything. */
async function forgetHistory(ledger: Ledger, tenant: string, table: TableName): Promise<void> {
  const { first } = await ledger.row(
    `select epoch_us(min(hour))::varchar as first from hours where ${tableFilterSql(tenant, table)}`,
    { first: asOptional(asInstant) },
  );
  if (first === undefined) return;
  const { comparedFrom } = await profileOf(ledger, tenant);
  await learn(ledger, tenant, { comparedFrom: { ...comparedFrom, [table]: formatInstant(first) } });
}

/** Pins the tenant id that most rows of the tenant's first file carry. */
async function pinAgain(ledger: Ledger, tenant: string, table: TableName): Promise<void> {
  const [current] = await ledger.rows(
    `select file from partitions where ${tableFilterSql(tenant, table)} and superseded_at is null limit 1`,
    { file: asText },
  );
  if (!current) return;
  const [row] = await ledger.rows(
    `select source_tenant_id as id from ${parquetSql([join(ledger.dataDir, current.file)])}
     where source_tenant_id is not null group by 1 order by count(*) desc limit 1`,
    { id: asText },
  );
  if (row) await ledger.transaction(() => learn(ledger, tenant, { pinnedTenantId: row.id }));
}
