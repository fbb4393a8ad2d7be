/** `npm run mutants` takes a quarter of an hour. That each mutant still has its place in the code is seen at once. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { MUTANTS } from './mutant-list.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

test.each(MUTANTS)('the mutant "%s" has one place in %s, and its tests exist', (_, file, is, broken, tests) => {
  const parts = readFileSync(join(root, file), 'utf8').split(is);
  expect(parts).toHaveLength(2);
  expect(broken).not.toBe(is);
  for (const path of tests.split(' ')) expect(existsSync(join(root, path))).toBe(true);
});
