/**
 * A file name must never be used for other rows: the mirror, backups and readers may still have the file that had it. A ledger knows
 * the names that it gave. One that was rebuilt, or came out of a backup, may have missed some, and one whose tenant was purged has
 * forgotten that tenant's. That of a new shard has no marts yet, but may take over a mirror of the shards before it. New generations
 * start above a floor that no earlier one can have reached: the time, in seconds, because no period gets a new file every second, or
 * the highest generation of the ledger, in case the clock was ahead before.
 */
import { sqlName } from '../../kernel/sql.ts';
import { asCount } from './cells.ts';
import type { Engine } from './engine.ts';
import type { Ledger } from './ledger.ts';

/** Generations are 32-bit integers in the ledger. Counted from here, seconds fit until 2094. */
const START_MS = Date.UTC(2026, 0, 1);

/** The highest floor if a clock is years ahead: it leaves as many numbers above it. */
const HIGHEST = 2 ** 30;

/** SQL of the number that every new generation must exceed. */
export const GENERATION_FLOOR_SQL = '(select coalesce(max(floor), 0) from generation_floors)';

export async function generationFloor(ledger: Pick<Engine, 'row'>): Promise<number> {
  const { floor } = await ledger.row(`select ${GENERATION_FLOOR_SQL} as floor`, { floor: asCount });
  return floor;
}

/** The highest generation that a ledger knows to be used. `database`: of an attached ledger. */
export async function highestGeneration(ledger: Pick<Engine, 'row'>, database?: string): Promise<number> {
  const from = (table: string): string => (database === undefined ? table : `${sqlName(database)}.main.${table}`);
  const { highest } = await ledger.row(
    `select coalesce(greatest(
       (select max(floor) from ${from('generation_floors')}),
       (select max(generation) from ${from('partitions')}),
       (select max(generation) from ${from('mart_files')})), 0) as highest`,
    { highest: asCount },
  );
  return highest;
}

/**
 * From now on, new files get names that no file of this lake can have had. The floor is a number of the whole lake: it names no tenant.
 * `others`: the highest generation of ledgers that this one replaces.
 */
export async function raiseGenerationFloor(ledger: Ledger, others = 0): Promise<void> {
  const seconds = Math.trunc((ledger.runtime.now() - START_MS) / 1000);
  const floor = Math.min(Math.max(seconds, 0), HIGHEST);
  const highest = Math.max(floor, others, await highestGeneration(ledger));
  await ledger.run(`insert into generation_floors values (${highest}, ${ledger.nowSql()})`);
}

/**
 * For a shard of which no file is known. It may have the place of one before it: a worker makes a shard when it gets its first tenant,
 * and what a mirror or a backup has of an earlier one, this ledger cannot know.
 */
export async function startGenerations(ledger: Ledger): Promise<void> {
  if ((await highestGeneration(ledger)) === 0) await ledger.transaction(() => raiseGenerationFloor(ledger));
}
