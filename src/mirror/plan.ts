/** What a push has to do: what the mirror should hold, less what it holds. Pure functions. */

export interface Wanted {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** Objects of the mirror by name. */
export type Held = ReadonlyMap<string, { readonly bytes: number; readonly sha256?: string | undefined }>;

export interface UploadPlan {
  readonly missing: readonly Wanted[];
  /** Of the right size; the checksum that is stored with the object must be looked up. */
  readonly unproven: readonly Wanted[];
  /** Other bytes under a name that a snapshot of the mirror needs: an object is never replaced. */
  readonly conflicts: readonly Wanted[];
}

/**
 * Files that never change. `proven`: checksums of what the snapshot in the mirror names. `needed`: names that the mirror's snapshot or an
 * earlier one may still need. An object that none needs may be replaced: a push that was cut off has left it, or it is due to be removed.
 */
export function planUploads(
  wanted: readonly Wanted[],
  held: Held,
  proven: ReadonlyMap<string, string>,
  needed: ReadonlySet<string>,
): UploadPlan {
  const missing: Wanted[] = [];
  const unproven: Wanted[] = [];
  const conflicts: Wanted[] = [];
  for (const file of wanted) {
    const there = held.get(file.name);
    const sha256 = there?.sha256 ?? proven.get(file.name);
    if (there === undefined) missing.push(file);
    else if (there.bytes === file.bytes && sha256 === undefined) unproven.push(file);
    else if (there.bytes === file.bytes && sha256 === file.sha256) continue;
    // The wrong size of an object with the right checksum on record: it was damaged in the mirror.
    else if (!needed.has(file.name) || proven.get(file.name) === file.sha256) missing.push(file);
    else conflicts.push(file);
  }
  return { missing, unproven, conflicts };
}

export interface RemovalPlan {
  /** Since when no snapshot needs an object, by name. Replaces the earlier record. */
  readonly superseded: Readonly<Record<string, string>>;
  /** Those whose grace period is over. */
  readonly due: readonly string[];
}

/** `isOwn`: only the mirror writes objects with this name. */
export function planRemovals(
  held: Iterable<string>,
  kept: ReadonlySet<string>,
  isOwn: (name: string) => boolean,
  before: Readonly<Record<string, string>>,
  nowMs: number,
  graceMs: number,
): RemovalPlan {
  const superseded: Record<string, string> = {};
  const due: string[] = [];
  for (const name of held) {
    if (kept.has(name) || !isOwn(name)) continue;
    const since = sinceWhen(before[name], nowMs);
    superseded[name] = new Date(since).toISOString();
    if (nowMs - since >= graceMs) due.push(name);
  }
  return { superseded, due };
}

/** Superseded objects that readers of earlier snapshots may still need, and until when. The others are due, and in nobody's way. */
export function inGrace(
  superseded: Readonly<Record<string, string>>,
  nowMs: number,
  graceMs: number,
): ReadonlyMap<string, number> {
  const ends = Object.entries(superseded).map(([name, noted]) => [name, sinceWhen(noted, nowMs) + graceMs] as const);
  return new Map(ends.filter(([, end]) => end > nowMs));
}

/** A time in the future was written while the clock was ahead: the grace period starts again. */
function sinceWhen(noted: string | undefined, nowMs: number): number {
  const since = Date.parse(noted ?? '');
  return since <= nowMs ? since : nowMs;
}
