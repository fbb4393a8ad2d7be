/** The files of a data directory as the inventory (model/data-dir.ts) knows them. */
import { join } from 'node:path';
import { isMissing } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { DATA_DIR } from '../../model/data-dir.ts';
import type { DataEntry } from '../../model/data-dir.ts';
import { entriesBelow, knownFile, wholeFolder } from '../../model/data-path.ts';
import { tenantOfHiveName } from '../../model/partition-path.ts';

export interface DataFile {
  /** Relative to the data directory. */
  readonly path: string;
  /** Undefined: the inventory does not declare it. */
  readonly entry: DataEntry | undefined;
  readonly isUnfinished: boolean;
}

/**
 * The files of the given entries, and what is next to them and not declared. A folder that belongs to one entry as a whole
 * (`work/**`) or to none is listed as itself; what is inside is not looked at.
 */
export async function listDataDir(
  files: Files,
  dataDir: string,
  entries: readonly DataEntry[] = DATA_DIR,
): Promise<DataFile[]> {
  const found: DataFile[] = [];
  const list = async (folder: string): Promise<void> => {
    for (const { name, isFolder } of await entriesOf(files, join(dataDir, folder))) {
      const path = join(folder, name);
      if (!isFolder) {
        const known = knownFile(path);
        if (!known || entries.includes(known.entry))
          found.push({ path, entry: known?.entry, isUnfinished: known?.isUnfinished ?? false });
        continue;
      }
      const [whole, below] = [wholeFolder(path), entriesBelow(path)];
      if (whole ? entries.includes(whole) : below.length === 0) found.push({ path, entry: whole, isUnfinished: false });
      else if (below.some((entry) => entries.includes(entry))) await list(path);
    }
  };
  await list('');
  return found;
}

/** The folders and files of an entry that have the tenant's name, unfinished ones too. Relative to the data directory. */
export async function tenantPaths(files: Files, dataDir: string, entry: DataEntry, tenant: string): Promise<string[]> {
  const found = await namedAfterTenants(files, dataDir, entry);
  return found.flatMap((place) => (place.tenant === tenant ? [place.path] : []));
}

/** The tenants that folders and files of the data directory, or of some of its entries, are named after. */
export async function tenantsOnDisk(
  files: Files,
  dataDir: string,
  entries: readonly DataEntry[] = DATA_DIR,
): Promise<Set<string>> {
  const tenants = new Set<string>();
  for (const entry of entries)
    for (const { tenant } of await namedAfterTenants(files, dataDir, entry)) tenants.add(tenant);
  return tenants;
}

async function namedAfterTenants(
  files: Files,
  dataDir: string,
  entry: DataEntry,
): Promise<{ readonly path: string; readonly tenant: string }[]> {
  const segments = entry.path.split('/');
  const depth = segments.findIndex((segment) => segment.includes('<tenant>'));
  // A file, or all that is below the tenant's folder.
  const isFile = depth === segments.length - 1;
  const found: { readonly path: string; readonly tenant: string }[] = [];
  const [before = '', after = ''] = segments[depth]?.split('<tenant>') ?? [];
  const list = async (folder: string, level: number): Promise<void> => {
    for (const { name, isFolder } of await entriesOf(files, join(dataDir, folder))) {
      const path = join(folder, name);
      if (isFile && level === depth) {
        const known = knownFile(path);
        if (known?.entry === entry) found.push({ path, tenant: known.parts['tenant'] ?? '' });
      } else if (isFolder && level === depth) {
        const spelled = name.slice(before.length, name.length - after.length);
        if (name === before + spelled + after) found.push({ path, tenant: tenantOfHiveName(spelled) });
      } else if (isFolder && entriesBelow(path).includes(entry)) await list(path, level + 1);
    }
  };
  if (depth >= 0) await list('', 0);
  return found;
}

async function entriesOf(files: Files, folder: string): Promise<{ name: string; isFolder: boolean }[]> {
  try {
    const found: { name: string; isFolder: boolean }[] = [];
    for (const entry of await files.readdir(folder, { withFileTypes: true }))
      found.push({
        name: entry.name,
        isFolder: entry.isSymbolicLink() ? await isFolder(files, join(folder, entry.name)) : entry.isDirectory(),
      });
    return found;
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Of a symbolic link: where it leads to. One that leads nowhere counts as a file. */
async function isFolder(files: Files, path: string): Promise<boolean> {
  try {
    return (await files.stat(path)).isDirectory();
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}
