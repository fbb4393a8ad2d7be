/**
 * Notifies a webhook once when runs start to fail or fail differently, once when they recover, and with `heartbeat` after
 * every run. Sends only names, counts and exit codes: never a message, which could contain a path.
 *
 * The receiver can check `x-insights-signature: sha256=<hex>`, the HMAC-SHA-256 of `<x-insights-timestamp>.<body>`.
 */
import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDurably } from '../kernel/files.ts';
import { WEBHOOK_FILE } from '../model/data-dir.ts';
import type { RunReport } from '../model/report.ts';
import type { Runtime } from '../kernel/runtime.ts';

export interface Webhook {
  readonly url: string;
  /** Notify after every run, not only after changes. */
  readonly heartbeat: boolean;
  /** Reads the key of the signature at each call; undefined = not signed. */
  readonly secret: (() => Promise<string>) | undefined;
}

type Kind = 'failure' | 'recovered' | 'heartbeat';

const ATTEMPTS = 5;
const TIMEOUT_MS = 10_000;

/**
 * Sends the notification for a run that has ended, if there is one. Never throws. If the receiver is down, that is logged,
 * and the next run notifies it, because `webhook.json` changes only after a successful delivery.
 */
export async function notifyWebhook(
  webhook: Webhook,
  dataDir: string,
  exitCode: number,
  report: RunReport | undefined,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<void> {
  const kind = kindOf(await lastReported(dataDir), exitCode, webhook.heartbeat);
  if (kind === undefined) return;
  const tables = (report?.tables ?? []).map(({ tenant, table, outcome, hours, error }) => ({
    tenant,
    table,
    outcome,
    partialHours: hours.partial,
    ...(error ? { failure: error.failure } : {}),
  }));
  const at = new Date(runtime.now()).toISOString();
  const body = JSON.stringify({ version: 1, event: kind, at, run: report?.run, exitCode, tables });
  try {
    await deliver(webhook, body, runtime, signal);
    await writeDurably(join(dataDir, WEBHOOK_FILE), `${JSON.stringify({ exitCode })}\n`, runtime.files);
  } catch (error) {
    // The URL may be a secret, and errors of fetch can quote it.
    const reason = error instanceof Refused ? error.message : 'no answer';
    runtime.log.warn({ event: 'webhook.failed', kind, reason }, 'the webhook could not be reached');
  }
}

function kindOf(reported: number, exitCode: number, heartbeat: boolean): Kind | undefined {
  if (exitCode !== 0 && exitCode !== reported) return 'failure';
  if (exitCode === 0 && reported !== 0) return 'recovered';
  return heartbeat ? (exitCode === 0 ? 'heartbeat' : 'failure') : undefined;
}

class Refused extends Error {}

async function deliver(webhook: Webhook, body: string, runtime: Runtime, signal: AbortSignal): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      const response = await runtime.fetch(webhook.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(await signed(webhook, body, runtime)) },
        body,
        redirect: 'error',
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      });
      await response.body?.cancel();
      if (response.ok) return;
      throw new Refused(`status ${response.status}`);
    } catch (error) {
      if (attempt === ATTEMPTS || signal.aborted) throw error;
      await runtime.sleep(1000 * 2 ** attempt * (0.5 + runtime.random() / 2), signal);
    }
  }
}

async function signed({ secret }: Webhook, body: string, runtime: Runtime): Promise<Record<string, string>> {
  if (secret === undefined) return {};
  const timestamp = String(Math.floor(runtime.now() / 1000));
  const hmac = createHmac('sha256', await secret());
  const hex = hmac.update(`${timestamp}.${body}`).digest('hex');
  return { 'x-insights-timestamp': timestamp, 'x-insights-signature': `sha256=${hex}` };
}

/** The last exit code that the receiver got, initially 0: a healthy first run sends no notification. */
async function lastReported(dataDir: string): Promise<number> {
  const text = await readFile(join(dataDir, WEBHOOK_FILE), 'utf8').catch(() => '');
  return Number(/"exitCode":(\d+)/.exec(text)?.[1] ?? 0);
}
