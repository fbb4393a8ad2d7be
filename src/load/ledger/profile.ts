/** What a tenant taught us, kept across runs: a JSON object per tenant, so that a new lesson needs no migration. */
import { sqlText } from '../../kernel/sql.ts';
import { GRADES } from '../../model/coverage.ts';
import { z } from 'zod';
import { asText } from './cells.ts';
import type { Engine } from './engine.ts';

const perTable = <T extends z.ZodType>(value: T) =>
  z.object({ Logs: value.optional(), Events: value.optional(), Metrics: value.optional() }).optional();

const PROFILE = z.object({
  /** The tenant id that rows carry, as first seen; rows with another one are foreign. */
  pinnedTenantId: z.string().optional(),
  /** Smaller caps than configured, learnt from refusals. */
  rowCap: z.number().optional(),
  byteCap: z.number().optional(),
  /** When the last of them was learnt. */
  capsAt: z.string().optional(),
  /** Proof that the endpoint allows, per table. */
  grades: perTable(z.enum(GRADES)),
  /** Bytes received ÷ bytes estimated, per table. */
  wireRatios: perTable(z.number()),
  /** What `doctor` found out; nothing depends on it. */
  endpoint: z
    .object({
      checkedAt: z.string(),
      rowForm: z.enum(['arrays', 'objects']),
      columnsNamed: z.boolean(),
      dynamicAs: z.enum(['json', 'text']),
      datetimeDigits: z.number(),
      /** Rows that came when a whole page of them was asked for. */
      rowsAnswered: z.number(),
      ingestionTime: z.boolean(),
      parameters: z.boolean(),
      guidOrder: z.enum(['text', 'other']),
    })
    .partial()
    .optional(),
});

export type TenantProfile = Readonly<z.infer<typeof PROFILE>>;

export type LearntCaps = Pick<TenantProfile, 'rowCap' | 'byteCap'>;

/** How long learnt caps hold: a source that had one bad day does not cost calls for good. */
const CAPS_HOLD_MS = 30 * 86_400_000;

/** The caps that still hold. `nowMs`: the wall clock; one that was wrong when they were learnt does not keep them for longer. */
export function learntCaps({ rowCap, byteCap, capsAt }: TenantProfile, nowMs: number): LearntCaps {
  const holds = capsAt !== undefined && Math.abs(nowMs - Date.parse(capsAt)) <= CAPS_HOLD_MS;
  return holds ? { rowCap, byteCap } : {};
}

/** What a smaller cap changes in a profile: nothing where none was met. */
export function capsLesson(known: TenantProfile, met: LearntCaps, nowMs: number): TenantProfile {
  if (met.rowCap === undefined && met.byteCap === undefined) return {};
  const { rowCap, byteCap } = learntCaps(known, nowMs);
  return {
    rowCap: met.rowCap ?? rowCap,
    byteCap: met.byteCap ?? byteCap,
    capsAt: new Date(nowMs).toISOString(),
  };
}

export async function readProfile(ledger: Engine, tenant: string): Promise<TenantProfile> {
  return ledger.exclusive(() => profileOf(ledger, tenant));
}

/** Replaces the given lessons, keeps the others. Writes nothing where nothing is new: a commit waits for the disk. */
export async function updateProfile(ledger: Engine, tenant: string, lessons: TenantProfile): Promise<TenantProfile> {
  if (Object.keys(lessons).length === 0) return readProfile(ledger, tenant);
  return ledger.exclusive(() => ledger.transaction(() => learn(ledger, tenant, lessons)));
}

/** `readProfile` for a caller that already has its turn. */
export async function profileOf(engine: Engine, tenant: string): Promise<TenantProfile> {
  const [row] = await engine.rows(`select profile::varchar as profile from tenants where tenant = ${sqlText(tenant)}`, {
    profile: asText,
  });
  return row === undefined ? {} : PROFILE.parse(JSON.parse(row.profile));
}

/** `updateProfile` for a caller that already has its transaction. */
export async function learn(engine: Engine, tenant: string, lessons: TenantProfile): Promise<TenantProfile> {
  const known = await profileOf(engine, tenant);
  const profile = { ...known, ...lessons };
  await engine.run(`delete from tenants where tenant = ${sqlText(tenant)}`);
  await engine.run('insert into tenants values ($1, $2::json)', [tenant, JSON.stringify(profile)]);
  return profile;
}
