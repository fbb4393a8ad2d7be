/**
 * Writes the dashboard as static files for any web host. The manifest is replaced last: a reader who has it finds every file
 * that it names, and files of the snapshot before stay for those who still read it.
 */
import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { ConfigError } from '../../kernel/errors.ts';
import { commitFile, TEMPORARY } from '../../kernel/files.ts';
import { MANIFEST_FILE, MARTS_FOLDER } from '../../model/data-dir.ts';
import { manifestTenants, parseManifest } from '../../model/manifest.ts';
import type { Manifest } from '../../model/manifest.ts';
import { currentManifest, pageFiles, proofFile } from './site.ts';
import type { Site } from './site.ts';

export interface WrittenDashboard {
  readonly folder: string;
  readonly snapshot: number;
  readonly files: number;
  readonly bytes: number;
}

/**
 * Throws ConfigError for a folder inside the data directory, or one that holds anything but a dashboard. `forgets`: files of the snapshot
 * before are deleted, too, because they hold what was purged.
 */
export async function writeDashboard(site: Site, folder: string, forgets = false): Promise<WrittenDashboard> {
  await refuseFolder(site, folder);
  const text = await currentManifest(site);
  const manifest = parseManifest(text);
  const before = forgets ? [] : await earlierFiles(folder);
  const marts = Object.values(manifest.marts).map(({ file }) => file);
  const proofs = await proofsOf(site, manifest);
  const page = await pageFiles(site);
  const martFolders = [...new Set(marts.map((file) => dirname(file)))];
  for (const name of martFolders) await mkdir(join(folder, name), { recursive: true });
  await mkdir(join(folder, 'assets'), { recursive: true });
  await mkdir(join(folder, 'proof'), { recursive: true });
  // The program's files are private to its user. These are for a web host, which is another one.
  const shared = [...(martFolders.length === 0 ? [] : [dirname(MARTS_FOLDER), MARTS_FOLDER]), ...martFolders];
  for (const name of new Set(['', 'assets', 'proof', ...shared])) await chmod(join(folder, name), 0o755);
  for (const file of marts) await copy(join(site.dataDir, file), join(folder, file));
  for (const [file, json] of proofs) await replace(join(folder, file), json);
  for (const file of page) if (file !== 'index.html') await copy(join(site.page, file), join(folder, file));
  await replace(join(folder, 'reports.json'), JSON.stringify(site.reports));
  await copy(join(site.page, 'index.html'), join(folder, 'index.html'));
  await replace(join(folder, MANIFEST_FILE), text);
  const kept = new Set([...marts, ...proofs.keys(), ...before, ...page]);
  for (const below of [MARTS_FOLDER, 'assets', 'proof'])
    for (const name of await filesBelow(join(folder, below)))
      if (!kept.has(`${below}/${name}`)) await rm(join(folder, below, name));
  const files = [...marts, ...proofs.keys(), ...page, 'reports.json', MANIFEST_FILE];
  const sizes = await Promise.all(files.map((file) => stat(join(folder, file))));
  const bytes = sizes.reduce((sum, { size }) => sum + size, 0);
  return { folder, snapshot: manifest.snapshot, files: files.length, bytes };
}

/** Whether the folder shows this snapshot, with this version of the page. */
export async function isWritten(site: Site, folder: string): Promise<boolean> {
  // Throws an error that says what to do if the page is missing.
  await pageFiles(site);
  const expected: readonly (readonly [string, string])[] = [
    [MANIFEST_FILE, await currentManifest(site)],
    ['reports.json', JSON.stringify(site.reports)],
    ['index.html', await readFile(join(site.page, 'index.html'), 'utf8')],
  ];
  const found = await Promise.all(
    expected.map(async ([name, text]) => text === (await readFile(join(folder, name), 'utf8').catch(() => undefined))),
  );
  return found.every((is) => is);
}

/** The paths of all files below a folder, relative to it; none if it does not exist. */
async function filesBelow(folder: string): Promise<readonly string[]> {
  if (!existsSync(folder)) return [];
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}

async function refuseFolder(site: Site, folder: string): Promise<void> {
  const within = relative(site.divided?.dataDir ?? site.dataDir, folder);
  if (!within.startsWith('..') && !isAbsolute(within))
    throw new ConfigError('The dashboard cannot be written into the data directory.', {
      hint: 'Choose a folder outside of it: a web host would publish the lake as well.',
      where: { file: folder },
    });
  const names = existsSync(folder) ? await readdir(folder) : [];
  const own = [dirname(MARTS_FOLDER), 'assets', 'proof', 'index.html', 'reports.json', MANIFEST_FILE];
  const other = names.find((name) => !own.includes(name.replace(TEMPORARY, '')));
  if (other !== undefined)
    throw new ConfigError(`The folder for the dashboard holds other files, such as "${other}".`, {
      hint: 'Choose an empty folder, or one that holds an earlier dashboard.',
      where: { file: folder },
    });
}

/** The proof of each tenant by its file. Throws ConfigError when a run publishes meanwhile. */
async function proofsOf(site: Site, manifest: Manifest): Promise<ReadonlyMap<string, string>> {
  const proofs = new Map<string, string>();
  for (const [nth, tenant] of manifestTenants(manifest).entries()) {
    const proof = await site.proofOf(manifest.snapshot, tenant);
    if (proof === undefined)
      throw new ConfigError('Another snapshot was published while the dashboard was being written.', {
        hint: 'Run the command again. The folder still shows what it showed before.',
      });
    proofs.set(proofFile(manifest.snapshot, nth), JSON.stringify(proof));
  }
  return proofs;
}

/** The files of the snapshot that the folder shows now. */
async function earlierFiles(folder: string): Promise<readonly string[]> {
  try {
    const text = await readFile(join(folder, MANIFEST_FILE), 'utf8');
    const manifest = parseManifest(text);
    const proofs = manifestTenants(manifest).map((_, nth) => proofFile(manifest.snapshot, nth));
    return [...Object.values(manifest.marts).map(({ file }) => file), ...proofs];
  } catch {
    // There is none, or it cannot be read and is about to be replaced.
    return [];
  }
}

async function copy(from: string, to: string): Promise<void> {
  // A mart's file never changes under its name, so a whole copy need not be made again.
  if (to.includes(MARTS_FOLDER) && existsSync(to) && (await stat(to)).size === (await stat(from)).size) return;
  await copyFile(from, to + TEMPORARY);
  await finish(to);
}

async function replace(path: string, text: string): Promise<void> {
  await writeFile(path + TEMPORARY, text);
  await finish(path);
}

async function finish(path: string): Promise<void> {
  await chmod(path + TEMPORARY, 0o644);
  await commitFile(path + TEMPORARY, path);
}
