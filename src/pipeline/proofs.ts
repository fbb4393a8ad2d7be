/** How old the proofs of the lake are: for each table, when the hour was compared that was not compared for the longest time. */
import type { Config } from '../config/config.ts';
import { BEGINNING, DAY, HOUR, ceilTo, formatInstant, fromEpochMs } from '../kernel/instant.ts';
import type { Runtime } from '../kernel/runtime.ts';
import type { Ledger } from '../load/ledger/ledger.ts';
import { oldestComparisons } from '../load/ledger/reach.ts';
import type { TableProof } from '../model/report.ts';

/** The verified hours that the source still has: the proof of an hour that it deleted cannot be repeated. */
export async function oldestProofs(config: Config, ledger: Ledger, runtime: Runtime): Promise<TableProof[]> {
  const now = fromEpochMs(runtime.now());
  const kept = config.tenants.flatMap(({ id: tenant, tables }) =>
    [...tables].map(([table, { retentionDays }]) => ({
      tenant,
      table,
      from: retentionDays === undefined ? BEGINNING : ceilTo(now - BigInt(retentionDays) * DAY, HOUR),
    })),
  );
  const oldest = await oldestComparisons(ledger, kept);
  return oldest.map(({ tenant, table, at }) => ({ tenant, table, oldest: formatInstant(at) }));
}
