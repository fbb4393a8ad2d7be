/**
 * Purges that were cut off: their marks are still there (`purges/<tenant>`). Until such a purge is completed or given up, no run loads
 * anything of its tenant. So what a completion deletes was there when the purge was decided.
 */
import { dirname, join } from 'node:path';
import type { Config } from '../config/config.ts';
import { ConfigError } from '../kernel/errors.ts';
import { onDisk, sizeOf } from '../kernel/files.ts';
import type { Files } from '../kernel/files.ts';
import { tenantsOnDisk } from '../load/maintenance/list-data-dir.ts';
import { DATA_DIR, PURGE_MARK, PURGES_FOLDER } from '../model/data-dir.ts';

export interface CutOffPurge {
  readonly tenant: string;
  /** Absolute. */
  readonly mark: string;
  /**
   * Runs have loaded nothing of the tenant since. Not known for an empty mark: it was written by an earlier version, whose runs loaded a
   * tenant in spite of it.
   */
  readonly keptOut: boolean;
}

const MARKS = DATA_DIR.filter(({ path }) => path === PURGE_MARK);

/** Throws DiskError. */
export async function cutOffPurges(files: Files, dataDir: string): Promise<readonly CutOffPurge[]> {
  return onDisk(dataDir, async () => {
    const tenants = [...(await tenantsOnDisk(files, dataDir, MARKS))].toSorted();
    return Promise.all(
      tenants.map(async (tenant) => {
        const mark = purgeMark(dataDir, tenant);
        return { tenant, mark, keptOut: ((await sizeOf(mark, files)) ?? 0) > 0 };
      }),
    );
  });
}

export function purgeMark(dataDir: string, tenant: string): string {
  return join(dataDir, PURGES_FOLDER, tenant);
}

/** Ends a purge, or gives it up. */
export async function removeMark(files: Files, mark: string): Promise<void> {
  await files.rm(mark, { force: true });
  await files.rmdir(dirname(mark)).catch(() => {});
}

/** Throws ConfigError if there is none. */
export async function requireCutOff(files: Files, dataDir: string, tenant: string): Promise<CutOffPurge> {
  const found = (await cutOffPurges(files, dataDir)).find((each) => each.tenant === tenant);
  if (found) return found;
  throw new ConfigError(`No purge of a tenant "${tenant}" was cut off in this data directory.`, {
    hint: '`insights-etl doctor` shows those that were.',
    where: { folder: dataDir },
  });
}

/** The tenants that are loaded again. Who decided on the purge of one of them may have changed their mind. */
export function isConfigured(
  tenant: string,
  { tenants, otherTenants }: Pick<Config, 'tenants' | 'otherTenants'>,
): boolean {
  return tenants.some(({ id }) => id === tenant) || otherTenants.includes(tenant);
}

/** The ways out, with what each of them costs. */
export function purgeDecision(tenant: string): string {
  return (
    `Decide: \`insights-etl tenant remove ${tenant} --purge\` completes it and deletes all that the lake has of this tenant, ` +
    `also rows that the source no longer has. \`insights-etl tenant remove ${tenant} --keep\` gives it up and keeps what is not deleted yet.`
  );
}

/** Why nothing of the tenant is loaded. */
export function undecidedPurge({ tenant, mark }: CutOffPurge): ConfigError {
  return new ConfigError('A purge of this tenant was cut off, so nothing of it is loaded until you decide.', {
    hint: purgeDecision(tenant),
    where: { tenant, file: mark },
  });
}
