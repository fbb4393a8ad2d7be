/**
 * `npm run fuzz -- --rows 100000 --seed 1`: the fuzz tests of `npm test` with as many rows, bodies and another seed as asked
 * for. A failure names its seed and page, so that it can be had again.
 */
import { spawnSync } from 'node:child_process';
import { options } from '../../bench/harness.mjs';

const { rows, seed } = options({ rows: 100_000, seed: 1 });
const vitest = ['node_modules/vitest/vitest.mjs', 'run', 'test/campaigns/fuzz', '--testTimeout=3600000'];
const env = { ...process.env, FUZZ_ROWS: String(rows), FUZZ_SEED: String(seed) };
process.exitCode = spawnSync(process.execPath, vitest, { stdio: 'inherit', env }).status ?? 1;
