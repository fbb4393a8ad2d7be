/**
 * The health check of the container image. A schedule is healthy when /healthz says so. Any other command, such as `run`, serves nothing:
 * it is healthy while its process runs, which the container engine watches itself.
 */
import { readFileSync } from 'node:fs';

const words = readFileSync(process.argv[2] ?? '/proc/1/cmdline', 'utf8').split('\0');
if (words.includes('schedule') && !words.includes('--once')) {
  const { INSIGHTS_HEALTH_HOST: host = '', INSIGHTS_HEALTH_PORT: port = '9464' } = process.env;
  const address = ['', '0.0.0.0', '::', 'localhost'].includes(host) ? '127.0.0.1' : host;
  const answer = await fetch(`http://${address.includes(':') ? `[${address}]` : address}:${port}/healthz`).catch(
    () => undefined,
  );
  process.exitCode = answer?.ok ? 0 : 1;
}
