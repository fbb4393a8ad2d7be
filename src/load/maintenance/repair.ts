/**
 * A new ledger from the Parquet files alone, for when `state.duckdb` is gone or cannot be read. What the files hold is
 * known again to the hour; duplicates, quarantine and proofs are not, so every hour starts unchecked and the next
 * run's reconcile mends what does not balance.
 */
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { z } from 'zod';
import { EXIT, InsightsError } from '../../kernel/errors.ts';
import { commitFile, systemFiles, TEMPORARY, type Files } from '../../kernel/files.ts';
import type { TableName } from '../../model/tables.ts';
import { sqlText } from '../../kernel/sql.ts';
import { text } from '../ledger/engine.ts';
import { FORM_METADATA } from '../store/form.ts';
import type { Form } from '../store/form.ts';
import { sha256Of } from '../store/generation.ts';
import type { Generation } from '../store/generation.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { LakeRuntime, LakeSettings, Ledger } from '../ledger/ledger.ts';
import { LEDGER_FILE, MANIFEST_FILE, STORE_FOLDER, parseGenerationFile } from '../../model/data-dir.ts';
import type { GenerationName } from '../../model/data-dir.ts';
import { learn } from '../ledger/profile.ts';
import { FILE_FINGERPRINTS, dropFileFingerprints, insertPartitions, readBack } from '../store/file-fingerprints.ts';
import { isRefusal } from './verify.ts';
import { ZERO_SQL, foldSql, tableFilterSql, parquetSql } from '../ledger/sql.ts';

export interface RepairResult {
  /** Generations that are current again. */
  readonly files: number;
  readonly rows: number;
  /** Files that cannot be read or that a later generation replaces; the next run removes them. */
  readonly leftOut: number;
  /** Where the old ledger was put, if there was one. */
  readonly setAside: string | undefined;
}

/** The part of a manifest that says which generations were published. */
const PUBLISHED = z.object({
  tables: z.record(
    z.string(),
    z.object({
      tenants: z.record(z.string(), z.object({ partitions: z.array(z.object({ file: z.string() })) })),
    }),
  ),
});

const GROUP = 200;

/**
 * Rebuilds the ledger of a data directory. A ledger that opens is set aside too: repair means to start from the files.
 * The new one gets its name when it is complete: beside a half-made one the next run would take the files for orphans.
 */
export async function repair(dataDir: string, settings: LakeSettings, runtime: LakeRuntime): Promise<RepairResult> {
  // Held meanwhile, where it can be: no run may change the files that are being read.
  const old = await openUnlessDamaged(dataDir, settings, runtime);
  let adopted: Omit<RepairResult, 'setAside'>;
  try {
    await removeUnfinished(dataDir, settings, runtime);
    await using ledger = await openLedger(dataDir, settings, runtime, { adopting: true });
    adopted = await ledger.exclusive(async () => {
      const result = await adopt(ledger);
      await ledger.run('checkpoint');
      return result;
    });
  } finally {
    await old?.close();
  }
  return { ...adopted, setAside: await replaceLedger(dataDir, runtime) };
}

/** Throws where somebody holds it or a newer program wrote it. */
async function openUnlessDamaged(
  dataDir: string,
  settings: LakeSettings,
  runtime: LakeRuntime,
  adopting = false,
): Promise<Ledger | undefined> {
  if (!existsSync(join(dataDir, adopting ? LEDGER_FILE + TEMPORARY : LEDGER_FILE))) return undefined;
  try {
    return await openLedger(dataDir, settings, runtime, { adopting });
  } catch (error) {
    if (!(error instanceof InsightsError) || error.exitCode !== EXIT.damaged) throw error;
    return undefined;
  }
}

/** What a killed repair left; opened first, because another repair may be at work on it. */
async function removeUnfinished(dataDir: string, settings: LakeSettings, runtime: LakeRuntime): Promise<void> {
  await (await openUnlessDamaged(dataDir, settings, runtime, true))?.close();
  const files = runtime.files ?? systemFiles;
  const path = join(dataDir, LEDGER_FILE + TEMPORARY);
  for (const suffix of ['', '.wal']) await files.rm(path + suffix, { force: true });
}

async function replaceLedger(dataDir: string, runtime: LakeRuntime): Promise<string | undefined> {
  const files = runtime.files ?? systemFiles;
  const file = join(dataDir, LEDGER_FILE);
  let aside: string | undefined;
  if (existsSync(file)) {
    aside = `${file}.${new Date(runtime.now()).toISOString().replaceAll(/[-:.]/g, '')}`;
    await files.rename(file, aside);
  }
  // Also one without its file: it belongs to a ledger that is gone, and would be replayed into the new one.
  if (existsSync(`${file}.wal`)) {
    if (aside === undefined) await files.rm(`${file}.wal`);
    else await files.rename(`${file}.wal`, `${aside}.wal`);
  }
  await commitFile(file + TEMPORARY, file, files);
  return aside;
}

interface Found extends GenerationName {
  readonly file: string;
}

