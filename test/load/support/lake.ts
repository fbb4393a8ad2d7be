/** A scratch data directory, landed pages written as the extract stage writes them, and a plain reader of the store. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { combine, EMPTY } from '../../../src/model/fingerprint.ts';
import type { Fingerprint } from '../../../src/model/fingerprint.ts';
import { createHash } from 'node:crypto';
import { configSchema } from '../../../src/config/schema.ts';
import { systemRuntime } from '../../../src/kernel/runtime.ts';
import { HOUR, floorTo, parseInstant } from '../../../src/kernel/instant.ts';
import type { Instant, Window } from '../../../src/kernel/instant.ts';
import { openLedger } from '../../../src/load/ledger/ledger.ts';
import { text } from '../../support/cells.ts';
import type { LakeRuntime, LakeSettings, Ledger } from '../../../src/load/ledger/ledger.ts';
import { mergeBatch } from '../../../src/load/merge/merge.ts';
import type { MergeOptions, MergeResult } from '../../../src/load/merge/merge.ts';
import type { Batch, LandedPage } from '../../../src/model/page.ts';
import { LEDGER_FILE } from '../../../src/model/data-dir.ts';
import { TABLES } from '../../../src/model/tables.ts';
import type { TableName } from '../../../src/model/tables.ts';

export const TENANT = 'acme';

const { engine, lake, quarantine, deletes } = configSchema.parse({});
/** The defaults of the configuration, without marts and checks. */
export const LAKE_SETTINGS: LakeSettings = {
  memoryLimit: engine.memoryLimit,
  keepHours: lake.keepHours,
  quarantine,
  deletes,
  tables: TABLES,
};

/** A file for each day, as in a month of many rows: for tests of what there is between files. */
export const DAILY = { monthRows: 0 } as const;

export function at(text: string): Instant {
  const instant = parseInstant(text);
  if (instant === undefined) throw new Error(`not an instant: ${text}`);
  return instant;
}

export function span(from: string, to: string): Window {
  return { from: at(from), to: at(to) };
}

interface Cells {
  readonly type?: string;
  readonly tenant?: string;
  readonly operation?: string;
  readonly properties?: unknown;
}

/** The cells of an Events or Logs row, as a page query's answer holds them. */
export function event(
  id: string | null,
  timestamp: string | null,
  { type = 'pass.created', tenant = TENANT, operation = 'op', properties = '{"a":1}' }: Cells = {},
): unknown[] {
  return [id, timestamp, tenant, type, operation, properties];
}

export function metric(
  id: string,
  timestamp: string,
  value: unknown,
  { type = 'active', properties = '' } = {},
): unknown[] {
  return [id, TENANT, type, value, properties, timestamp];
}

export interface Scratch extends AsyncDisposable {
  readonly dir: string;
  readonly clock: { now: number };
  readonly runtime: LakeRuntime;
  ledger: Ledger;
  /** Closes the ledger and opens it again, as a new run does; with other settings as after a change of the configuration. */
  reopen(settings?: Partial<LakeSettings>): Promise<Ledger>;
}

let newLedger: Promise<Buffer> | undefined;

/** The bytes of a ledger without rows, made once: a copy opens in half the time of the migrations. */
function bytesOfNewLedger(settings: LakeSettings, runtime: LakeRuntime): Promise<Buffer> {
  newLedger ??= (async () => {
    const dir = await mkdtemp(join(tmpdir(), 'lake-'));
    await (await openLedger(dir, settings, runtime)).close();
    const bytes = await readFile(join(dir, LEDGER_FILE));
    await rm(dir, { recursive: true });
    return bytes;
  })();
  return newLedger;
}

