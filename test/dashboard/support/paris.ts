/** A small lake of one tenant, and its page in a real browser. */
import { siteOf } from '../../../src/commands/site.ts';
import { openWorld, type World } from '../../pipeline/support/world.ts';
import { buildPage } from '../../support/built.ts';
import { openDesk, type Desk } from './browser.ts';

/** Loads 1,000 rows of the 20 days before November 2026, and opens a desk in `browser`. The caller disposes of both. */
export async function openParis(
  lake: Readonly<Record<string, boolean>>,
  browser: string,
): Promise<{ readonly world: World; readonly desk: Desk }> {
  const source = { rows: 1000, days: 20, now: '2026-11-01T00:30:00Z', frozen: true, tenants: ['paris'] };
  const world = await openWorld(source, { lake });
  await world.run();
  const { signal } = new AbortController();
  return { world, desk: await openDesk(await siteOf({ config: world.config(), signal }, await buildPage()), browser) };
}
