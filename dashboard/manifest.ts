/** Reads the manifest's short form, which the program writes for this page. */
import type { ReportText, Snapshot, TenantSpan } from './types.ts';

interface MartFile {
  readonly file: string;
  readonly bytes: number;
  readonly firstDay: string | null;
  readonly lastDay: string | null;
}

interface Coverage {
  readonly state: string;
  readonly grade: string;
  readonly hours: number;
  readonly from: string;
  readonly to: string;
}

export interface Manifest {
  readonly snapshot: number;
  readonly publishedAt: string;
  readonly tenants: readonly string[];
  readonly marts: Readonly<Record<string, MartFile>>;
  readonly tables: Readonly<Record<string, { readonly tenants: Readonly<Record<string, { coverage: Coverage[] }>> }>>;
}

const DAY = 86_400_000;

/** Every chart and every file has the same few thousand days. */
const days = new Map<number, string>();

/** The UTC day of an instant. */
function dayOf(ms: number): string {
  return dayNumbered(Math.floor(ms / DAY));
}

/** The date of a day, given as the number of days since 1 January 1970. */
export function dayNumbered(number: number): string {
  const known = days.get(number);
  if (known !== undefined) return known;
  const day = new Date(number * DAY).toISOString().slice(0, 10);
  days.set(number, day);
  return day;
}

export function addDays(day: string, days: number): string {
  return dayOf(Date.parse(day) + days * DAY);
}

export function daysBetween(from: string, to: string): number {
  return Math.round((Date.parse(to) - Date.parse(from)) / DAY);
}

export function snapshotOf(manifest: Manifest, reports: readonly ReportText[]): Snapshot {
  const coverage = Object.values(manifest.tables)
    .flatMap(({ tenants }) => Object.values(tenants))
    .flatMap((tenant) => tenant.coverage)
    .filter(({ state }) => state !== 'open');
  const hoursOf = (isCounted: (entry: Coverage) => boolean): number =>
    coverage.filter(isCounted).reduce((sum, { hours }) => sum + hours, 0);
  const all = hoursOf(() => true);
  return {
    number: manifest.snapshot,
    publishedAt: manifest.publishedAt,
    tenants: manifest.tenants.map((id) => spanOf(manifest, id)),
    reports,
    hasMarts: Object.keys(manifest.marts).length > 0,
    hasSplits: Object.keys(manifest.marts).some((name) => name.endsWith('_by')),
    byContent: all === 0 ? 0 : hoursOf(({ state, grade }) => state === 'verified' && grade === 'content') / all,
    unproven: hoursOf(({ state }) => state !== 'verified'),
  };
}

function spanOf(manifest: Manifest, id: string): TenantSpan {
  const coverage = Object.values(manifest.tables).flatMap(({ tenants }) => tenants[id]?.coverage ?? []);
  const days = Object.values(manifest.marts).flatMap(({ firstDay, lastDay }) =>
    firstDay !== null && lastDay !== null ? [firstDay, lastDay] : [],
  );
  const known = coverage.flatMap(({ from, to }) => [from.slice(0, 10), dayOf(Date.parse(to) - 1)]);
  const all = [...(known.length > 0 ? known : days)].sort();
  const from = all[0] ?? dayOf(Date.parse(manifest.publishedAt));
  const end = addDays(all.at(-1) ?? from, 1);
  // The day that is not over would look like a fall.
  const open = coverage
    .filter(({ state }) => state === 'open')
    .map((entry) => entry.from.slice(0, 10))
    .sort()[0];
  return { id, from, to: open !== undefined && open > from && open < end ? open : end, end };
}
