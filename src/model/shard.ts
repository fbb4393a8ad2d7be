/**
 * Which worker loads which tenant. Workers share the tenants without a coordinator: each has the same configuration and its own
 * shard, and which shard has a tenant depends on nothing but the tenant's id and the number of shards.
 */
import { createHash } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import { SHARDS_FOLDER } from './data-names.ts';

export interface Shard {
  /** From 0, as an indexed Job of Kubernetes counts. */
  readonly index: number;
  readonly of: number;
}

export const MOST_SHARDS = 1_000;

export const SHARD_FORM = `i/n, such as 0/8 to 7/8 for eight shards, with at most ${MOST_SHARDS} shards`;

/** Undefined for a text that is no shard. */
export function parseShard(text: string): Shard | undefined {
  const [, first, second] = /^(0|[1-9]\d{0,3})\/([1-9]\d{0,3})$/.exec(text) ?? [];
  const [index, of] = [Number(first), Number(second)];
  return of <= MOST_SHARDS && index < of ? { index, of } : undefined;
}

/** As `--shard` takes it. */
export function showShard({ index, of }: Shard): string {
  return `${index}/${of}`;
}

/**
 * The index of the shard that has a tenant: the first 6 bytes of the SHA-256 of its id, as a number, modulo the number of shards. It
 * must never change: the tenant's rows are in the folder of this shard.
 */
export function shardIndex(tenant: string, of: number): number {
  return createHash('sha256').update(tenant).digest().readUIntBE(0, 6) % of;
}

/** False if no tenant, whatever its id, is in both of these shards of different numbers. */
export function mayShareTenants(one: Shard, other: Shard): boolean {
  return (one.index - other.index) % commonDivisor(one.of, other.of) === 0;
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}

/** Tenants that are not the shard's own, by the index of the shard that is theirs. */
export function misplacedTenants(
  tenants: Iterable<string>,
  { index, of }: Shard,
): ReadonlyMap<number, readonly string[]> {
  const misplaced = new Map<number, string[]>();
  for (const tenant of [...tenants].toSorted()) {
    const own = shardIndex(tenant, of);
    if (own !== index) misplaced.set(own, [...(misplaced.get(own) ?? []), tenant]);
  }
  return misplaced;
}

/**
 * The shards that should be among those found, and are not. A shard without tenants need not have a folder. If no tenants are known, any
 * shard may have some.
 */
export function missingShards(found: readonly Shard[], tenants: readonly string[]): readonly Shard[] {
  const [{ of } = { of: 1 }] = found;
  if (of === 1) return [];
  const owners = new Set(tenants.map((id) => shardIndex(id, of)));
  return Array.from({ length: of }, (_, index) => ({ index, of })).filter(
    ({ index }) => (tenants.length === 0 || owners.has(index)) && !found.some((each) => each.index === index),
  );
}

/** The data directory of a shard, below the one that all shards share. A single shard has that one itself. */
export function shardFolder(shared: string, { index, of }: Shard): string {
  return of === 1 ? shared : join(shared, SHARDS_FOLDER, `${index}-of-${of}`);
}

/** The shard that a folder of `SHARDS_FOLDER` belongs to. */
export function shardOfFolder(name: string): Shard | undefined {
  const [, index, of] = /^(\d+)-of-(\d+)$/.exec(name) ?? [];
  const shard = index === undefined ? undefined : parseShard(`${index}/${of}`);
  return shard?.of === 1 ? undefined : shard;
}

/** The shard whose data directory this is, and the directory that all share; undefined for any other folder. */
export function shardOfDirectory(dataDir: string): { readonly shared: string; readonly shard: Shard } | undefined {
  const [shard, shards] = [shardOfFolder(basename(dataDir)), dirname(dataDir)];
  return shard && basename(shards) === SHARDS_FOLDER ? { shared: dirname(shards), shard } : undefined;
}

/** How the last run of one shard ended. The last run of all shards is the one that ended last. */
export interface ShardStatus {
  readonly shard: string;
  readonly run: string | undefined;
  readonly finishedAt: string | undefined;
  readonly exitCode: number | undefined;
  /** The run that is going on. */
  readonly running: string | undefined;
}
