/** Sends small messages to other machines: the webhook and the pings. A message may wait, and must never delay a stop. */
import type { Runtime } from '../kernel/runtime.ts';

export interface Message {
  readonly url: string;
  readonly body: string;
  /** Called for each attempt. */
  readonly headers: () => Promise<Record<string, string>>;
  readonly attempts: number;
}

/** The receiver answered with another status than success. */
class Refused extends Error {}

const TIMEOUT_MS = 10_000;
/** After a stop signal there is one short attempt left. */
const LAST_TIMEOUT_MS = 3000;

/** POSTs the message until the receiver answers with success. Throws the failure of the last attempt. */
export async function deliver(message: Message, runtime: Runtime, signal: AbortSignal): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const isLast = signal.aborted;
    const timeout = AbortSignal.timeout(isLast ? LAST_TIMEOUT_MS : TIMEOUT_MS);
    try {
      const response = await runtime.fetch(message.url, {
        method: 'POST',
        headers: await message.headers(),
        body: message.body,
        redirect: 'error',
        signal: isLast ? timeout : AbortSignal.any([signal, timeout]),
      });
      await response.body?.cancel();
      if (response.ok) return;
      throw new Refused(`status ${response.status}`);
    } catch (error) {
      if (isLast || attempt >= message.attempts) throw error;
      if (signal.aborted) continue;
      await runtime.sleep(1000 * 2 ** attempt * (0.5 + runtime.random() / 2), signal).catch(() => {});
    }
  }
}

/** Why a message could not be delivered. Without the error's own text: it can quote the URL, which may be a secret. */
export function reasonOf(error: unknown): string {
  return error instanceof Refused ? error.message : 'no answer';
}
