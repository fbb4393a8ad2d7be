/**
 * The configuration: file < environment < flags, parsed once into one frozen object that is passed to everything else.
 * Nothing outside this module reads the environment or a configuration file.
 */
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { dropAtSource, rulesOf } from './privacy.ts';
import { readConfig, type ConfigSources } from './read.ts';
import type { Settings } from './schema.ts';
import type { SecretSource } from './secret-source.ts';
import { Credential, readSecret } from './secret.ts';
import { parseInstant, type Instant } from '../kernel/instant.ts';
import { parseQuietSpan, type Quiet } from '../model/quiet.ts';
import { mirrorBelow, parseMirrorPlace, type MirrorPlace } from '../model/mirror-address.ts';
import { withPromoted } from '../model/promoted.ts';
import { parseShard, shardFolder, shardIndex, type Shard } from '../model/shard.ts';
import type { SourceDrop } from '../model/privacy.ts';
import { TABLE_NAMES, TABLES, type TableName, type Tables } from '../model/tables.ts';

export type { ConfigSources } from './read.ts';

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
  | 'tenants'
  | 'tables'
  | 'start'
  | 'callsPerMinute'
  | 'quiet'
  | 'engine'
  | 'privacy'
  | 'promote'
  | 'webhook'
  | 'mirror'
  | 'shard'
>;

/** Where the mirror is and how to reach it. */
export interface MirrorSettings {
  readonly place: MirrorPlace;
  /** Of the configuration, or for S3 of the environment. */
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  readonly pathStyle: boolean;
  /** Requests at the same time. */
  readonly parallel: number;
  /** The account of Azure and its key, as the environment names them. Read at each call, and never shown. */
  readonly azure: () => { readonly connection?: string; readonly account?: string; readonly key?: string };
}

/** Parsed, resolved and frozen: paths are absolute, overrides are applied, dates are instants. */
export interface Config extends Readonly<Sections> {
  /** With a shard, its tenants. */
  readonly tenants: readonly TenantConfig[];
  /** The shard that this process works on; undefined = all. A single shard is all. */
  readonly shard: Shard | undefined;
  /** The data directory as it is configured: with a shard, `dataDir` is a folder below it. */
  readonly sharedDir: string;
  /** Ids of the tenants that other shards have, or that a command leaves out. */
  readonly otherTenants: readonly string[];
  readonly engine: { readonly threads: number; readonly memoryLimit: string };
  readonly webhook:
    | (Omit<NonNullable<Settings['webhook']>, 'secret'> & { readonly secret: (() => Promise<string>) | undefined })
    | undefined;
  /** Reads the key for hashes at each call; undefined if none is configured. */
  readonly privacyKey: (() => Promise<string>) | undefined;
  /** The tables with their promoted columns and privacy rules. */
  readonly lakeTables: Tables;
  readonly mirror: MirrorSettings | undefined;
  /** The mirror at another address, with the other settings of `mirror` where they are for the same kind of store. */
  readonly mirrorAt: (place: MirrorPlace) => MirrorSettings;
  /** The file that was read, if any. */
  readonly file: string | undefined;
}

