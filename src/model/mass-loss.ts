/** When too many rows vanish at the source to remove them from the lake without a person's consent. */

export interface LossLimit {
  /** Share of the held rows that may vanish, 0 to 1. */
  readonly maxShare: number;
  /** Fewer vanished rows than this are never a mass loss. */
  readonly minRows: number;
}

/** `lost` of `held` rows vanished: at least `minRows`, and more than `maxShare` of them. */
export function isMassLoss(lost: number, held: number, { maxShare, minRows }: LossLimit): boolean {
  return lost >= minRows && lost > maxShare * held;
}
