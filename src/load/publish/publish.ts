/**
 * The snapshot that readers see. A reader opens the catalogue (or reads the manifest) and from then on only ever
 * opens immutable files that it names; a newer snapshot replaces both by rename and never touches those files.
 *
 * The catalogue is replaced before the manifest: the manifest is the snapshot's receipt, so whoever reads number N in
 * it finds a catalogue of N or newer. Between the two steps both name only files that exist. Files of older
 * generations go last, `keepHours` after the first snapshot without them.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Check } from '../../query/definitions.ts';
import { writeDurably } from '../../kernel/files.ts';
import { sqlText } from '../../kernel/sql.ts';
import { CATALOGUE_VERSION, writeCatalogue } from './catalogue.ts';
import { OutOfMemoryError, count, text } from '../ledger/engine.ts';
import { recordDrift } from './drift.ts';
import type { Drift } from '../../model/report.ts';
import { syncHead, writeCoverage } from './head.ts';
import { otherPrivacySql } from '../store/form.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { CATALOGUE_FILE, MANIFEST_FILE } from '../../model/data-dir.ts';
import { refreshMarts, sweepMarts } from '../marts/marts.ts';
import { runChecks } from '../marts/checks.ts';
import type { CheckResult } from '../../model/report.ts';
import { dropDays, noteDays } from '../marts/days.ts';
import { describeProperties } from './properties.ts';
import { buildManifest } from './manifest.ts';

export interface PublishOptions {
  readonly run: string;
  /**
   * Also swap the head (`lake/`): hard links for readers that glob. At the end of a run only: a glob that is under way
   * while a name is swapped fails loudly.
   */
  readonly head: boolean;
  /** @default those of `queries/checks/` */
  readonly checks?: readonly Check[];
  /** Aborted: marts and checks are left to the next run, so that a stop never waits for them. */
  readonly signal?: AbortSignal;
  readonly onStep?: (step: string) => void | Promise<void>;
}

export interface PublishResult {
  readonly snapshot: number;
  /** False: nothing differed from the last snapshot, and no file was touched. */
  readonly changed: boolean;
  /** Files of old generations removed because their grace period was over. */
  readonly removedFiles: number;
  /** Changes in the shape of the rows that were not known before; none for what is loaded for the first time. */
  readonly drift: readonly Drift[];
  /** What the checks say of the days that changed; none where none did. */
  readonly checks: readonly CheckResult[];
  /** A stop came before marts and checks were up to date. */
  readonly isBehind: boolean;
}

/** Publishes what the ledger holds now. Cheap enough to call after every batch of a long backfill (without the head). */
export async function publish(
  ledger: Ledger,
  { run, head, checks, signal, onStep }: PublishOptions,
): Promise<PublishResult> {
  return ledger.exclusive(async () => {
    const [last] = await ledger.rawRows('select snapshot, content from snapshots order by snapshot desc limit 1');
    let results: readonly CheckResult[] = [];
    let refused: OutOfMemoryError | undefined;
    if (head && signal?.aborted !== true) {
      await noteDays(ledger);
      const generation = (await lastSnapshot(ledger, count(last, 'snapshot'))) + 1;
      await refreshMarts(ledger, generation, signal).catch((error: unknown) => {
        // What is loaded is published without them; then the run fails with it.
        if (!(error instanceof OutOfMemoryError)) throw error;
        refused = error;
      });
      await onStep?.('marts');
      results = await runChecks(ledger, run, { checks, signal });
      await dropDays(ledger);
      await onStep?.('checks');
    }
    const isBehind = head && signal?.aborted === true;
    const content = await contentKey(ledger);
    const stands =
      last !== undefined &&
      text(last, 'content') === content &&
      existsSync(join(ledger.dataDir, CATALOGUE_FILE)) &&
      existsSync(join(ledger.dataDir, MANIFEST_FILE));
    const snapshot = stands ? count(last, 'snapshot') : (await lastSnapshot(ledger, count(last, 'snapshot'))) + 1;
    let drift: readonly Drift[] = [];
    if (!stands) {
      await describeProperties(ledger);
      drift = await recordDrift(ledger, run);
      await writeCatalogue(ledger, snapshot);
      await onStep?.('catalogue');
      const manifest = await buildManifest(ledger, snapshot, run);
      await writeDurably(join(ledger.dataDir, MANIFEST_FILE), `${JSON.stringify(manifest, null, 1)}\n`, ledger.files);
      await onStep?.('manifest');
      await ledger.transaction(async () => {
        await ledger.run(`insert into snapshots values (${snapshot}, $1, $2, ${ledger.nowSql()})`, [content, run]);
        // Only the last snapshots are of use: for the number and for idempotence.
        await ledger.run(`delete from snapshots where snapshot < ${snapshot - 100}`);
        await ledger.run(
          `update partitions set unpublished_at = ${ledger.nowSql()} where superseded_at is not null and unpublished_at is null`,
        );
        await ledger.run(
          `update mart_files set unpublished_at = ${ledger.nowSql()} where superseded_at is not null and unpublished_at is null`,
        );
      });
      await onStep?.('snapshot');
    }
    if (head) {
      await syncHead(ledger, snapshot);
      await writeCoverage(ledger, content);
      await onStep?.('head');
    }
    const removedFiles = await sweep(ledger);
    if (refused) throw refused;
    return { snapshot, changed: !stands, removedFiles, drift, checks: results, isBehind };
  });
}

