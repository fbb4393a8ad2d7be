/**
 * Random tenants for the differential test: first facts, then rows that express them, in any spelling, at any of the known
 * paths, doubled, late and out of order. The queries must find in the rows what is computed from the facts.
 */
import type { Coverage, Happening, LakeRows, Metric } from './lake.ts';

/** One event as it happened; copies share its id and differ in time. */
export interface Fact {
  readonly tenant: string;
  readonly at: number;
  readonly id: string;
  readonly kind: string;
  readonly pass: string | undefined;
  readonly type: string | undefined;
  readonly device: string | undefined;
  readonly active: number | undefined;
  readonly medium: string | undefined;
  readonly host: string | undefined;
  readonly tags: readonly string[];
  readonly store: string | undefined;
  readonly redirect: string | undefined;
  readonly campaign: string | undefined;
  readonly status: number | undefined;
}

export interface World {
  readonly rows: LakeRows;
  readonly facts: readonly Fact[];
}

export const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** A seeded generator (mulberry32): `next()` in [0, 1). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Chooses one of some items. */
export function picker(next: () => number): <T>(items: readonly T[]) => T {
  return (items) => {
    const index = Math.floor(next() * items.length);
    return items.reduce((kept, item, at) => (at === index ? item : kept));
  };
}

const EVENTS: Readonly<Record<string, readonly string[]>> = {
  created: ['Pass:Created', 'pass.created'],
  updated: ['Pass:Updated', 'PASS.UPDATED'],
  installed: ['Pass:Installed', 'pass.installed', 'PASS:Installed'],
  uninstalled: ['Pass:Uninstalled', 'pass.uninstalled'],
  scanned: ['Pass:Scanned', 'pass.scanned'],
  redirected: ['Redirect:Redirected', 'redirect.redirected'],
  notified: ['Notification:Sent', 'notification.sent'],
  viewed: ['PageView', 'page.view'],
  requested: ['ApiRequest', 'api_request'],
  other: ['Customer:Upserted'],
};

/** Begins before and ends after the night in which European clocks are set forward. */
const START = Date.UTC(2026, 2, 3, 5);

export function randomWorld(tenants: number, seed: number): World {
  const facts: Fact[] = [];
  const rows = { happenings: [] as Happening[], metrics: [] as Metric[], coverage: [] as Coverage[] };
  for (let index = 0; index < tenants; index++) {
    const next = seeded(seed * 1000 + index);
    const tenant = `t${String(index).padStart(3, '0')}`;
    const hours = 24 * 20 + Math.floor(next() * 24 * 40);
    addCoverage(rows.coverage, tenant, hours, next);
    addMetrics(rows.metrics, tenant, hours, next);
    const own = randomFacts(tenant, hours, next);
    facts.push(...own);
    rows.happenings.push(...shuffled(own, next).map((fact) => rowOf(fact, next)));
    for (let at = 0; at < hours; at += 1 + Math.floor(next() * 40))
      rows.happenings.push({
        table: 'logs', tenant, id: `l${at}`, time: iso(START + at * HOUR), type: next() < 0.5 ? 'Error' : 'Trace', properties: '{}',
      }); // oxfmt-ignore
  }
  return { rows, facts };
}

function randomFacts(tenant: string, hours: number, next: () => number): Fact[] {
  const pick = picker(next);
  const maybe = <T>(share: number, item: T): T | undefined => (next() < share ? item : undefined);
  const passes = 3 + Math.floor(next() * 15);
  const types = Array.from({ length: passes }, () => pick(['loyalty', 'gift', undefined]));
  const found: Fact[] = [];
  const count = Math.floor(next() * 260);
  for (let n = 0; n < count; n++) {
    const kind = pick([
      'created', 'installed', 'installed', 'installed', 'uninstalled', 'uninstalled', 'scanned', 'updated',
      'redirected', 'notified', 'viewed', 'requested', 'other',
    ]); // oxfmt-ignore
    const ofPass = ['created', 'updated', 'installed', 'uninstalled', 'scanned', 'notified'].includes(kind);
    const pass = Math.floor(next() * passes);
    const registers = kind === 'installed' || kind === 'uninstalled';
    const fact: Fact = {
      tenant,
      // Whole hours are frequent: ties, and rows at the edges of periods.
      at: START + (next() < 0.3 ? Math.floor(next() * hours) * HOUR : Math.floor(next() * hours * HOUR)),
      id: `${Math.floor(next() * 0xffffffff).toString(16)}-${n}`,
      kind,
      pass: ofPass ? maybe(0.97, `P${pass}`) : undefined,
      type: ofPass ? maybe(0.6, types[pass] ?? '') || undefined : undefined,
      device: registers ? pick(['apple', 'apple', 'google', 'google', undefined]) : undefined,
      active: registers ? maybe(0.3, Math.floor(next() * 3)) : undefined,
      medium: kind === 'installed' ? pick(['email', 'qr', undefined]) : undefined,
      host: kind === 'installed' ? pick(['brand.example', 'shop.example', undefined]) : undefined,
      tags: kind === 'installed' ? pick([[], ['spring'], ['spring', 'newsletter'], ['spring', 'spring']]) : [],
      store: ['created', 'installed', 'redirected', 'scanned'].includes(kind) ? maybe(0.6, pick(['PAR', 'LYO', 'NCE'])) : undefined,
      redirect: kind === 'redirected' || kind === 'installed' ? maybe(0.6, pick(['qr-1', 'qr-2'])) : undefined,
      campaign: kind === 'notified' ? pick(['spring', 'summer', undefined]) : undefined,
      status: kind === 'requested' ? maybe(0.9, pick([200, 204, 399, 400, 404, 500])) : undefined,
    }; // oxfmt-ignore
    found.push(fact);
    // A copy in another hour, sent again later; only events of passes carry a rule for it.
    if (ofPass && fact.pass !== undefined && kind !== 'notified' && next() < 0.08)
      found.push({ ...fact, at: fact.at + HOUR + Math.floor(next() * 3 * DAY) });
  }
  return found.filter(({ at }) => at < START + hours * HOUR);
}

