/** The health and metrics endpoints of `schedule`. */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { duration } from '../output/format.ts';
import type { DaemonStep } from '../schedule/daemon.ts';
import { startHealthServer, type Probe } from '../operate/server.ts';
import type { Traffic } from '../operate/traffic.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { CATALOGUE_FILE } from '../model/data-dir.ts';
import { metricsText } from './observe.ts';
import type { Session } from './shell.ts';

/** If a slot is due for this long and the loop is still waiting for it, the loop hangs. */
const LATE_MS = 15 * 60_000;
/** Scrapes within this time get the same answer. */
const CACHE_MS = 5000;

/** Runs the work. While it runs, serves `/healthz`, `/readyz` and `/metrics`, if `health.port` is set. */
export async function withHealthServer(
  session: Session,
  traffic: Traffic,
  work: (watch: (step: DaemonStep) => void) => Promise<number>,
): Promise<number> {
  const { config, runtime } = session;
  const { host, port, maxRunMinutes } = config.health;
  if (port === undefined) return work(() => {});
  let step: DaemonStep = { kind: 'waiting', untilMs: runtime.now() };
  let cached: { readonly at: number; readonly text: Promise<string> } | undefined;
  const metrics = (): Promise<string> => {
    const at = runtime.monotonic();
    if (!cached || at - cached.at > CACHE_MS) {
      const running = step.kind === 'running';
      const nextMs = step.kind === 'waiting' ? step.untilMs : undefined;
      cached = { at, text: metricsText(config, runtime, { traffic, schedule: { running, nextMs } }) };
    }
    return cached.text;
  };
  await using server = await startHealthServer(host, port, {
    healthy: () => healthOf(step, runtime, maxRunMinutes * 60_000),
    ready: () => readiness(config.dataDir),
    metrics,
  });
  logAddress(runtime, host, server.port);
  return await work((next) => {
    step = next;
  });
}

function logAddress({ log }: Runtime, host: string, port: number): void {
  log.info({ event: 'health.listen', host, port }, 'serving /healthz, /readyz and /metrics');
}

/** Healthy: the slot it waits for is not long past, or the current run has not taken longer than allowed. */
export function healthOf(step: DaemonStep, clock: Pick<Runtime, 'now' | 'monotonic'>, maxRunMs: number): Probe {
  if (step.kind === 'waiting') {
    const lateMs = clock.now() - step.untilMs;
    const next = Number.isFinite(step.untilMs) ? new Date(step.untilMs).toISOString() : 'never';
    return { ok: lateMs < LATE_MS, detail: `waiting for ${next}` };
  }
  if (step.kind === 'ended') return { ok: true, detail: `a run ended with exit code ${step.exitCode}` };
  const runMs = clock.monotonic() - step.sinceMonotonicMs;
  return { ok: runMs < maxRunMs, detail: `running for ${duration(runMs / 1000)}` };
}

/** Ready: there is a lake to read. How the last run ended does not matter. */
async function readiness(dataDir: string): Promise<Probe> {
  const published = await access(join(dataDir, CATALOGUE_FILE)).then(
    () => true,
    () => false,
  );
  return { ok: published, detail: published ? 'the lake is published' : 'nothing is published yet' };
}
