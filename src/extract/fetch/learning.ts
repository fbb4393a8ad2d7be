/**
 * Learns a tenant's caps from the answers of its source. A cap that is learnt too small costs extra calls in each run, so an
 * accident must not look like one: a row cap needs the same observation twice, an answer with more rows disproves it, and for
 * each batch that learns one a page beyond it is requested as a probe.
 */
import { LEAST_ROW_CAP } from '../../model/page.ts';
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
  readonly #maxRows: number;
  readonly #onLearn: (caps: Caps) => void;
  readonly #stops = new Map<number, number>();
  #timeouts = 0;
  #isRefusalKnown = false;
  #probe: 'none' | 'due' | 'done' = 'none';
  #answered = 0;
  #answeredBytes = 0;
  /** The fewest rows that the source did not deliver in one answer. */
  #refusedRows = Infinity;

  /** `maxRows`: the configured cap, which a disproved cap gives way to. */
  constructor(caps: Caps, maxRows: number, onLearn: (caps: Caps) => void) {
    this.#caps = caps;
    this.#maxRows = maxRows;
    this.#onLearn = onLearn;
  }

  get caps(): Caps {
    return this.#caps;
  }

  /** The first refusal of a size that shows no number of rows. It may be an accident, so the page is requested again. */
  isDoubtful({ by, rowsSeen }: TooLarge): boolean {
    if (by !== 'rows' || rowsSeen > 0 || this.#isRefusalKnown) return false;
    this.#isRefusalKnown = true;
    return true;
  }

  /** A page was refused as too large. */
  refused(page: Page, refusal: TooLarge): void {
    const { by, rowsSeen } = refusal;
    if (by === 'timeout') {
      this.#timeouts++;
      // One timeout may be an accident. A second one means that such pages are too heavy.
      if (this.#timeouts > 1 && page.rows) this.#lowerRows(Math.floor(page.rows / 2), page.rows);
    } else if (by === 'bytes') {
      const share = page.rows && rowsSeen > 0 ? Math.min(BYTES_SAFETY, (rowsSeen / page.rows) * BYTES_SAFETY) : 0.5;
      // A body that stopped very early did so for another reason than its size.
      const bytes = page.bytes * (share < 1 / 64 ? 0.5 : share);
      this.#lowerBytes(Math.floor(Math.max(bytes, this.#answeredBytes * LEAST_SHARE)));
    } else if (rowsSeen > 0) {
      if (this.#seenBefore(rowsSeen)) this.#lowerRows(rowsSeen, rowsSeen + 1);
    } else if (page.rows) {
      // The cap lies between the largest answer and the refused page.
      const answered = this.#answered < page.rows ? this.#answered : 0;
      this.#lowerRows(Math.max(answered, Math.floor(page.rows / 2)), page.rows);
    }
  }

  /** A complete answer with this many rows arrived. */
  answered(page: Page, rows: number): void {
    this.#answered = Math.max(this.#answered, rows);
    this.#answeredBytes = Math.max(this.#answeredBytes, page.bytes);
    // One row more than the cap may be an answer that was cut: see `cutShort`.
    if (rows > this.#caps.rows + 1) this.#raiseRows(rows);
  }

  /** The first answer after refusals that did not show the cap. A larger cap would be a guess that may cost calls. */
  searched(rows: number): void {
    if (rows > this.#caps.rows / 2) this.#lowerRows(rows, this.#refusedRows);
  }

  /** Whether answers that end at this number of rows would be a cap that is not known yet. */
  isNewCap(rows: number): boolean {
    return rows >= LEAST_ROW_CAP && rows <= this.#caps.rows;
  }

  /** Two answers ended at this number of rows without any indication, while the source had more. */
  cutShort(rows: number): void {
    // One less, so that an answer of exactly this size counts as full.
    if (this.isNewCap(rows)) this.#lowerRows(rows - 1, rows + 1);
  }

  /** True once, after a row cap was learnt: the next page that exceeds it is requested nevertheless. */
  takeProbe(): boolean {
    if (this.#probe !== 'due') return false;
    this.#probe = 'done';
    return true;
  }

  #seenBefore(rows: number): boolean {
    const times = this.#stops.get(rows) ?? 0;
    this.#stops.set(rows, times + 1);
    return times > 0;
  }

  #lowerRows(found: number, refused: number): void {
    this.#refusedRows = Math.min(this.#refusedRows, refused);
    const rows = Math.min(this.#caps.rows, Math.max(LEAST_ROW_CAP, found));
    if (rows < this.#caps.rows && this.#probe === 'none') this.#probe = 'due';
    this.#change({ ...this.#caps, rows });
  }

  /** An answer with this many rows has come. What was refused with fewer was refused for another reason. */
  #raiseRows(answered: number): void {
    if (answered >= this.#refusedRows) this.#refusedRows = Infinity;
    this.#change({ ...this.#caps, rows: this.#refusedRows === Infinity ? this.#maxRows : answered });
  }

  #lowerBytes(found: number): void {
    const least = Math.min(LEAST_BYTES, this.#caps.bytes);
    this.#change({ ...this.#caps, bytes: Math.max(least, Math.min(this.#caps.bytes, found)) });
  }

  #change(caps: Caps): void {
    if (caps.rows === this.#caps.rows && caps.bytes === this.#caps.bytes) return;
    this.#caps = caps;
    this.#onLearn(caps);
  }
}
