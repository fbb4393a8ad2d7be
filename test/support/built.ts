/** The package as it is published, built once per run into a folder of its own: dist/ of the repository is left alone. */
import { execFile } from 'node:child_process';
import { cp, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { oncePerRun } from './once.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface BuiltPackage {
  /** Shared with other test files: to be read, not to be a working directory. */
  readonly folder: string;
  readonly cli: string;
}

/** The folder of the dashboard's page, built once per run. */
export async function buildPage(): Promise<string> {
  return oncePerRun('page', async (into) => {
    const vite = join(ROOT, 'node_modules', 'vite', 'bin', 'vite.js');
    const settings = ['--logLevel', 'warn', '--outDir', into, '--emptyOutDir'];
    await promisify(execFile)(process.execPath, [vite, 'build', join(ROOT, 'dashboard'), ...settings]);
  });
}

export async function buildPackage(): Promise<BuiltPackage> {
  const folder = await oncePerRun('package', async (into) => {
    for (const name of [
      'package.json',
      'README.md',
      'CHANGELOG.md',
      'LICENSE',
      'deploy',
      'docs',
      'queries',
      'schema',
      'test/support',
    ])
      await cp(join(ROOT, name), join(into, name), { recursive: true });
    await symlink(join(ROOT, 'node_modules'), join(into, 'node_modules'));
    await promisify(execFile)(process.execPath, [join(ROOT, 'bundle.mjs'), join(into, 'dist')]);
    await cp(await buildPage(), join(into, 'dist', 'dashboard'), { recursive: true });
  });
  return { folder, cli: join(folder, 'dist', 'cli.js') };
}
