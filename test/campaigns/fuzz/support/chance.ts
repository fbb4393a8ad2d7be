/** Seeded random numbers: the same seed gives the same rows and bodies on every machine. */
export interface Chance {
  /** [0, 1) */
  next(): number;
  /** 0 … below − 1 */
  below(limit: number): number;
  one<T>(choices: readonly [T, ...T[]]): T;
  happens(share: number): boolean;
}

export function chanceOf(seed: number): Chance {
  let state = seed | 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    next,
    below,
    one: (choices) => choices[below(choices.length)] ?? choices[0],
    happens: (share) => next() < share,
  };
}

/** Size of the campaign: small in `npm test`, set by `npm run fuzz`. */
export const ROWS = Number(process.env['FUZZ_ROWS'] ?? 3000);
export const SEED = Number(process.env['FUZZ_SEED'] ?? 1);
