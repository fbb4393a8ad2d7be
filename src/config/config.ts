/**
 * The configuration: file < environment < flags, parsed once into one frozen object that is passed to everything else.
 * Nothing outside this module reads the environment or a configuration file.
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

/** How to load one table of one tenant. */
export interface TableConfig {
  /** Rows before this instant are never fetched; undefined = from the first row at the source. */
  readonly start: Instant | undefined;
  /** Days that the source keeps a row; undefined = forever. */
  readonly retentionDays: number | undefined;
  /** Calls that may run at the same time. */
  readonly inFlight: number;
  /** Rows younger than this are left for the next run. */
  readonly settleMinutes: number;
  /** Past days that a run compares hour by hour. */
  readonly depthDays: number;
  /** Days within which all older days are compared again; 0 = never. */
  readonly rotationDays: number;
  /** Limits of one call. */
  readonly page: Settings['page'];
  /** Landed pages are kept after they are verified. */
  readonly keepsAnswers: boolean;
  /** Parts of `properties` that the source removes before it answers. */
  readonly drop: readonly SourceDrop[];
  /** When `schedule` loads it. A tenant's own setting overrides the table's, which overrides the general one. */
  readonly schedule: { readonly cron: string; readonly timeZone: string };
}

export interface TenantConfig {
  readonly id: string;
  /** Undefined = the general one. */
  readonly baseUrl: string | undefined;
  /** Calls in any sliding minute; 0 = no limit. */
  readonly callsPerMinute: number;
  /** Most calls of one run; undefined = no limit. */
  readonly maxCalls: number | undefined;
  /** Minutes after which a run sends no more calls; undefined = no limit. */
  readonly maxMinutes: number | undefined;
  readonly http: Settings['http'];
  /** How many rows may vanish, and how many may be unloadable. */
  readonly guards: Pick<Settings, 'deletes' | 'quarantine'>;
  /** Hours in which no call may be sent. */
  readonly quiet: Quiet;
  /** The enabled tables, the most urgent first. */
  readonly tables: ReadonlyMap<TableName, TableConfig>;
  /** Reads the secret again at each call. Throws ConfigError if it is missing. */
  readonly credential: () => Promise<Credential>;
}

type Sections = Omit<
  Settings,
  'tenants' | 'tables' | 'start' | 'callsPerMinute' | 'quiet' | 'engine' | 'privacy' | 'promote' | 'webhook'
>;

/** Parsed, resolved and frozen: paths are absolute, overrides are applied, dates are instants. */
export interface Config extends Readonly<Sections> {
  readonly tenants: readonly TenantConfig[];
  readonly engine: { readonly threads: number; readonly memoryLimit: string };
  readonly webhook:
    | (Omit<NonNullable<Settings['webhook']>, 'secret'> & { readonly secret: (() => Promise<string>) | undefined })
    | undefined;
  /** Reads the key for hashes at each call; undefined if none is configured. */
  readonly privacyKey: (() => Promise<string>) | undefined;
  /** The tables with their promoted columns and privacy rules. */
  readonly lakeTables: Tables;
  /** The file that was read, if any. */
  readonly file: string | undefined;
}

export interface ConfigSources {
  /** `--config`; false = read no file, even if there is one in the folder. */
  readonly file?: string | false | undefined;
  /** Values of flags as a tree of configuration keys, and the name of the flag by key. */
  readonly flags?: { readonly values: Tree; readonly names: Readonly<Record<string, string>> };
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** Reads, merges and checks everything. Throws ConfigError that names key, value, allowed values and origin. */
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
  const flagged = new Set(Object.keys(sources.flags?.names ?? {}));
  return resolveSettings(parsed.data, { env, folder, cwd: dirOutsideFile ? cwd : folder, file: path, flagged });
}

/**
 * INSIGHTS_TENANT together with INSIGHTS_API_KEY or INSIGHTS_TOKEN defines a tenant. Without INSIGHTS_TENANT, the key is
 * that of the only tenant of the file, if it has none.
 */
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
      hint: 'Set INSIGHTS_API_KEY, or INSIGHTS_TOKEN for a bearer token.',
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

interface Context {
  readonly env: ConfigSources['env'];
  /** Folder that relative files of secrets are resolved against. */
  readonly folder: string;
  /** Folder that a relative `dataDir` is resolved against. */
  readonly cwd: string;
  readonly file: string | undefined;
  /** Keys that a flag has set. */
  readonly flagged: ReadonlySet<string>;
}

