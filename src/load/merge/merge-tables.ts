/**
 * The temporary tables of a merge. They are the interface between the files of this folder: a step fills a table and later
 * steps read it. Every table is declared here and nowhere else, is created empty from its declaration, and is dropped by
 * `dropMergeTables` when the merge ends. Those that lanes read, which write the files, are tables of SHARED.
 *
 * A merge also uses FILE_FINGERPRINTS (store/file-fingerprints.ts), which it shares with maintenance.
 */
import { sqlName } from '../../kernel/sql.ts';
import { DIGEST_COLUMN } from '../../model/fingerprint.ts';
import type { Table } from '../../model/tables.ts';
import { givenColumns } from '../../transform/lake.ts';
import type { StageTables } from '../../transform/stage.ts';
import { SHARED } from '../ledger/engine.ts';
import type { Engine } from '../ledger/engine.ts';

const TEMPORARY = 'temp';

/** Columns by the name of the table. */
const declared = new Map<string, string>();

/** Declares a table; returns its name. */
function declare(table: string, columns: string, database = TEMPORARY): string {
  const name = `${database}.${table}`;
  declared.set(name, columns);
  return name;
}

/**
 * One row per line of the landed pages, also of those that cannot be loaded. Rows of one day are together, sorted by type
 * and timestamp.
 *
 * Filled by `stageSql` (transform/stage.ts). Read by every file of this folder.
 */
export const STAGED = `${SHARED}.staged`;

function stagedColumns(table: Table): string {
  return `
    landed usmallint, -- the page: its index in the batch's landed pages
    reason varchar,   -- why the row cannot be loaded; null: it can
    raw varchar,      -- text of a row that cannot be loaded; null where privacy rules forbid keeping it
    -- then what the source sent
    ${givenColumns(table)
      .map(({ name, type }) => `${sqlName(name)} ${type}`)
      .join(', ')},
    ${sqlName(DIGEST_COLUMN)} bigint, -- null: the page carries no digests
    altered boolean -- the row's text does not match its digest`;
}

/**
 * One row per landed page: what the quarantine keeps of a row's page, so that the row can be judged again without the page.
 *
 * Filled by `stageSql`. Read by record.ts and replay.ts.
 */
export const STAGED_PAGES = declare(
  'staged_pages',
  `
    landed usmallint,      -- as in STAGED
    file varchar,          -- the file that was read
    page varchar,          -- id of the page
    starts_at timestamptz, -- begin of its first window
    cells varchar,         -- JSON: names of its cells in order; null: the order of the table
    windows varchar        -- JSON: [from, to] of each window, in microseconds`,
);

/**
 * One row per window of a landed page: a row outside all windows of its page cannot be loaded.
 *
 * Filled and read by `stageSql`.
 */
const STAGED_WINDOWS = declare('staged_windows', 'landed usmallint, lo timestamptz, hi timestamptz');

/** The tables that `stageSql` fills. */
export const STAGE: StageTables = { rows: STAGED, pages: STAGED_PAGES, windows: STAGED_WINDOWS };

/**
 * One row per id that occurs more than once in an hour of STAGED.
 *
 * Filled and read by copies.ts.
 */
export const REPEATED_IDS = declare('repeated_ids', 'hour bigint, id varchar');

/**
 * One row per staged row that is not loaded, because another row of the same id is equal in every cell.
 *
 * Filled by copies.ts. Read by compare.ts and write-unit.ts, which leave these rows out, and by record.ts, which records
 * them as duplicates.
 */
export const EXCESS_COPIES = declare(
  'excess_copies',
  `
    row_id bigint, -- rowid in STAGED
    hour bigint,   -- hours since 1970
    id varchar,
    minute timestamptz,
    digest bigint`,
  SHARED,
);

/**
 * One row per row of a current file that moves into the quarantine, although no window of the batch covers it.
 *
 * Filled by pin.ts (rows of another tenant). Read by compare.ts and write-unit.ts, which leave these rows out.
 */
export const MOVED_OUT = declare(
  'moved_out',
  `
    hour bigint,    -- hours since 1970
    id varchar,
    content ubigint -- hash of its content`,
  SHARED,
);

/**
 * One row per hour whose account the merge may have changed.
 *
 * Filled and read by record.ts.
 */
export const TOUCHED_HOURS = declare(
  'touched_hours',
  `
    hour timestamptz,
    covered_to timestamptz -- rows before this instant are loaded; the begin of the hour: as far as before`,
);

/**
 * One row per quarantined row that is judged again. Rows whose pages had the same windows and order of cells are staged
 * together, as one page.
 *
 * Filled and read by replay.ts.
 */
export const REPLAYED_ROWS = declare(
  'replayed_rows',
  `
    file varchar,  -- name of the page that it is staged as
    placed_at timestamptz, hour timestamptz, page varchar, run varchar, raw varchar, cells varchar, -- as in quarantine
    windows varchar -- as in quarantine; of an entry of an older version: its minute`,
);

/** Creates one of the declared tables, empty; a table of that name is replaced. */
export async function createEmpty(engine: Pick<Engine, 'run'>, name: string): Promise<void> {
  const columns = declared.get(name);
  if (columns === undefined) throw new TypeError(`${name} is not a declared table`);
  await create(engine, name, columns);
}

/** Creates the tables that hold a staged batch, empty: STAGE, EXCESS_COPIES and MOVED_OUT. */
export async function createStage(engine: Pick<Engine, 'run'>, table: Table): Promise<void> {
  await create(engine, STAGED, stagedColumns(table));
  for (const name of [STAGED_PAGES, STAGED_WINDOWS, EXCESS_COPIES, MOVED_OUT]) await createEmpty(engine, name);
}

/** Drops all of the tables, so that memory stays flat over any number of merges. */
export async function dropMergeTables(engine: Pick<Engine, 'run'>): Promise<void> {
  await engine.run([STAGED, ...declared.keys()].map((name) => `drop table if exists ${name}`).join(';\n'));
}

async function create(engine: Pick<Engine, 'run'>, name: string, columns: string): Promise<void> {
  const kind = name.startsWith(`${TEMPORARY}.`) ? 'temp table' : 'table';
  await engine.run(`create or replace ${kind} ${name} (${columns}\n)`);
}
