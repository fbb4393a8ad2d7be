/**
 * Reads what the source has: counts and fingerprints of a range by hour or minute, with the source's own clock. Takes
 * one call if the source can answer it; otherwise the range is halved.
 */
import { BudgetError, SourceError, isRefusedQuery } from '../../kernel/errors.ts';
import type { SourceFailure } from '../../kernel/errors.ts';
import { EMPTY, contentOf } from '../../model/fingerprint.ts';
import type { Fingerprint } from '../../model/fingerprint.ts';
import { BEGINNING, DAY, HOUR, MINUTE, SECOND, floorTo, parseInstant } from '../../kernel/instant.ts';
import type { Instant, Window } from '../../kernel/instant.ts';
import type { SourceDrop } from '../../model/privacy.ts';
import type { TableName } from '../../model/tables.ts';
import type { Client, SmallAnswer, TooLarge } from '../source/client.ts';
import { BOUNDS_COLUMNS, PACKED_COLUMNS, UNIT_TICKS, boundsQuery, cellQuery, clockQuery } from '../source/kql.ts';
import type { CellQuery, ClockRange } from '../source/kql.ts';
import { timedOut } from '../source/refusal.ts';
import { GRADES, isWeaker } from '../../model/coverage.ts';
import type { OutsideRows } from '../../model/outside.ts';
import type { Grade } from '../../model/coverage.ts';
import { readOutside, readPacked } from '../source/packed-answer.ts';
import type { Packed } from '../source/packed-answer.ts';
import { halve, intersection, joinWindows } from '../../kernel/windows.ts';

export interface SourceRequest {
  readonly table: TableName;
  /** Hours of a range whose bounds depend on the source's clock, or minutes of given windows. */
  readonly range: ClockRange | { readonly windows: readonly Window[] };
  readonly unit: 'hour' | 'minute';
  /** The proof to request first; a weaker one is used where the source rejects it twice. */
  readonly grade: Grade;
  /** The proof that the last run obtained. A better one was rejected then, so one more rejection is enough to give it up. */
  readonly lastGrade?: Grade;
  readonly dropKeys?: readonly SourceDrop[];
}

export interface SourceCell {
  /** With grade `count` its sums are zero. */
  readonly fingerprint: Fingerprint;
  readonly rows: number;
  /** Estimated size of the rows in an answer. */
  readonly bytes: number;
}

export interface SourceView {
  /** The source's clock at the first answer. */
  readonly at: Instant;
  /** Start of the range; `undefined` = no lower bound. */
  readonly lower: Instant | undefined;
  readonly upper: Instant;
  /** What was counted, in time order: a cell that is absent in one of these is empty at the source. */
  readonly covers: readonly Window[];
  readonly unit: 'hour' | 'minute';
  /** The proof obtained: `count` where the source rejects the checksum functions, `none` where it rejects counting. */
  readonly grade: Grade;
  /** By the start of the cell; cells without rows are absent. */
  readonly cells: ReadonlyMap<Instant, SourceCell>;
  /** Calls it took. */
  readonly calls: number;
  /** The rows that lie in no hour; undefined where they were not counted. */
  readonly outside?: OutsideRows | undefined;
}

/**
 * Asks for the requested proof, and for weaker ones only as far as the source forces it. A proof is given up only after the engine
 * has rejected the same query twice, naming a function of it or quoting it: in this run, or now and in the last run. The second
 * query must be the same, because a smaller one would not show that this one cannot be answered. Any other failure is thrown, so
 * that one odd answer of a proxy never weakens a proof.
 *
 * Throws SourceError when the source cannot count even one cell, and what the client throws.
 */
export async function readSource(client: Client, request: SourceRequest, signal?: AbortSignal): Promise<SourceView> {
  const range = 'windows' in request.range ? request.range : onHours(request.range);
  let calls = 0;
  // An answer to the whole query in which the engine had not computed the proof. Its counts are valid.
  let counted: Gathered | undefined;
  for (const grade of GRADES.slice(GRADES.indexOf(request.grade))) {
    if (grade === 'none') break;
    if (grade === 'count' && counted) return viewOf(request, range, counted, { grade, calls });
    for (const { query, isPart } of attemptsAt(grade, request, range)) {
      // The query was accepted, so its length is not the reason why the proof is missing.
      if (isPart && counted) continue;
      const gathered = await unlessRejected(() => gatherAll(client, query, signal));
      calls += gathered?.calls ?? 1;
      if (gathered?.items.every(PROVEN_BY[grade])) return viewOf(request, range, gathered, { grade, calls });
      if (!isPart) counted = gathered ?? counted;
    }
  }
  return uncounted(client, request, calls, signal);
}

