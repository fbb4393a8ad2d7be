/** The settings in force, each with the place that it comes from. Secrets are named by their source and never read. */
import { TABLE_NAMES, type TableName } from '../model/tables.ts';
import { isJsonObject } from '../kernel/json.ts';
import type { Config } from './config.ts';
import { originOf, spell, valueAt } from './explain.ts';
import type { Layer, Path, Tree } from './layers.ts';
import { readConfig, type ConfigSources, type ReadConfig } from './read.ts';

export interface Setting {
  readonly key: string;
  readonly value: unknown;
  /** `default`, or kind and name of the origin, such as `file` and `line`, `environment` or `flag`. */
  readonly from: 'default' | Readonly<Record<string, string | number>>;
}

const HIDDEN = '[hidden]';

/** The general settings and the tenants as they are written. Throws what `readConfig` throws. */
export function settingsInForce(sources: ConfigSources): Setting[] {
  const read = readConfig(sources);
  return leaves(read.settings, []).map(({ path, value }) => ({
    key: spell(path),
    value: isHidden(path) ? HIDDEN : value,
    from: fromOf(read, [path]),
  }));
}

/** What a tenant overrides, by the general key that it overrides. */
const OVERRIDES: Readonly<Record<string, string>> = {
  maxCalls: 'budget.maxCalls',
  maxMinutes: 'budget.maxMinutes',
  depthDays: 'reconcile.depthDays',
  rotationDays: 'reconcile.rotationDays',
};

/** The settings that apply to one tenant of a configuration: its own, those of its tables, or the general ones. */
export function settingsOfTenant(sources: ConfigSources, { tenants }: Config, id: string): Setting[] {
  const read = readConfig(sources);
  const index = read.settings.tenants.findIndex((tenant) => tenant.id === id);
  const tenant = tenants.find((candidate) => candidate.id === id);
  if (!tenant) return [];
  const general = read.settings;
  const setting = (key: string, value: unknown, own: Path, ...others: readonly Path[]): Setting => ({
    key,
    value,
    from: fromOf(read, [['tenants', index, ...own], ...others]),
  });
  const section = (name: string, values: object): Setting[] =>
    Object.entries(values).map(([key, value]) => setting(`${name}.${key}`, value, [name, key], [name, key]));
  const single = (key: string, value: unknown): Setting =>
    setting(key, value, [key], (OVERRIDES[key] ?? key).split('.'));
  const [first] = tenant.tables.values();
  return [
    single('baseUrl', tenant.baseUrl ?? general.baseUrl),
    single('callsPerMinute', tenant.callsPerMinute),
    ...(first
      ? (['inFlight', 'settleMinutes', 'depthDays', 'rotationDays'] as const).map((key) => single(key, first[key]))
      : []),
    single('maxCalls', tenant.maxCalls),
    single('maxMinutes', tenant.maxMinutes),
    ...section('http', tenant.http),
    ...section('deletes', tenant.guards.deletes),
    ...section('quarantine', tenant.guards.quarantine),
    ...(first ? section('page', first.page) : []),
    ...(first ? section('landing', { keep: first.keepsAnswers }) : []),
    single('quiet', read.settings.tenants[index]?.quiet ?? general.quiet),
    ...TABLE_NAMES.flatMap((table: TableName) => {
      const settings = tenant.tables.get(table);
      if (!settings) return [];
      const { start, retentionDays } = rawOf(general, index, table);
      return [
        setting(`${table}.start`, start, ['start'], ['tables', table, 'start'], ['start']),
        setting(`${table}.retentionDays`, settings.retentionDays ?? retentionDays, ['retentionDays', table], ['tables', table, 'retentionDays']),
        ...(['cron', 'timeZone'] as const).map((key) =>
          setting(`${table}.schedule.${key}`, settings.schedule[key], ['schedule', key], ['tables', table, 'schedule', key], ['schedule', key]),
        ),
      ];
    }),
  ].filter(({ value }) => value !== undefined); // oxfmt-ignore
}

/** As written, because instants are numbers once they are parsed. */
function rawOf(
  { tenants, tables, start }: ReadConfig['settings'],
  index: number,
  table: TableName,
): { readonly start: string | undefined; readonly retentionDays: number | undefined } {
  return { start: tenants[index]?.start ?? tables[table].start ?? start, retentionDays: tables[table].retentionDays };
}

/** The origin of the first of these paths that somebody has written. A flag wins over all of them. */
function fromOf({ values, layers, flagged }: ReadConfig, paths: readonly Path[]): Setting['from'] {
  const path =
    paths.find((candidate) => flagged.has(spell(candidate))) ?? paths.find((candidate) => isWritten(values, candidate));
  return path === undefined ? 'default' : writtenIn(layers, path);
}

function isWritten(values: Tree, path: Path): boolean {
  return valueAt(values, path) !== undefined;
}

/** Environment and flags have no place for what they do not hold; a tenant of the environment has no line in the file. */
function writtenIn(layers: readonly Layer[], path: Path): Readonly<Record<string, string | number>> {
  const holders = layers.filter((layer) => isWritten(layer.values, path));
  return holders.length > 0 ? originOf(path, holders) : { environment: 'INSIGHTS_TENANT' };
}

interface Leaf {
  readonly path: Path;
  readonly value: unknown;
}

/** Every value of a tree; a list of plain values is one value. */
function leaves(value: unknown, path: Path): Leaf[] {
  if (isJsonObject(value))
    return Object.entries(value).flatMap(([key, inner]) => (inner === undefined ? [] : leaves(inner, [...path, key])));
  if (Array.isArray(value) && value.some(isJsonObject))
    return value.flatMap((inner: unknown, index) => leaves(inner, [...path, index]));
  return [{ path, value }];
}

/** A command may contain what it prints, and the address of a webhook or a ping may be a secret itself. */
function isHidden(path: Path): boolean {
  return path.at(-1) === 'command' || path[0] === 'ping' || spell(path) === 'webhook.url';
}
