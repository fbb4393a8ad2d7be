/** When the last run ended and how. Kept next to the lake, since a run that changes nothing publishes nothing. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { onDisk, systemFiles, writeDurably } from '../kernel/files.ts';
import { isJsonObject, parseJson } from '../kernel/json.ts';
import type { Files } from '../kernel/files.ts';
import { LAST_RUN_FILE } from '../model/data-dir.ts';
import { BEST_GRADE, GRADES, isWeaker } from '../model/coverage.ts';
import { hasOutside } from '../model/outside.ts';
import type { RunReport, StatusReport, TableProof } from '../model/report.ts';
import { TABLE_NAMES } from '../model/tables.ts';
import { writtenBy } from '../kernel/version.ts';

const lastRunSchema = z.object({
  run: z.string(),
  startedAt: z.string(),
  finishedAt: z.string(),
  exitCode: z.int(),
  /** Tables that it compared with a weaker proof than the best one. Records of older versions lack it. */
  lowered: z.array(z.object({ tenant: z.string(), table: z.enum(TABLE_NAMES), grade: z.enum(GRADES) })).default([]),
  /** How old the proofs of the lake were. Records of older versions lack it. */
  proofs: z.array(z.object({ tenant: z.string(), table: z.enum(TABLE_NAMES), oldest: z.string() })).default([]),
  /** Tables with rows outside of all hours, at their last comparison. Records of older versions lack it. */
  outside: z
    .array(
      z.object({
        tenant: z.string(),
        table: z.enum(TABLE_NAMES),
        noTimestamp: z.int(),
        impossible: z.int(),
        future: z.int(),
      }),
    )
    .default([]),
});

type LastRun = NonNullable<StatusReport['lastRun']>;

export async function writeLastRun(
  dataDir: string,
  { run, startedAt, exitCode, tables }: RunReport,
  proofs: readonly TableProof[],
  finishedMs: number,
  files: Files,
): Promise<void> {
  const lowered = tables
    .filter(({ grade }) => isWeaker(grade, BEST_GRADE))
    .map(({ tenant, table, grade }) => ({ tenant, table, grade }));
  // Tables that were not compared keep their figures.
  const before = (await readLastRun(dataDir))?.outside ?? [];
  const isCounted = ({ tenant, table }: { readonly tenant: string; readonly table: string }): boolean =>
    tables.some((other) => other.tenant === tenant && other.table === table && other.outside !== undefined);
  const outside = [
    ...before.filter((other) => !isCounted(other)),
    ...tables.flatMap(({ tenant, table, outside: counts }) =>
      counts && hasOutside(counts) ? [{ tenant, table, ...counts }] : [],
    ),
  ];
  const finishedAt = new Date(finishedMs).toISOString();
  const path = join(dataDir, LAST_RUN_FILE);
  const text = `${JSON.stringify({ ...writtenBy(), run, startedAt, finishedAt, exitCode, lowered, proofs, outside })}\n`;
  await onDisk(path, () => writeDurably(path, text, files));
}

/** The one that ended last, with the tables of all. */
export function mergeLastRuns(ended: readonly LastRun[]): LastRun | undefined {
  const [latest] = ended.toSorted((a, b) => ((a.finishedAt ?? '') < (b.finishedAt ?? '') ? 1 : -1));
  return (
    latest && {
      ...latest,
      lowered: ended.flatMap(({ lowered }) => lowered),
      proofs: ended.flatMap(({ proofs }) => proofs),
      outside: ended.flatMap(({ outside }) => outside),
    }
  );
}

/**
 * Gives a new shard the last run of those from which its tenants come, for `reshard`, with the tables of these tenants. Otherwise the
 * figures of tables that no run compares any more would be lost.
 */
export async function inheritLastRun(
  from: readonly { readonly from: string; readonly tenants: readonly string[] }[],
  dataDir: string,
  files: Files,
): Promise<void> {
  const ended: LastRun[] = [];
  for (const { from: folder, tenants } of from) {
    const run = await readLastRun(folder);
    const isMoved = ({ tenant }: { readonly tenant: string }): boolean => tenants.includes(tenant);
    if (run)
      ended.push({
        ...run,
        lowered: run.lowered.filter(isMoved),
        proofs: run.proofs.filter(isMoved),
        outside: run.outside.filter(isMoved),
      });
  }
  const merged = mergeLastRuns(ended);
  if (merged === undefined) return;
  const path = join(dataDir, LAST_RUN_FILE);
  await writeDurably(path, `${JSON.stringify({ ...writtenBy(), ...merged })}\n`, files);
}

/** Changes the exit code of the last run after its end, unless another run has written the file by now. */
export async function amendLastRun(
  dataDir: string,
  run: string,
  exitCode: number,
  files: Files = systemFiles,
): Promise<void> {
  const path = join(dataDir, LAST_RUN_FILE);
  const record = parseJson(await files.readFile(path, 'utf8'));
  if (!isJsonObject(record) || record['run'] !== run) return;
  await writeDurably(path, `${JSON.stringify({ ...record, exitCode })}\n`, files);
}

/** `undefined` where the file is missing or unreadable: the numbers of the lake do not depend on it. */
export async function readLastRun(dataDir: string): Promise<LastRun | undefined> {
  try {
    return lastRunSchema.parse(JSON.parse(await readFile(join(dataDir, LAST_RUN_FILE), 'utf8')));
  } catch {
    return undefined;
  }
}
