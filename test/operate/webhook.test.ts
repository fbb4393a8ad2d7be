/** The webhook with a real receiver: it is called once per change, signed and retried, and contains no row. */
import { createHmac } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pino } from 'pino';
import { z } from 'zod';
import { EXIT } from '../../src/kernel/errors.ts';
import { notifyWebhook, type Webhook } from '../../src/operate/webhook.ts';
import type { RunReport, TableReport } from '../../src/model/report.ts';
import { systemRuntime, type Runtime } from '../../src/kernel/runtime.ts';
import { startReceiver, type Receiver } from '../support/receiver.ts';
import { Collector } from '../support/shell.ts';

let folder: string;
let receiver: Receiver;
let log: Collector;
let sleeps: number[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'insights-webhook-'));
  [sleeps, log] = [[], new Collector()];
  receiver = await startReceiver();
});
afterEach(async () => {
  await receiver[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

function runtime(): Runtime {
  return {
    ...systemRuntime(pino({ base: null }, log)),
    sleep: async (ms) => void sleeps.push(ms),
    now: () => Date.parse('2026-03-01T03:00:00Z'),
  };
}

const FAILED: TableReport = {
  tenant: 'paris',
  table: 'Logs',
  outcome: 'failed',
  hours: { verified: 1, partial: 2, open: 0, expired: 0 },
  olderHours: 0,
  error: { failure: 'source', message: 'a message with row content', where: { file: '/secret/path' } },
  grade: 'checksum', calls: 1, retries: 0, waitedMs: 0, planned: 0, pages: 0, splits: 0, rowsFetched: 0, bytes: 0,
  inserted: 1000, replaced: 200, removed: 0, duplicates: 0, quarantined: 0, changed: false, seconds: {},
}; // oxfmt-ignore

const check = (severity: 'error' | 'warning', error?: string) =>
  ({ check: 'c', severity, tenant: 'paris', days: 1, failures: 3, ...(error === undefined ? {} : { error }) }) as const;

const report = (...tables: TableReport[]): RunReport => ({
  run: 'r1', startedAt: '', seconds: 1, tenants: [], tables, published: false, isBehind: false, peakRssBytes: 0, exitCode: 4,
  expired: [{ tenant: 'paris', table: 'Logs', hours: 7, first: '', last: '' }],
  drift: [{ tenant: 'paris', table: 'Logs', type: 'secretType', path: 'secret.path', change: 'new_path', kind: 'text', at: '' }],
  checks: [check('error'), check('warning'), check('error', 'refused')],
}); // oxfmt-ignore

function hook(more: Partial<Webhook> = {}): Webhook {
  return { url: `${receiver.url}/hook?token=t`, heartbeat: false, format: 'json', secret: undefined, ...more };
}

const notify = (webhook: Webhook, exitCode: number, ended?: RunReport): Promise<void> =>
  notifyWebhook(webhook, folder, exitCode, ended, runtime(), new AbortController().signal);

const bodies = (): unknown[] => receiver.received.map(({ body }): unknown => JSON.parse(body));

const events = (): unknown[] =>
  receiver.received.map(({ body }) => z.object({ event: z.string() }).parse(JSON.parse(body)).event);

describe('the webhook', () => {
  it('is called once when runs start to fail, again when they fail differently, and once when they recover', async () => {
    for (const code of [0, 4, 4, 4, 3, 3, 0, 0]) await notify(hook(), code);
    expect(events()).toEqual(['failure', 'failure', 'recovered']);
  });

  it('is called after every run with a heartbeat', async () => {
    for (const code of [0, 4, 4, 0]) await notify(hook({ heartbeat: true }), code);
    expect(events()).toEqual(['heartbeat', 'failure', 'failure', 'recovered']);
  });

  it('is called for every run that was refused before it began, and records nothing', async () => {
    for (const code of [EXIT.config, EXIT.config])
      await notifyWebhook(hook(), undefined, code, undefined, runtime(), new AbortController().signal);
    expect(events()).toEqual(['failure', 'failure']);
    expect(await readdir(folder)).toEqual([]);
  });

  it('contains names, counts and codes, and neither a message nor a location', async () => {
    await notify(hook(), EXIT.source, report(FAILED));
    expect(bodies()[0]).toEqual({
      version: 1,
      event: 'failure',
      at: '2026-03-01T03:00:00.000Z',
      run: 'r1',
      exitCode: 4,
      text: 'insights-etl: a run failed, exit code 4 (source), run r1\n0 of 1 table verified · 1,200 rows loaded · 7 hours lost at the source · 2 checks failed · 1 check could not run · 1 schema change\nparis Logs: failed (source, 2 partial hours)',
      tables: [{ tenant: 'paris', table: 'Logs', outcome: 'failed', partialHours: 2, failure: 'source' }],
      rowsLoaded: 1200,
      checks: { errors: 1, warnings: 1, notRun: 1 },
      schemaChanges: 1,
      expiredHours: 7,
    });
  });

  it('speaks to chats: only the text, or the card of Teams with one block for each line', async () => {
    await notify(hook({ format: 'text' }), EXIT.source, report(FAILED));
    await notify(hook({ format: 'teams' }), EXIT.budget, report(...Array.from({ length: 12 }, () => FAILED)));
    await notify(hook({ format: 'text' }), EXIT.ok, report());
    const [text, card, recovered] = bodies();
    expect(text).toEqual({
      text: expect.stringMatching(/^insights-etl: a run failed, exit code 4 \(source\), run r1\n/),
    });
    const { attachments } = z
      .object({
        type: z.literal('message'),
        attachments: z.tuple([
          z.object({
            contentType: z.literal('application/vnd.microsoft.card.adaptive'),
            content: z.object({
              type: z.literal('AdaptiveCard'),
              body: z.array(z.object({ type: z.literal('TextBlock'), text: z.string(), wrap: z.literal(true) })),
            }),
          }),
        ]),
      })
      .parse(card);
    const lines = attachments[0].content.body.map((block) => block.text);
    expect(lines[0]).toBe('insights-etl: a run left work for the next one, exit code 13 (budget), run r1');
    expect(lines.slice(-2)).toEqual(['paris Logs: failed (source, 2 partial hours)', 'and 2 more tables']);
    expect(recovered).toEqual({
      text: expect.stringMatching(/^insights-etl: runs succeed again, exit code 0, run r1\n/),
    });
  });

  it('is signed so that its receiver can verify who sent it and when', async () => {
    await notify(hook({ secret: async () => 'the-key' }), EXIT.auth);
    const [sent] = receiver.received;
    const header = (name: string): string => String(sent?.headers[name]);
    const timestamp = header('x-insights-timestamp');
    const hmac = createHmac('sha256', 'the-key');
    expect(header('x-insights-signature')).toBe(
      `sha256=${hmac.update(`${timestamp}.${sent?.body ?? ''}`).digest('hex')}`,
    );
    expect(timestamp).toBe(String(Date.parse('2026-03-01T03:00:00Z') / 1000));
  });

  it('is retried with growing delays until it is received', async () => {
    receiver.answers.push(500, 503);
    await notify(hook(), EXIT.auth);
    expect(receiver.received).toHaveLength(3);
    expect(sleeps).toHaveLength(2);
    expect(log.text).toBe('');
  });

  it('that is down is logged without its URL, does not fail the run, and is called after the next one', async () => {
    receiver.answers.push(500, 500, 500, 500, 500);
    await notify(hook(), EXIT.auth);
    expect(log.text).toContain('"event":"webhook.failed","kind":"failure","reason":"status 500"');
    expect(log.text).not.toContain('token');
    await notify(hook(), EXIT.auth);
    expect(receiver.received).toHaveLength(6);
  });
});
