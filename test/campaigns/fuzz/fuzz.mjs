/**
 * `npm run fuzz -- --rows 100000 --seed 1`: runs the fuzz tests of `npm test` with the given number of rows and seed. A failure
 * names its seed and page, so that it can be reproduced.
 */
import { spawnSync } from 'node:child_process';
import { options } from '../../bench/harness.mjs';

const { rows, seed } = options({ rows: 100_000, seed: 1 });
const vitest = ['node_modules/vitest/vitest.mjs', 'run', 'test/campaigns/fuzz', '--testTimeout=3600000'];
const env = { ...process.env, FUZZ_ROWS: String(rows), FUZZ_SEED: String(seed) };
process.exitCode = spawnSync(process.execPath, vitest, { stdio: 'inherit', env }).status ?? 1;
