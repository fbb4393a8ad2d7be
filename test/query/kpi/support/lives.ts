/** The life of each pass from its facts, one event after the other, as section "state" of docs/analyst.md describes it. */
import type { Fact } from './random.ts';

export interface Registration {
  readonly pass: string;
  readonly platform: string;
  readonly at: number;
  readonly isInstall: boolean;
  /** First of its kind for this pass and platform. */
  readonly isFirst: boolean;
  /** The store that the pass was first created or installed with, until then. */
  readonly passStore: string | undefined;
  readonly fact: Fact;
}

export interface Change {
  readonly pass: string;
  readonly platform: string;
  readonly at: number;
  readonly isActive: boolean;
  /** First change of this pass on this platform. */
  readonly isFirst: boolean;
}

interface Lives {
  readonly passEvents: readonly Fact[];
  readonly registrations: readonly Registration[];
  /** In the order of time. */
  readonly changes: readonly Change[];
  readonly typeOf: ReadonlyMap<string, string>;
}

/** Replays a tenant's facts. */
export function livesOf(facts: readonly Fact[]): Lives {
  const inOrder = [...facts].sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1));
  const seen = new Set<string>();
  const passEvents = inOrder.filter(({ kind, id, pass }) => {
    const isOne = ['created', 'updated', 'installed', 'uninstalled', 'scanned'].includes(kind) && pass !== undefined;
    if (!isOne || seen.has(id)) return false;
    return seen.add(id);
  });
  const [typeOf, storeOf] = [new Map<string, string>(), new Map<string, string>()];
  const registrations: Registration[] = [];
  const changes: Change[] = [];
  const units = new Map<string, { isActive: boolean; hasChanged: boolean; kinds: Set<string> }>();
  // The last type counts, and a later copy of an event repeats its type.
  for (const { kind, pass, type } of inOrder)
    if (pass !== undefined && type !== undefined && kind !== 'notified') typeOf.set(pass, type);
  for (const fact of passEvents) {
    const { kind, pass = '', device: platform = '(unknown)', at, active, store } = fact;
    const places = kind === 'created' || kind === 'installed';
    if (places && store !== undefined && !storeOf.has(pass)) storeOf.set(pass, store);
    if (kind !== 'installed' && kind !== 'uninstalled') continue;
    const unit = units.get(`${pass}|${platform}`) ?? { isActive: false, hasChanged: false, kinds: new Set() };
    units.set(`${pass}|${platform}`, unit);
    const isInstall = kind === 'installed';
    registrations.push({
      pass,
      platform,
      at,
      isInstall,
      isFirst: !unit.kinds.has(kind),
      passStore: storeOf.get(pass),
      fact,
    });
    unit.kinds.add(kind);
    const isActive = active === undefined ? isInstall : active > 0;
    if (isActive !== unit.isActive) {
      changes.push({ pass, platform, at, isActive, isFirst: !unit.hasChanged });
      unit.hasChanged = true;
    }
    unit.isActive = isActive;
  }
  return { passEvents, registrations, changes, typeOf };
}
