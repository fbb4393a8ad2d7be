/**
 * `npm run mutants [-- --only limiter]`: breaks one promise at a time in a copy of the program and runs the tests that
 * `test/INVARIANTS.md` names for it, those of `npm test` first, and says which run notices it. A mutant that no test notices is
 * a gap, and so is one whose place in the code is gone.
 */
import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { options } from './harness.mjs';
import { MUTANTS } from './mutant-list.mjs';

/** The first run of these with a test that fails, and the tests that fail in it. */
function noticedBy(tests, title) {
  for (const [run, tags] of [['npm test', '!campaign'], ['npm run test:rest', 'campaign && !long'], ['npm run test:long', 'long']]) {
    const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--reporter=json', `--tags-filter=${tags}`, ...tests.split(' ')];
    const { stdout } = spawnSync(process.execPath, title ? [...vitest, '-t', title] : vitest, { cwd: copy, encoding: 'utf8', maxBuffer: 1 << 28 });
    const { testResults } = JSON.parse(stdout.slice(stdout.indexOf('{"num')));
    const results = testResults.flatMap(({ assertionResults }) => assertionResults);
    const failed = results.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName);
    if (failed.length > 0) return { run, failed };
  }
  return undefined;
} // oxfmt-ignore

const { only } = options({ only: '' });
const root = fileURLToPath(new URL('../..', import.meta.url));
const copy = await mkdtemp(join(tmpdir(), 'insights-mutants-'));
let survived = 0;
try {
  for (const name of ['src', 'sandbox', 'dashboard', 'test', 'queries', 'schema', 'deploy', 'docs', 'README.md', 'package.json', 'tsconfig.json', 'vitest.config.ts', 'bundle.mjs'])
    await cp(join(root, name), join(copy, name), { recursive: true }); // oxfmt-ignore
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
  for (const [name, file, is, broken, tests, title] of MUTANTS) {
    if (!name.includes(only)) continue;
    const path = join(copy, file);
    const whole = await readFile(path, 'utf8');
    if (whole.split(is).length !== 2) throw new Error(`"${name}": its place in ${file} is not there, or twice.`);
    await writeFile(
      path,
      whole.replace(is, () => broken),
    );
    const noticed = noticedBy(tests, title);
    await writeFile(path, whole);
    if (noticed)
      console.log(`noticed  ${name}: by ${noticed.run}, ${noticed.failed.length} tests of ${tests} fail, first "${noticed.failed[0]}"`); // oxfmt-ignore
    else console.log(`SURVIVED ${name}: no test of ${tests} fails`);
    if (!noticed) survived++;
  }
} finally {
  await rm(copy, { recursive: true, force: true });
}
console.log(survived === 0 ? 'every mutant is noticed' : `${survived} mutants SURVIVED`);
process.exitCode = survived === 0 ? 0 : 1;
