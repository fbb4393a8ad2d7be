/** Commands that change the lake push to the mirror at their end, as runs do. */
import { EXIT, InsightsError } from '../kernel/errors.ts';
import { json } from '../output/format.ts';
import { pushSummary } from '../output/mirror.ts';
import { reported } from '../pipeline/failure.ts';
import type { Session } from './shell.ts';

/**
 * Prints what a command has done, brings the mirror up to date if there is one, and prints that. Returns the exit code. As JSON it is one
 * object, with the push as `mirror`, as in the report of a run: also if the push fails. As text, a push that fails is thrown.
 */
export async function printAndPush(session: Session, report: object, text: string): Promise<number> {
  const { config, runtime, signal } = session;
  if (!session.json) session.print(session.withShard(text));
  let mirror: object | undefined;
  let exitCode: number = EXIT.ok;
  if (config.mirror) {
    const { pushMirror } = await import('../pipeline/mirror/push.ts');
    try {
      const pushed = await pushMirror(config, runtime, signal);
      if (!session.json) session.print(session.withShard(pushSummary(pushed)));
      mirror = pushed;
    } catch (error) {
      if (!session.json || !(error instanceof InsightsError)) throw error;
      mirror = { error: reported(error) };
      ({ exitCode } = error);
    }
  }
  if (session.json) session.print(`${json({ ...report, ...(mirror ? { mirror } : {}) })}\n`);
  return exitCode;
}
