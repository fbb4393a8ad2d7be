/** Reads file, environment and flags, merges them, and checks the result. Reports every mistake at once, each with its place. */
import { dirname } from 'node:path';
import { mistakesIn, refusal, type Mistake } from './explain.ts';
import { environmentLayer, fileLayer, findFile, flagLayer, merge, type Layer, type Tree } from './layers.ts';
import { configSchema, type Settings } from './schema.ts';
import type { SecretSource } from './secret-source.ts';
import { isJsonObject } from '../kernel/json.ts';
import { withMirrorText } from './mirror.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface ConfigSources {
  /** `--config`; false = read no file, even if there is one in the folder. */
  readonly file?: string | false | undefined;
  /** Values of flags as a tree of configuration keys, and the name of the flag by key. */
  readonly flags?: { readonly values: Tree; readonly names: Readonly<Record<string, string>> };
  readonly env: Environment;
  readonly cwd: string;
}

export interface ReadConfig {
  /** With the defaults. */
  readonly settings: Settings;
  /** As written, before the defaults. */
  readonly values: Tree;
  /** The weakest first. */
  readonly layers: readonly Layer[];
  readonly file: string | undefined;
  /** Folder that relative files of secrets are resolved against. */
  readonly folder: string;
  /** Folder that a relative `dataDir` is resolved against. */
  readonly dataFolder: string;
  /** Keys that a flag has set. */
  readonly flagged: ReadonlySet<string>;
}

/** Throws ConfigError that names every mistake: key, value, allowed values and origin. */
export function readConfig(sources: ConfigSources): ReadConfig {
  const { env, cwd } = sources;
  const named = sources.file ?? (env['INSIGHTS_CONFIG'] || undefined);
  const path = named === false ? undefined : findFile(named, cwd);
  const file = path === undefined ? undefined : fileLayer(path);
  const { mistakes: misspelt, ...environment } = environmentLayer(env);
  const flags = flagLayer(sources.flags?.values ?? {}, sources.flags?.names ?? {});

  const layers: Layer[] = [...(file ? [file] : []), environment, flags];
  const written = layers.reduce<Tree>((values, layer) => merge(values, withMirrorText(layer.values)), {});
  const { values, mistakes: keyless } = withTenantOfEnvironment(written, env);
  const { settings, mistakes } = mistakesIn(configSchema, values, layers);
  const all = [...mistakes, ...misspelt, ...keyless];
  if (settings === undefined || all.length > 0) throw refusal(all, path);

  const folder = path === undefined ? cwd : dirname(path);
  const dirOutsideFile = environment.values['dataDir'] !== undefined || flags.values['dataDir'] !== undefined;
  return {
    settings,
    values,
    layers,
    file: path,
    folder,
    dataFolder: dirOutsideFile ? cwd : folder,
    flagged: new Set(Object.keys(sources.flags?.names ?? {})),
  };
}

/**
 * INSIGHTS_TENANT together with INSIGHTS_API_KEY or INSIGHTS_TOKEN defines a tenant. Without INSIGHTS_TENANT, the key is
 * that of the only tenant of the file, if it has none.
 */
function withTenantOfEnvironment(
  values: Tree,
  env: Environment,
): { readonly values: Tree; readonly mistakes: readonly Mistake[] } {
  const written = values['tenants'];
  const tenants: unknown[] = Array.isArray(written) ? written : [];
  const id = env['INSIGHTS_TENANT'] || undefined;
  const secret = secretOfEnvironment(env);
  if (id === undefined) {
    const only = tenants.length === 1 ? tenants[0] : undefined;
    if (!secret || !isJsonObject(only) || only['apiKey'] !== undefined || only['token'] !== undefined)
      return { values, mistakes: [] };
    return { values: { ...values, tenants: [{ ...only, ...secret }] }, mistakes: [] };
  }
  const known = tenants.find((tenant) => isJsonObject(tenant) && tenant['id'] === id);
  const { apiKey, token, ...rest } = isJsonObject(known) ? known : { id };
  const own = { ...(apiKey === undefined ? {} : { apiKey }), ...(token === undefined ? {} : { token }) };
  const chosen = secret ?? own;
  const mistake = {
    text: `INSIGHTS_TENANT is set to "${id}", but there is no key for it.`,
    hint: 'Set INSIGHTS_API_KEY, or INSIGHTS_TOKEN for a bearer token.',
    where: { environment: 'INSIGHTS_API_KEY' },
  };
  if (Object.keys(chosen).length === 0) return { values: { ...values, tenants: [] }, mistakes: [mistake] };
  return { values: { ...values, tenants: [{ ...rest, ...chosen }] }, mistakes: [] };
}

function secretOfEnvironment(env: Environment): { apiKey: SecretSource } | { token: SecretSource } | undefined {
  if (env['INSIGHTS_API_KEY']) return { apiKey: { env: 'INSIGHTS_API_KEY' } };
  if (env['INSIGHTS_TOKEN']) return { token: { env: 'INSIGHTS_TOKEN' } };
  return undefined;
}