/** A proof that cells can have. */
type Proof = Exclude<Grade, 'none'>;

interface Attempt {
  readonly query: CellQuery;
  /** The query leaves out the older windows of the range. */
  readonly isPart: boolean;
}

/** The queries for one proof, in the order in which they are sent until an answer has the proof. */
function attemptsAt(
  proof: Proof,
  { table, unit, dropKeys, grade, lastGrade = grade }: SourceRequest,
  range: CellQuery['range'],
): readonly Attempt[] {
  const query: CellQuery = { table, unit, range, proof, ...(dropKeys ? { dropKeys } : {}) };
  // The rows outside of all hours are counted in the same call. An engine that rejects this count must not lose the proof for it.
  const first: Attempt = { query: { ...query, countsOutside: true }, isPart: false };
  const again: Attempt = { query, isPart: false };
  const wasRejected = isWeaker(lastGrade, proof);
  const whole = wasRejected ? [again] : [first, again];
  // Older history must not lower the proof: the engine may have rejected the query for its length.
  return olderOf(range).length === 0 ? whole : [...whole, { query: recentOnly(query), isPart: true }];
}

function viewOf(
  { unit }: SourceRequest,
  range: CellQuery['range'],
  { at, lower, upper, items, older, outside }: Gathered,
  { grade, calls }: { readonly grade: Proof; readonly calls: number },
): SourceView {
  const covers =
    'windows' in range
      ? range.windows
      : joinWindows([...earlyWithin(range, { at, lower, upper }), ...older, { from: lower ?? BEGINNING, to: upper }]);
  const cells = new Map(items.map((item) => sourceCell(item, UNIT_TICKS[unit], grade)));
  return { at, lower, upper, covers, unit, grade, cells, calls, outside };
}

/** The view when the source rejects counting: only its clock. There are no cells, so nothing can be compared. */
async function uncounted(
  client: Client,
  { table, range, unit }: SourceRequest,
  spent: number,
  signal: AbortSignal | undefined,
): Promise<SourceView> {
  const outcome = await client.ask(clockQuery(), ['at'], signal);
  const cell = outcome.kind === 'rows' ? outcome.rows[0]?.[0] : undefined;
  const at = typeof cell === 'string' ? parseInstant(cell) : undefined;
  const where = { tenant: client.tenant, table, ...client.at };
  if (isTimeout(outcome)) throw timedOut('report its time', where);
  if (at === undefined) {
    throw new SourceError(`The source can neither count the rows of ${table} nor report its time.`, {
      hint: 'Run `insights-etl doctor`, and ask the vendor which queries the endpoint allows.',
      where,
    });
  }
  const base = { at, unit, grade: 'none', cells: new Map<Instant, SourceCell>(), calls: spent + 1 } as const;
  if ('windows' in range) return { ...base, lower: undefined, upper: at, covers: range.windows };
  const { settleMs, lower, upper, retentionDays } = range;
  const settled = floorTo(at - BigInt(Math.ceil(settleMs / 1000)) * SECOND, MINUTE);
  const edge = retentionDays === undefined ? undefined : floorTo(at - BigInt(retentionDays) * DAY, HOUR);
  const from = lower !== undefined && (edge === undefined || lower > edge) ? floorTo(lower, HOUR) : edge;
  const to = upper !== undefined && upper < settled ? upper : settled;
  return { ...base, lower: from, upper: to, covers: [{ from: from ?? BEGINNING, to }] };
}

export interface Gathered extends Packed {
  /** The older windows of the range that were counted too. */
  readonly older: readonly Window[];
  readonly calls: number;
}

/** Failures that a shorter query would meet too. After a timeout it was already sent. */
const NOT_OF_LENGTH: ReadonlySet<SourceFailure> = new Set(['refused', 'certificate', 'timeout', 'edge']);

/** Like `gather`. Older windows must not make a comparison fail that succeeds without them: they are left for the next run. */
async function gatherAll(client: Client, query: CellQuery, signal: AbortSignal | undefined): Promise<Gathered> {
  try {
    return await gather(client, query, signal);
  } catch (error) {
    const mayBeOlder = error instanceof SourceError && !(error.reason && NOT_OF_LENGTH.has(error.reason));
    if (!mayBeOlder || olderOf(query.range).length === 0) throw error;
    const recent = await gather(client, recentOnly(query), signal);
    return { ...recent, calls: recent.calls + 1 };
  }
}

/**
 * Reads the cells of a query in one call, or in several when the answer is too large for the source or was cut.
 * Throws SourceError when the source cannot count even a single cell.
 */
