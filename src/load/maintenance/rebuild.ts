/**
 * Rewrites files whose promoted columns or privacy rules are not today's, from their own rows: no call to the source. Each
 * partition is one step: the new generation is flushed and named, read back, compared hour by hour with the ledger, and made
 * current in one transaction. So a kill at any point leaves a correct lake, and the next rebuild continues from there.
 */
import { join } from 'node:path';
import { DamagedError } from '../../kernel/errors.ts';
import type { Instant } from '../../kernel/instant.ts';
import { promotionKey } from '../../model/promoted.ts';
import { TABLE_NAMES } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';
import { sqlText, sqlTexts } from '../../kernel/sql.ts';
import { asCount, asOptional, asTable, asText } from '../ledger/cells.ts';
import type { RowOf } from '../ledger/cells.ts';
import { heldRows, otherPrivacySql } from '../store/form.ts';
import { commitGeneration, copyRows } from '../store/generation.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { periodOf } from '../../model/period.ts';
import { dropFileFingerprints, insertPartitions, readBack } from '../store/file-fingerprints.ts';
import { lastGeneration } from './rearrange.ts';
import { requireSameHours } from './same-hours.ts';
import { instantSql, tableFilterSql, parquetSql } from '../ledger/sql.ts';

/** Which files to rewrite; a key that is left out selects all. */
export interface RebuildSelection {
  readonly tenants?: readonly string[];
  readonly tables?: readonly TableName[];
  /** Periods that overlap `[from, to)`. */
  readonly from?: Instant;
  readonly to?: Instant;
}

export interface RebuildOptions extends RebuildSelection {
  readonly run: string;
  readonly signal?: AbortSignal;
  /** Called after each partition, outside of the ledger's exclusive turn. */
  readonly onPartition?: (done: RebuildCount) => void | Promise<void>;
  /** Called after each durable step (crash tests). */
  readonly onStep?: (step: string) => void | Promise<void>;
}

export interface RebuildCount {
  readonly tenant: string;
  readonly table: TableName;
  readonly files: number;
  readonly rows: number;
}

const COUNT = { tenant: asText, table: asTable, files: asCount, rows: asCount };

const DUE_FILE = {
  tenant: asText,
  table: asTable,
  period: asText,
  file: asText,
  rows: asCount,
  promotion: asOptional(asText),
  privacy: asOptional(asText),
  digests: asOptional(asText),
};

/** Counts the files that are due by tenant and table; those without any are not listed. */
export async function rebuildDue(ledger: Ledger, selection: RebuildSelection = {}): Promise<RebuildCount[]> {
  return ledger.exclusive(() =>
    ledger.rows(
      `select tenant, table_name as "table", count(*) as files, sum(rows)::bigint as rows
       from partitions where ${dueSql(ledger, selection)} group by all order by all`,
      COUNT,
    ),
  );
}

/** Rewrites every file that is due. Throws DamagedError when a file does not hold what the ledger says. */
export async function rebuild(ledger: Ledger, options: RebuildOptions): Promise<RebuildCount[]> {
  const due = await ledger.exclusive(() =>
    ledger.rows(
      `select tenant, table_name as "table", period, file, rows, promotion, privacy, digests
       from partitions where ${dueSql(ledger, options)} order by table_name, tenant, period`,
      DUE_FILE,
    ),
  );
  const done = new Map<string, RebuildCount>();
  for (const file of due) {
    options.signal?.throwIfAborted();
    await ledger.onAllThreads(() => rebuildPartition(ledger, file, options));
    const { tenant, table, rows } = file;
    const before = done.get(`${tenant}/${table}`);
    const sum = { tenant, table, files: (before?.files ?? 0) + 1, rows: (before?.rows ?? 0) + rows };
    done.set(`${tenant}/${table}`, sum);
    await options.onPartition?.(sum);
  }
  return [...done.values()];
}

/**
 * Deletes the texts of quarantined rows of tables that have privacy rules: they were kept before there were rules. Returns
 * how many; their bytes stay in the ledger's file until it is rewritten.
 */
export async function forgetTexts(
  ledger: Ledger,
  { tables = TABLE_NAMES, tenants }: Pick<RebuildSelection, 'tables' | 'tenants'>,
): Promise<number> {
  const names = tables.filter((table) => ledger.settings.tables[table].privacy.length > 0);
  if (names.length === 0) return 0;
  const kept = [
    'raw is not null',
    `table_name in (${sqlTexts(names)})`,
    ...(tenants ? [`tenant in (${sqlTexts(tenants)})`] : []),
  ].join(' and ');
  return ledger.exclusive(async () => {
    const { texts } = await ledger.row(`select count(*) as texts from quarantine where ${kept}`, { texts: asCount });
    if (texts > 0) await ledger.transaction(() => ledger.run(`update quarantine set raw = null where ${kept}`));
    return texts;
  });
}

function dueSql(ledger: Ledger, { tenants, tables = TABLE_NAMES, from, to }: RebuildSelection): string {
  const outdated = tables.map((table) => `(table_name = ${sqlText(table)} and ${outdatedSql(ledger, table)})`);
  return [
    'superseded_at is null',
    `(${outdated.join(' or ') || 'false'})`,
    ...(tenants ? [`tenant in (${sqlTexts(tenants)})`] : []),
    ...(from === undefined ? [] : [`to_ts > ${instantSql(from)}`]),
    ...(to === undefined ? [] : [`from_ts < ${instantSql(to)}`]),
  ].join(' and ');
}

/** Selects the partitions of the table that were not written with today's columns and privacy rules. */
function outdatedSql(ledger: Ledger, table: TableName): string {
  const definition = ledger.settings.tables[table];
  return `(promotion is distinct from ${sqlText(promotionKey(definition.promoted))} or ${otherPrivacySql(definition)})`;
}

async function rebuildPartition(
  ledger: Ledger,
  { tenant, table, period: name, file, rows, ...form }: RowOf<typeof DUE_FILE>,
  { run, onStep }: RebuildOptions,
): Promise<void> {
  const period = periodOf(name);
  if (!period) throw new Error(`not a period: ${name}`);
  const key = { tenant, table };
  const ofPeriod = `${tableFilterSql(tenant, table)} and period = ${sqlText(name)}`;
  const held = heldRows(ledger.settings.tables[table], `from ${parquetSql([join(ledger.dataDir, file)])} where true`, [
    form,
  ]);
  const copied = await copyRows(ledger, key, period, (await lastGeneration(ledger, key, period)) + 1, {
    sources: [held],
    inOrder: true,
    rows,
  });
  await onStep?.(`copied ${name}`);
  if (copied.rows !== rows) {
    throw new DamagedError(`${file} holds ${copied.rows} rows, and the ledger says ${rows}`, {
      hint: 'Run `insights-etl verify --deep`, then `insights-etl run`: it fetches the rows of a damaged file again.',
      where: { tenant, table, period: name },
    });
  }
  const generation = await commitGeneration(ledger, copied);
  await onStep?.(`named ${name}`);
  await readBack(ledger, key, [generation]);
  await requireSameHours(ledger, key, period);
  await ledger.transaction(async () => {
    await ledger.run(
      `update partitions set superseded_at = ${ledger.nowSql()} where ${ofPeriod} and superseded_at is null`,
    );
    await insertPartitions(ledger, key, [generation], run);
    await onStep?.(`recording ${name}`);
  });
  await dropFileFingerprints(ledger);
  await onStep?.(`recorded ${name}`);
}
