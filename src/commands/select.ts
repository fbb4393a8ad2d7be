/** Words of the command line turned into what they name: tenants, tables, instants. All refuse what is unknown. */
import { globRegExp } from '../kernel/glob.ts';
import { closest } from '../kernel/closest.ts';
import type { Config } from '../config/config.ts';
import { ConfigError } from '../kernel/errors.ts';
import { formatInstant, fromEpochMs, parseInstant, type Instant } from '../kernel/instant.ts';
import { TABLE_NAMES, type TableName } from '../model/tables.ts';

/** Ids of the configured tenants that match any of the patterns (`*` and `?`); each pattern must match one. */
export function selectTenants(config: Config, patterns: readonly string[]): string[] {
  const ids = config.tenants.map((tenant) => tenant.id);
  const chosen = new Set<string>();
  for (const pattern of patterns) {
    const matching = globRegExp(pattern, { questionMark: true });
    const matched = ids.filter((id) => matching.test(id));
    if (matched.length === 0) {
      const meant = closest(pattern, ids);
      throw new ConfigError(`No tenant "${pattern}" is configured.`, {
        hint: `${meant === undefined ? '' : `Did you mean "${meant}"? `}Configured: ${ids.join(', ')}.`,
        where: { flag: '--tenant' },
      });
    }
    for (const id of matched) chosen.add(id);
  }
  return ids.filter((id) => chosen.has(id));
}

/** Tables by name, whatever their case; each must be enabled for a tenant. */
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

/** A table by its name, whatever its case and whether it is enabled or not. */
export function tableNamed(name: string): TableName {
  const table = TABLE_NAMES.find((candidate) => candidate.toLowerCase() === name.toLowerCase());
  if (table) return table;
  const meant = closest(name, TABLE_NAMES);
  throw new ConfigError(`Unknown table "${name}".`, {
    hint: `${meant === undefined ? '' : `Did you mean "${meant}"? `}Allowed: ${TABLE_NAMES.join(', ')}.`,
    where: { flag: '--table' },
  });
}

/** An ISO date or instant; `flag` is named where it is none. */
export function selectInstant(text: string, flag: string): Instant {
  const instant = parseInstant(text);
  if (instant === undefined)
    throw new ConfigError(`"${text}" is not a date.`, {
      hint: 'Write an ISO date or instant in UTC, such as 2026-01-31 or 2026-01-31T06:00:00Z.',
      where: { flag },
    });
  return instant;
}

/** A half-open range of the past. `nowMs` is left out where the source keeps a clock of its own (the sandbox). */
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
