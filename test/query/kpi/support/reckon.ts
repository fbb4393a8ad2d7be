/** A second computation of each KPI from the facts, in plain TypeScript: loops and maps, nothing shared with the queries. */
import { z } from 'zod';
import { hoursOf, periodOf, periodsOf, sharesOf, spanOf, type Cell, type Options, type Period } from './calendar.ts';
import { livesOf, type Change, type Registration } from './lives.ts';
import { HOUR, type Fact, type World } from './random.ts';

const snapshot = z.record(z.string(), z.number());

type Reckon = (tenant: TenantWorld, options: Options) => Cell[][];

interface TenantWorld {
  /** Each event of a pass once, the earliest copy. */
  readonly passEvents: readonly Fact[];
  readonly facts: readonly Fact[];
  readonly registrations: readonly Registration[];
  readonly changes: readonly Change[];
  readonly typeOf: ReadonlyMap<string, string>;
  readonly world: World;
  readonly tenant: string;
}

export function tenantWorld(world: World, tenant: string): TenantWorld {
  const facts = world.facts.filter((fact) => fact.tenant === tenant);
  return { world, tenant, facts, ...livesOf(facts) };
}

/** Ages in days at which the report counts passes. */
const SURVIVAL_AGES = [1, 7, 30, 90, 180, 365];
const ratio = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole);
const distinct = (items: readonly (string | undefined)[]): number => new Set(items.filter((item) => item !== undefined)).size; // oxfmt-ignore
const inSpan = (at: number, options: Options): boolean => at >= spanOf(options).from && at < spanOf(options).to;

type Figures<T> = (isIn: (at: number) => boolean, period: Period) => T;

/** The hours that the figures of a period depend on; undefined: those of the period. */
type Depends = (
  period: Period,
  hours: ReadonlyMap<number, string>,
) => { readonly from: number; readonly until: number };

/** All hours from the first known one, or the beginning of the period if that is earlier, to the end of the period. */
const onPast: Depends = ({ startsAt, endsAt }, hours) => ({ from: Math.min(startsAt, ...hours.keys()), until: endsAt });

/** The periods of a table as rows, each with its coverage. */
function rowsByPeriod(
  { world, tenant }: TenantWorld,
  options: Options,
  figures: Figures<Cell[][]>,
  { table = 'events', depends }: { readonly table?: string; readonly depends?: Depends } = {},
): Cell[][] {
  const hours = hoursOf(world.rows.coverage, tenant, table);
  return periodsOf(hours, options).flatMap((period) => {
    const [isCut, ...own] = period.shares;
    const { from, until } = depends?.(period, hours) ?? { from: 0, until: 0 };
    const shares = depends ? sharesOf(hours, from, until) : own;
    return figures((at) => inSpan(at, options) && periodOf(at, options) === period.period, period).map((row) => [
      period.period,
      ...row,
      isCut,
      ...shares,
    ]);
  });
}

function byPeriod(tenant: TenantWorld, options: Options, figures: Figures<Cell[]>, depends?: Depends): Cell[][] {
  return rowsByPeriod(tenant, options, (isIn, period) => [figures(isIn, period)], depends ? { depends } : {});
}

function chosen<T extends { pass: string; platform: string }>(items: readonly T[], { typeOf }: TenantWorld, { pass_type, platform }: Options): T[] {
  return items.filter(
    (item) => (pass_type === null || typeOf.get(item.pass) === pass_type) && (platform === null || item.platform === platform),
  );
} // oxfmt-ignore

/** Is the chosen part of a pass active after its changes up to an instant (exclusive, or inclusive)? */
function activeUnits(changes: readonly Change[], before: (at: number) => boolean): Map<string, boolean> {
  const units = new Map<string, boolean>();
  for (const { pass, platform, at, isActive } of changes) if (before(at)) units.set(`${pass}|${platform}`, isActive);
  return units;
}

function activeAt(changes: readonly Change[], before: (at: number) => boolean): { units: number; passes: Set<string> } {
  const active = [...activeUnits(changes, before)].filter(([, isActive]) => isActive).map(([unit]) => unit);
  return { units: active.length, passes: new Set(active.map((unit) => unit.split('|')[0] ?? '')) };
}

