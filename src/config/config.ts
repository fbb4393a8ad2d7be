/**
 * The configuration: file < environment < flags, parsed once into one frozen object that everything else is handed.
 * Nothing outside of this module reads the environment or a configuration file.
 */
import { availableParallelism } from 'node:os';
import { dirname, resolve } from 'node:path';
import { explainIssues } from './explain.ts';
import { environmentLayer, fileLayer, findFile, flagLayer, merge, type Layer, type Tree } from './layers.ts';
import { dropAtSource, rulesOf } from './privacy.ts';
import { configSchema, type Settings } from './schema.ts';
import type { SecretSource } from './secret-source.ts';
import { Credential, readSecret } from './secret.ts';
import { ConfigError } from '../kernel/errors.ts';
import { parseInstant, type Instant } from '../kernel/instant.ts';
import { isJsonObject } from '../kernel/json.ts';
import { parseQuietSpan, type Quiet } from '../model/quiet.ts';
import { withPromoted } from '../model/promoted.ts';
import type { SourceDrop } from '../model/privacy.ts';
import { TABLE_NAMES, TABLES, type TableName, type Tables } from '../model/tables.ts';

/** What to load of one table of one tenant. */
export interface TableConfig {
  /** Nothing before this instant is asked for; undefined = from the first row at the source. */
  readonly start: Instant | undefined;
  /** Days the source keeps a row; undefined = for good. */
  readonly retentionDays: number | undefined;
  /** Calls that may run at the same time. */
  readonly inFlight: number;
  /** Rows younger than this are left for the next run. */
  readonly settleMinutes: number;
  /** Days back that a run compares by the hour. */
  readonly depthDays: number;
  /** The most that is asked for in one call. */
  readonly page: Settings['page'];
  /** Answers are kept after they are verified. */
  readonly keepsAnswers: boolean;
  /** What of `properties` the source leaves out. */
  readonly drop: readonly SourceDrop[];
  /** When `schedule` loads it: the tenant's own words before the table's, the table's before the general ones. */
  readonly schedule: { readonly cron: string; readonly timeZone: string };
}

export interface TenantConfig {
  readonly id: string;
  /** Undefined = that of the configuration. */
  readonly baseUrl: string | undefined;
  /** Calls in any sliding minute; 0 = no limit. */
  readonly callsPerMinute: number;
  /** Calls that one run may send; undefined = any number. */
  readonly maxCalls: number | undefined;
  /** Minutes after which a run sends it no call any more; undefined = any number. */
  readonly maxMinutes: number | undefined;
  readonly http: Settings['http'];
  /** What it may lose, and what of it may be unloadable. */
  readonly guards: Pick<Settings, 'deletes' | 'quarantine'>;
  /** When no call may be sent. */
  readonly quiet: Quiet;
  /** The enabled tables alone, the most urgent first. */
  readonly tables: ReadonlyMap<TableName, TableConfig>;
  /** Reads the secret anew at each call; throws ConfigError when it is missing. */
  readonly credential: () => Promise<Credential>;
}

type Sections = Omit<
  Settings,
  'tenants' | 'tables' | 'start' | 'callsPerMinute' | 'quiet' | 'engine' | 'privacy' | 'promote' | 'webhook'
>;

/** Parsed, resolved and frozen: paths are absolute, overrides applied, dates are instants. */
export interface Config extends Readonly<Sections> {
  readonly tenants: readonly TenantConfig[];
  readonly engine: { readonly threads: number; readonly memoryLimit: string };
  readonly webhook:
    | { readonly url: string; readonly heartbeat: boolean; readonly secret: (() => Promise<string>) | undefined }
    | undefined;
  /** Reads the key of hashed values anew; undefined when none is configured. */
  readonly privacyKey: (() => Promise<string>) | undefined;
  /** The tables with their promoted columns and privacy rules. */
  readonly lakeTables: Tables;
  /** The file that was read, if any. */
  readonly file: string | undefined;
}

