/**
 * A script of changes while the sandbox runs: a list of `{"afterCalls": N, "do": action}` and `{"atMs": N, "do": action}`.
 * A step after N calls is carried out before the last byte of the N-th answer is sent, so that the next call sees it. A step
 * at N milliseconds is as exact as a timer.
 */
import { z } from 'zod';
import { actionSchema, type ActionResult } from './actions.ts';

const step = z
  .strictObject({ afterCalls: z.int().min(0).optional(), atMs: z.int().min(0).optional(), do: actionSchema })
  .refine(
    (given) => (given.afterCalls === undefined) !== (given.atMs === undefined),
    'Give exactly one of afterCalls and atMs.',
  );
export const scenarioSchema = z.array(step);
export type ScenarioStep = z.input<typeof step>;

export interface Scenario {
  /** Must be awaited once per call. */
  callDone(): Promise<void>;
  stop(): void;
}

/** Starts the timers of the script. A step that fails is reported to `onError`; the sandbox keeps serving. */
export async function startScenario(
  given: readonly ScenarioStep[],
  apply: (action: unknown) => Promise<ActionResult>,
  onError: (error: unknown) => void,
): Promise<Scenario> {
  const steps = scenarioSchema.parse(given);
  let done = 0;
  // Steps are carried out one after another, in the order in which they become due.
  let last: Promise<void> = Promise.resolve();
  const carryOut = async (action: unknown): Promise<void> => {
    last = last.then(async () => apply(action)).then(() => undefined, onError);
    return last;
  };
  const due = steps
    .filter((each) => each.afterCalls !== undefined)
    .sort((a, b) => (a.afterCalls ?? 0) - (b.afterCalls ?? 0));
  const runDue = async (): Promise<void> => {
    for (let next = due[0]; next && (next.afterCalls ?? 0) <= done; next = due[0]) {
      due.shift();
      await carryOut(next.do);
    }
  };
  await runDue();
  const timers = steps.flatMap(({ atMs, do: action }) =>
    atMs === undefined ? [] : [setTimeout(() => void carryOut(action), atMs).unref()],
  );
  return {
    async callDone() {
      done++;
      await runDue();
    },
    stop() {
      for (const timer of timers) clearTimeout(timer);
    },
  };
}