/** Passes that have no active unit left after a removal in the period. */
function lapsed(changes: readonly Change[], isIn: (at: number) => boolean): Set<string> {
  const active = new Map<string, Set<string>>();
  const gone = new Set<string>();
  for (const { pass, platform, at, isActive } of changes) {
    const platforms = active.get(pass) ?? new Set();
    active.set(pass, platforms);
    if (isActive) platforms.add(platform);
    else platforms.delete(platform);
    if (!isActive && platforms.size === 0 && isIn(at)) gone.add(pass);
  }
  return gone;
}

/** Instants before the end of a period: of its hours, and of the range. */
const upTo = (period: Period, options: Options) => (at: number) =>
  at < spanOf(options).to && periodOf(at, options) <= period.period;

export const RECKONED: Readonly<Record<string, Reckon>> = {
  passes_created: (tenant, options) => {
    const created = tenant.passEvents.filter(({ kind, pass }) => kind === 'created' && (options.pass_type === null || tenant.typeOf.get(pass ?? '') === options.pass_type)); // oxfmt-ignore
    return byPeriod(tenant, options, (isIn) => [
      distinct(created.filter(({ at }) => isIn(at)).map(({ pass }) => pass)),
    ]);
  },
  gross_installs: (tenant, options) =>
    byPeriod(tenant, options, (isIn) => {
      const found = chosen(tenant.registrations, tenant, options).filter(({ at }) => isIn(at));
      const installs = found.filter(({ isInstall }) => isInstall).length;
      return [installs, found.length - installs];
    }),
  installs: (tenant, options) => {
    const installs = chosen(tenant.registrations, tenant, options).filter(({ isInstall }) => isInstall);
    return rowsByPeriod(tenant, options, (isIn) => {
      const found = installs.filter(({ at }) => isIn(at));
      const platforms = [...new Set(found.map(({ platform }) => platform))].sort();
      return platforms.map((platform) => {
        const ofPlatform = found.filter((install) => install.platform === platform);
        return [platform, ofPlatform.length, ofPlatform.filter(({ isFirst }) => isFirst).length];
      });
    }, { depends: onPast });
  }, // oxfmt-ignore
  first_installs: (tenant, options) =>
    byPeriod(tenant, options, (isIn) => {
      const found = chosen(tenant.registrations, tenant, options).filter(({ at, isFirst }) => isFirst && isIn(at));
      const installs = found.filter(({ isInstall }) => isInstall).length;
      return [installs, found.length - installs];
    }, onPast), // oxfmt-ignore
  net_growth: (tenant, options) =>
    byPeriod(tenant, options, (isIn) => {
      const found = chosen(tenant.changes, tenant, options).filter(({ at }) => isIn(at));
      const firsts = found.filter(({ isActive, isFirst }) => isActive && isFirst).length;
      const again = found.filter(({ isActive, isFirst }) => isActive && !isFirst).length;
      const removed = found.filter(({ isActive }) => !isActive).length;
      return [firsts, again, removed, firsts + again - removed];
    }, onPast), // oxfmt-ignore
  active_passes: (tenant, options) => {
    const changes = chosen(tenant.changes, tenant, options);
    const snapshots = tenant.world.rows.metrics.filter(
      (metric) => metric.tenant === tenant.tenant && metric.type === 'passes.installed' && (options.pass_type ?? 'loyalty') === 'loyalty',
    ); // oxfmt-ignore
    return byPeriod(tenant, options, (isIn, period) => {
      const { units, passes } = activeAt(changes, upTo(period, options));
      // Every snapshot of the random tenants names each platform.
      const names = ['apple', 'google'].filter((name) => options.platform === null || options.platform === name);
      const past = snapshots.filter(({ time }) => Date.parse(time) < Math.min(period.endsAt, spanOf(options).to));
      const last = past.filter(({ time }) => isIn(Date.parse(time))).at(-1);
      const isKnown = past.some(({ time }) => Date.parse(time) >= period.startsAt - 720 * HOUR);
      const values = snapshot.parse(last ? JSON.parse(last.value) : {});
      const sum = names.reduce((total, name) => total + (values[name] ?? 0), 0);
      return [passes.size, units, last && names.length > 0 ? sum : null, last ? names.length : 0, isKnown ? names.length : 0];
    }, onPast);
  }, // oxfmt-ignore
  retention: (tenant, options) => {
    const changes = chosen(tenant.changes, tenant, options);
    return byPeriod(tenant, options, (_isIn, period) => {
      const before = upTo(period, options);
      const ever = distinct(changes.filter(({ at, isActive }) => isActive && before(at)).map(({ pass }) => pass));
      const active = activeAt(changes, before).passes.size;
      return [ever, active, ratio(active, ever)];
    }, onPast);
  }, // oxfmt-ignore
  churn: (tenant, options) => {
    const changes = chosen(tenant.changes, tenant, options);
    return byPeriod(tenant, options, (isIn, period) => {
      const before = upTo(period, options);
      const start = activeAt(changes, (at) => before(at) && !isIn(at)).passes.size;
      const gone = lapsed(changes, isIn).size;
      return [start, gone, ratio(gone, start)];
    }, onPast);
  }, // oxfmt-ignore
  wallet_status: (tenant, options) => {
    const changes = chosen(tenant.changes, tenant, { ...options, platform: null });
    const events = tenant.passEvents.filter(({ pass }) => options.pass_type === null || tenant.typeOf.get(pass ?? '') === options.pass_type); // oxfmt-ignore
    return rowsByPeriod(tenant, options, (_isIn, period) => {
      const before = upTo(period, options);
      const units = activeUnits(changes, before);
      const passes = [...new Set(events.filter(({ at }) => before(at)).map(({ pass }) => pass ?? ''))];
      const status = passes.map((pass) => {
        const [apple, google] = [units.get(`${pass}|apple`) === true, units.get(`${pass}|google`) === true];
        if (apple || google) return apple && google ? 'both' : apple ? 'apple' : 'google';
        return units.get(`${pass}|(unknown)`) === true ? 'unknown' : 'none';
      });
      return ['apple', 'both', 'google', 'none', 'unknown'].flatMap((name) => {
        const count = status.filter((each) => each === name).length;
        return name === 'unknown' && count === 0 ? [] : [[name, count, ratio(count, passes.length)]];
      });
    }, { depends: onPast });
  }, // oxfmt-ignore
  installation_rate: (tenant, options) => {
    const { passEvents, typeOf } = tenant;
    const installs = passEvents.filter(({ kind, device }) => kind === 'installed' && (options.platform === null || (device ?? '(unknown)') === options.platform)); // oxfmt-ignore
    return byPeriod(tenant, options, (isIn) => {
      const first = new Map<string, number>();
      for (const { kind, pass = '', at } of passEvents)
        if (kind === 'created' && isIn(at) && (options.pass_type === null || typeOf.get(pass) === options.pass_type))
          first.set(pass, Math.min(at, first.get(pass) ?? Infinity));
      const later = [...first].filter(([pass, created]) => installs.some((event) => event.pass === pass && event.at >= created)); // oxfmt-ignore
      return [first.size, later.length, ratio(later.length, first.size)];
    }, ({ startsAt, endsAt }, hours) => ({ from: startsAt, until: Math.max(endsAt, ...[...hours].filter(([, state]) => state !== 'open').map(([hour]) => hour + HOUR)) }));
  }, // oxfmt-ignore
  installation_rate_period: (tenant, options) => {
    const events = tenant.passEvents.filter(({ pass }) => options.pass_type === null || tenant.typeOf.get(pass ?? '') === options.pass_type); // oxfmt-ignore
    return byPeriod(tenant, options, (isIn) => {
      const here = events.filter(({ at }) => isIn(at));
      const created = distinct(here.filter(({ kind }) => kind === 'created').map(({ pass }) => pass));
      const installs = here.filter(({ kind, device }) => kind === 'installed' && (options.platform === null || (device ?? '(unknown)') === options.platform)); // oxfmt-ignore
      const installed = distinct(installs.map(({ pass }) => pass));
      return [created, installed, ratio(installed, created)];
    });
  },
  survival: (tenant, options) => {
    const changes = chosen(tenant.changes, tenant, options);
    const hours = hoursOf(tenant.world.rows.coverage, tenant.tenant, 'events');
    const knownTo = Math.max(...[...hours].map(([hour, state]) => (state === 'open' ? hour : hour + HOUR)));
    const born = new Map<string, number>();
    for (const { pass, at } of changes) if (!born.has(pass)) born.set(pass, at);
    return byPeriod(tenant, options, (isIn, { endsAt }) => {
      const cohort = [...born].filter(([, at]) => isIn(at));
      const alive = SURVIVAL_AGES.map((days) => {
        const age = days * 24 * HOUR;
        if (knownTo < endsAt + age) return null;
        return cohort.filter(([pass, at]) => activeAt(changes.filter((change) => change.pass === pass), (when) => when <= at + age).units > 0).length; // oxfmt-ignore
      });
      const shares = [7, 30, 90].map((days) => alive[SURVIVAL_AGES.indexOf(days)] ?? null).map((count) => (count === null || cohort.length === 0 ? null : count / cohort.length)); // oxfmt-ignore
      return [cohort.length, ...shares, ...alive];
    }, (period, hours) => {
      const oldest = SURVIVAL_AGES.findLast((days) => knownTo >= period.endsAt + days * 24 * HOUR) ?? 0;
      return { from: Math.min(period.startsAt, ...hours.keys()), until: period.endsAt + oldest * 24 * HOUR };
    });
  }, // oxfmt-ignore
  view_to_install: (tenant, options) =>
    byPeriod(tenant, options, (isIn) => {
      const views = tenant.facts.filter(({ kind, at }) => kind === 'viewed' && isIn(at)).length;
      const installs = tenant.registrations.filter(({ isInstall, at }) => isInstall && isIn(at)).length;
      return [views, installs, ratio(installs, views)];
    }),
  redirect_to_install: (tenant, options) =>
    rowsByPeriod(tenant, options, (isIn) => {
      const counts = new Map<string, [redirects: number, installs: number]>();
      const add = (place: string | undefined, index: 0 | 1): void => {
        const entry = counts.get(place ?? '(none)') ?? [0, 0];
        entry[index] += 1;
        counts.set(place ?? '(none)', entry);
      };
      const byStore = options.by === 'store';
      for (const { kind, at, store, redirect } of tenant.facts)
        if (kind === 'redirected' && isIn(at)) add(byStore ? store : redirect, 0);
      for (const { isInstall, at, fact, passStore } of tenant.registrations)
        if (isInstall && isIn(at)) add(byStore ? (fact.store ?? passStore) : fact.redirect, 1);
      return sorted(counts).map(([place, [redirects, installs]]) => [place, redirects, installs, ratio(installs, redirects)]); // oxfmt-ignore
    }, { depends: onPast }), // oxfmt-ignore
  attribution: (tenant, options) =>
    rowsByPeriod(tenant, options, (isIn) => {
      const found = chosen(tenant.registrations, tenant, options).filter(({ isInstall, isFirst, at }) => isInstall && isFirst && isIn(at)); // oxfmt-ignore
      const counts = new Map<string, number>();
      for (const { fact } of found) {
        const tags = fact.tags.length === 0 ? [undefined] : fact.tags;
        const sources = options.by === 'medium' ? [fact.medium] : options.by === 'origin' ? [fact.host] : tags;
        for (const source of new Set(sources)) counts.set(source ?? '(none)', (counts.get(source ?? '(none)') ?? 0) + 1); // oxfmt-ignore
      }
      return sorted(counts).map(([source, count]) => [source, count, count / found.length]);
    }, { depends: onPast }), // oxfmt-ignore
  platform_split: (tenant, options) => {
    const changes = chosen(tenant.changes, tenant, { ...options, platform: null });
    return rowsByPeriod(tenant, options, (_isIn, period) => {
      const platforms = [...new Set(changes.filter(({ at }) => upTo(period, options)(at)).map(({ platform }) => platform))]; // oxfmt-ignore
      const counts = platforms.sort().map((platform): [string, number] => [platform, activeAt(changes.filter((change) => change.platform === platform), upTo(period, options)).units]); // oxfmt-ignore
      const total = counts.reduce((sum, [, count]) => sum + count, 0);
      return counts.map(([platform, count]) => [platform, count, ratio(count, total)]);
    }, { depends: onPast });
  }, // oxfmt-ignore
  scans: (tenant, options) => {
    const changes = chosen(tenant.changes, tenant, { ...options, platform: null });
    return byPeriod(tenant, options, (isIn, period) => {
      const scans = tenant.passEvents.filter(({ kind, at, pass }) => kind === 'scanned' && isIn(at) && (options.pass_type === null || tenant.typeOf.get(pass ?? '') === options.pass_type)); // oxfmt-ignore
      const [passes, active] = [distinct(scans.map(({ pass }) => pass)), activeAt(changes, upTo(period, options)).passes.size]; // oxfmt-ignore
      return [scans.length, passes, active, ratio(passes, active)];
    }, onPast);
  }, // oxfmt-ignore
  notifications: (tenant, options) =>
    byPeriod(tenant, options, (isIn) => {
      const sent = tenant.facts.filter(({ kind, at }) => kind === 'notified' && isIn(at));
      return [sent.length, distinct(sent.map(({ pass }) => pass))];
    }),
  campaigns: (tenant, options) => {
    const DAY = 24 * HOUR;
    const scans = tenant.passEvents.filter(({ kind }) => kind === 'scanned').map(({ pass = '', at }) => ({ pass, at }));
    const [removed, again] = [tenant.changes.filter(({ isActive }) => !isActive), tenant.changes.filter(({ isActive, isFirst }) => isActive && !isFirst)]; // oxfmt-ignore
    const sent = tenant.facts.filter(({ kind, pass = '' }) => kind === 'notified' && (options.pass_type === null || tenant.typeOf.get(pass) === options.pass_type)); // oxfmt-ignore
    return rowsByPeriod(tenant, options, (isIn) => {
      const byCampaign = new Map<string, Fact[]>();
      for (const fact of sent)
        if (isIn(fact.at)) byCampaign.set(fact.campaign ?? '(none)', [...(byCampaign.get(fact.campaign ?? '(none)') ?? []), fact]); // oxfmt-ignore
      return sorted(byCampaign).map(([campaign, facts]) => {
        const passes = distinct(facts.map(({ pass }) => pass));
        const after = (events: readonly { pass: string; at: number }[], days: number): number =>
          distinct(facts.filter((fact) => events.some(({ pass, at }) => pass === fact.pass && at > fact.at && at <= fact.at + days * DAY)).map(({ pass }) => pass)); // oxfmt-ignore
        const counts = [scans, removed, again].flatMap((events) => [after(events, 1), after(events, 7)]);
        return [campaign, facts.length, passes, ...counts, ratio(after(scans, 7), passes), ratio(after(removed, 7), passes)]; // oxfmt-ignore
      });
    }, { depends: ({ startsAt, endsAt }, hours) => ({ from: Math.min(startsAt, ...hours.keys()), until: endsAt + 7 * DAY }) });
  }, // oxfmt-ignore
  api_error_rate: (tenant, options) =>
    byPeriod(tenant, options, (isIn) => {
      const requests = tenant.facts.filter(({ kind, at }) => kind === 'requested' && isIn(at));
      const errors = requests.filter(({ status }) => status !== undefined && status >= 400).length;
      const without = requests.filter(({ status }) => status === undefined).length;
      return [requests.length, errors, without, ratio(errors, requests.length)];
    }),
  log_volume: (tenant, options) => {
    const logs = tenant.world.rows.happenings.filter((row) => row.tenant === tenant.tenant && row.table === 'logs');
    return rowsByPeriod(tenant, options, (isIn) => {
      const counts = new Map<string, number>();
      for (const { type, time } of logs) if (isIn(Date.parse(time))) counts.set(type, (counts.get(type) ?? 0) + 1);
      return sorted(counts).map(([type, count]) => [type, count]);
    }, { table: 'logs' }); // oxfmt-ignore
  },
  log_errors: (tenant, options) => {
    const logs = tenant.world.rows.happenings.filter((row) => row.tenant === tenant.tenant && row.table === 'logs');
    return rowsByPeriod(tenant, options, (isIn) => {
      const found = logs.filter(({ time }) => isIn(Date.parse(time)));
      const errors = found.filter(({ type }) => type === 'Error').length;
      return [[errors, found.length, ratio(errors, found.length)]];
    }, { table: 'logs' }); // oxfmt-ignore
  },
  metric_completeness: (tenant, options) => {
    const hours = hoursOf(tenant.world.rows.coverage, tenant.tenant, 'metrics');
    const metrics = tenant.world.rows.metrics.filter((metric) => metric.tenant === tenant.tenant);
    const types = [...new Set(metrics.map(({ type }) => type))].sort().map((type) => {
      const present = new Set(metrics.filter((metric) => metric.type === type).map(({ time }) => Math.floor(Date.parse(time) / HOUR) * HOUR)); // oxfmt-ignore
      return { type, present, first: Math.min(...present) };
    });
    return rowsByPeriod(tenant, options, (isIn) =>
      types.flatMap(({ type, present, first }) => {
        const expected = [...hours].filter(([hour, state]) => state === 'verified' && hour >= first && isIn(hour));
        const missing = expected.filter(([hour]) => !present.has(hour)).length;
        return expected.length === 0 ? [] : [[type, expected.length, missing, 1 - missing / expected.length]];
      }), { table: 'metrics', depends: onPast }); // oxfmt-ignore
  },
};

function sorted<T>(counts: ReadonlyMap<string, T>): [string, T][] {
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
}