function resolveSettings(settings: Settings, context: Context): Config {
  const { tenants, tables, start, callsPerMinute, quiet, engine, privacy, promote, webhook, ...sections } = settings;
  const { budget, schedule } = sections;
  /** A flag overrides the settings of single tenants and tables; otherwise the first of those applies. */
  const pick = <T>(key: string, general: T, ...own: readonly (T | undefined)[]): T =>
    context.flagged.has(key) ? general : (own.find((value) => value !== undefined) ?? general);
  return deepFreeze({
    ...sections,
    baseUrl: sections.baseUrl.replace(/\/+$/, ''),
    dataDir: resolve(context.cwd, sections.dataDir),
    health: {
      ...sections.health,
      textfile: sections.health.textfile && resolve(context.folder, sections.health.textfile),
    },
    engine: { threads: engine.threads ?? availableParallelism(), memoryLimit: engine.memoryLimit },
    privacyKey: secretOf('the privacy rules', 'privacy.key', privacy.key, context),
    lakeTables: lakeTables(promote, privacy),
    file: context.file,
    webhook: webhook && { ...webhook, secret: secretOf('the webhook', 'webhook.secret', webhook.secret, context) },
    tenants: tenants.map((tenant) => {
      const enabled = TABLE_NAMES.filter((name) => tables[name].enabled && (tenant.tables?.includes(name) ?? true));
      return {
        id: tenant.id,
        baseUrl: tenant.baseUrl?.replace(/\/+$/, ''),
        callsPerMinute: tenant.callsPerMinute ?? callsPerMinute,
        maxCalls: pick('budget.maxCalls', budget.maxCalls, tenant.maxCalls),
        maxMinutes: pick('budget.maxMinutes', budget.maxMinutes, tenant.maxMinutes),
        http: override(sections.http, tenant.http),
        guards: {
          deletes: override(sections.deletes, tenant.deletes),
          quarantine: override(sections.quarantine, tenant.quarantine),
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
              rotationDays: tenant.rotationDays ?? sections.reconcile.rotationDays,
              page: override(sections.page, tenant.page),
              keepsAnswers: tenant.landing?.keep ?? sections.landing.keep,
              drop: Object.freeze(dropAtSource(privacy, name)),
              schedule: Object.freeze({
                cron: pick('schedule.cron', schedule.cron, tenant.schedule?.cron, tables[name].schedule?.cron),
                timeZone: pick(
                  'schedule.timeZone',
                  schedule.timeZone,
                  tenant.schedule?.timeZone,
                  tables[name].schedule?.timeZone,
                ),
              }),
            }),
          ]),
        ),
        credential: credentialOf(tenant, context),
      };
    }),
  });
}

/** The general section with a tenant's own keys in place of the general ones. */
function override<T extends object>(general: T, own: { readonly [K in keyof T]?: T[K] | undefined } = {}): T {
  return { ...general, ...Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined)) };
}

function lakeTables(promote: Settings['promote'], privacy: Settings['privacy']): Tables {
  const lakeTable = (name: TableName): Tables[TableName] => ({
    ...TABLES[name],
    promoted: withPromoted(TABLES[name].promoted, promote[name]),
    privacy: rulesOf(privacy, name),
  });
  return { Logs: lakeTable('Logs'), Events: lakeTable('Events'), Metrics: lakeTable('Metrics') };
}

function quietOf({ hours, timeZone }: Settings['quiet']): Quiet {
  return { spans: hours.map(parseQuietSpan).filter((span) => span !== undefined), timeZone };
}

function secretOf(
  owner: string,
  key: string,
  source: SecretSource | undefined,
  { env, folder }: Context,
): (() => Promise<string>) | undefined {
  return source && (() => readSecret({ owner, where: { key }, source, env, folder }));
}

function credentialOf(tenant: Settings['tenants'][number], { env, folder }: Context): () => Promise<Credential> {
  const header = tenant.apiKey === undefined ? 'Authorization' : 'X-API-KEY';
  const source = tenant.apiKey ?? tenant.token ?? {};
  const place = { owner: `tenant "${tenant.id}"`, where: { tenant: tenant.id }, source, env, folder };
  return async () => new Credential(header, await readSecret(place));
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
