/** Mirrors that no push goes to any more: what is purged here stays there until one does. */
import { shellQuoted } from '../kernel/shell-quote.ts';
import { isStoreAddress } from './mirror-address.ts';
import type { MirrorAddress } from './mirror-address.ts';

export interface FormerMirror extends MirrorAddress {
  /** An earlier version did not note its endpoint, and no push has shown yet whether it is the mirror of the configuration. */
  readonly mayBeConfigured?: true;
}

export interface FormerMirrors {
  /** Mirrors that were written before `mirror.to` or the endpoint was changed, and still hold what they held. */
  readonly formerMirrors: readonly FormerMirror[];
  /** Those that shards wrote which `reshard` has replaced. */
  readonly mirrorsOfOldShards: readonly MirrorAddress[];
}

/** The variables with which a push goes there. */
export function pushVariables({ to, endpoint, mayBeConfigured }: FormerMirror): string {
  const place = `INSIGHTS_MIRROR_TO=${shellWord(to)}`;
  if (endpoint !== undefined) return `${place} INSIGHTS_MIRROR_ENDPOINT=${shellWord(endpoint)}`;
  if (!isStoreAddress(to)) return place;
  // Without it, the push would go to the endpoint of the configuration.
  const which = mayBeConfigured ? ' and may be that of the configuration' : '';
  return `${place} and its INSIGHTS_MIRROR_ENDPOINT, which an earlier version did not record${which}`;
}

/** The command that says that it no longer exists. */
export function forgetCommand({ to, endpoint }: MirrorAddress): string {
  const place = endpoint === undefined ? '' : ` ${shellWord(endpoint)}`;
  return `insights-etl mirror forget ${shellWord(to)}${place}`;
}

export function showAddress({ to, endpoint }: MirrorAddress): string {
  return endpoint === undefined ? to : `${to} at ${endpoint}`;
}

function shellWord(text: string): string {
  return /^[\w./:=@+-]+$/.test(text) ? text : shellQuoted(text);
}
