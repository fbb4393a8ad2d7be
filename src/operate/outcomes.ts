/** `outcomes.json`: how the last run of each table ended, when one last succeeded, and the calls sent so far. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeDurably } from '../kernel/files.ts';
import type { Files } from '../kernel/files.ts';
import { OUTCOMES_FILE } from '../model/data-dir.ts';
import { BEST_GRADE, isWeaker } from '../model/coverage.ts';
import type { RunReport } from '../model/report.ts';
import type { CallCounts } from './traffic.ts';

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
      }),
    )
    .default([]),
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

/** Adds a run. Tables that it did not load keep their record. `report` is undefined if the run failed to start. */
export async function recordOutcome(
  dataDir: string,
  report: RunReport | undefined,
  ended: { readonly finishedMs: number; readonly exitCode: number; readonly seconds: number },
  calls: ReadonlyMap<string, CallCounts>,
  files?: Files,
): Promise<void> {
  const before = await readOutcomes(dataDir);
  const tables = new Map(before.tables.map((entry) => [`${entry.tenant} ${entry.table}`, entry]));
  for (const { tenant, table, outcome, grade } of report?.tables ?? []) {
    const lowered = isWeaker(grade, BEST_GRADE);
    const verified = outcome === 'verified';
    const successMs = verified ? ended.finishedMs : tables.get(`${tenant} ${table}`)?.successMs;
    tables.set(`${tenant} ${table}`, {
      tenant,
      table,
      verified,
      lowered,
      ...(successMs === undefined ? {} : { successMs }),
    });
  }
  const after: Outcomes = { last: ended, tables: [...tables.values()], calls: addCalls(before.calls, calls) };
  await writeDurably(join(dataDir, OUTCOMES_FILE), `${JSON.stringify(after)}\n`, files);
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
