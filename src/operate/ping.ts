/**
 * A dead man's switch, in the convention of healthchecks.io: a service is called when a run starts, succeeds and fails, and
 * raises the alarm when the calls stay away. It notices what this program cannot report itself: that nothing started it.
 */
import { EXIT } from '../kernel/errors.ts';
import type { Runtime } from '../kernel/runtime.ts';
import type { RunReport } from '../model/report.ts';
import { deliver, reasonOf } from './deliver.ts';
import { UNFINISHED, figuresOf, noticeText, titleOf } from './notice.ts';

/** The addresses that are called; undefined ones are not. */
export interface Pings {
  readonly start: string | undefined;
  readonly success: string | undefined;
  readonly failure: string | undefined;
}

export interface PingedRun {
  /** Reports how the run ended. Never throws. */
  end(exitCode: number, report: RunReport | undefined): Promise<void>;
}

/**
 * Nothing is sent: the process that holds the data directory reports its own run, and a run that was stopped on purpose neither
 * succeeded nor failed. If no run follows, the service notices.
 */
const SILENT: ReadonlySet<number> = new Set([EXIT.locked, EXIT.stopped, EXIT.forced]);

const START_ATTEMPTS = 2;
const END_ATTEMPTS = 5;

/** Reports the start of a run; the run does not wait for it. */
export function pingStart(pings: Pings, runtime: Runtime, signal: AbortSignal): PingedRun {
  const send = async (kind: keyof Pings, body: string, attempts: number): Promise<void> => {
    const url = pings[kind];
    if (url === undefined) return;
    const headers = async (): Promise<Record<string, string>> => ({ 'content-type': 'text/plain; charset=utf-8' });
    await deliver({ url, body, headers, attempts }, runtime, signal).catch((error: unknown) => {
      runtime.log.warn({ event: 'ping.failed', kind, reason: reasonOf(error) }, 'the ping was not received');
    });
  };
  const started = send('start', '', START_ATTEMPTS);
  return {
    async end(exitCode, report) {
      // In this order: a start that arrives after the end would begin another run.
      await started;
      if (SILENT.has(exitCode)) return;
      // An unfinished run is no reason to wake anybody: metrics show it, and the next run continues.
      const kind = exitCode === EXIT.ok || UNFINISHED.has(exitCode) ? 'success' : 'failure';
      const text = noticeText(titleOf(exitCode), exitCode, report?.run, figuresOf(report));
      await send(kind, text, END_ATTEMPTS);
    },
  };
}

/** The addresses that the convention derives from one: `<url>/start`, `<url>` and `<url>/fail`. */
export function pingsOf(ping: {
  readonly url?: string | undefined;
  readonly start?: string | undefined;
  readonly success?: string | undefined;
  readonly failure?: string | undefined;
}): Pings {
  const below = (name: string): string | undefined => {
    if (ping.url === undefined) return undefined;
    const url = new URL(ping.url);
    url.pathname = `${url.pathname.replace(/\/+$/, '')}/${name}`;
    return url.href;
  };
  return {
    start: ping.start ?? below('start'),
    success: ping.success ?? ping.url,
    failure: ping.failure ?? below('fail'),
  };
}
