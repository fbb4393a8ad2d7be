/**
 * Learns a tenant's caps from the answers of its source. A cap that is learnt too small costs extra calls permanently, so
 * an observed number counts only once it has been seen twice; until then pages are split one by one.
 */
import type { Page } from '../../model/page.ts';
import type { TooLarge } from '../source/client.ts';
import type { Caps } from '../plan/plan.ts';

/** Share of the planned bytes that a body is assumed to have had when it was cut because of its size. */
const BYTES_SAFETY = 0.95;
const LEAST_BYTES = 10_000;
/** No cap of bytes is learnt below this share of the largest answer: such a refusal is due to a few large rows. */
const LEAST_SHARE = 1 / 8;

export class CapsLearner {
  #caps: Caps;
  readonly #onLearn: (caps: Caps) => void;
  readonly #stops = new Map<number, number>();
  #timeouts = 0;
  #answered = 0;
  #answeredBytes = 0;

  constructor(caps: Caps, onLearn: (caps: Caps) => void) {
    this.#caps = caps;
    this.#onLearn = onLearn;
  }

  get caps(): Caps {
    return this.#caps;
  }

  /** A page was refused as too large. */
  refused(page: Page, refusal: TooLarge): void {
    const { by, rowsSeen } = refusal;
    if (by === 'timeout') {
      this.#timeouts++;
      // One timeout may be an accident. A second one means that such pages are too heavy.
      if (this.#timeouts > 1 && page.rows) this.#lower({ rows: Math.floor(page.rows / 2) });
    } else if (by === 'bytes') {
      const share = page.rows && rowsSeen > 0 ? Math.min(BYTES_SAFETY, (rowsSeen / page.rows) * BYTES_SAFETY) : 0.5;
      // A body that stopped very early did so for another reason than its size.
      const bytes = page.bytes * (share < 1 / 64 ? 0.5 : share);
      this.#lower({ bytes: Math.floor(Math.max(bytes, this.#answeredBytes * LEAST_SHARE)) });
    } else if (rowsSeen > 0) {
      if (this.#seenBefore(rowsSeen)) this.#lower({ rows: rowsSeen });
    } else if (page.rows) {
      // The cap lies between the largest answer and the refused page.
      const answered = this.#answered < page.rows ? this.#answered : 0;
      this.#lower({ rows: Math.max(answered, Math.floor(page.rows / 2)) });
    }
  }

  /** A complete answer with this many rows arrived. */
  answered(page: Page, rows: number): void {
    this.#answered = Math.max(this.#answered, rows);
    this.#answeredBytes = Math.max(this.#answeredBytes, page.bytes);
  }

  /** The first answer after refusals that did not show the cap. A larger cap would be a guess that may cost calls. */
  searched(rows: number): void {
    if (rows > this.#caps.rows / 2) this.#lower({ rows });
  }

  /** An answer was cut at `rows` without any indication, as its parts proved. `again`: a part was cut there too. */
  cutShort(rows: number, again: boolean): void {
    // One less, so that an answer of exactly this size counts as full.
    if (this.#seenBefore(rows) || again) this.#lower({ rows: rows - 1 });
  }

  #seenBefore(rows: number): boolean {
    const times = this.#stops.get(rows) ?? 0;
    this.#stops.set(rows, times + 1);
    return times > 0;
  }

  #lower(found: Partial<Caps>): void {
    const rows = Math.max(1, Math.min(this.#caps.rows, found.rows ?? Infinity));
    const bytes = Math.max(
      Math.min(LEAST_BYTES, this.#caps.bytes),
      Math.min(this.#caps.bytes, found.bytes ?? Infinity),
    );
    if (rows === this.#caps.rows && bytes === this.#caps.bytes) return;
    this.#caps = { rows, bytes };
    this.#onLearn(this.#caps);
  }
}
