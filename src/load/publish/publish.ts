/**
 * Publishes the snapshot that readers see. A reader opens the catalogue or reads the manifest, and from then on opens only the
 * immutable files that it names. A newer snapshot replaces the catalogue and the manifest by rename and never changes those files.
 *
 * The catalogue is replaced before the manifest, so a reader who finds snapshot N in the manifest finds a catalogue of N or
 * newer, and Delta tables too, which are committed in between. Until then all of them name only files that exist. Files of older generations are removed last, `keepHours` after
 * the first snapshot without them.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { definitionsDigest, lakeChecks, sharedDefinitions } from '../../query/definitions.ts';
import type { Check } from '../../query/definitions.ts';
import type { DamagedError } from '../../kernel/errors.ts';
import { writeDurably, sha256Of } from '../../kernel/files.ts';
import { sqlText, sqlTexts } from '../../kernel/sql.ts';
import { CATALOGUE_VERSION, writeCatalogue } from './catalogue.ts';
import { asCount, asText } from '../ledger/cells.ts';
import { HISTORY_LIMITS_SQL } from '../ledger/coverage.ts';
import { OutOfMemoryError } from '../ledger/engine-errors.ts';
import type { Lane, Patiently } from '../ledger/engine.ts';
import { recordDrift } from './drift.ts';
import type { Drift } from '../../model/report.ts';
import { syncHead, writeCoverage } from './head.ts';
import { lakeSize } from '../store/current-files.ts';
import { otherPrivacySql } from '../store/form.ts';
import { onLane } from '../ledger/ledger.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { CATALOGUE_FILE, MANIFEST_FILE, unfinishedPath } from '../../model/data-dir.ts';
import { snapshotNumber } from '../../model/manifest.ts';
import { showShard } from '../../model/shard.ts';
import { moveMarts, sweepMarts } from '../marts/mart-files.ts';
import { refreshMarts } from '../marts/marts.ts';
import { runChecks } from '../marts/checks.ts';
import type { CheckResult } from '../../model/report.ts';
import { usableFiles } from '../marts/custom.ts';
import { dropDays, noteDays } from '../marts/days.ts';
import { settledKey } from '../marts/settled.ts';
import { describeProperties } from './properties.ts';
import { deltaHeads, syncDelta } from './delta/sync.ts';
import { buildManifest } from './manifest.ts';

export interface PublishOptions {
  readonly run: string;
  /**
   * Also update the head (`lake/`, hard links for readers that glob), the marts and the checks. Only at the end of a run,
   * because a glob that is running while the head changes fails.
   */
  readonly head: boolean;
  /** @default the checks in `queries/checks/` */
  readonly checks?: readonly Check[];
  /** When aborted, marts and checks are left to the next run, so that stopping does not wait for them. */
  readonly signal?: AbortSignal;
  readonly onStep?: (step: string) => void | Promise<void>;
  /** Publish even if nothing has changed since the last snapshot, because its files may be damaged. */
  readonly again?: boolean;
  /** Publish again, and start the Delta logs of these tables again, without any entry from before. */
  readonly restartLogs?: ReadonlySet<string>;
}

export interface PublishResult {
  readonly snapshot: number;
  /** False if nothing differs from the last snapshot; then no file was touched. */
  readonly changed: boolean;
  /** Files of old generations whose grace period had ended. */
  readonly removedFiles: number;
  /** New changes in the shape of the JSON. Data of a tenant's first load never counts as a change. */
  readonly drift: readonly Drift[];
  /** Check results for the days that changed. */
  readonly checks: readonly CheckResult[];
  /** True if a stop came before marts and checks were up to date. */
  readonly isBehind: boolean;
}

/** Rows of a lake for whose marts and checks one thread is enough. */
const SMALL_LAKE = 200_000;

/** Publishes what the ledger holds now. Without the head it is cheap enough to run after every batch of a long backfill. */
export async function publish(ledger: Ledger, options: PublishOptions): Promise<PublishResult> {
  const work = (): Promise<PublishResult> => publishSnapshot(ledger, options);
  const { rows } = await ledger.exclusive(() => lakeSize(ledger));
  return rows > SMALL_LAKE ? ledger.onAllThreads(work) : ledger.exclusive(work);
}

