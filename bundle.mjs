/**
 * `npm run build:program [-- DIR]`: `src/` and `sandbox/` with the libraries that they use, joined into few files. Node spends more
 * time on opening a file than on running it: a command opens a dozen instead of two hundred. Native code stays in its package.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { rolldown } from 'rolldown';

const root = import.meta.dirname;
const folder = process.argv[2] ?? join(root, 'dist');

/** Each of these modules is joined with what it imports and no earlier one does. The rest is split as the commands need it. */
const TOGETHER = ['commands/program', 'commands/session', 'query/reader', 'pipeline/status', 'pipeline/run'];

/** The licences of the libraries in the bundle, which must go with their code. */
function licences(modules) {
  const folders = new Set(
    modules.flatMap((id) => /^.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/.exec(id)?.[0] ?? []),
  );
  return [...folders].map((library) => {
    const { name, version, license, author } = JSON.parse(readFileSync(join(library, 'package.json'), 'utf8'));
    const file = readdirSync(library).find((each) => /^licen[cs]e/i.test(each));
    const text = file === undefined ? `${license}, ${author.name ?? author}` : readFileSync(join(library, file), 'utf8'); // oxfmt-ignore
    return `${name} ${version}\n\n${text.trim()}\n`;
  });
}

const bundle = await rolldown({
  input: { cli: join(root, 'src/cli.ts'), 'sandbox/index': join(root, 'sandbox/index.ts') },
  cwd: root,
  platform: 'node',
  transform: { target: 'node20.19' },
  // undici is large, and loaded only where there is a proxy. The clients of object stores are optional packages.
  external: ['#sandbox', '@duckdb/node-bindings', 'undici', /^@(?:aws-sdk|azure)\//],
  logLevel: 'warn',
  checks: { ineffectiveDynamicImport: false },
});
const { output } = await bundle.write({
  dir: folder,
  format: 'esm',
  entryFileNames: '[name].js',
  // One folder below, as in `src/`: modules name the files of the package by relative paths.
  chunkFileNames: 'program/[name].js',
  codeSplitting: {
    groups: TOGETHER.map((name, index) => ({ name: basename(name), test: join(root, `src/${name}.ts`), priority: TOGETHER.length - index })), // oxfmt-ignore
  },
});
await bundle.close();
const modules = output.flatMap((chunk) => (chunk.type === 'chunk' ? chunk.moduleIds : []));
writeFileSync(join(folder, 'LICENSES.txt'), licences(modules).join(`\n${'-'.repeat(80)}\n\n`));