export async function gather(client: Client, query: CellQuery, signal?: AbortSignal): Promise<Gathered> {
  const outcome = await client.ask(cellQuery(query), PACKED_COLUMNS, signal);
  const packed = outcome.kind === 'rows' ? readPacked(outcome.rows) : undefined;
  if (packed) return { ...packed, older: olderWithin(query.range, packed), calls: 1 };
  if (outcome.kind === 'rows' && outcome.rows.length === 0) throw incomplete(client, query);
  if ('windows' in query.range) return gatherHalves(client, query, query.range.windows, outcome, signal);
  if (olderOf(query.range).length > 0) return gatherApart(client, query, query.range, signal);
  const bounds = await readBounds(client, { ...query, range: query.range }, signal);
  const whole = { ...bounds, items: [], older: [], calls: 2 };
  if (bounds.firstRow === undefined) {
    // A count of no rows is a single row, which no cap cuts off. An answer without it says nothing about the rows.
    if (outcome.kind === 'rows') throw incomplete(client, query);
    return whole;
  }
  const from = floorTo(bounds.firstRow, HOUR);
  const { early } = query.range;
  const first = floorTo(bounds.recentRow ?? bounds.firstRow, HOUR);
  // Rows between the early rows and the range do not belong to it.
  const recent = early !== undefined && bounds.lower !== undefined && first < bounds.lower ? bounds.lower : first;
  const to = early !== undefined && early.to < recent ? early.to : recent;
  const part = { ...query, countsOutside: false };
  const windows = [{ from: recent, to: bounds.upper }];
  const { items, calls } = await gatherHalves(client, part, windows, outcome, signal);
  if (from >= recent) return { ...whole, items, calls: calls + 1 };
  const old = await gather(client, { ...part, range: { windows: [{ from, to }] } }, signal);
  return { ...whole, items: [...old.items, ...items], calls: calls + old.calls + 1 };
}

/** The range without its older windows first; then these, if the source and the budget allow. */
async function gatherApart(
  client: Client,
  query: CellQuery,
  range: ClockRange,
  signal: AbortSignal | undefined,
): Promise<Gathered> {
  const recent = await gather(client, recentOnly(query), signal);
  const windows = olderWithin(range, recent);
  try {
    const older = windows.length === 0 ? undefined : await gather(client, { ...query, range: { windows } }, signal);
    const items = [...(older?.items ?? []), ...recent.items];
    return { ...recent, items, older: windows, calls: 1 + recent.calls + (older?.calls ?? 0) };
  } catch (error) {
    if (!(error instanceof SourceError || error instanceof BudgetError)) throw error;
    return { ...recent, calls: 2 + recent.calls };
  }
}

type Bounds = Pick<Packed, 'at' | 'lower' | 'upper'>;

/** The window of the early rows as far as the query counts it. */
function earlyWithin(range: ClockRange, bounds: Bounds): readonly Window[] {
  return range.early ? within(range, [range.early], bounds) : [];
}

function olderOf(range: CellQuery['range']): readonly Window[] {
  return 'windows' in range ? [] : (range.older ?? []);
}

/** The older windows as far as the query counts them. */
function olderWithin(range: CellQuery['range'], bounds: Bounds): readonly Window[] {
  return 'windows' in range ? [] : within(range, olderOf(range), bounds);
}

/** What a query counts of windows before its range: within the source's retention. */
function within(
  { retentionDays }: ClockRange,
  windows: readonly Window[],
  { at, lower, upper }: Bounds,
): readonly Window[] {
  if (lower === undefined) return [];
  const edge = retentionDays === undefined ? BEGINNING : floorTo(at - BigInt(retentionDays) * DAY, HOUR);
  const before = { from: edge, to: lower < upper ? lower : upper };
  return windows.flatMap((window) => intersection(window, before) ?? []);
}

function recentOnly(query: CellQuery): CellQuery {
  return 'windows' in query.range ? query : { ...query, range: { ...query.range, older: [] } };
}

async function gatherHalves(
  client: Client,
  query: CellQuery,
  windows: readonly Window[],
  outcome: SmallAnswer | TooLarge,
  signal: AbortSignal | undefined,
): Promise<Gathered> {
  const halves = halve(windows, UNIT_TICKS[query.unit]);
  if (!halves) throw tooMuch(client, query, outcome);
  const first = await gather(client, { ...query, range: { windows: halves[0] } }, signal);
  const second = await gather(client, { ...query, range: { windows: halves[1] } }, signal);
  return {
    ...first,
    upper: second.upper,
    items: [...first.items, ...second.items],
    calls: 1 + first.calls + second.calls,
  };
}

interface RangeBounds extends Omit<Packed, 'items'> {
  readonly firstRow: Instant | undefined;
  readonly recentRow: Instant | undefined;
}

