/**
 * `npm run build:vendor [-- DIR]`: libraries of many small files, joined into one file each in `dist/vendor/`. Node opens three
 * files instead of 350, which takes a third off the start of a command. The source names them `#duckdb`, `#yaml` and `#zod`
 * (`imports` in package.json); there, tests and types read the packages themselves.
 */
import { readFileSync } from 'node:fs';
import { build } from 'rolldown';

const folder = process.argv[2] ?? 'dist/vendor';

/** One library as one file, with its licence on top. */
function vendored(library, file, format) {
  const licence = readFileSync(new URL(`node_modules/${library}/LICENSE`, import.meta.url), 'utf8');
  return {
    input: library,
    platform: 'node',
    cwd: import.meta.dirname,
    // The engine itself is a native file, one for each platform.
    external: ['@duckdb/node-bindings'],
    logLevel: 'warn',
    output: { dir: folder, entryFileNames: file, format, banner: `/*! ${library}\n\n${licence.trim()}\n*/` },
  };
}

await build([
  vendored('@duckdb/node-api', 'duckdb.cjs', 'cjs'),
  vendored('yaml', 'yaml.cjs', 'cjs'),
  vendored('zod', 'zod.js', 'esm'),
]);