/** One text that differs whenever a reader could see a difference. Runs alone make none: they leave no new rows. */
async function contentKey(ledger: Ledger): Promise<string> {
  const [row] = await ledger.rawRows(
    `select
       (select coalesce(sum(hash(tenant, table_name, period, file, sha256)), 0)::varchar from partitions where superseded_at is null) as files,
       (select count(*)::varchar || ' ' || coalesce(sum(hash(tenant, table_name, hour, state, grade, source, lake, duplicates, quarantined, verified_at)), 0)::varchar from hours) as hours,
       (select count(*)::varchar || ' ' || coalesce(sum(hash(tenant, table_name, placed_at, page, reason, id)), 0)::varchar from quarantine) as quarantine,
       (select coalesce(sum(hash(mart, file)), 0)::varchar from mart_files where superseded_at is null) as marts,
       (select coalesce(sum(hash(check_name, tenant, day, failures)), 0)::varchar from check_failures) as failures`,
  );
  const parts = [
    CATALOGUE_VERSION,
    ...Object.values(ledger.settings.tables).map(({ promoted }) => JSON.stringify(promoted)),
    ledger.dataDir,
    text(row ?? {}, 'files'),
    text(row ?? {}, 'hours'),
    text(row ?? {}, 'quarantine'),
    text(row ?? {}, 'marts'),
    text(row ?? {}, 'failures'),
  ];
  return createHash('sha256').update(parts.join('\n')).digest('hex');
}

/** The ledger's number, or the manifest's where the ledger was rebuilt: a snapshot number is never used twice. */
async function lastSnapshot(ledger: Ledger, known: number): Promise<number> {
  try {
    const manifest: unknown = JSON.parse(await ledger.files.readFile(join(ledger.dataDir, MANIFEST_FILE), 'utf8'));
    const published =
      typeof manifest === 'object' && manifest !== null && 'snapshot' in manifest ? Number(manifest.snapshot) : 0;
    return Math.max(known, Number.isSafeInteger(published) ? published : 0);
  } catch {
    // No manifest yet, or not one of ours: it is about to be replaced.
    return known;
  }
}

/** Removes files of generations that no reader can still need. */
async function sweep(ledger: Ledger): Promise<number> {
  const keepSeconds = Math.trunc(ledger.settings.keepHours * 3600);
  const keep = `interval (${keepSeconds}) seconds`;
  // A clock that was ahead and was set right would keep them until it gets there: the wait begins anew.
  await ledger.run(
    `update partitions set unpublished_at = ${ledger.nowSql()} where removed_at is null and unpublished_at > ${ledger.nowSql()}`,
  );
  // What was written under other privacy rules is not kept for anybody.
  const tables = Object.values(ledger.settings.tables).map(
    (table) => `(table_name = ${sqlText(table.name)} and ${otherPrivacySql(table)})`,
  );
  const over = `(unpublished_at <= ${ledger.nowSql()} - ${keep} or (unpublished_at is not null and (${tables.join(' or ')})))`;
  const due = `removed_at is null and ${over}`;
  const marts = await sweepMarts(ledger, keepSeconds);
  const rows = await ledger.rawRows(`select file from partitions where ${due}`);
  if (rows.length === 0) return marts;
  for (const row of rows) await ledger.files.rm(join(ledger.dataDir, text(row, 'file') ?? ''), { force: true });
  const files = rows.map((row) => sqlText(text(row, 'file') ?? '')).join(', ');
  await ledger.transaction(async () => {
    await ledger.run(`update partitions set removed_at = ${ledger.nowSql()} where file in (${files})`);
    await ledger.run(
      `delete from partitions where removed_at is not null and exists (
         select 1 from partitions as later
         where later.tenant = partitions.tenant and later.table_name = partitions.table_name
           and later.period = partitions.period and later.generation > partitions.generation)`,
    );
  });
  return rows.length + marts;
}
