/** vitest's global setup: a folder that lasts as long as the run, for what its test files share (`once.ts`). */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    runFolder: string;
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'insights-run-'));
  project.provide('runFolder', folder);
  // In watch mode the sources may have changed.
  project.onTestsRerun(async () => {
    for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true });
  });
  return () => rm(folder, { recursive: true, force: true });
}
