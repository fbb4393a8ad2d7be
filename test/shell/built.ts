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
  for (const name of ['package.json', 'README.md', 'LICENSE', 'deploy', 'docs', 'queries', 'schema', 'test/shell'])
    await cp(join(ROOT, name), join(folder, name), { recursive: true });
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const project = join(ROOT, 'tsconfig.build.json');
  // Types are checked by "npm run types": here they would cost seconds.
  await promisify(execFile)(process.execPath, [tsc, '--noCheck', '-p', project, '--outDir', join(folder, 'dist')]);
  return {
    folder,
    cli: join(folder, 'dist', 'cli.js'),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
