/** A first configuration file: the chosen values, then every other key as a comment with its default. */
import { stringify } from 'yaml';
import { configKeys, type Key } from './names.ts';
import type { SecretSource } from './secret-source.ts';

export interface Choices {
  readonly tenant: string;
  readonly baseUrl: string;
  readonly dataDir: string;
  readonly secret: { readonly kind: 'apiKey' | 'token'; readonly source: SecretSource };
  /** First day to load; undefined = everything. */
  readonly start?: string | undefined;
  readonly schedule: { readonly cron: string; readonly timeZone: string };
  /** Where editors find the JSON Schema. */
  readonly schema: string;
}

/** Parses `env:NAME`, `file:PATH` or `command:COMMAND`. Undefined for anything else, such as the key itself. */
export function parseSecretPlace(text: string): SecretSource | undefined {
  const match = /^(env|file|command):(.+)$/s.exec(text.trim());
  const [, kind, rest = ''] = match ?? [];
  if (kind === 'env') return /^[A-Za-z_]\w*$/.test(rest) ? { env: rest } : undefined;
  if (kind === 'file') return { file: rest };
  return kind === 'command' ? { command: rest } : undefined;
}

export function configText({ tenant, baseUrl, dataDir, secret, start, schedule, schema }: Choices): string {
  const chosen = {
    baseUrl,
    dataDir,
    ...(start === undefined ? {} : { start }),
    tenants: [{ id: tenant, [secret.kind]: secret.source }],
    // The complete group: a commented second group of the same name would not be valid YAML once uncommented.
    schedule: { ...schedule, jitterSeconds: 0 },
  };
  const known = new Set(Object.keys(chosen));
  const others = configKeys().filter(
    ({ path }) => !path.some((name) => name.endsWith('[]')) && !known.has(path[0] ?? ''),
  );
  const ofTenant = configKeys().flatMap(({ path: [list, key] }) => (list === 'tenants[]' && key ? [key] : []));
  const ownKeys = [...new Set(ofTenant)].filter((key) => !['id', 'apiKey', 'token'].includes(key));
  return `# yaml-language-server: $schema=${schema}
# insights-etl: docs/config.md describes every key. This file never contains a secret, only where to read it.
${stringify(chosen, { lineWidth: 0 })}
# More keys of a tenant, to be added below its id: ${ownKeys.join(', ')}.
# For a second tenant, add a second entry to the list.

# All other keys with their defaults. To change one, remove the "# " before it and before the group that it belongs to.
${commented(others)}`;
}

function commented(keys: readonly Key[]): string {
  const lines: string[] = [];
  let groups: readonly string[] = [];
  for (const { path, fallback, description } of keys) {
    const inside = path.slice(0, -1);
    const shared = inside.findIndex((name, index) => groups[index] !== name);
    for (let level = shared < 0 ? inside.length : shared; level < inside.length; level++)
      lines.push(`# ${'  '.repeat(level)}${inside[level]}:`);
    groups = inside;
    const value = fallback === undefined ? '' : ` ${stringify(fallback, { collectionStyle: 'flow' }).trim()}`;
    lines.push(`# ${'  '.repeat(inside.length)}${path.at(-1)}:${value} # ${description}`);
  }
  return `${lines.join('\n')}\n`;
}
