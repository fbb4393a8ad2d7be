/** Which entry of the inventory a path in a data directory belongs to. */
import { DATA_DIR, DEMO_FOLDER } from './data-dir.ts';
import type { DataEntry } from './data-dir.ts';
import { tenantOfHiveName } from './partition-path.ts';
import { periodOf } from './period.ts';
import type { Period } from './period.ts';
import { TABLE_NAMES, TABLES } from './tables.ts';
import type { TableName } from './tables.ts';

/** What each placeholder of a declared path matches. */
const PARTS: Readonly<Record<string, string>> = {
  batch: '[^/]+',
  digest: '[0-9a-f]{64}',
  generation: '\\d+',
  lake_table: Object.values(TABLES)
    .map(({ lakeName }) => lakeName)
    .join('|'),
  month: '\\d{4}-\\d{2}',
  number: '\\d+',
  page: '[^/]+',
  period: '\\d{4}-\\d{2}(?:-\\d{2})?',
  report: '[a-z_]+',
  table: TABLE_NAMES.join('|'),
  tenant: '[^/]+',
  time: '\\d{8}T\\d{9}Z',
  version: '\\d{20}',
};

const EVERYTHING_BELOW = '/**';

/** A file that the inventory declares. */
export interface KnownPath {
  readonly entry: DataEntry;
  /** It has one of the names under which the entry's file is written before it gets its own. */
  readonly isUnfinished: boolean;
  /** The parts of the name: `tenant`, `period` and so on. */
  readonly parts: Readonly<Record<string, string>>;
}

interface Matcher {
  readonly entry: DataEntry;
  readonly file: RegExp;
  readonly unfinished: RegExp;
  /** One for each folder on the way to it. */
  readonly folders: readonly RegExp[];
}

const MATCHERS: readonly Matcher[] = DATA_DIR.map((entry) => {
  const segments = entry.path.split('/');
  const folders = segments.slice(0, -1).map((_, index) => segments.slice(0, index + 1).join('/'));
  const [folder = '', name = ''] = /^(.*\/)?([^/]*)$/.exec(entry.path)?.slice(1) ?? [];
  const endings = entry.unfinished.map(escaped).join('|');
  // DuckDB copies to `tmp_<name>` first where the name is taken.
  const copied = name.endsWith('.parquet') ? '(?:tmp_)?' : '';
  return {
    entry,
    file: new RegExp(`^${patternOf(entry.path)}$`),
    unfinished: endings === '' ? /(?!)/ : new RegExp(`^${patternOf(folder)}${copied}${patternOf(name)}(?:${endings})$`),
    folders: folders.map((path) => new RegExp(`^${patternOf(path)}$`)),
  };
});

/** A file of the data directory; undefined when the inventory does not declare it. */
export function knownFile(path: string): KnownPath | undefined {
  const file = withSlashes(path);
  for (const { entry, file: complete, unfinished } of MATCHERS) {
    if (entry.path.endsWith(EVERYTHING_BELOW)) {
      if (file.startsWith(entry.path.slice(0, -2))) return { entry, isUnfinished: false, parts: {} };
      continue;
    }
    const whole = complete.exec(file);
    const match = whole ?? unfinished.exec(file);
    if (match) return { entry, isUnfinished: !whole, parts: partsOf(match) };
  }
  return undefined;
}

function partsOf({ groups: { tenant, ...parts } = {} }: RegExpExecArray): Readonly<Record<string, string>> {
  return tenant === undefined ? parts : { ...parts, tenant: tenantOfHiveName(tenant) };
}

/** True for a path at which nothing but the pipeline may write. */
export function belongsToLake(path: string): boolean {
  const [top = ''] = withSlashes(path).split('/');
  return top !== DEMO_FOLDER && (knownFile(path) !== undefined || entriesBelow(top).length > 0);
}

/** The entry to which a folder belongs with everything below it. */
export function wholeFolder(path: string): DataEntry | undefined {
  return DATA_DIR.find((entry) => entry.path === withSlashes(path) + EVERYTHING_BELOW);
}

/** The entries that have files below a folder. */
export function entriesBelow(folder: string): DataEntry[] {
  const path = withSlashes(folder);
  return MATCHERS.filter(({ folders }) => folders.some((pattern) => pattern.test(path))).map(({ entry }) => entry);
}

export interface GenerationName {
  readonly table: TableName;
  readonly tenant: string;
  readonly period: Period;
  readonly generation: number;
}

/** Reads a path that `generationFile` made; undefined for anything else. */
export function parseGenerationFile(file: string): GenerationName | undefined {
  const known = knownFile(file);
  const { lake_table: lakeName, tenant, period: name, generation } = known?.parts ?? {};
  if (known?.isUnfinished !== false || tenant === undefined || name === undefined || generation === undefined)
    return undefined;
  const table = Object.values(TABLES).find((candidate) => candidate.lakeName === lakeName);
  const period = periodOf(name);
  return table && period ? { table: table.name, tenant, period, generation: Number(generation) } : undefined;
}

/** True for a path of a mart's file in the store, relative to the data directory. */
export function isMartFile(file: string): boolean {
  const known = knownFile(file);
  return known?.isUnfinished === false && 'report' in known.parts && 'generation' in known.parts;
}

function patternOf(path: string): string {
  return path
    .split(/<(\w+)>/)
    .map((text, index) => (index % 2 === 0 ? escaped(text) : `(?<${text}>${PARTS[text] ?? '(?!)'})`))
    .join('');
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}

function withSlashes(path: string): string {
  return path.replaceAll('\\', '/');
}