/** The row that expresses a fact. */
function rowOf(fact: Fact, next: () => number): Happening {
  const pick = picker(next);
  const properties: Record<string, unknown> = { noise: [1, { passId: 'X' }], identifiers: { passId: 'Y' } };
  const put = (value: unknown, paths: readonly string[]): void => {
    if (value === undefined) {
      if (next() < 0.2) properties[pick(paths).split('.')[0] ?? ''] ??= null;
      return;
    }
    const [first = '', second] = pick(paths.filter((path) => properties[path.split('.')[0] ?? ''] !== null)).split('.');
    if (second === undefined) properties[first] = value;
    else {
      const outer = properties[first];
      properties[first] = { ...(typeof outer === 'object' ? outer : {}), [second]: value };
    }
  };
  put(fact.pass, ['passId', 'pass.id', 'pass_id']);
  put(fact.type, ['passType', 'pass.type', 'pass_type']);
  put(fact.device === 'apple' ? pick(['apple', 'Apple']) : fact.device, ['device', 'registrationInformation.device', 'registrationSource.device']); // oxfmt-ignore
  put(fact.active === undefined ? undefined : pick([fact.active, String(fact.active)]), ['registrationInformation.activeRegistrationCount', 'activeRegistrationCount']); // oxfmt-ignore
  put(fact.medium, ['registrationSource.medium', 'source.medium', 'medium']);
  put(fact.host === undefined ? undefined : `https://${pick([fact.host, fact.host.toUpperCase()])}/card?x=1`, ['registrationSource.origin', 'origin']); // oxfmt-ignore
  if (fact.tags.length > 0 || next() < 0.3) put(fact.tags, ['registrationSource.tags', 'tags']);
  put(fact.store, fact.kind === 'created' ? ['metadata.storeId', 'storeId'] : ['storeId', 'store.id', 'store_id']);
  put(fact.redirect, ['redirectId', 'redirect.id']);
  put(fact.campaign, ['campaign.id', 'campaign', 'campaignId', 'campaign.name']);
  put(fact.status === undefined ? undefined : pick([fact.status, String(fact.status)]), ['statusCode', 'response.statusCode']); // oxfmt-ignore
  const { tenant, id } = fact;
  const type = pick(EVENTS[fact.kind] ?? ['?']);
  return { table: 'events', tenant, id, time: iso(fact.at), type, properties: JSON.stringify(properties) };
}

function addCoverage(coverage: Coverage[], tenant: string, hours: number, next: () => number): void {
  for (const table of ['events', 'logs', 'metrics']) {
    let at = 0;
    while (at < hours) {
      const length = Math.min(hours - at, 1 + Math.floor(next() * 200));
      const dice = next();
      const state = dice < 0.8 ? 'verified' : dice < 0.9 ? 'partial' : dice < 0.95 ? 'unchecked' : 'expired';
      coverage.push({ tenant, table, state, from: iso(START + at * HOUR), to: iso(START + (at + length) * HOUR) });
      at += length;
    }
    if (next() < 0.7)
      coverage.push({ tenant, table, state: 'open', from: iso(START + hours * HOUR), to: iso(START + (hours + 1) * HOUR) }); // oxfmt-ignore
  }
}

function addMetrics(metrics: Metric[], tenant: string, hours: number, next: () => number): void {
  for (const type of ['passes.installed', 'passes.total']) {
    for (let at = Math.floor(next() * 200); at < hours; at++) {
      if (next() < 0.6) continue;
      const value = type === 'passes.total' ? '7' : JSON.stringify({ apple: Math.floor(next() * 100), google: 10 });
      metrics.push({ tenant, type, value, time: iso(START + at * HOUR + 1000), properties: '{"passType":"loyalty"}' });
    }
  }
}

function shuffled<T>(items: readonly T[], next: () => number): T[] {
  return items
    .map((item) => ({ item, key: next() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
