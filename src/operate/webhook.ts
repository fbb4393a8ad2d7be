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
import { deliver, reasonOf } from './deliver.ts';
import { figuresOf, noticeText, titleOf } from './notice.ts';
import { writtenBy } from '../kernel/version.ts';

export interface Webhook {
  readonly url: string;
  /** Notify after every run, not only after changes. */
  readonly heartbeat: boolean;
  /** `json`: everything, with `text` for chats. `text`: only `text`, for chats that refuse other fields. `teams`: an adaptive card. */
  readonly format: 'json' | 'text' | 'teams';
  /** Reads the key of the signature at each call; undefined = not signed. */
  readonly secret: (() => Promise<string>) | undefined;
}

type Kind = 'failure' | 'recovered' | 'heartbeat';

const ATTEMPTS = 5;

/**
 * Sends the notification for a run that has ended, if there is one. Never throws. If the receiver is down, that is logged,
 * and the next run notifies it, because `webhook.json` changes only after a successful delivery. Without a `dataDir`, for a run that was
 * refused before it began there, nothing is recorded and every failure is reported.
 */
export async function notifyWebhook(
  webhook: Webhook,
  dataDir: string | undefined,
  exitCode: number,
  report: RunReport | undefined,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<void> {
  const kind = kindOf(await lastReported(dataDir), exitCode, webhook.heartbeat);
  if (kind === undefined) return;
  const body = bodyOf(webhook, kind, exitCode, report, runtime);
  const headers = async (): Promise<Record<string, string>> => ({
    'content-type': 'application/json',
    ...(await signed(webhook, body, runtime)),
  });
  try {
    await deliver({ url: webhook.url, body, headers, attempts: ATTEMPTS }, runtime, signal);
    if (dataDir === undefined) return;
    await writeDurably(join(dataDir, WEBHOOK_FILE), `${JSON.stringify({ ...writtenBy(), exitCode })}\n`, runtime.files);
  } catch (error) {
    runtime.log.warn({ event: 'webhook.failed', kind, reason: reasonOf(error) }, 'the webhook could not be reached');
  }
}

function bodyOf(
  { format }: Webhook,
  kind: Kind,
  exitCode: number,
  report: RunReport | undefined,
  runtime: Runtime,
): string {
  const figures = figuresOf(report);
  const title = kind === 'recovered' ? 'runs succeed again' : titleOf(exitCode);
  const text = noticeText(title, exitCode, report?.run, figures);
  if (format === 'text') return JSON.stringify({ text });
  if (format === 'teams') return JSON.stringify(cardOf(text));
  const at = new Date(runtime.now()).toISOString();
  return JSON.stringify({ version: 1, event: kind, at, run: report?.run, exitCode, text, ...figures });
}

/** A message of Teams: one text block for each line. */
function cardOf(text: string): object {
  const body = text.split('\n').map((line) => ({ type: 'TextBlock', text: line, wrap: true }));
  const $schema = 'http://adaptivecards.io/schemas/adaptive-card.json';
  const content = { $schema, type: 'AdaptiveCard', version: '1.4', body };
  return { type: 'message', attachments: [{ contentType: 'application/vnd.microsoft.card.adaptive', content }] };
}

function kindOf(reported: number, exitCode: number, heartbeat: boolean): Kind | undefined {
  if (exitCode !== 0 && exitCode !== reported) return 'failure';
  if (exitCode === 0 && reported !== 0) return 'recovered';
  return heartbeat ? (exitCode === 0 ? 'heartbeat' : 'failure') : undefined;
}

async function signed({ secret }: Webhook, body: string, runtime: Runtime): Promise<Record<string, string>> {
  if (secret === undefined) return {};
  const timestamp = String(Math.floor(runtime.now() / 1000));
  const hmac = createHmac('sha256', await secret());
  const hex = hmac.update(`${timestamp}.${body}`).digest('hex');
  return { 'x-insights-timestamp': timestamp, 'x-insights-signature': `sha256=${hex}` };
}

/** The last exit code that the receiver got, initially 0: a healthy first run sends no notification. */
async function lastReported(dataDir: string | undefined): Promise<number> {
  if (dataDir === undefined) return 0;
  const text = await readFile(join(dataDir, WEBHOOK_FILE), 'utf8').catch(() => '');
  return Number(/"exitCode":(\d+)/.exec(text)?.[1] ?? 0);
}
