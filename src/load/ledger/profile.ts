/** What runs have learnt about a tenant: one JSON object per tenant, so that a new field needs no migration. */
import { sqlText } from '../../kernel/sql.ts';
import { GRADES } from '../../model/coverage.ts';
import { LEAST_ROW_CAP } from '../../model/page.ts';
import { z } from 'zod';
import { asText } from './cells.ts';
import type { Engine } from './engine.ts';

const perTable = <T extends z.ZodType>(value: T) =>
  z.object({ Logs: value.optional(), Events: value.optional(), Metrics: value.optional() }).optional();

const PROFILE = z.object({
  /** The tenant id in the tenant's rows, as first seen; rows with another id are foreign. */
  pinnedTenantId: z.string().optional(),
  /** Caps below the configured ones, learnt from refused pages. */
  rowCap: z.number().optional(),
  byteCap: z.number().optional(),
  /** When a cap was last learnt. */
  capsAt: z.string().optional(),
  /** The grade of the last comparison, per table. Every run asks for the best one; a rejection that repeats this is believed at once. */
  grades: perTable(z.enum(GRADES)),
  /** What the source had when its rows without a possible time were last quarantined (`OutsideRows.key`), per table. */
  timeless: perTable(z.string()),
  /**
   * Start of the first load of a table if that was a backfill: rows before it were never compared. Absent once a run has compared
   * everything.
   */
  comparedFrom: perTable(z.string()),
  /** Bytes received ÷ bytes estimated, per table. */
  wireRatios: perTable(z.number()),
  /** What `doctor` found out; for information only. */
  endpoint: z
    .object({
      checkedAt: z.string(),
      rowForm: z.enum(['arrays', 'objects']),
      columnsNamed: z.boolean(),
      dynamicAs: z.enum(['json', 'text']),
      datetimeDigits: z.number(),
      /** Rows in the answer to a query for a whole page. */
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

/** Learnt caps expire: one bad day of a source must not cost calls forever. */
const CAPS_VALID_MS = 30 * 86_400_000;
/** Caps of a batch that was interrupted before it was whole: enough for the next runs to go on from there. */
const DOUBTFUL_VALID_MS = 2 * 86_400_000;

/** The caps that are still valid. `nowMs`: the wall clock. Caps dated too far in the future, by a wrong clock, are invalid too. */
export function learntCaps({ rowCap, byteCap, capsAt }: TenantProfile, nowMs: number): LearntCaps {
  const isValid = capsAt !== undefined && Math.abs(nowMs - Date.parse(capsAt)) <= CAPS_VALID_MS;
  if (!isValid) return {};
  // Earlier versions learnt smaller ones by mistake.
  return { rowCap: rowCap !== undefined && rowCap < LEAST_ROW_CAP ? undefined : rowCap, byteCap };
}

/**
 * The changes to a profile after a run met other caps; empty when it met none. A cap of Infinity: the source delivered more
 * than the known one, which is dropped. `isDoubtful`: they were met in a batch that was interrupted, and expire soon.
 */
export function capsLesson(known: TenantProfile, met: LearntCaps, nowMs: number, isDoubtful = false): TenantProfile {
  if (met.rowCap === undefined && met.byteCap === undefined) return {};
  const { rowCap, byteCap } = learntCaps(known, nowMs);
  const finite = (cap: number | undefined): number | undefined => (cap === Infinity ? undefined : cap);
  return {
    rowCap: finite(met.rowCap ?? rowCap),
    byteCap: finite(met.byteCap ?? byteCap),
    capsAt: new Date(isDoubtful ? nowMs - CAPS_VALID_MS + DOUBTFUL_VALID_MS : nowMs).toISOString(),
  };
}

/** What was read last of each tenant. Only committed profiles get here, because `exclusive` work is not inside a transaction. */
const committed = new WeakMap<Engine, Map<string, TenantProfile>>();

export async function readProfile(ledger: Engine, tenant: string): Promise<TenantProfile> {
  return ledger.exclusive(async () => {
    const known = committed.get(ledger) ?? new Map<string, TenantProfile>();
    committed.set(ledger, known);
    const profile = known.get(tenant) ?? (await profileOf(ledger, tenant));
    known.set(tenant, profile);
    return profile;
  });
}

/** Replaces the given fields and keeps the others. Without fields it writes nothing: a commit waits for the disk. */
export async function updateProfile(ledger: Engine, tenant: string, lessons: TenantProfile): Promise<TenantProfile> {
  if (Object.keys(lessons).length === 0) return readProfile(ledger, tenant);
  return ledger.exclusive(() => ledger.transaction(() => learn(ledger, tenant, lessons)));
}

/** `readProfile` for a caller that is inside `exclusive`. */
export async function profileOf(engine: Engine, tenant: string): Promise<TenantProfile> {
  const [row] = await engine.rows(`select profile::varchar as profile from tenants where tenant = ${sqlText(tenant)}`, {
    profile: asText,
  });
  return row === undefined ? {} : PROFILE.parse(JSON.parse(row.profile));
}

/** `updateProfile` for a caller that is inside a transaction. */
export async function learn(engine: Engine, tenant: string, lessons: TenantProfile): Promise<TenantProfile> {
  const known = await profileOf(engine, tenant);
  const profile = { ...known, ...lessons };
  committed.get(engine)?.delete(tenant);
  await engine.run(`delete from tenants where tenant = ${sqlText(tenant)}`);
  await engine.run('insert into tenants values ($1, $2::json)', [tenant, JSON.stringify(profile)]);
  return profile;
}