/** Reads, merges and checks everything. Throws ConfigError that names each mistake: key, value, allowed values and origin. */
export function loadConfig(sources: ConfigSources): Config {
  const { settings, folder, dataFolder, file, flagged } = readConfig(sources);
  return resolveSettings(settings, { env: sources.env, folder, cwd: dataFolder, file, flagged });
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
  const { tables, start, callsPerMinute, quiet, engine, privacy, promote, webhook, mirror, ...rest } = settings;
  const { tenants: allTenants, shard: shardText, ...sections } = rest;
  const { budget, schedule } = sections;
  const given = parseShard(shardText ?? '');
  const shard = given?.of === 1 ? undefined : given;
  const sharedDir = resolve(context.cwd, sections.dataDir);
  const isHere = ({ id }: { readonly id: string }): boolean =>
    shard === undefined || shardIndex(id, shard.of) === shard.index;
  const tenants = allTenants.filter(isHere);
  /** A flag overrides the settings of single tenants and tables; otherwise the first of those applies. */
  const pick = <T>(key: string, general: T, ...own: readonly (T | undefined)[]): T =>
    context.flagged.has(key) ? general : (own.find((value) => value !== undefined) ?? general);
  return deepFreeze({
    ...sections,
    baseUrl: sections.baseUrl.replace(/\/+$/, ''),
    dataDir: shard ? shardFolder(sharedDir, shard) : sharedDir,
    sharedDir,
    shard,
    otherTenants: allTenants.filter((tenant) => !isHere(tenant)).map(({ id }) => id),
    reports: sections.reports && resolve(context.folder, sections.reports),
    checks: sections.checks && resolve(context.folder, sections.checks),
    health: {
      ...sections.health,
      textfile: sections.health.textfile && ofShard(resolve(context.folder, sections.health.textfile), shard),
    },
    dashboard: {
      ...sections.dashboard,
      out: sections.dashboard.out && resolve(context.folder, sections.dashboard.out),
    },
    engine: { threads: engine.threads ?? availableParallelism(), memoryLimit: engine.memoryLimit },
    privacyKey: secretOf('the privacy rules', 'privacy.key', privacy.key, context),
    lakeTables: lakeTables(promote, privacy),
    ...mirrors(mirror, shard, context),
    file: context.file,
    webhook: webhook && { ...webhook, secret: secretOf('the webhook', 'webhook.secret', webhook.secret, context) },
    tenants: tenants.map((tenant) => {
      const enabled = TABLE_NAMES.filter((name) => tables[name].enabled && (tenant.tables?.includes(name) ?? true));
      const ownAddress = tenant.baseUrl?.replace(/\/+$/, '');
      /** The general section with a tenant's own keys in place of the general ones, unless a flag has set those. */
      const section = <K extends 'http' | 'deletes' | 'quarantine' | 'page' | 'landing'>(name: K): Settings[K] => {
        const own = Object.entries(tenant[name] ?? {});
        const kept = own.filter(([key, value]) => value !== undefined && !context.flagged.has(`${name}.${key}`));
        return { ...settings[name], ...Object.fromEntries(kept) };
      };
      return {
        id: tenant.id,
        baseUrl: pick('baseUrl', undefined, ownAddress),
        callsPerMinute: pick('callsPerMinute', callsPerMinute, tenant.callsPerMinute),
        maxCalls: pick('budget.maxCalls', budget.maxCalls, tenant.maxCalls),
        maxMinutes: pick('budget.maxMinutes', budget.maxMinutes, tenant.maxMinutes),
        http: section('http'),
        guards: { deletes: section('deletes'), quarantine: section('quarantine') },
        quiet: quietOf(pick('quiet', quiet, tenant.quiet)),
        tables: new Map(
          enabled.map((name) => [
            name,
            Object.freeze({
              start: parseInstant(pick('start', start, tenant.start, tables[name].start) ?? ''),
              retentionDays: tenant.retentionDays?.[name] ?? tables[name].retentionDays ?? TABLES[name].retentionDays,
              inFlight: pick('inFlight', sections.inFlight, tenant.inFlight),
              settleMinutes: pick('settleMinutes', sections.settleMinutes, tenant.settleMinutes),
              depthDays: pick('reconcile.depthDays', sections.reconcile.depthDays, tenant.depthDays),
              rotationDays: pick('reconcile.rotationDays', sections.reconcile.rotationDays, tenant.rotationDays),
              page: section('page'),
              keepsAnswers: section('landing').keep,
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

/** Each shard has a file of its own: `insights.0-of-8.prom`. */
function ofShard(file: string, shard: Shard | undefined): string {
  return shard ? file.replace(/(\.\w+)$/, `.${shard.index}-of-${shard.of}$1`) : file;
}

function mirrors(
  mirror: Settings['mirror'],
  shard: Shard | undefined,
  { env, folder }: Context,
): Pick<Config, 'mirror' | 'mirrorAt'> {
  const shared = mirror && parseMirrorPlace(mirror.to);
  const place = shared && shard ? mirrorBelow(shared, shardFolder('', shard)) : shared;
  const azure: MirrorSettings['azure'] = () => {
    const [connection, account, key] = ['CONNECTION_STRING', 'ACCOUNT', 'KEY'].map(
      (name) => env[`AZURE_STORAGE_${name}`] || undefined,
    );
    return { ...(connection ? { connection } : {}), ...(account ? { account } : {}), ...(key ? { key } : {}) };
  };
  const at = (other: MirrorPlace): MirrorSettings => {
    const own = other.kind === place?.kind ? mirror : undefined;
    return {
      place: other.kind === 'folder' ? { kind: 'folder', path: resolve(folder, other.path) } : other,
      endpoint: own?.endpoint ?? (other.kind === 's3' ? endpointOfAws(env) : undefined),
      region: own?.region ?? (other.kind === 's3' ? env['AWS_REGION'] || undefined : undefined),
      pathStyle: own?.pathStyle ?? own?.endpoint !== undefined,
      parallel: mirror?.parallel ?? 4,
      azure,
    };
  };
  return { mirror: place && at(place), mirrorAt: at };
}

/** As the client would take it from the environment. It says which store the mirror is in, so it must be known without the client. */
function endpointOfAws(env: Context['env']): string | undefined {
  if (env['AWS_IGNORE_CONFIGURED_ENDPOINT_URLS'] === 'true') return undefined;
  return env['AWS_ENDPOINT_URL_S3'] || env['AWS_ENDPOINT_URL'] || undefined;
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
