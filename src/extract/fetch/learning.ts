/**
 * Learns a tenant's caps from the answers of its source. A cap that is learnt too small costs extra calls in each run, so an
 * accident must not look like one: a cap needs the same observation twice, a larger answer disproves it, and for each batch that
 * learns one a page beyond it is requested as a probe.
 */
import { LEAST_ROW_CAP } from '../../model/page.ts';
import type { Page } from '../../model/page.ts';
import type { TooLarge } from '../source/client.ts';
import type { Caps } from '../plan/plan.ts';
import type { AnswerSize } from './recount.ts';

/** Share of the planned bytes that a body is assumed to have had when it was cut because of its size. */
const BYTES_SAFETY = 0.95;
const LEAST_BYTES = 10_000;
/** No cap of bytes is learnt below this share of the largest answer: such a refusal is due to a few large rows. */
const LEAST_SHARE = 1 / 8;

export class CapsLearner {
  #caps: Caps;
  readonly #most: Caps;
  readonly #onLearn: (caps: Caps) => void;
  readonly #stops = new Map<number, number>();
  #timeouts = 0;
  /** Kinds of refusals that have occurred. */
  readonly #refusals = new Set<TooLarge['by']>();
  readonly #probes: Record<keyof Caps, 'none' | 'due' | 'done'> = { rows: 'none', bytes: 'none' };
  #answered = 0;
  #answeredBytes = 0;
  /** Answers that were cut without any indication. */
  readonly #cut: AnswerSize[] = [];
  /** The fewest rows, and the smallest page, that the source did not deliver in one answer. */
  #refused: Caps = { rows: Infinity, bytes: Infinity };

  /** `most`: the configured caps, which replace a disproved cap. */
  constructor(caps: Caps, most: Caps, onLearn: (caps: Caps) => void) {
    this.#caps = caps;
    this.#most = most;
    this.#onLearn = onLearn;
  }

  get caps(): Caps {
    return this.#caps;
  }

  /**
   * True for the first refusal because of bytes, or because of rows without a sign of how many are allowed. It may be an accident,
   * so the page is requested again.
   */
  isDoubtful({ by, rowsSeen }: TooLarge): boolean {
    if (by === 'timeout' || (by === 'rows' && rowsSeen > 0) || this.#refusals.has(by)) return false;
    this.#refusals.add(by);
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
      this.#lowerBytes(Math.floor(Math.max(bytes, this.#answeredBytes * LEAST_SHARE)), page.bytes);
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
    if (rows > this.#caps.rows + 1) this.#raise('rows', rows);
    if (page.bytes > this.#caps.bytes) this.#raise('bytes', page.bytes);
  }

  /** The first answer after refusals that did not show the cap. To assume a larger cap than its rows would be a guess that may cost calls. */
  searched(rows: number): void {
    if (rows > this.#caps.rows / 2) this.#lowerRows(rows, this.#refused.rows);
  }

  /**
   * Answers to a page ended early without any indication: its parts together had more rows. If such answers end at different numbers of
   * rows but at the same size, give or take a row or two, the source cuts at a number of bytes.
   */
  cutShort(page: Page, answers: readonly [AnswerSize, ...AnswerSize[]], counted: number): void {
    this.#cut.push(...answers);
    const [{ rows, bytes, largestRow }] = answers;
    const isByBytes = this.#cut.some(
      (other) => other.rows !== rows && Math.abs(other.bytes - bytes) <= 2 * Math.max(other.largestRow, largestRow),
    );
    if (isByBytes || rows < this.#answered) {
      // What looked like a row cap was this one.
      if (this.#cut.some((other) => other.rows === this.#caps.rows + 1)) this.#raise('rows', Infinity);
      this.#lowerBytes(Math.floor(page.bytes * (rows / counted) * BYTES_SAFETY), page.bytes);
    } else if (rows >= LEAST_ROW_CAP && rows <= this.#caps.rows && answers.every((other) => other.rows === rows)) {
      // One less, so that an answer of exactly this size counts as full.
      this.#lowerRows(rows - 1, rows + 1);
    }
  }

  /** True once for each cap that was learnt: the first page that exceeds only this cap is requested nevertheless. */
  takeProbe(rows: number, bytes: number): boolean {
    const isOver = { rows: rows > this.#caps.rows, bytes: bytes > this.#caps.bytes };
    if (isOver.rows === isOver.bytes) return false;
    const cap = isOver.rows ? 'rows' : 'bytes';
    if (this.#probes[cap] !== 'due') return false;
    this.#probes[cap] = 'done';
    return true;
  }

  #seenBefore(rows: number): boolean {
    const times = this.#stops.get(rows) ?? 0;
    this.#stops.set(rows, times + 1);
    return times > 0;
  }

  #lowerRows(found: number, refused: number): void {
    this.#lower('rows', Math.min(this.#caps.rows, Math.max(LEAST_ROW_CAP, found)), refused);
  }

  #lowerBytes(found: number, refused: number): void {
    const least = Math.min(LEAST_BYTES, this.#caps.bytes);
    this.#lower('bytes', Math.max(least, Math.min(this.#caps.bytes, found)), refused);
  }

  #lower(cap: keyof Caps, to: number, refused: number): void {
    this.#refused = { ...this.#refused, [cap]: Math.min(this.#refused[cap], refused) };
    if (to < this.#caps[cap] && this.#probes[cap] === 'none') this.#probes[cap] = 'due';
    this.#change({ ...this.#caps, [cap]: to });
  }

  /** An answer of this size has arrived, so a page that was refused although it was not larger was refused for another reason. */
  #raise(cap: keyof Caps, answered: number): void {
    if (answered >= this.#refused[cap]) this.#refused = { ...this.#refused, [cap]: Infinity };
    this.#change({ ...this.#caps, [cap]: this.#refused[cap] === Infinity ? this.#most[cap] : answered });
  }

  #change(caps: Caps): void {
    if (caps.rows === this.#caps.rows && caps.bytes === this.#caps.bytes) return;
    this.#caps = caps;
    this.#onLearn(caps);
  }
}