async function publishSnapshot(
  ledger: Ledger,
  { run, head, checks, signal, onStep, restartLogs, again = restartLogs !== undefined }: PublishOptions,
): Promise<PublishResult> {
  const [last] = await ledger.rows('select snapshot, content from snapshots order by snapshot desc limit 1', {
    snapshot: asCount,
    content: asText,
  });
  const lastNumber = await lastSnapshot(ledger, last?.snapshot ?? 0);
  await moveMarts(ledger);
  const isStopped = (): boolean => signal?.aborted === true;
  let results: readonly CheckResult[] = [];
  let martsError: OutOfMemoryError | undefined;
  let logError: DamagedError | undefined;
  const settled = head && !again && last !== undefined ? await settledContent(ledger, last.content, checks) : undefined;
  let isIdle = false;
  const describe = (lane: Lane): Promise<void> => describeProperties(lane, ledger.dataDir);
  let hasNewMarts = false;
  const marts = async (): Promise<void> => {
    hasNewMarts = await refreshMarts(ledger, lastNumber + 1, signal).catch((error: unknown) => {
      // The rows are published without the marts; after that the run fails with this error.
      if (!(error instanceof OutOfMemoryError)) throw error;
      martsError = error;
      return true;
    });
    await onStep?.('marts');
  };
  const describeAndCheck = async (lane: Lane, due: readonly Check[], patiently: Patiently): Promise<void> => {
    await patiently(() => describe(lane));
    results = await runChecks(onLane(ledger, lane), run, { checks: due, signal, patiently });
  };
  const isRefreshed = head && !isStopped() && settled === undefined;
  if (isRefreshed) {
    await noteDays(ledger);
    const due =
      checks ?? (ledger.settings.checks === true ? await lakeChecks(await usableFiles(ledger, 'checks')) : []);
    await ledger.beside((lane, patiently) => describeAndCheck(lane, due, patiently), marts);
    // Perhaps the memory that they lacked was that of the checks.
    if (martsError !== undefined && !isStopped()) {
      martsError = undefined;
      await marts();
    }
    isIdle = !hasNewMarts && results.length === 0 && !isStopped();
    await dropDays(ledger);
    await onStep?.('checks');
  }
  const isBehind = head && isStopped();
  const content = settled ?? (await contentKey(ledger));
  const isPublished = !again && last !== undefined && (await isIntact(ledger, last.content, content));
  const snapshot = isPublished ? last.snapshot : lastNumber + 1;
  let drift: readonly Drift[] = [];
  if (!isPublished) {
    if (!isRefreshed) await describe(ledger);
    drift = await recordDrift(ledger, run);
    await writeCatalogue(ledger, snapshot);
    await onStep?.('catalogue');
    // The other logs are written, and the rows are published; after that the run fails with this error.
    logError = await syncDelta(ledger, { snapshot, run, restart: restartLogs, onStep });
    await onStep?.('delta');
    const manifest = await buildManifest(ledger, snapshot, run);
    const temporary = unfinishedPath(ledger.dataDir, MANIFEST_FILE);
    const json = `${JSON.stringify(manifest, null, 1)}\n`;
    await writeDurably(join(ledger.dataDir, MANIFEST_FILE), json, ledger.files, temporary);
    await onStep?.('manifest');
    // A log that was refused is looked at again by the next run.
    const published = `${content} ${logError === undefined ? await publishedDigest(ledger) : 'refused'}`;
    await ledger.transaction(async () => {
      await ledger.run(`insert into snapshots values (${snapshot}, $1, $2, ${ledger.nowSql()})`, [published, run]);
      // Only the latest snapshot is ever read; a few more help to find out what happened.
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
  if (isPublished && isIdle) await noteSettled(ledger, last, checks);
  if (head) {
    await syncHead(ledger, snapshot);
    await writeCoverage(ledger, content);
    await onStep?.('head');
  }
  const removedFiles = await sweep(ledger);
  const error = martsError ?? logError;
  if (error) throw error;
  return { snapshot, changed: !isPublished, removedFiles, drift, checks: results, isBehind };
}

/**
 * The content of the lake, if marts and checks are up to date with it and with their rules (settled.ts), as the last snapshot noted.
 * Undefined if that is not known. Reads the lake's content only if it may be, which takes a while in a large lake.
 */
async function settledContent(
  ledger: Ledger,
  published: string,
  checks: readonly Check[] | undefined,
): Promise<string | undefined> {
  const [publishedContent, , key] = published.split(' ');
  if (key === undefined || key !== (await settledKey(ledger, checks))) return undefined;
  const content = await contentKey(ledger);
  return content === publishedContent ? content : undefined;
}

async function noteSettled(
  ledger: Ledger,
  { snapshot, content: published }: { readonly snapshot: number; readonly content: string },
  checks: readonly Check[] | undefined,
): Promise<void> {
  const [content, digest] = published.split(' ');
  // Earlier versions recorded no digest.
  if (digest === undefined) return;
  const noted = `${content} ${digest} ${await settledKey(ledger, checks)}`;
  await ledger.run('update snapshots set content = $1 where snapshot = $2', [noted, snapshot]);
}

/** Whether catalogue and manifest are as they were published, with this content. `published`: content, `publishedDigest`, `settledKey`. */
async function isIntact(ledger: Ledger, published: string, content: string): Promise<boolean> {
  const [publishedContent, digest] = published.split(' ');
  if (publishedContent !== content) return false;
  if (![CATALOGUE_FILE, MANIFEST_FILE].every((name) => existsSync(join(ledger.dataDir, name)))) return false;
  // Earlier versions recorded no digest.
  return digest === undefined || digest === (await publishedDigest(ledger));
}

/** A digest of catalogue, manifest and Delta logs as they are on disk: a damaged one is written again by the next run. */
export async function publishedDigest(ledger: Ledger): Promise<string> {
  const { dataDir, files } = ledger;
  const digests = [CATALOGUE_FILE, MANIFEST_FILE].map((name) => sha256Of(join(dataDir, name), files));
  return createHash('sha256')
    .update([...(await Promise.all(digests)), ...(await deltaHeads(ledger))].join(' '))
    .digest('hex');
}

/** A digest that changes whenever a reader could see a difference. A run that adds nothing does not change it. */
async function contentKey(ledger: Ledger): Promise<string> {
  const { files, hours, limits, quarantine, marts, failures } = await ledger.row(
    `select
       (select coalesce(sum(hash(tenant, table_name, period, file, sha256)), 0)::varchar from partitions where superseded_at is null) as files,
       (select count(*)::varchar || ' ' || coalesce(sum(hash(tenant, table_name, hour, state, grade, source, lake, duplicates, quarantined, verified_at)), 0)::varchar from hours) as hours,
       (select count(*)::varchar || ' ' || coalesce(sum(hash(tenant_id, table_name)), 0)::varchar from (${HISTORY_LIMITS_SQL})) as limits,
       (select count(*)::varchar || ' ' || coalesce(sum(hash(tenant, table_name, placed_at, page, reason, id)), 0)::varchar from quarantine) as quarantine,
       (select coalesce(sum(hash(mart, file)), 0)::varchar from mart_files where superseded_at is null) as marts,
       (select coalesce(sum(hash(check_name, tenant, day, failures)), 0)::varchar from check_failures) as failures`,
    { files: asText, hours: asText, limits: asText, quarantine: asText, marts: asText, failures: asText },
  );
  const parts = [
    CATALOGUE_VERSION,
    // Readers without this program see the shared views of the catalogue.
    definitionsDigest(await sharedDefinitions()),
    ...Object.values(ledger.settings.tables).map(({ promoted }) => JSON.stringify(promoted)),
    ledger.dataDir,
    ...(ledger.shard ? [showShard(ledger.shard)] : []),
    ...(ledger.settings.delta === true ? ['delta'] : []),
    files,
    hours,
    limits,
    quarantine,
    marts,
    failures,
  ];
  return createHash('sha256').update(parts.join('\n')).digest('hex');
}

/** The newest snapshot number in the ledger or, after a repair of the ledger, in the manifest: no number is used twice. */
async function lastSnapshot(ledger: Ledger, inLedger: number): Promise<number> {
  try {
    const manifest = await ledger.files.readFile(join(ledger.dataDir, MANIFEST_FILE), 'utf8');
    return Math.max(inLedger, snapshotNumber(manifest) ?? 0);
  } catch {
    // There is no manifest yet, or it cannot be read and is about to be replaced.
    return inLedger;
  }
}

/** Removes the files that no reader can still need. */
async function sweep(ledger: Ledger): Promise<number> {
  const keepSeconds = Math.trunc(ledger.settings.keepHours * 3600);
  // A time in the future was written while the clock was ahead. The grace period starts again, or it would last until then.
  await ledger.run(
    `update partitions set unpublished_at = ${ledger.nowSql()} where removed_at is null and unpublished_at > ${ledger.nowSql()}`,
  );
  const isOver = `unpublished_at <= ${ledger.nowSql()} - interval (${keepSeconds}) seconds`;
  // Files that were written under other privacy rules get no grace period.
  const underOtherRules = Object.values(ledger.settings.tables).map(
    (table) => `(table_name = ${sqlText(table.name)} and ${otherPrivacySql(table)})`,
  );
  const martFiles = await sweepMarts(ledger, keepSeconds);
  const due = await ledger.rows(
    `select file from partitions
     where removed_at is null and (${isOver} or (unpublished_at is not null and (${underOtherRules.join(' or ')})))`,
    { file: asText },
  );
  if (due.length === 0) return martFiles;
  for (const { file } of due) await ledger.files.rm(join(ledger.dataDir, file), { force: true });
  await ledger.transaction(async () => {
    await ledger.run(
      `update partitions set removed_at = ${ledger.nowSql()} where file in (${sqlTexts(due.map(({ file }) => file))})`,
    );
    await ledger.run(
      `delete from partitions where removed_at is not null and exists (
         select 1 from partitions as later
         where later.tenant = partitions.tenant and later.table_name = partitions.table_name
           and later.period = partitions.period and later.generation > partitions.generation)`,
    );
  });
  return due.length + martFiles;
}
