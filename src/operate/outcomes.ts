/** `outcomes.json`: how the last run of each table ended, when one last succeeded, when the mirror was last up to date, and the calls. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeDurably } from '../kernel/files.ts';
import type { Files } from '../kernel/files.ts';
import { OUTCOMES_FILE } from '../model/data-dir.ts';
import { BEST_GRADE, isWeaker } from '../model/coverage.ts';
import type { RunReport, TableReport } from '../model/report.ts';
import type { CallCounts } from './traffic.ts';
import { writtenBy } from '../kernel/version.ts';

const outcomesSchema = z.object({
  last: z.object({ finishedMs: z.number(), exitCode: z.int(), seconds: z.number() }).optional(),
  tables: z
    .array(
      z.object({
        tenant: z.string(),
        table: z.string(),
        verified: z.boolean(),
        successMs: z.number().optional(),
        /** The run compared with a weaker proof than the best one. Records of older versions lack it. */
        lowered: z.boolean().default(false),
        /** Since the data directory was created. Records of older versions lack them. */
        rowsLoaded: z.number().default(0),
        retries: z.number().default(0),
        /** Hours that the last run found lost at the source. */
        expiredHours: z.number().default(0),
      }),
    )
    .default([]),
  /** When a run last left the mirror with everything that was published. Absent if none did. */
  mirroredMs: z.number().optional(),
  /** Since the data directory was created, by tenant and status. */
  calls: z.record(z.string(), z.record(z.string(), z.number())).default({}),
});

export type Outcomes = z.output<typeof outcomesSchema>;

/** An unreadable record counts as empty, because the lake does not depend on it. */
export async function readOutcomes(dataDir: string): Promise<Outcomes> {
  try {
    return outcomesSchema.parse(JSON.parse(await readFile(join(dataDir, OUTCOMES_FILE), 'utf8')));
  } catch {
    return { tables: [], calls: {} };
  }
}

export interface Ended {
  readonly finishedMs: number;
  readonly exitCode: number;
  readonly seconds: number;
  /**
   * The run compared whatever a run compares. A backfill of a range says nothing about the rest: it only adds to the counters,
   * so that it does not hide that the regular runs fail or stay away.
   */
  readonly isRegular: boolean;
}

/** Adds a run. Tables that it did not load keep their record. `report` is undefined if the run failed to start. */
export async function recordOutcome(
  dataDir: string,
  report: RunReport | undefined,
  { isRegular, ...ended }: Ended,
  calls: ReadonlyMap<string, CallCounts>,
  files?: Files,
): Promise<void> {
  const before = await readOutcomes(dataDir);
  const tables = new Map(before.tables.map((entry) => [`${entry.tenant} ${entry.table}`, entry]));
  for (const result of report?.tables ?? []) {
    const { tenant, table } = result;
    const key = `${tenant} ${table}`;
    const expired = report?.expired.find((other) => other.tenant === tenant && other.table === table);
    const known = tables.get(key);
    tables.set(key, {
      ...(isRegular || !known ? latest(result, isRegular, known?.successMs, ended.finishedMs) : known),
      rowsLoaded: (known?.rowsLoaded ?? 0) + result.inserted + result.replaced,
      retries: (known?.retries ?? 0) + result.retries,
      expiredHours: expired?.hours ?? 0,
    });
  }
  const last = isRegular ? ended : before.last;
  const isMirrored = report?.mirror !== undefined && !('error' in report.mirror);
  const mirroredMs = isMirrored ? ended.finishedMs : before.mirroredMs;
  const after = {
    ...writtenBy(),
    ...(last ? { last } : {}),
    tables: [...tables.values()],
    ...(mirroredMs === undefined ? {} : { mirroredMs }),
    calls: addCalls(before.calls, calls),
  };
  await writeDurably(join(dataDir, OUTCOMES_FILE), `${JSON.stringify(after)}\n`, files);
}

type TableOutcome = Outcomes['tables'][number];

function latest(
  { tenant, table, outcome, grade }: TableReport,
  isRegular: boolean,
  successBefore: number | undefined,
  finishedMs: number,
): Pick<TableOutcome, 'tenant' | 'table' | 'verified' | 'lowered' | 'successMs'> {
  const verified = isRegular && outcome === 'verified';
  const successMs = verified ? finishedMs : successBefore;
  const lowered = isWeaker(grade, BEST_GRADE);
  return { tenant, table, verified, lowered, ...(successMs === undefined ? {} : { successMs }) };
}

/** The sum of both counts, by tenant and status. */
export function addCalls(
  before: Readonly<Record<string, CallCounts>>,
  more: ReadonlyMap<string, CallCounts>,
): Record<string, Record<string, number>> {
  const sum = Object.fromEntries(Object.entries(before).map(([tenant, counts]) => [tenant, { ...counts }]));
  for (const [tenant, counts] of more) {
    const own = (sum[tenant] ??= {});
    for (const [status, n] of Object.entries(counts)) own[status] = (own[status] ?? 0) + n;
  }
  return sum;
}
