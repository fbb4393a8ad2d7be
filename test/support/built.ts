/** The package as it is published, built into a scratch folder: dist/ of the repository is left alone. */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface BuiltPackage extends AsyncDisposable {
  readonly folder: string;
  readonly cli: string;
}

export async function buildPackage(): Promise<BuiltPackage> {
  const folder = await mkdtemp(join(tmpdir(), 'insights-package-'));
  for (const name of ['package.json', 'README.md', 'LICENSE', 'deploy', 'docs', 'queries', 'schema', 'test/support'])
    await cp(join(ROOT, name), join(folder, name), { recursive: true });
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const compile = async (project: string, out: string): Promise<void> => {
    // "npm run types" checks the types: here that would cost seconds.
    const settings = ['--noCheck', '-p', join(ROOT, project), '--outDir', join(folder, out)];
    await promisify(execFile)(process.execPath, [tsc, ...settings]);
  };
  await compile('tsconfig.build.json', 'dist');
  await compile('sandbox/tsconfig.build.json', join('dist', 'sandbox'));
  return {
    folder,
    cli: join(folder, 'dist', 'cli.js'),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
