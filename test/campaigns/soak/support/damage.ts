/** Damage to one file of a data directory. */
import { existsSync } from 'node:fs';
import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** 0 to 2: a file of the store is deleted, cut or changed by a bit; 3: a landed page is cut; 4: the catalogue, 5: the manifest, 6: the ledger is deleted. */
export type Damage = 0 | 1 | 2 | 3 | 4 | 5 | 6;

/** Returns the damaged file, relative to the directory; undefined when there is none of that kind. */
export async function damage(dataDir: string, what: Damage, index: number): Promise<string | undefined> {
  const names = existsSync(dataDir) ? (await readdir(dataDir, { recursive: true })).sort() : [];
  const kinds = [STORED, STORED, STORED, /^landing.*\.ndjson$/, /^insights\.duckdb$/, /^manifest\.json$/, LEDGER];
  const found = names.filter((name) => kinds[what]?.test(name));
  const name = found[index % Math.max(1, found.length)];
  if (name === undefined) return undefined;
  const path = join(dataDir, name);
  const bytes = await readFile(path);
  if (what === 0 || what >= 4) await rm(path);
  else if (what === 1 || what === 3) await truncate(path, Math.floor((bytes.length * (index % 100)) / 100));
  else {
    const place = index % bytes.length;
    bytes.writeUInt8(bytes.readUInt8(place) ^ (1 << (index % 8)), place);
    await writeFile(path, bytes);
  }
  return name;
}

export const STORED = /^store(?!.*_delta_log).*\.parquet$/;
const LEDGER = /^state\.duckdb$/;
