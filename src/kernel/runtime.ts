import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Files } from './files.ts';
import { openNetwork } from './network.ts';

/** Access to the outside world, passed in so that tests control time, randomness, the network and the log. */
export interface Runtime {
  /** Wall clock, milliseconds since 1970. Never decides what is loaded, and never measures a duration. */
  now(): number;
  /** Milliseconds that never step back: for durations. */
  monotonic(): number;
  /** Resolves after `ms`; rejects with the signal's reason when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** [0, 1), for the jitter of back-off. */
  random(): number;
  fetch: typeof globalThis.fetch;
  /** The proxy that a call to this URL goes through. @default none */
  readonly proxyOf?: (url: string) => string | undefined;
  /** The same with its credentials, for a client that does not use `fetch`. @default none */
  readonly tunnelOf?: (url: string) => string | undefined;
  log: Logger;
  /** The file functions that the data directory is written with. @default the system's */
  readonly files?: Files;
  /** Called after each transaction of the ledger (crash tests). */
  readonly onCommit?: () => void | Promise<void>;
}

/** `env` names the proxies, if any. */
export function systemRuntime(log: Logger, env: Readonly<Record<string, string | undefined>> = {}): Runtime {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    sleep: async (ms, signal) => {
      try {
        await delay(ms, undefined, signal ? { signal } : {});
      } catch (error) {
        throw signal?.reason ?? error;
      }
    },
    random: () => Math.random(),
    ...openNetwork(env),
    log,
  };
}
