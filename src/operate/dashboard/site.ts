/**
 * What the dashboard may read, and nothing else: the built page, the descriptions of the reports, a short form of the manifest,
 * and the files of marts that it names. Rows, the ledger and the catalogue are not part of it.
 */
import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { contentType } from '../../kernel/content-type.ts';
import { ConfigError, errorCode } from '../../kernel/errors.ts';
import { QUERIES_FOLDER } from '../../kernel/queries-folder.ts';
import { MANIFEST_FILE } from '../../model/data-dir.ts';
import { manifestTenants, parseManifest } from '../../model/manifest.ts';
import type { Manifest } from '../../model/manifest.ts';
import { MART_FILE, PROOF_FILE } from '../../model/page-file.ts';

/** The page as `npm run build` builds it. */
export const PAGE_FOLDER = join(QUERIES_FOLDER, '..', 'dist', 'dashboard');

export interface Site {
  /** Folder of the built page. */
  readonly page: string;
  /** Where the manifest and the marts are. */
  readonly dataDir: string;
  /** Of a lake that is divided into shards: its folder, and what brings `dataDir` up to date. */
  readonly divided?: { readonly dataDir: string; readonly refresh: () => Promise<void> } | undefined;
  /** Titles, units, formulas and caveats of the reports, as the page reads them. */
  readonly reports: unknown;
  /** What is proven of a tenant, as the page reads it; undefined once another snapshot is published. */
  readonly proofOf: (snapshot: number, tenant: string) => Promise<unknown>;
}

/** A file of the site: its text, or where it is on disk. */
export type Resource = { readonly type: string } & ({ readonly text: string } | { readonly path: string });

export function proofFile(snapshot: number, nth: number): string {
  return `proof/${snapshot}.${nth}.json`;
}

/** Whether what this path names never changes. */
export function isImmutable(path: string): boolean {
  return MART_FILE.test(path) || PROOF_FILE.test(path) || path.startsWith('assets/');
}

/** The names of the page's files, relative to its folder. Throws ConfigError when the page was not built. */
export async function pageFiles({ page }: Pick<Site, 'page'>): Promise<readonly string[]> {
  if (!existsSync(join(page, 'index.html')))
    throw new ConfigError('The files of the dashboard are missing from this installation.', {
      hint: 'In a checkout, run `npm run build`. Otherwise install the package again.',
    });
  return ['index.html', ...(await readdir(join(page, 'assets'))).map((name) => `assets/${name}`)];
}

/** What the site serves at a path; undefined for everything that the page does not need. */
export async function findResource(site: Site, path: string): Promise<Resource | undefined> {
  const type = contentType(path);
  if (path === MANIFEST_FILE) return { type, text: await currentManifest(site) };
  if (path === 'reports.json') return { type, text: JSON.stringify(site.reports) };
  const [, snapshot, nth] = PROOF_FILE.exec(path) ?? [];
  if (snapshot !== undefined) return proofResource(site, Number(snapshot), Number(nth));
  if (MART_FILE.test(path)) return { type, path: join(site.dataDir, path) };
  // Compared with names that exist, so that no path leads anywhere else.
  const files = await pageFiles(site);
  return files.includes(path) ? { type, path: join(site.page, path) } : undefined;
}

/** `pageManifest` of what is published now. */
export async function currentManifest({ dataDir, divided }: Pick<Site, 'dataDir' | 'divided'>): Promise<string> {
  await divided?.refresh();
  return pageManifest(dataDir);
}

async function proofResource(site: Site, snapshot: number, nth: number): Promise<Resource | undefined> {
  const tenant = manifestTenants(parseManifest(await pageManifest(site.dataDir)))[nth];
  const proof = tenant === undefined ? undefined : await site.proofOf(snapshot, tenant);
  return proof === undefined ? undefined : { type: contentType('.json'), text: JSON.stringify(proof) };
}

const shortened = new Map<string, { readonly stamp: string; readonly text: string }>();

/**
 * The manifest without the list of the lake's files, which the page does not read and which grows with the lake. Throws
 * ConfigError when nothing has been published.
 */
async function pageManifest(dataDir: string): Promise<string> {
  const path = join(dataDir, MANIFEST_FILE);
  try {
    const { ino, mtimeMs, size } = await stat(path);
    const stamp = `${ino} ${mtimeMs} ${size}`;
    const known = shortened.get(path);
    if (known?.stamp === stamp) return known.text;
    const text = `${JSON.stringify(withoutFiles(parseManifest(await readFile(path, 'utf8'))))}\n`;
    shortened.set(path, { stamp, text });
    return text;
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    throw new ConfigError('Nothing has been published yet.', {
      hint: '`insights-etl run` loads and publishes the lake.',
    });
  }
}

function withoutFiles(manifest: Manifest): Manifest & { readonly tenants: readonly string[] } {
  const tables = Object.entries(manifest.tables).map(([name, table]) => {
    const tenants = Object.entries(table.tenants).map(([tenant, { coverage }]) => [
      tenant,
      { partitions: [], coverage },
    ]);
    return [name, { ...table, columns: [], tenants: Object.fromEntries(tenants) }];
  });
  return { ...manifest, tenants: manifestTenants(manifest), tables: Object.fromEntries(tables) };
}
