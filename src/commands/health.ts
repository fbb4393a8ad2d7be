/** The addresses under which a schedule shows its health, if it is configured to. */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { DaemonStep } from '../schedule/daemon.ts';
import { startHealthServer, type Probe } from '../operate/server.ts';
import type { Traffic } from '../operate/traffic.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { metricsText } from './observe.ts';
import type { Session } from './shell.ts';

/** A loop that has not looked at its clock for so long after the slot it waited for hangs. */
const LATE_MS = 15 * 60_000;
/** Scrapes within this time share one look at the lake. */
const CACHE_MS = 5000;

/** Runs the work; while it goes on, `/healthz`, `/readyz` and `/metrics` are served where `health.port` is set. */
export async function observing(
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
    healthy: () => healthOf(step, runtime.now(), maxRunMinutes * 60_000),
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

/** Judged by what the loop said last: it waits for a slot that is not long past, or works for no longer than is allowed. */
export function healthOf(step: DaemonStep, nowMs: number, maxRunMs: number): Probe {
  if (step.kind === 'waiting') {
    const lateMs = nowMs - step.untilMs;
    const next = Number.isFinite(step.untilMs) ? new Date(step.untilMs).toISOString() : 'never';
    return { ok: lateMs < LATE_MS, detail: `waiting for ${next}` };
  }
  if (step.kind === 'ended') return { ok: true, detail: `a run ended with exit code ${step.exitCode}` };
  const minutes = Math.floor((nowMs - step.sinceMs) / 60_000);
  return { ok: nowMs - step.sinceMs < maxRunMs, detail: `running for ${minutes} minutes` };
}

/** Ready = there is a lake to read, however the last run ended. */
async function readiness(dataDir: string): Promise<Probe> {
  const published = await access(join(dataDir, 'insights.duckdb')).then(
    () => true,
    () => false,
  );
  return { ok: published, detail: published ? 'the lake is published' : 'nothing is published yet' };
}
