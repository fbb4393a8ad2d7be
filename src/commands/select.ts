/** Turns arguments into tenants, tables and instants. Each function throws ConfigError for anything unknown. */
import { globRegExp } from '../kernel/glob.ts';
import { didYouMean } from '../kernel/closest.ts';
import type { Config } from '../config/config.ts';
import { ConfigError } from '../kernel/errors.ts';
import { didYouMeanInstant, formatInstant, fromEpochMs, parseInstant, type Instant } from '../kernel/instant.ts';
import { shardIndex, showShard } from '../model/shard.ts';
import { TABLE_NAMES, type TableName } from '../model/tables.ts';

/** Ids of the configured tenants that match any pattern (`*` and `?`). Each pattern must match at least one. */
export function selectTenants(config: Config, patterns: readonly string[]): string[] {
  const ids = config.tenants.map((tenant) => tenant.id);
  const chosen = new Set<string>();
  for (const pattern of patterns) {
    const matching = globRegExp(pattern, { questionMark: true });
    const matched = ids.filter((id) => matching.test(id));
    if (matched.length === 0) refuseOfOtherShard(config, pattern, matching);
    if (matched.length === 0)
      throw new ConfigError(`No tenant "${pattern}" is configured.`, {
        hint: `${didYouMean(pattern, ids)}Configured: ${ids.join(', ')}.`,
        where: { flag: '--tenant' },
      });
    for (const id of matched) chosen.add(id);
  }
  return ids.filter((id) => chosen.has(id));
}

/** Throws ConfigError for a tenant that another shard has, whether it is configured or not. */
export function requireInShard({ shard }: Config, tenant: string): void {
  if (shard === undefined || shardIndex(tenant, shard.of) === shard.index) return;
  const has = showShard({ ...shard, index: shardIndex(tenant, shard.of) });
  throw new ConfigError(`Shard ${showShard(shard)} does not have tenant "${tenant}".`, {
    hint: `Shard ${has} has it: use --shard ${has}.`,
  });
}

/** Throws ConfigError that names the shards with such a tenant. */
function refuseOfOtherShard({ shard, otherTenants }: Config, pattern: string, matching: RegExp): void {
  const others = otherTenants.filter((id) => matching.test(id));
  if (shard === undefined || others.length === 0) return;
  const { of } = shard;
  const shards = [...new Set(others.map((id) => shardIndex(id, of)))].toSorted((a, b) => a - b);
  const names = shards.map((index) => showShard({ index, of }));
  throw new ConfigError(`Shard ${showShard(shard)} has no tenant "${pattern}".`, {
    hint: `${names.length === 1 ? `Shard ${names.join('')} has it` : `Shards ${names.join(', ')} have such tenants`}: use --shard ${names[0] ?? ''}.`,
    where: { flag: '--tenant' },
  });
}

/** Tables by name in any case. Each must be enabled for at least one tenant. */
export function selectTables(config: Config, names: readonly string[]): TableName[] {
  return names.map((name) => {
    const table = tableNamed(name);
    if (config.tenants.some((tenant) => tenant.tables.has(table))) return table;
    throw new ConfigError(`Table "${table}" is not enabled for any tenant.`, {
      hint: `Set \`tables.${table}.enabled: true\`, or list it in a tenant's \`tables\`.`,
      where: { flag: '--table' },
    });
  });
}

/** A table by name in any case, enabled or not. */
export function tableNamed(name: string): TableName {
  const table = TABLE_NAMES.find((candidate) => candidate.toLowerCase() === name.toLowerCase());
  if (table) return table;
  throw new ConfigError(`Unknown table "${name}".`, {
    hint: `${didYouMean(name, TABLE_NAMES)}Allowed: ${TABLE_NAMES.join(', ')}.`,
    where: { flag: '--table' },
  });
}

/** An ISO date or instant. The error names `flag`. */
export function selectInstant(text: string, flag: string): Instant {
  const instant = parseInstant(text);
  if (instant === undefined)
    throw new ConfigError(`"${text}" is not a date.`, {
      hint: `${didYouMeanInstant(text)}Write an ISO date or instant in UTC, such as 2026-01-31 or 2026-01-31T06:00:00Z.`,
      where: { flag },
    });
  return instant;
}

/** A half-open range. Without `nowMs` it may lie in the future: the sandbox has its own clock. */
export function selectRange(
  fromText: string | undefined,
  toText: string | undefined,
  nowMs: number | undefined,
): { from?: Instant; to?: Instant } {
  const from = fromText === undefined ? undefined : selectInstant(fromText, '--from');
  const to = toText === undefined ? undefined : selectInstant(toText, '--to');
  if (from !== undefined && to !== undefined && from >= to)
    throw new ConfigError(`The range is empty: --from ${fromText} is not before --to ${toText}.`, {
      hint: '--from is inclusive, --to exclusive; one day is --from 2026-01-31 --to 2026-02-01.',
      where: { flag: '--from, --to' },
    });
  if (nowMs !== undefined && from !== undefined && from >= fromEpochMs(nowMs))
    throw new ConfigError(`The range lies in the future: --from ${fromText}.`, {
      hint: `Give a --from before now, ${formatInstant(fromEpochMs(nowMs)).slice(0, 19)}Z.`,
      where: { flag: '--from' },
    });
  return { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
}
