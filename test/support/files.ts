import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';

/** Every file of a folder with a hash of its content. Two results are equal if nothing was changed. */
export async function contentsOf(folder: string): Promise<Map<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const hashes = entries
    .filter((entry) => entry.isFile())
    .map(async (entry) => {
      const path = join(entry.parentPath, entry.name);
      const hash = createHash('sha256');
      hash.update(await readFile(path));
      return [relative(folder, path), hash.digest('hex')] as const;
    });
  return new Map((await Promise.all(hashes)).sort(([a], [b]) => a.localeCompare(b)));
}

/** True for a path of openings, the one mart that readers do not see. */
export function isOpeningsFile(path: string): boolean {
  return /^store\/marts\/openings\.\d+\.parquet$/.test(path);
}

/** Only the files that readers see. The ledger changes with every run and is private to the program. */
export async function publishedOf(dataDir: string): Promise<Map<string, string>> {
  const all = await contentsOf(dataDir);
  return new Map([...all].filter(([path]) => /^(store|lake)\/|^(insights\.duckdb|manifest\.json)$/.test(path)));
}
