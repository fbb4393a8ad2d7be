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

/** Order of facts of one pass at one instant: created, installed, others, removed. */
function stepOf({ kind, active }: Fact): number {
  if (kind === 'created') return 1;
  if (kind === 'installed') return active === 0 ? 2 : 3;
  if (kind === 'uninstalled') return active !== undefined && active > 0 ? 5 : 6;
  return 4;
}

/** Alphabetical, and what is missing comes last. */
function textOrder(a: string | undefined, b: string | undefined): number {
  if (a === b) return 0;
  if (a === undefined || b === undefined) return a === undefined ? 1 : -1;
  return a < b ? -1 : 1;
}

/** The first installation and the first removal of each unit. What they say decides between facts of one step. */
function firstOfUnits(passEvents: readonly Fact[]): ReadonlySet<Fact> {
  const firsts = new Map<string, Fact>();
  const tagsOf = ({ tags }: Fact): string | undefined => (tags.length === 0 ? undefined : tags.join(' '));
  for (const fact of passEvents) {
    const unit = `${fact.kind}|${fact.pass}|${fact.device}`;
    const before = firsts.get(unit);
    const order =
      before === undefined
        ? -1
        : fact.at - before.at ||
          stepOf(fact) - stepOf(before) ||
          textOrder(fact.medium, before.medium) ||
          textOrder(fact.host, before.host) ||
          textOrder(tagsOf(fact), tagsOf(before));
    if (order < 0) firsts.set(unit, fact);
  }
  return new Set(firsts.values());
}

/** Replays a tenant's facts. */
export function livesOf(facts: readonly Fact[]): Lives {
  const inOrder = [...facts].sort(
    (a, b) => a.at - b.at || stepOf(a) - stepOf(b) || textOrder(a.store, b.store) || textOrder(a.type, b.type),
  );
  const seen = new Set<string>();
  const passEvents = inOrder.filter(({ kind, id, pass }) => {
    const isOne = ['created', 'updated', 'installed', 'uninstalled', 'scanned'].includes(kind) && pass !== undefined;
    if (!isOne || seen.has(id)) return false;
    return seen.add(id);
  });
  const [typeOf, storeOf] = [new Map<string, string>(), new Map<string, string>()];
  const registrations: Registration[] = [];
  const firsts = firstOfUnits(passEvents);
  const changes: Change[] = [];
  const units = new Map<string, { isActive: boolean; hasChanged: boolean }>();
  // The last type counts, and a later copy of an event repeats its type.
  for (const { kind, pass, type } of inOrder)
    if (pass !== undefined && type !== undefined && kind !== 'notified') typeOf.set(pass, type);
  for (const fact of passEvents) {
    const { kind, pass = '', device: platform = '(unknown)', at, active, store } = fact;
    const places = kind === 'created' || kind === 'installed';
    if (places && store !== undefined && !storeOf.has(pass)) storeOf.set(pass, store);
    if (kind !== 'installed' && kind !== 'uninstalled') continue;
    const unit = units.get(`${pass}|${platform}`) ?? { isActive: false, hasChanged: false };
    units.set(`${pass}|${platform}`, unit);
    const isInstall = kind === 'installed';
    registrations.push({
      pass,
      platform,
      at,
      isInstall,
      isFirst: firsts.has(fact),
      passStore: storeOf.get(pass),
      fact,
    });
    const isActive = active === undefined ? isInstall : active > 0;
    if (isActive !== unit.isActive) {
      changes.push({ pass, platform, at, isActive, isFirst: !unit.hasChanged });
      unit.hasChanged = true;
    }
    unit.isActive = isActive;
  }
  return { passEvents, registrations, changes, typeOf };
}