export async function scratchLake(settings: Partial<LakeSettings> = {}): Promise<Scratch> {
  const dir = await mkdtemp(join(tmpdir(), 'lake-'));
  const clock = { now: Date.parse('2026-11-01T00:00:00Z') };
  const runtime: LakeRuntime = { ...systemRuntime(pino({ level: 'silent' })), now: () => clock.now };
  const all: LakeSettings = { ...LAKE_SETTINGS, threads: 1, ...settings };
  await writeFile(join(dir, LEDGER_FILE), await bytesOfNewLedger(LAKE_SETTINGS, runtime));
  const scratch: Scratch = {
    dir,
    clock,
    runtime,
    ledger: await openLedger(dir, all, runtime),
    reopen: async (changed = {}) => {
      await scratch.ledger.close();
      scratch.ledger = await openLedger(dir, { ...all, ...changed }, runtime);
      return scratch.ledger;
    },
    [Symbol.asyncDispose]: async () => {
      // Nobody reads the ledger any more, and a checkpoint is most of the time that closing it takes. A test may have closed it.
      await scratch.ledger.run('pragma disable_checkpoint_on_shutdown').catch(() => undefined);
      await scratch.ledger.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return scratch;
}

let sequence = 0;

/** Writes one landed page; a row given as text is written as that line. */
export async function landPage(
  dir: string,
  windows: readonly Window[],
  rows: readonly unknown[],
  { id = `p${++sequence}`, columns }: { id?: string; columns?: readonly string[] } = {},
): Promise<LandedPage> {
  const folder = join(dir, 'landing');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${id}.ndjson`);
  const lines = rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row)));
  await writeFile(file, ['#{"page":1}', ...lines, '#{"rows":1}', ''].join('\n'));
  return {
    page: { id, windows, rows: rows.length, bytes: 0 },
    file,
    rows: rows.length,
    bytes: 0,
    largestRow: lines.reduce((most, line) => Math.max(most, Buffer.byteLength(line)), 0),
    ...(columns ? { columns } : {}),
  };
}

interface Load extends Partial<MergeOptions> {
  readonly tenant?: string;
  readonly table?: TableName;
  readonly id?: string;
  readonly columns?: readonly string[];
}

/** Lands rows of some windows as one page and merges them. */
export async function load(
  { dir, ledger }: Pick<Scratch, 'dir' | 'ledger'>,
  windows: readonly Window[] | Window,
  rows: readonly unknown[],
  { tenant = TENANT, table = 'Events', id = `b${++sequence}`, columns, ...options }: Load = {},
): Promise<MergeResult> {
  const all = 'from' in windows ? [windows] : windows;
  const page = await landPage(dir, all, rows, columns ? { columns } : {});
  const batch: Batch = { id, tenant, table, windows: all, pages: [page.page] };
  return mergeBatch(ledger, batch, [page], { run: 'run-1', ...options });
}

/** The current rows of a table, ordered, read from the Parquet files that the ledger names. */
export async function storedRows(
  ledger: Ledger,
  table: TableName = 'Events',
  tenant = TENANT,
  columns = '*',
): Promise<Record<string, unknown>[]> {
  const files = await ledger.rawRows(
    `select file from partitions where tenant = $1 and table_name = $2 and superseded_at is null`,
    [tenant, table],
  );
  if (files.length === 0) return [];
  const list = files.map((row) => `'${join(ledger.dataDir, text(row, 'file') ?? '')}'`).join(', ');
  const id = table === 'Metrics' ? 'metric_id' : 'event_id';
  return ledger.rawRows(
    `select ${columns} from read_parquet([${list}], hive_partitioning = false) order by "timestamp", ${id}`,
  );
}

/** The source's fingerprints of rows by hour, computed independently of the engine. */
export function sourceHours(
  rows: readonly (readonly unknown[])[],
  table: TableName = 'Events',
): Map<Instant, Fingerprint> {
  const names = TABLES[table].columns.map((column) => column.name);
  const hours = new Map<Instant, Fingerprint>();
  for (const row of rows) {
    const cell = row[names.indexOf(TABLES[table].id)];
    const id = typeof cell === 'string' ? cell : '';
    const hour = floorTo(at(String(row[names.indexOf('timestamp')])), HOUR);
    hours.set(hour, combine(hours.get(hour) ?? EMPTY, fingerprintOfId(id)));
  }
  return hours;
}

function fingerprintOfId(id: string): Fingerprint {
  const hex = createHash('md5').update(id.toLowerCase()).digest('hex');
  const part = (from: number, to: number): bigint => BigInt(`0x${hex.slice(from, to)}`);
  return { rows: 1n, sum0: part(0, 8), sum1: part(8, 16), xor: part(16, 31), content: undefined };
}