async function adopt(ledger: Ledger): Promise<Omit<RepairResult, 'setAside'>> {
  const found = await generationsOnDisk(ledger);
  const published = await manifestFiles(ledger);
  const groups = new Map<string, Found[]>();
  for (const generation of found) {
    const key = `${generation.table}/${generation.tenant}`;
    groups.set(key, [...(groups.get(key) ?? []), generation]);
  }
  let [files, rows] = [0, 0];
  for (const group of groups.values()) {
    const [first] = group;
    if (!first) continue;
    const { tenant, table } = first;
    const chosen = await chooseReadable(ledger, group, published);
    for (let start = 0; start < chosen.length; start += GROUP) {
      const part = chosen.slice(start, start + GROUP);
      await readBack(ledger, { table }, part);
      await ledger.transaction(async () => {
        await insertPartitions(ledger, { tenant, table }, part, null);
        await ledger.run(
          `insert into hours
           select ${sqlText(tenant)}, ${sqlText(table)}, hour, null, ${foldSql('fp')}, ${ZERO_SQL}, ${ZERO_SQL},
             hour + interval 1 hour, 'unchecked', 'none', null, null, null
           from ${FILE_FINGERPRINTS} group by hour`,
        );
      });
      rows += part.reduce((sum, generation) => sum + generation.rows, 0);
    }
    files += chosen.length;
    await pinAgain(ledger, tenant, table);
  }
  await dropFileFingerprints(ledger);
  return { files, rows, leftOut: found.length - files };
}

async function generationsOnDisk({ dataDir, files }: Ledger): Promise<Found[]> {
  const store = join(dataDir, STORE_FOLDER);
  if (!existsSync(store)) return [];
  const names = await files.readdir(store, { recursive: true });
  return names.flatMap((name) => {
    const file = relative(dataDir, join(store, name));
    const parsed = parseGenerationFile(file);
    return parsed ? [{ ...parsed, file }] : [];
  });
}

/**
 * One generation per period: the published one, else the newest that can be read. A month beside its own days was
 * made from them, so it stands for them.
 */
async function chooseReadable(
  ledger: Ledger,
  group: readonly Found[],
  published: ReadonlySet<string>,
): Promise<Generation[]> {
  const order = [...group].sort(
    (a, b) =>
      Number(published.has(b.file)) - Number(published.has(a.file)) ||
      a.period.name.length - b.period.name.length ||
      b.generation - a.generation,
  );
  const chosen: Generation[] = [];
  const taken = new Set<string>();
  for (const { file, period, generation } of order) {
    const month = period.name.slice(0, 7);
    const isMonth = period.name === month;
    const overlaps = isMonth
      ? [...taken].some((name) => name.startsWith(month))
      : taken.has(month) || taken.has(period.name);
    if (overlaps) continue;
    const path = join(ledger.dataDir, file);
    const { size: bytes } = await ledger.files.stat(path);
    const sha256 = await sha256Of(path, ledger.files);
    const rows = await rowsOf(ledger, path);
    if (rows === undefined) continue;
    taken.add(period.name);
    chosen.push({ period, generation, file, rows, bytes, sha256, form: await writtenForm(ledger, path) });
  }
  return chosen.sort((a, b) => (a.period.from < b.period.from ? -1 : 1));
}

async function rowsOf(ledger: Ledger, path: string): Promise<number | undefined> {
  try {
    const [row] = await ledger.rawRows(`select count(*) as n, max("timestamp") as latest from ${parquetSql([path])}`);
    return Number(text(row ?? {}, 'n'));
  } catch (error) {
    // What is left out is removed by the next run: not for a disk that refuses just now.
    if (isRefusal(error)) throw error;
    ledger.runtime.log.warn(
      { event: 'repair.left-out', file: relative(ledger.dataDir, path) },
      'left out: not readable as Parquet',
    );
    return undefined;
  }
}

/** The rules that a file says it was written under. */
async function writtenForm(ledger: Ledger, path: string): Promise<Form> {
  const rows = await ledger.rawRows(
    `select decode(key) as key, decode(value) as value from parquet_kv_metadata(${sqlText(path)}) where decode(key) like 'insights.%'`,
  );
  const of = (key: string): string | undefined => {
    const row = rows.find((candidate) => text(candidate, 'key') === key);
    return row && text(row, 'value');
  };
  return { promotion: of(FORM_METADATA.promotion), privacy: of(FORM_METADATA.privacy) };
}

async function manifestFiles({ dataDir, files }: Ledger): Promise<Set<string>> {
  const published = new Set<string>();
  const path = join(dataDir, MANIFEST_FILE);
  // Without a manifest of ours the newest generation of each period is taken.
  const manifest = existsSync(path) ? await parsed(files, path) : undefined;
  for (const { tenants } of Object.values(manifest?.tables ?? {})) {
    for (const { partitions } of Object.values(tenants)) for (const { file } of partitions) published.add(file);
  }
  return published;
}

async function parsed(files: Files, path: string): Promise<z.output<typeof PUBLISHED> | undefined> {
  const content = await files.readFile(path, 'utf8');
  try {
    return PUBLISHED.parse(JSON.parse(content));
  } catch {
    return undefined;
  }
}

/** The tenant id that the files' rows carry is pinned again. */
async function pinAgain(ledger: Ledger, tenant: string, table: TableName): Promise<void> {
  const files = await ledger.rawRows(
    `select file from partitions where ${tableFilterSql(tenant, table)} and superseded_at is null limit 1`,
  );
  const [file] = files.map((row) => join(ledger.dataDir, text(row, 'file') ?? ''));
  if (file === undefined) return;
  const [row] = await ledger.rawRows(
    `select source_tenant_id as id from ${parquetSql([file])} where source_tenant_id is not null group by 1 order by count(*) desc limit 1`,
  );
  const pinnedTenantId = row && text(row, 'id');
  if (pinnedTenantId !== undefined) await ledger.transaction(() => learn(ledger, tenant, { pinnedTenantId }));
}
