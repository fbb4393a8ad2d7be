/**
 * Files written under other rules than today's, written anew from their own rows: no call to the source. One partition is
 * one step: new generation, flushed and named; read back; compared hour by hour with the ledger; then the one transaction
 * that makes it current. So a kill at any point leaves a right lake, and what is done already is not done again.
 */
import { join } from 'node:path';
import { DamagedError } from '../../kernel/errors.ts';
import type { Instant } from '../../kernel/instant.ts';
import { promotionKey } from '../../model/promoted.ts';
import { TABLE_NAMES } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';
import { sqlText } from '../../kernel/sql.ts';
import { count, tableOf, text } from '../ledger/engine.ts';
import type { Row } from '../ledger/engine.ts';
import { formOf, heldRows, otherPrivacySql } from '../store/form.ts';
import { commitGeneration, copyRows } from '../store/generation.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { periodOf } from '../../model/period.ts';
import { dropFileFingerprints, insertPartitions, readBack } from '../store/file-fingerprints.ts';
import { requireSameHours } from './same-hours.ts';
import { instantSql, tableFilterSql, parquetSql } from '../ledger/sql.ts';

/** Which files to look at; what is left out means all. */
export interface RebuildSelection {
  readonly tenants?: readonly string[];
  readonly tables?: readonly TableName[];
  /** Periods that meet `[from, to)`. */
  readonly from?: Instant;
  readonly to?: Instant;
}

export interface RebuildOptions extends RebuildSelection {
  readonly run: string;
  readonly signal?: AbortSignal;
  /** Called after each partition, outside of the ledger's turn. */
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

/** Files that were written under other rules, by tenant and table; those without any are left out. */
export async function rebuildDue(ledger: Ledger, selection: RebuildSelection = {}): Promise<RebuildCount[]> {
  const rows = await ledger.exclusive(() =>
    ledger.rawRows(
      `select tenant, table_name, count(*) as files, sum(rows)::bigint as rows
       from partitions where ${dueSql(ledger, selection)} group by all order by all`,
    ),
  );
  return rows.map((row) => ({
    tenant: text(row, 'tenant') ?? '',
    table: tableOf(row),
    files: count(row, 'files'),
    rows: count(row, 'rows'),
  }));
}

/** Writes every file that is due anew. Throws DamagedError when a file does not hold what the ledger says of it. */
export async function rebuild(ledger: Ledger, options: RebuildOptions): Promise<RebuildCount[]> {
  const due = await ledger.exclusive(() =>
    ledger.rawRows(
      `select tenant, table_name, period, file, rows, promotion, privacy
       from partitions where ${dueSql(ledger, options)} order by table_name, tenant, period`,
    ),
  );
  const done = new Map<string, RebuildCount>();
  for (const row of due) {
    options.signal?.throwIfAborted();
    await ledger.exclusive(() => rebuildPartition(ledger, row, options));
    const [tenant, table] = [text(row, 'tenant') ?? '', tableOf(row)];
    const before = done.get(`${tenant}/${table}`);
    const sum = { tenant, table, files: (before?.files ?? 0) + 1, rows: (before?.rows ?? 0) + count(row, 'rows') };
    done.set(`${tenant}/${table}`, sum);
    await options.onPartition?.(sum);
  }
  return [...done.values()];
}

/**
 * Texts of rows that could not be loaded are not kept where a table has privacy rules; those of before go now. Returns how
 * many; their bytes stay in the ledger's file until it is written anew.
 */
export async function forgetTexts(
  ledger: Ledger,
  { tables = TABLE_NAMES, tenants }: Pick<RebuildSelection, 'tables' | 'tenants'>,
): Promise<number> {
  const names = tables.filter((table) => ledger.settings.tables[table].privacy.length > 0);
  const kept = [
    'raw is not null',
    `table_name in (${names.map(sqlText).join(', ')})`,
    ...(tenants ? [`tenant in (${['', ...tenants].map(sqlText).join(', ')})`] : []),
  ].join(' and ');
  if (names.length === 0) return 0;
  return ledger.exclusive(async () => {
    const [held] = await ledger.rawRows(`select count(*) as n from quarantine where ${kept}`);
    const n = count(held, 'n');
    if (n > 0) await ledger.transaction(() => ledger.run(`update quarantine set raw = null where ${kept}`));
    return n;
  });
}

function dueSql(ledger: Ledger, { tenants, tables = TABLE_NAMES, from, to }: RebuildSelection): string {
  const outdated = tables.map((table) => `(table_name = ${sqlText(table)} and ${outdatedSql(ledger, table)})`);
  return [
    'superseded_at is null',
    `(${outdated.join(' or ') || 'false'})`,
    ...(tenants ? [`tenant in (${['', ...tenants].map(sqlText).join(', ')})`] : []),
    ...(from === undefined ? [] : [`to_ts > ${instantSql(from)}`]),
    ...(to === undefined ? [] : [`from_ts < ${instantSql(to)}`]),
  ].join(' and ');
}

/** True for a partition of the table that was written under other rules. */
function outdatedSql(ledger: Ledger, table: TableName): string {
  const definition = ledger.settings.tables[table];
  return `(promotion is distinct from ${sqlText(promotionKey(definition.promoted))} or ${otherPrivacySql(definition)})`;
}

async function rebuildPartition(ledger: Ledger, row: Row, { run, onStep }: RebuildOptions): Promise<void> {
  const [tenant, table, name] = [text(row, 'tenant') ?? '', tableOf(row), text(row, 'period') ?? ''];
  const period = periodOf(name);
  if (!period) throw new Error(`not a period: ${name}`);
  const of = { tenant, table };
  const mine = `${tableFilterSql(tenant, table)} and period = ${sqlText(name)}`;
  const file = text(row, 'file') ?? '';
  const [last] = await ledger.rawRows(`select max(generation) as n from partitions where ${mine}`);
  const held = heldRows(ledger.settings.tables[table], `from ${parquetSql([join(ledger.dataDir, file)])} where true`, [
    formOf(row),
  ]);
  const copied = await copyRows(ledger, of, period, count(last, 'n') + 1, {
    sources: [held],
    inOrder: true,
    rows: count(row, 'rows'),
  });
  await onStep?.(`copied ${name}`);
  if (copied.rows !== count(row, 'rows')) {
    throw new DamagedError(`${file} holds ${copied.rows} rows, the ledger says ${count(row, 'rows')}`, {
      hint: 'Run `insights-etl verify --deep`, then `insights-etl run`: it fetches the rows of a damaged file again.',
      where: { tenant, table, period: name },
    });
  }
  const generation = await commitGeneration(ledger, copied);
  await onStep?.(`named ${name}`);
  await readBack(ledger, of, [generation]);
  await requireSameHours(ledger, of, period);
  await ledger.transaction(async () => {
    await ledger.run(
      `update partitions set superseded_at = ${ledger.nowSql()} where ${mine} and superseded_at is null`,
    );
    await insertPartitions(ledger, of, [generation], run);
    await onStep?.(`recording ${name}`);
  });
  await dropFileFingerprints(ledger);
  await onStep?.(`recorded ${name}`);
}
