import { defineConfig } from 'vitest/config';
import { scratchPlace } from './test/support/scratch-place.ts';

// The tests inherit it, and so do the processes that they start.
process.env['TMPDIR'] = scratchPlace();

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
    execArgv: ['--conditions=source'],
    // A third of all time was the loading of the same modules for every file. Tests share nothing else: the only state that a
    // module keeps is a cache of catalogue definitions by their digest, and no test mocks a module.
    isolate: false,
    // Two cores are busy with three: while one waits for the disk or for another process, the others compute.
    maxWorkers: 3,
    // A module is compiled once for all runs of the tests, not once for each: by its content, below node_modules.
    experimental: { fsModuleCache: true },
    // test/support/campaign.ts
    tags: [
      { name: 'campaign', description: 'A case that `npm test` leaves out', timeout: 600_000 },
      { name: 'long', description: 'A case of a campaign that CI leaves out', timeout: 600_000 },
    ],
    hideSkippedTests: true,
  },
});
