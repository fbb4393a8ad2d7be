/**
 * A week of hourly runs with twenty tenants, three of them broken, on a clock of its own: the others are verified in every
 * interval, and no tenant is asked more often than it may be. The same test runs for a few hours in `npm test`. A line an
 * hour says how far it is: what is late, and the seconds and the CPU that the hour took here.
 *
 *     node test/bench/week.mjs [--hours 168] [--tenants 20]
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { options } from './harness.mjs';

const { hours, tenants } = options({ hours: 168, tenants: 20 });
const root = fileURLToPath(new URL('../..', import.meta.url));
const started = performance.now();
const { status } = spawnSync('npx', ['vitest', 'run', 'test/campaigns/week.test.ts'], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, WEEK_HOURS: String(hours), WEEK_TENANTS: String(tenants) },
});
process.stdout.write(`${hours} hours, ${tenants} tenants: ${((performance.now() - started) / 1000).toFixed(0)} s\n`);
process.exitCode = status ?? 1;