export interface ConfigSources {
  /** `--config`; false = read no file at all, whatever lies in the folder. */
  readonly file?: string | false | undefined;
  /** Values of flags as a tree of configuration keys, and the flag that gave each path. */
  readonly flags?: { readonly values: Tree; readonly names: Readonly<Record<string, string>> };
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** Reads, merges and checks everything. Throws ConfigError with key, value, what is allowed, and the place. */
export function loadConfig(sources: ConfigSources): Config {
  const { env, cwd } = sources;
  const named = sources.file ?? (env['INSIGHTS_CONFIG'] || undefined);
  const path = named === false ? undefined : findFile(named, cwd);
  const file = path === undefined ? undefined : fileLayer(path);
  const environment = environmentLayer(env);
  const flags = flagLayer(sources.flags?.values ?? {}, sources.flags?.names ?? {});

  const layers: Layer[] = [...(file ? [file] : []), environment, flags];
  const written = layers.reduce<Tree>((values, layer) => merge(values, layer.values), {});
  const values = withTenantOfEnvironment(written, env);
  const parsed = configSchema.safeParse(values);
  if (!parsed.success) throw explainIssues(parsed.error.issues, values, layers);

  const folder = path === undefined ? cwd : dirname(path);
  const dirOutsideFile = environment.values['dataDir'] !== undefined || flags.values['dataDir'] !== undefined;
  return resolveSettings(parsed.data, { env, folder, cwd: dirOutsideFile ? cwd : folder, file: path });
}

/** INSIGHTS_TENANT with INSIGHTS_API_KEY or INSIGHTS_TOKEN is one whole tenant; a key alone completes a single one. */
function withTenantOfEnvironment(values: Tree, env: ConfigSources['env']): Tree {
  const written = values['tenants'];
  const tenants: unknown[] = Array.isArray(written) ? written : [];
  const id = env['INSIGHTS_TENANT'] || undefined;
  const secret = secretOfEnvironment(env);
  if (id === undefined) {
    const only = tenants.length === 1 ? tenants[0] : undefined;
    if (!secret || !isJsonObject(only) || only['apiKey'] !== undefined || only['token'] !== undefined) return values;
    return { ...values, tenants: [{ ...only, ...secret }] };
  }
  const known = tenants.find((tenant) => isJsonObject(tenant) && tenant['id'] === id);
  const { apiKey, token, ...rest } = isJsonObject(known) ? known : { id };
  const own = { ...(apiKey === undefined ? {} : { apiKey }), ...(token === undefined ? {} : { token }) };
  const chosen = secret ?? own;
  if (Object.keys(chosen).length === 0)
    throw new ConfigError(`INSIGHTS_TENANT is set to "${id}", but there is no key for it.`, {
      hint: 'Set INSIGHTS_API_KEY (or INSIGHTS_TOKEN for a bearer token).',
      where: { environment: 'INSIGHTS_API_KEY' },
    });
  return { ...values, tenants: [{ ...rest, ...chosen }] };
}

function secretOfEnvironment(
  env: ConfigSources['env'],
): { apiKey: SecretSource } | { token: SecretSource } | undefined {
  if (env['INSIGHTS_API_KEY']) return { apiKey: { env: 'INSIGHTS_API_KEY' } };
  if (env['INSIGHTS_TOKEN']) return { token: { env: 'INSIGHTS_TOKEN' } };
  return undefined;
}

interface Surroundings {
  readonly env: ConfigSources['env'];
  readonly folder: string;
  readonly cwd: string;
  readonly file: string | undefined;
}

function resolveSettings(settings: Settings, around: Surroundings): Config {
  const { tenants, tables, start, callsPerMinute, quiet, engine, privacy, promote, webhook, ...sections } = settings;
  return deepFreeze({
    ...sections,
    baseUrl: sections.baseUrl.replace(/\/+$/, ''),
    dataDir: resolve(around.cwd, sections.dataDir),
    engine: { threads: engine.threads ?? availableParallelism(), memoryLimit: engine.memoryLimit },
    privacyKey: secretOf('the privacy key', privacy.key, around),
    lakeTables: lakeTables(promote, privacy),
    file: around.file,
    webhook: webhook && { ...webhook, secret: secretOf('the webhook', webhook.secret, around) },
    tenants: tenants.map((tenant) => {
      const enabled = TABLE_NAMES.filter((name) => tables[name].enabled && (tenant.tables?.includes(name) ?? true));
      return {
        id: tenant.id,
        baseUrl: tenant.baseUrl?.replace(/\/+$/, ''),
        callsPerMinute: tenant.callsPerMinute ?? callsPerMinute,
        maxCalls: tenant.maxCalls ?? sections.budget.maxCalls,
        maxMinutes: tenant.maxMinutes ?? sections.budget.maxMinutes,
        http: over(sections.http, tenant.http),
        guards: {
          deletes: over(sections.deletes, tenant.deletes),
          quarantine: over(sections.quarantine, tenant.quarantine),
        },
        quiet: quietOf(tenant.quiet ?? quiet),
        tables: new Map(
          enabled.map((name) => [
            name,
            Object.freeze({
              start: parseInstant(tenant.start ?? tables[name].start ?? start ?? ''),
              retentionDays: tenant.retentionDays?.[name] ?? tables[name].retentionDays ?? TABLES[name].retentionDays,
              inFlight: tenant.inFlight ?? sections.inFlight,
              settleMinutes: tenant.settleMinutes ?? sections.settleMinutes,
              depthDays: tenant.depthDays ?? sections.reconcile.depthDays,
              page: over(sections.page, tenant.page),
              keepsAnswers: tenant.landing?.keep ?? sections.landing.keep,
              drop: Object.freeze(dropAtSource(privacy, name)),
              schedule: Object.freeze({
                cron: tenant.schedule?.cron ?? tables[name].schedule?.cron ?? sections.schedule.cron,
                timeZone: tenant.schedule?.timeZone ?? tables[name].schedule?.timeZone ?? sections.schedule.timeZone,
              }),
            }),
          ]),
        ),
        credential: credentialOf(tenant, around),
      };
    }),
  });
}

/** A section with a tenant's own keys before the general ones. */
function over<T extends object>(general: T, own: { readonly [K in keyof T]?: T[K] | undefined } = {}): T {
  return { ...general, ...Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined)) };
}

function lakeTables(promote: Settings['promote'], privacy: Settings['privacy']): Tables {
  const of = (name: TableName): Tables[TableName] => ({
    ...TABLES[name],
    promoted: withPromoted(TABLES[name].promoted, promote[name]),
    privacy: rulesOf(privacy, name),
  });
  return { Logs: of('Logs'), Events: of('Events'), Metrics: of('Metrics') };
}

function quietOf({ hours, timeZone }: Settings['quiet']): Quiet {
  return { spans: hours.map(parseQuietSpan).filter((span) => span !== undefined), timeZone };
}

function secretOf(
  whose: string,
  source: SecretSource | undefined,
  { env, folder }: Surroundings,
): (() => Promise<string>) | undefined {
  return source && (() => readSecret({ tenant: whose, whose, source, env, folder }));
}

function credentialOf(tenant: Settings['tenants'][number], around: Surroundings): () => Promise<Credential> {
  const header = tenant.apiKey === undefined ? 'Authorization' : 'X-API-KEY';
  const source = tenant.apiKey ?? tenant.token ?? {};
  const place = { tenant: tenant.id, source, env: around.env, folder: around.folder };
  return async () => new Credential(header, await readSecret(place));
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
