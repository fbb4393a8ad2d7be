/** Commands that change the lake push to the mirror at their end, as runs do. */
import { EXIT, InsightsError } from '../kernel/errors.ts';
import { json } from '../output/format.ts';
import { pushSummary } from '../output/mirror.ts';
import { reported } from '../pipeline/failure.ts';
import type { Session } from './shell.ts';

/** The same, as JSON and as text. */
export interface Printed {
  readonly report: object;
  readonly text: string;
}

/**
 * Prints what a command has done, brings the mirror up to date if there is one, and prints that, and what is left to do then. Returns the
 * exit code. As JSON it is one object, with the push as `mirror`, as in the report of a run: also if the push fails. As text, a push that
 * fails is thrown at the end.
 */
export async function printAndPush(session: Session, done: Printed, left?: () => Promise<Printed>): Promise<number> {
  const { config, runtime, signal } = session;
  const print = (text: string): void => {
    if (!session.json) session.print(session.withShard(text));
  };
  print(done.text);
  let mirror: object | undefined;
  let failed: InsightsError | undefined;
  if (config.mirror) {
    const { pushMirror } = await import('../pipeline/mirror/push.ts');
    try {
      const pushed = await pushMirror(config, runtime, signal);
      print(pushSummary(pushed));
      mirror = pushed;
    } catch (error) {
      if (!(error instanceof InsightsError)) throw error;
      mirror = { error: reported(error) };
      failed = error;
    }
  }
  const rest = await left?.();
  if (rest) print(rest.text);
  if (failed && !session.json) throw failed;
  if (session.json) session.print(`${json({ ...done.report, ...rest?.report, ...(mirror ? { mirror } : {}) })}\n`);
  return failed?.exitCode ?? EXIT.ok;
}
