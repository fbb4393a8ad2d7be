/**
 * `npm run soak -- --histories 200 --seed 1`: random histories of the source and of the pipeline, each followed by a run
 * that must make everything good. A failing one is made as short as possible and printed with its seed; `--shrink 0` prints it as it is.
 */
import { createViteServer } from 'vitest/node';
import * as fc from 'fast-check';
import { fileURLToPath } from 'node:url';
import { options } from './harness.mjs';

const wanted = options({ histories: 200, seed: 1, path: '', shrink: 1 });
const vite = await createViteServer({
  configFile: false,
  oxc: { target: 'node20' },
  logLevel: 'error',
  server: { middlewareMode: true, watch: null, hmr: false, ws: false },
  appType: 'custom',
});
const { live } = await vite.ssrLoadModule('/test/campaigns/soak/support/history.ts');
const { openSource } = await vite.ssrLoadModule('/test/campaigns/soak/support/source.ts');
const { histories } = await vite.ssrLoadModule('/test/campaigns/soak/support/steps.ts');
const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const source = await openSource();
const started = performance.now();
const happened = new Map();
let [done, failed] = [0, false];
try {
  const result = await fc.check(
    fc.asyncProperty(histories, async (life) => {
      try {
        for (const [name, times] of await live(source, life, cli))
          happened.set(name, (happened.get(name) ?? 0) + times);
      } catch (error) {
        if (!failed) console.log(`failed after ${done} histories, seed ${wanted.seed}\n${error.stack}`);
        failed = true;
        throw error;
      }
      done++;
      if (done % 25 === 0 && !failed)
        console.log(`${done} histories, ${((performance.now() - started) / 1000).toFixed(0)} s`);
    }),
    {
      seed: wanted.seed,
      numRuns: wanted.histories,
      endOnFailure: wanted.shrink === 0,
      ...(wanted.path === '' ? {} : { path: wanted.path }),
    },
  );
  console.log(
    [...happened]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, times]) => `${times} ${name}`)
      .join(', '),
  );
  if (result.failed) {
    console.log(
      `FAILED: seed ${result.seed}, path ${result.counterexamplePath}\n${JSON.stringify(result.counterexample?.[0], null, 1)}\n${result.errorInstance?.stack ?? ''}`,
    );
    process.exitCode = 1;
  } else console.log(`${result.numRuns} histories from seed ${wanted.seed}: every lake equal to its model`);
} finally {
  await source.close();
  await vite.close();
}
