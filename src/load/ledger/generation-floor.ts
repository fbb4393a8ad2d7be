/**
 * A file name must never be used for other rows: the mirror, backups and readers may still have the file that had it. A ledger knows
 * the names that it gave. One that was rebuilt, or came out of a backup, may have missed some, and one whose tenant was purged has
 * forgotten that tenant's. Its new generations start above a floor that no earlier one can have reached: the time, in seconds, because
 * no period gets a new file every second, or the highest generation of the ledger, in case the clock was ahead before.
 */
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

/** From now on, new files get names that no file of this lake can have had. The floor is a number of the whole lake: it names no tenant. */
export async function raiseGenerationFloor(ledger: Ledger): Promise<void> {
  const seconds = Math.trunc((ledger.runtime.now() - START_MS) / 1000);
  const floor = Math.min(Math.max(seconds, 0), HIGHEST);
  await ledger.run(
    `insert into generation_floors
     select greatest(${floor}, (select max(generation) from partitions), (select max(generation) from mart_files)), ${ledger.nowSql()}`,
  );
}
