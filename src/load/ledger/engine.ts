/**
 * DuckDB, which holds the ledger and does the work on rows: one instance, one connection, one piece of work at a time. A statement
 * runs in parallel inside, but writing a file keeps one core busy, so `sideBySide` and `beside` have further connections, the lanes.
 */
import { availableParallelism } from 'node:os';
import { DuckDBInstance } from '@duckdb/node-api';
import type { DuckDBConnection, DuckDBValue, Json } from '@duckdb/node-api';
import { memoryBytes } from '../../kernel/memory-size.ts';
import { readRow } from './cells.ts';
import type { RowOf, Shape } from './cells.ts';
import { OutOfMemoryError, openingError, statementError } from './engine-errors.ts';

/** One row of a small answer. Wide integers and timestamps come as text, which loses no digit. */
export type Row = Readonly<Record<string, Json>>;

export interface EngineSettings {
  /** Engine threads; undefined = all cores. */
  readonly threads?: number;
  /** As DuckDB writes sizes, e.g. '384MB'; beyond it the engine spills to disk. */
  readonly memoryLimit: string;
}

export interface Engine {
  run(sql: string, values?: readonly DuckDBValue[]): Promise<void>;
  /** All rows of an answer, read with the shape of a row (cells.ts). */
  rows<S extends Shape>(sql: string, shape: S, values?: readonly DuckDBValue[]): Promise<RowOf<S>[]>;
  /** The only row of an answer. Throws when there is none, or more than one. */
  row<S extends Shape>(sql: string, shape: S, values?: readonly DuckDBValue[]): Promise<RowOf<S>>;
  /** Rows as the binding returns them, for tests that compare whole rows. The program reads with a shape. */
  rawRows(sql: string, values?: readonly DuckDBValue[]): Promise<Row[]>;
  /**
   * Runs `work` after all earlier exclusive work: temporary tables and transactions belong to one piece of work. It has one thread: a small
   * statement is no faster with more, and threads that wait for it keep their cores busy. Measured over a night of 60 tables with 20 new
   * rows: 20 s of CPU instead of 27.
   */
  exclusive<T>(work: () => Promise<T>): Promise<T>;
  /** Like `exclusive`, with all threads: for work on many rows. */
  onAllThreads<T>(work: () => Promise<T>): Promise<T>;
  /** One transaction around `work`. Call it inside `exclusive`; transactions cannot be nested. */
  transaction<T>(work: () => Promise<T>): Promise<T>;
  /** Runs `work` on one thread, which needs less memory: each thread of a sort or a copy has its own buffers. */
  onOneThread<T>(work: () => Promise<T>): Promise<T>;
  /**
   * Runs the jobs at the same time, each on one thread and on a lane. A job that runs out of memory is run again when it is alone. After
   * any other failure no further job begins.
   */
  sideBySide<T>(jobs: readonly ((lane: Lane) => Promise<T>)[]): Promise<T[]>;
  /**
   * Runs `work`, and at the same time a job on a lane. Returns what `work` returns; if both fail, the error is that of `work`. With one thread,
   * the job runs after `work`. The job passes what may need much memory to `patiently`. They must not write the same tables.
   */
  beside<T>(job: (lane: Lane, patiently: Patiently) => Promise<void>, work: () => Promise<T>): Promise<T>;
  /** Sets a variable or an option of the session, on the lanes, too. */
  set(sql: string, values?: readonly DuckDBValue[]): Promise<void>;
  /** Returns freed memory to the system. Takes milliseconds, so it is called once per large statement. */
  release(): Promise<void>;
  /**
   * Runs `work` with a third of the memory limit, so that its large tables spill to disk sooner. A statement that needs more is repeated
   * with twice as much, at most the whole limit, which then holds for the rest of `work`: a statement must be one that can be repeated.
   * It takes all that it may have, also where less suffices, so the whole limit at once would raise the peak for nothing.
   */
  sparing<T>(work: () => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** Runs a step of a job. If it runs out of memory while other work shares it, it is run once more when that work has ended. */
export type Patiently = <R>(step: () => Promise<R>) => Promise<R>;

/** A further connection. It sees the tables of SHARED and of the ledger, but no temporary table of the engine. */
export type Lane = Pick<Engine, 'run' | 'rows' | 'row' | 'transaction' | 'onOneThread' | 'release'>;

/**
 * The database of the tables that lanes see, too. They are in memory and spill to disk like temporary tables. One transaction can write
 * them or the ledger, not both.
 */
export const SHARED = 'shared';

/**
 * Lanes, also on machines with more cores: each sorts or holds rows of its own. Measured on 30 days of 28,000 rows that each got one more
 * row: peaks of 260 MB with one lane, 290 with two and 410 with four.
 */
const MOST_LANES = 2;

/** Opens (or creates) a database file, or `:memory:`; `temporary` is the folder to spill into. */
export async function openEngine(path: string, temporary: string, settings: EngineSettings): Promise<Engine> {
  const options: Record<string, string> = {
    threads: '1',
    memory_limit: settings.memoryLimit,
    temp_directory: temporary,
    // The engine must never download anything on its own.
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    preserve_insertion_order: 'false',
    // Estimates of reports are low, and a loop over all hours for each period takes seconds in a lake of a year.
    asof_loop_join_threshold: '0',
    // Memory must not grow with the length of a backfill: freed memory is returned to the system, and files that are read
    // once are not cached. Measured over 36 batches: peaks of 470 to 520 MB instead of 640 to 730.
    allocator_flush_threshold: '16MB',
    allocator_bulk_deallocation_flush_threshold: '32MB',
    enable_external_file_cache: 'false',
  };
  const session: { sql: string; values?: readonly DuckDBValue[] | undefined }[] = [{ sql: `set TimeZone = 'UTC'` }];
  let instance: DuckDBInstance;
  const connect = async (): Promise<DuckDBConnection> => {
    const connection = await instance.connect();
    for (const { sql, values } of session) await connection.run(sql, values ? [...values] : undefined);
    return connection;
  };
  let connection: DuckDBConnection;
  try {
    instance = await DuckDBInstance.create(path, options);
    connection = await connect();
    await connection.run(`attach ':memory:' as ${SHARED}`);
  } catch (error) {
    throw openingError(error, path);
  }
  const lanes: DuckDBConnection[] = [];
  const threads = settings.threads ?? availableParallelism();
  let limit = settings.memoryLimit;
  let queue: Promise<unknown> = Promise.resolve();
  let closed = false;
  // The engine's allocator keeps freed memory; only setting the limit makes it return all of it. Measured after the copy of
  // a day of 180,000 rows: 468 MB before, 267 MB after.
  const releaseOn = (of: DuckDBConnection): Promise<void> =>
    guarded(async () => void (await of.run(`set memory_limit = '${limit}'`)));
  const release = (): Promise<void> => releaseOn(connection);
  let inTransaction = false;
  const transaction: Engine['transaction'] = async (work) => {
    inTransaction = true;
    try {
      return await transactionOn(connection, work);
    } finally {
      inTransaction = false;
    }
  };
  const repeatable = async <T>(statement: () => Promise<T>): Promise<T> => {
    try {
      return await guarded(statement);
    } catch (error) {
      // After an error a transaction accepts no further statement.
      if (!(error instanceof OutOfMemoryError) || limit === settings.memoryLimit || inTransaction) throw error;
      limit = largerLimit(limit, settings.memoryLimit);
      await release();
      return repeatable(statement);
    }
  };
  let [wanted, most, inUse] = [1, threads, 1];
  const useThreads = async (from = connection): Promise<void> => {
    const count = Math.min(wanted, most);
    if (count === inUse) return;
    inUse = count;
    await guarded(() => from.run(`set threads = ${count}`));
  };
  const onThreads = async <T>(count: number, work: () => Promise<T>): Promise<T> => {
    const before = wanted;
    wanted = count;
    await useThreads();
    try {
      return await work();
    } finally {
      wanted = before;
      await useThreads();
    }
  };
  const onOneThread: Engine['onOneThread'] = (work) => onThreads(1, work);
  const exclusive: Engine['exclusive'] = (work) => {
    const turn = queue.then(work);
    queue = turn.catch(() => undefined);
    return turn;
  };
  const main = statementsOn(connection, repeatable);
  // All connections share the engine's threads, so a lane does not change their number.
  const laneOn = (of: DuckDBConnection, statements: Pick<Engine, 'run' | 'rows' | 'row'>): Lane => ({
    ...statements,
    transaction: (work) => transactionOn(of, work),
    onOneThread: (work) => work(),
    release: () => releaseOn(of),
  });
  const itself: Lane = { ...main, transaction, onOneThread, release };
  const openLanes = async (count: number): Promise<Lane[]> => {
    while (lanes.length < count) lanes.push(await guarded(connect));
    return lanes.slice(0, count).map((lane) => laneOn(lane, statementsOn(lane, guarded)));
  };
  return {
    ...main,
    exclusive,
    onAllThreads: (work) => exclusive(() => onThreads(threads, work)),
    transaction,
    onOneThread,
    sideBySide: async (jobs) => {
      const count = Math.min(jobs.length, threads, MOST_LANES);
      if (count === 0) return [];
      const results =
        count === 1
          ? await onLanes(jobs, [itself])
          : await onOneThread(async () => onLanes(jobs, await openLanes(count), laneOn(connection, main)));
      await release();
      return results;
    },
    beside: async (job, work) => {
      const [lane] = threads > 1 ? await openLanes(1) : [];
      // The thread that waits for a lane works for it. One more would compete with it, and changing the number waits for both.
      if (lane !== undefined) most = threads - 1;
      await useThreads();
      const freeing = async <R>(ended: Promise<R>, own?: DuckDBConnection): Promise<R> => {
        try {
          return await ended;
        } finally {
          most = threads;
          await useThreads(own);
        }
      };
      let isWorking = true;
      const working = freeing(work()).finally(() => (isWorking = false));
      const patiently: Patiently = (step) =>
        step().catch(async (error: unknown) => {
          if (!isWorking || !(error instanceof OutOfMemoryError)) throw error;
          await working;
          return step();
        });
      const [worked, done] = await Promise.allSettled([working, lane && freeing(job(lane, patiently), lanes[0])]);
      if (worked.status === 'rejected') throw worked.reason;
      if (done.status === 'rejected') throw done.reason;
      if (lane === undefined) await job(itself, (step) => step());
      return worked.value;
    },
    set: (sql, values) =>
      guarded(async () => {
        session.push({ sql, values });
        for (const each of [connection, ...lanes]) await each.run(sql, values ? [...values] : undefined);
      }),
    release,
    sparing: async (work) => {
      limit = sparingLimit(settings.memoryLimit);
      try {
        await release();
        return await work();
      } finally {
        limit = settings.memoryLimit;
        await release();
      }
    },
    close: async () => {
      if (closed) return;
      closed = true;
      await queue;
      for (const each of [connection, ...lanes]) each.closeSync();
      instance.closeSync();
    },
  };
}

type Guarded = <T>(work: () => Promise<T>) => Promise<T>;

const guarded: Guarded = async (work) => {
  try {
    return await work();
  } catch (error) {
    throw statementError(error);
  }
};

/** One transaction around work on a connection. */
async function transactionOn<T>(connection: DuckDBConnection, work: () => Promise<T>): Promise<T> {
  await guarded(() => connection.run('begin'));
  try {
    const result = await work();
    await guarded(() => connection.run('commit'));
    return result;
  } catch (error) {
    // Report the first error. If the rollback fails, the engine has already rolled back.
    await connection.run('rollback').catch(() => undefined);
    throw error;
  }
}

/** The statements of one connection. */
function statementsOn(
  connection: DuckDBConnection,
  attempt: Guarded,
): Pick<Engine, 'run' | 'rows' | 'row' | 'rawRows'> {
  const rawRows: Engine['rawRows'] = (sql, values) =>
    attempt(async () => (await connection.runAndReadAll(sql, values ? [...values] : undefined)).getRowObjectsJson());
  return {
    run: (sql, values) =>
      attempt(async () => {
        await connection.run(sql, values ? [...values] : undefined);
      }),
    rawRows,
    rows: async (sql, shape, values) => (await rawRows(sql, values)).map((row) => readRow(shape, row)),
    row: async (sql, shape, values) => {
      const [row, ...others] = await rawRows(sql, values);
      if (!row || others.length > 0)
        throw new TypeError(`A statement returned ${others.length + (row ? 1 : 0)} rows, expected one.`);
      return readRow(shape, row);
    },
  };
}

/** Runs every job on the next free lane. A job for which the memory does not suffice is run again on `last`, after the others. */
async function onLanes<T>(
  jobs: readonly ((lane: Lane) => Promise<T>)[],
  lanes: readonly Lane[],
  last?: Lane,
): Promise<T[]> {
  const results: T[] = [];
  const left = [...jobs.entries()];
  const again: typeof left = [];
  const failures: unknown[] = [];
  const work = async (lane: Lane): Promise<void> => {
    for (let next = left.shift(); next !== undefined && failures.length === 0; next = left.shift()) {
      const [n, job] = next;
      try {
        results[n] = await job(lane);
      } catch (error) {
        if (last !== undefined && error instanceof OutOfMemoryError) again.push(next);
        else failures.push(error);
      }
    }
  };
  await Promise.all(lanes.map(work));
  if (failures.length > 0) throw failures[0];
  for (const [n, job] of again) {
    await last?.release();
    if (last) results[n] = await job(last);
  }
  return results;
}

/** Below this the engine fails some statements even when it can spill. */
const MINIMUM_MB = 128;

/** A third of a limit such as '384MB' or '2GiB', but at least what the engine needs. */
export function sparingLimit(memoryLimit: string): string {
  const third = Math.max(Math.floor(megabytesOf(memoryLimit) / 3), MINIMUM_MB);
  return third < megabytesOf(memoryLimit) ? `${third}MB` : memoryLimit;
}

/** Twice a limit, at most `most`. */
function largerLimit(limit: string, most: string): string {
  const twice = 2 * megabytesOf(limit);
  return twice < megabytesOf(most) ? `${twice}MB` : most;
}

function megabytesOf(memoryLimit: string): number {
  return memoryBytes(memoryLimit) / 1e6;
}
