/** A small source for the tests of faults. */
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

/** Adds the nth of some events to the source of a sandbox. */
export async function addEvent(sandbox: Sandbox, n: number, timestamp: string): Promise<void> {
  await sandbox.apply({
    action: 'rows',
    table: 'Events',
    tenant: 'demo',
    rows: [
      {
        eventId: `00000000-0000-4000-8000-${n.toString().padStart(12, '0')}`,
        timestamp,
        tenantId: 'demo',
        eventType: 'Pass:Created',
        operationId: '',
        properties: {},
      },
    ],
  });
}

/** The result of `CONTENT` for a lake whose Events were loaded without any fault. */
export async function undisturbedContent(sandbox: Sandbox): Promise<unknown> {
  await using world = await openWorld(sandbox);
  await world.run({ tables: ['Events'] });
  // Awaited here: the lake is deleted when this function returns.
  return await world.sql(CONTENT);
}