async function readBounds(
  client: Client,
  query: CellQuery & { readonly range: ClockRange },
  signal: AbortSignal | undefined,
): Promise<RangeBounds> {
  const outcome = await client.ask(boundsQuery(query), BOUNDS_COLUMNS, signal);
  const cells = outcome.kind === 'rows' ? (outcome.rows[0] ?? []) : [];
  const [at, lower, upper, firstRow, recentRow] = cells.slice(0, 5).map((cell) => parseInstant(String(cell)));
  if (at !== undefined && upper !== undefined)
    return { at, lower, upper, firstRow, recentRow, outside: readOutside(cells[5]) };
  const { table } = query;
  const where = { tenant: client.tenant, table, ...client.at };
  if (isTimeout(outcome)) throw timedOut(`find the first row of ${table}`, where);
  throw new SourceError(`The source cannot find the first row of ${table}.`, {
    hint: 'Run `insights-etl doctor`, and ask the vendor about the limits of the query endpoint.',
    where,
  });
}

function isTimeout(answer: SmallAnswer | TooLarge): boolean {
  return answer.kind === 'too-large' && answer.by === 'timeout';
}

/** Accounts are kept by whole hours. A bound inside an hour would create a difference that can never be resolved. */
function onHours(range: ClockRange): ClockRange {
  return range.lower === undefined ? range : { ...range, lower: floorTo(range.lower, HOUR) };
}

async function unlessRejected<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (isRefusedQuery(error)) return undefined;
    throw error;
  }
}

/** Whether a cell holds the proof that was requested: an engine may accept a function without computing it. */
const PROVEN_BY: Readonly<Record<Proof, (item: readonly string[]) => boolean>> = {
  content: hasContent,
  checksum: hasChecksums,
  count: () => true,
};

function hasContent(item: readonly string[]): boolean {
  const [, , , , , , high, low] = item;
  return hasChecksums(item) && isNumber(high) && isNumber(low);
}

function hasChecksums([, n, , s0, s1, x]: readonly string[]): boolean {
  if (!isNumber(s0) || !isNumber(s1) || !isNumber(x)) return false;
  return n === '0' || s0 !== '0' || s1 !== '0' || x !== '0';
}

function sourceCell(item: readonly string[], unit: bigint, grade: Grade): readonly [Instant, SourceCell] {
  const [cell = '', n = '', b = '', third, fourth, fifth, high, low] = item;
  const rows = BigInt(n);
  const base = { rows: Number(n), bytes: Number(b) };
  const from = BigInt(cell) * unit;
  if (grade === 'content' || grade === 'checksum') {
    const [sum0, sum1, xor] = [BigInt(third ?? 0), BigInt(fourth ?? 0), BigInt(fifth ?? 0)];
    const content = grade === 'content' ? contentOf(BigInt(high ?? 0), BigInt(low ?? 0)) : undefined;
    return [from, { ...base, fingerprint: { rows, sum0, sum1, xor, content } }];
  }
  return [from, { ...base, fingerprint: { ...EMPTY, rows, content: undefined } }];
}

function isNumber(text: string | undefined): boolean {
  return text !== undefined && /^-?\d+$/.test(text);
}

/** The last row of every answer to a count has the total and the time. Without it the answer may be cut off, and missing hours would look deleted. */
function incomplete(client: Client, query: CellQuery): SourceError {
  return new SourceError(
    `The source answered a count of ${query.table} without its total: the answer is not complete.`,
    {
      hint: 'Run again later. If the error persists, run `insights-etl doctor` and ask the vendor about the query endpoint.',
      where: { tenant: client.tenant, table: query.table },
      reason: 'unexpected',
    },
  );
}

/** `outcome` is the answer for a single cell. It may arrive and still be unusable: then no limit of the source needs to be the reason. */
function tooMuch(client: Client, query: CellQuery, outcome: SmallAnswer | TooLarge): SourceError {
  if (isTimeout(outcome))
    return timedOut(`count even a single ${query.unit} of ${query.table}`, {
      ...client.at,
      tenant: client.tenant,
      table: query.table,
    });
  return new SourceError(`The source cannot count even a single ${query.unit} of ${query.table}.`, {
    hint:
      outcome.kind === 'rows'
        ? 'Its answers arrive, but lack rows, repeat them, or have numbers in another form. Run `insights-etl doctor`, and ask the vendor whether ' +
          'the endpoint has a limit on rows, and whether a proxy or cache on the way changes answers.'
        : 'Ask the vendor about the limits of the query endpoint: they are too low to load the table.',
    where: { tenant: client.tenant, table: query.table },
  });
}
