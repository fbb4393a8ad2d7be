/** What a tenant taught us, kept across runs: a JSON object per tenant, so that a new lesson needs no migration. */
import { sqlText } from '../transform/lake.ts';
import type { TableName } from '../tables.ts';
import { text } from './engine.ts';
import type { Engine } from './engine.ts';

export interface TenantProfile {
  /** The tenant id that rows carry, as first seen; rows with another one are foreign. */
  readonly pinnedTenantId?: string;
  /** Smaller caps than configured, learnt from refusals. */
  readonly rowCap?: number;
  readonly byteCap?: number;
  /** Proof that the endpoint allows, per table. */
  readonly grades?: Readonly<Partial<Record<TableName, 'checksum' | 'count'>>>;
  /** Bytes received ÷ bytes estimated, per table. */
  readonly wireRatios?: Readonly<Partial<Record<TableName, number>>>;
}

export async function readProfile(ledger: Engine, tenant: string): Promise<TenantProfile> {
  return ledger.exclusive(() => profileOf(ledger, tenant));
}

/** Replaces the given lessons, keeps the others. */
export async function updateProfile(ledger: Engine, tenant: string, lessons: TenantProfile): Promise<TenantProfile> {
  return ledger.exclusive(() => ledger.transaction(() => learn(ledger, tenant, lessons)));
}

/** `readProfile` for a caller that already has its turn. */
export async function profileOf(engine: Engine, tenant: string): Promise<TenantProfile> {
  const [row] = await engine.rows(`select profile::varchar as profile from tenants where tenant = ${sqlText(tenant)}`);
  return JSON.parse((row && text(row, 'profile')) ?? '{}') as TenantProfile;
}

/** `updateProfile` for a caller that already has its transaction. */
export async function learn(engine: Engine, tenant: string, lessons: TenantProfile): Promise<TenantProfile> {
  const known = await profileOf(engine, tenant);
  const profile = { ...known, ...lessons };
  await engine.run(`delete from tenants where tenant = ${sqlText(tenant)}`);
  await engine.run('insert into tenants values ($1, $2::json)', [tenant, JSON.stringify(profile)]);
  return profile;
}
