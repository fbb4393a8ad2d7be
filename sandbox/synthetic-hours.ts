/**
 * How many rows each hour of a synthetic table has: days of very different size, quiet nights, one hot hour, slow growth.
 * Pure and seeded. The hours always add up to the requested rows.
 */
import { ceilTo, DAY, HOUR, type Instant } from './instant.ts';

/** `wallet` is uneven and messy, like a real tenant. `even` fills every hour equally, for measuring calls. */
export type Shape = 'wallet' | 'even';

export interface HourOfRows {
  readonly start: Instant;
  /** Ticks of the hour that are before the sandbox's time. */
  readonly span: bigint;
  /** Index of its first row in the table. */
  readonly first: number;
  readonly rows: number;
  /** Rows of the hour that share one instant. */
  readonly hot: number;
}

export interface Spread {
  readonly rows: number;
  readonly days: number;
  readonly now: Instant;
  readonly seed: number;
  readonly shape: Shape;
}

const HOT_HOUR_SHARE = 0.05;
const HOT_INSTANT_SHARE = 0.001;
/** More than the smallest caps in tests, so that a single instant can exceed a cap. */
const HOT_INSTANT_MIN = 80;

/** Spreads rows over the hours of the last `days` before `now`. Hours without rows are omitted. */
export function spreadRows(spread: Spread): HourOfRows[] {
  const hours = hoursOf(spread);
  const weights = spread.shape === 'even' ? hours.map(({ span }) => share(span)) : walletWeights(hours, spread.seed);
  const hotHour = spread.shape === 'even' ? -1 : heaviest(weights);
  return allot(spread.rows, weights).flatMap(({ first, rows }, index) => {
    const hour = hours[index];
    if (!hour || rows === 0) return [];
    const target = Math.max(HOT_INSTANT_MIN, Math.round(spread.rows * HOT_INSTANT_SHARE));
    const hot = index === hotHour ? Math.min(target, Math.floor(rows / 2)) : 0;
    return [{ ...hour, first, rows, hot }];
  });
}

/** The hourly snapshots of the Metrics table: the same number every hour, with a few missing hours. */
export function spreadSnapshots(spread: Spread): HourOfRows[] {
  const hours = hoursOf(spread).filter(({ span }) => span === HOUR);
  const random = seededRandom(spread.seed + 7);
  const weights = hours.map(() => (spread.shape === 'wallet' && random() < 0.01 ? 0 : 1));
  return allot(spread.rows, weights).flatMap(({ first, rows }, index) => {
    const hour = hours[index];
    return hour && rows > 0 ? [{ ...hour, first, rows, hot: 0 }] : [];
  });
}

function hoursOf({ days, now }: Spread): { start: Instant; span: bigint }[] {
  const hours: { start: Instant; span: bigint }[] = [];
  for (let start = ceilTo(now - BigInt(days) * DAY, HOUR); start < now; start += HOUR) {
    hours.push({ start, span: now - start < HOUR ? now - start : HOUR });
  }
  return hours;
}

function walletWeights(hours: readonly { start: Instant; span: bigint }[], seed: number): number[] {
  const random = seededRandom(seed);
  const dayFactors = new Map<bigint, number>();
  const weights = hours.map(({ start, span }, index) => {
    const day = start / DAY;
    let factor = dayFactors.get(day);
    if (factor === undefined) {
      const luck = random();
      // Most days differ by about a factor of three; some are nearly empty, and some have a campaign.
      factor = luck < 0.06 ? 0.02 : luck > 0.95 ? 6 : Math.exp((random() + random() + random() - 1.5) * 1.4);
      dayFactors.set(day, factor);
    }
    const hourOfDay = Number((start / HOUR) % 24n);
    const curve = 0.12 + Math.max(0, Math.sin(((hourOfDay - 5) / 18) * Math.PI)) ** 1.5;
    const growth = 1 + (0.6 * index) / hours.length;
    return factor * curve * growth * (0.7 + 0.6 * random()) * share(span);
  });
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const hot = Math.floor(hours.length * (0.55 + 0.2 * random()));
  weights[hot] = (weights[hot] ?? 0) + (total * HOT_HOUR_SHARE) / (1 - HOT_HOUR_SHARE);
  return weights;
}

/** Whole numbers that are proportional to the weights and add up to `rows`: differences of the rounded running sum. */
function allot(rows: number, weights: readonly number[]): { first: number; rows: number }[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0) || 1;
  let running = 0;
  let first = 0;
  return weights.map((weight, index) => {
    running += weight;
    const end = index === weights.length - 1 ? rows : Math.round((rows * running) / total);
    const part = { first, rows: end - first };
    first = end;
    return part;
  });
}

function heaviest(weights: readonly number[]): number {
  return weights.indexOf(Math.max(...weights));
}

function share(span: bigint): number {
  return Number(span) / Number(HOUR);
}

/** mulberry32: 32 bits of state are enough for a few thousand numbers, and it gives the same ones on every machine. */
export function seededRandom(seed: number): () => number {
  let state = Math.trunc(seed) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
