/** Functions of the program, for a script that runs it in its own process. Built of `src/` once per `npm run build`. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'rolldown';

const root = fileURLToPath(new URL('../..', import.meta.url));
// As deep as `dist/program`: modules name the files of the package by relative paths.
const folder = `${root}/dist/bench`;
if (!existsSync(folder))
  await build({
    input: [`${root}/src/config/config.ts`, `${root}/src/pipeline/run.ts`, `${root}/src/kernel/runtime.ts`],
    platform: 'node',
    transform: { target: 'node20.19' },
    external: ['@duckdb/node-api', 'pino', 'undici', 'zod'],
    logLevel: 'warn',
    output: { dir: folder, format: 'esm', entryFileNames: '[name].mjs', chunkFileNames: '[name].mjs' },
  });

export const { loadConfig } = await import(`${folder}/config.mjs`);
export const { runPipeline } = await import(`${folder}/run.mjs`);
export const { systemRuntime } = await import(`${folder}/runtime.mjs`);
