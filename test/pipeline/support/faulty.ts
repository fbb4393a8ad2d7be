/** A small source that is told to misbehave, shared by the tests of faults. */
import type { FaultRule } from '../../../sandbox/faults.ts';
import type { Sandbox } from '../../../sandbox/sandbox.ts';
import { CONTENT } from './content.ts';
import { openWorld } from './world.ts';

export const SOURCE = {
  rows: 700,
  days: 2,
  seed: 6,
  now: '2026-11-01T00:30:00Z',
  frozen: true,
  rate: 0,
  memory: true,
} as const;

/** Replaces the rules of a sandbox. */
export async function orderFaults(sandbox: Sandbox, rules: FaultRule[]): Promise<void> {
  await sandbox.apply({ action: 'faults', rules });
}

/** The Events of a lake that was loaded without any fault, as `CONTENT` shows them. */
export async function undisturbedContent(sandbox: Sandbox): Promise<unknown> {
  await using world = await openWorld(sandbox);
  await world.run({ tables: ['Events'] });
  // Awaited here: the lake is gone as soon as this function returns.
  return await world.sql(CONTENT);
}
