import { defineConfig } from 'vitest/config';

export default defineConfig({
  // `#sandbox` means its source here, not what was built of it.
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'] } },
  test: {
    include: ['test/**/*.test.ts', 'sandbox/test/**/*.test.ts'],
    testTimeout: 300_000,
    hookTimeout: 300_000,
    globalSetup: 'test/support/run-folder.ts',
    pool: 'forks',
    // A third of all time was the loading of the same modules for every file. Tests share nothing else: the only state that a
    // module keeps is a cache of catalogue definitions by their digest, and no test mocks a module.
    isolate: false,
    // Every worker runs its own DuckDB; two cores gain nothing from more.
    maxWorkers: 2,
    // test/support/campaign.ts
    tags: [{ name: 'campaign', description: 'A case that `npm test` leaves out', timeout: 600_000 }],
    hideSkippedTests: true,
  },
});
