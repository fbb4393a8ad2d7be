/** The endpoints of `schedule` as a supervisor and Prometheus see them while it runs. */
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import { startSandbox } from '../../sandbox/sandbox.ts';
import { openStage } from '../support/shell.ts';
import { LONG } from '../support/campaign.ts';

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

/** A free port of this machine. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address ? address.port : 0;
}

/** The value of one sample, named with its labels. */
function sample({ text }: Answer, name: string): number | undefined {
  const line = text.split('\n').find((other) => other.startsWith(`insights_etl_${name} `));
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ') + 1));
}

it(
  'a schedule is ready once its catch-up run has published, and counts its rows and calls; each scrape is complete',
  LONG,
  async () => {
    await using sandbox = await startSandbox({ rows: 150, days: 1, rate: 0, memory: true });
    // Nothing can be published while the source refuses every call.
    await sandbox.apply({ action: 'faults', rules: [{ times: null, reply: { kind: 'status', status: 503 } }] });
    await using stage = await openStage();
    const port = await freePort();
    const env = {
      INSIGHTS_BASE_URL: sandbox.url,
      INSIGHTS_TENANT: 'demo',
      INSIGHTS_API_KEY: sandbox.keyOf('demo'),
      INSIGHTS_HEALTH_PORT: String(port),
      // One slot is overdue; the next one does not come during the test.
      INSIGHTS_SCHEDULE_CRON: '0 3 29 2 *',
    };
    await mkdir(join(stage.folder, 'data'));
    await stage.write('data/schedule.json', '{"lastSlot":"2020-02-29T03:00:00Z"}');
    const ask = async (path: string): Promise<Answer> => {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`);
      return { status: answer.status, type: answer.headers.get('content-type') ?? '', text: await answer.text() };
    };
    let end: number | undefined;
    const ended = stage.run(['schedule'], env).then(({ code, err }) => {
      end = code;
      return { code, err };
    });
    const statuses = new Set<number>();
    /** Repeats the request until the answer is as expected. Throws if the schedule ends. */
    const until = async (path: string, isExpected: (answer: Answer) => boolean): Promise<Answer> => {
      for (;;) {
        if (end !== undefined) throw new Error(`schedule ended with ${end}: ${(await ended).err}`);
        const answer = await ask(path).catch(() => undefined);
        if (answer !== undefined) statuses.add(answer.status);
        if (answer !== undefined && isExpected(answer)) return answer;
        await delay(50);
      }
    };
    await until('/healthz', ({ status }) => status === 200);
    expect(await ask('/readyz')).toMatchObject({ status: 503, text: 'not ok: nothing is published yet\n' });
    await sandbox.apply({ action: 'faults', rules: [] });
    expect(await until('/readyz', ({ status }) => status === 200)).toMatchObject({
      text: 'ok: the lake is published\n',
    });
    const metrics = await until('/metrics', (answer) => sample(answer, 'last_run_exit_code') === EXIT.ok && sample(answer, 'schedule_running') === 0); // oxfmt-ignore
    // Every answer was 200 or 503, at any stage of the run.
    expect([...statuses].filter((status) => status !== 200 && status !== 503)).toEqual([]);
    expect(metrics.type).toMatch(/^text\/plain; version=/);
    expect(sample(metrics, 'schedule_next_run_timestamp_seconds')).toBeGreaterThan(Date.now() / 1000);
    expect(sample(metrics, 'calls_total{tenant="demo",status="200"}')).toBe(
      sandbox.calls.filter(({ status }) => status === 200).length,
    );
    // Only rows of the lake: copies and rows in quarantine are other samples.
    const { out } = await stage.run(['sql', 'select count(*)::integer as n from events', '--format', 'csv'], env);
    expect(sample(metrics, 'rows{tenant="demo",table="Events"}')).toBe(Number(out.split('\n')[1]));
    expect(metrics.text).not.toContain(sandbox.keyOf('demo'));
    stage.signal('SIGTERM');
    expect((await ended).code).toBe(EXIT.ok);
  },
);
