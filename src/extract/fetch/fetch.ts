/**
 * Downloads the pages of a batch to disk. A page has landed when its answer is complete: not full (a full answer has one
 * row more than the cap), not rejected as too large, and no shorter than the source had counted. Any other page is split
 * and its parts are fetched. What a split reveals about the source's caps applies to the pages that follow.
 */
import type { LimitFunction } from 'p-limit';
import { BudgetError, InsightsError, PartError, StoppedError } from '../../kernel/errors.ts';
import { formatInstant } from '../../kernel/instant.ts';
import { overlaps } from '../../kernel/windows.ts';
import type { Batch, Cell, LandedPage, Page } from '../../model/page.ts';
import type { SourceDrop } from '../../model/privacy.ts';
import type { Client, Downloaded, TooLarge } from '../source/client.ts';
import { bytesPerRow, capsFilled, countCells, divide, NOT_COUNTED } from './divide.ts';
import type { Counting } from './divide.ts';
import { pageColumns, pageQuery } from '../source/kql.ts';
import type { Landing } from './land.ts';
import { CapsLearner } from './learning.ts';
import type { PageWriter } from './page-file.ts';
import { TIMEOUT_ADVICE } from '../source/refusal.ts';
import { planPages } from '../plan/plan.ts';
import type { Caps } from '../plan/plan.ts';
import { labelled, splitPage } from '../plan/split.ts';
import { combined, landedPages, rowsIn, withSplits } from './outcome.ts';
import type { Outcome } from './outcome.ts';
import { refuseShortPages } from './recount.ts';

export interface FetchOptions {
  readonly client: Client;
  readonly caps: Caps;
  /** The configured caps, if `caps` has smaller ones that were learnt. @default `caps` */
  readonly most?: Caps;
  /** Limits the calls in flight; shared by everything that queries the same tenant. */
  readonly limit: LimitFunction;
  readonly dropKeys?: readonly SourceDrop[];
  /** Request each row's digest: the source computes them. */
  readonly digests?: boolean;
  /** Called when caps were learnt or disproved, so that they can be stored for the tenant. */
  readonly onLearn?: (caps: Caps) => void;
  readonly onPage?: (page: LandedPage) => void;
  readonly signal?: AbortSignal;
}

export interface Fetched extends Outcome {
  /** The batch with the pages that were fetched in the end. */
  readonly batch: Batch;
  /** Pages that were missing at the start. Calls = planned + splits + retries. */
  readonly planned: number;
  readonly caps: Caps;
}

/** When 6 splits of a page have not helped (its parts are a 64th of it), the source will not answer in time. */
const MAX_NESTED_TIMEOUTS = 6;
/** Consecutive timeouts, with no answer between them, after which the batch is given up. */
const MAX_TIMEOUTS_IN_A_ROW = 8;
/** Finding a cap takes about twenty steps, while other pages are in flight. More refusals are not about size. */
const MAX_REFUSALS_IN_A_ROW = 64;
/** After this many bytes without a usable answer, one row is probably larger than an answer may be. */
const MAX_REFUSED_BYTES_IN_A_ROW = 4e9;

/**
 * Lands every page of the batch that has not landed yet. A part that the source cannot deliver, however small it is cut,
 * does not block the others. Throws what the client throws. Throws PartError when nothing could be fetched, or when too
 * many attempts in a row failed; landed pages are kept for the next run.
 */
export async function fetchBatch(landing: Landing, options: FetchOptions): Promise<Fetched> {
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(options.signal?.reason);
  options.signal?.addEventListener('abort', onAbort, { once: true });
  if (options.signal?.aborted) onAbort();
  try {
    const job = new FetchJob(landing, options, stop);
    const planned = landing.batch.pages.filter((page) => !landing.landed.has(page.id)).length;
    const outcome = await job.fetchWhole();
    if (outcome.refused[0] && outcome.landed.length === 0) throw outcome.refused[0];
    return { ...outcome, batch: landing.batch, planned, caps: job.caps };
  } catch (error) {
    if (!options.signal?.aborted || error instanceof InsightsError) throw error;
    throw new StoppedError('Stopped between two pages.', { cause: error });
  } finally {
    options.signal?.removeEventListener('abort', onAbort);
  }
}

/** `outgrown`: while the page waited for its turn, a cap was learnt that it exceeds. It was not requested. */
type Answer = { readonly kind: 'outgrown' } | ((Downloaded<PageWriter> | TooLarge) & { readonly cap: number });

/** A page whose answer was cut, and the pages that replace it. */
interface CutPage {
  readonly page: Page;
  readonly rows: number;
  readonly children: readonly Page[];
}

class FetchJob {
  readonly #landing: Landing;
  readonly #options: FetchOptions;
  readonly #stop: AbortController;
  readonly #most: Caps;
  readonly #learner: CapsLearner;
  readonly #counting: Counting;
  readonly #rowBytes: number;
  #timeoutsInARow = 0;
  #refusalsInARow = 0;
  #refusedBytes = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(landing: Landing, options: FetchOptions, stop: AbortController) {
    const { client, limit, dropKeys = [], caps, most = caps } = options;
    const { batch } = landing;
    this.#most = most;
    this.#landing = landing;
    this.#options = options;
    this.#stop = stop;
    this.#learner = new CapsLearner(caps, most, (caps) => options.onLearn?.(caps));
    this.#counting = { client, limit, dropKeys, table: batch.table, signal: stop.signal };
    this.#rowBytes = bytesPerRow(batch.pages);
  }

  get caps(): Caps {
    return this.#learner.caps;
  }

  /** Fetches all pages, and refuses those that have fewer rows than the source counts. */
  async fetchWhole(): Promise<Outcome> {
    const outcome = await this.fetchAll(this.#landing.batch.pages, 0);
    const failed = new Set(outcome.refused.map(({ page }) => page));
    const { landed, refused, calls } = await refuseShortPages(this.#counting, this.#landing, outcome.landed, failed);
    return { landed, refused: [...outcome.refused, ...refused], splits: outcome.splits + calls };
  }

  /** The first failure stops the other pages. It is thrown when all of them have ended. */
  async fetchAll(pages: readonly Page[], timeouts: number): Promise<Outcome> {
    const results = await Promise.allSettled(
      pages.map(async (page) => {
        try {
          return await this.#fetchPage(page, timeouts);
        } catch (error) {
          this.#failure ??= { error };
          // Calls in flight when a budget ends have been paid for, so their answers still land.
          if (!(error instanceof BudgetError)) this.#stop.abort(error);
          throw error;
        }
      }),
    );
    if (this.#failure) throw this.#failure.error;
    return combined(results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : [])));
  }

  async #fetchPage(page: Page, timeouts: number): Promise<Outcome> {
    const landed = this.#landing.landed.get(page.id);
    if (landed) return landedPages([landed]);
    const answer = await this.#request(page, splitPage(page) !== undefined);
    if (answer.kind !== 'outgrown') return this.#settle(page, answer, timeouts);
    const { children, calls } = await this.#divide(page);
    if (!children) return withSplits(calls, await this.#settle(page, await this.#request(page, false), timeouts));
    await this.#replace([page], children);
    // One less than the children: the page itself was planned and not requested.
    return withSplits(calls + children.length - 1, await this.fetchAll(children, timeouts));
  }

  /** Keeps a complete answer, or fetches the page in smaller parts. */
  async #settle(page: Page, answer: Answer, timeouts: number): Promise<Outcome> {
    if (answer.kind === 'outgrown') return this.#fetchPage(page, timeouts);
    if (answer.kind === 'too-large') {
      if (this.#learner.isDoubtful(answer))
        return withSplits(1, await this.#settle(page, await this.#request(page, false), timeouts));
      this.#learnFromRefusal(page, answer);
      if (answer.by === 'timeout') return this.#afterTimeout(page, timeouts + 1);
      if (answer.by === 'rows' && answer.rowsSeen === 0) return this.#searchCap(page, timeouts);
      return this.#fetchInParts(page, answer.by, timeouts);
    }
    this.#timeoutsInARow = this.#refusalsInARow = this.#refusedBytes = 0;
    if (this.#isFull(page, answer)) {
      await answer.sink.discard();
      return this.#fetchInParts(page, 'rows', timeouts);
    }
    this.#learner.answered(page, answer.rows);
    const isShort = page.rows !== undefined && answer.rows < page.rows && !page.atRetentionEdge;
    const halves = isShort ? splitPage(page) : undefined;
    if (!halves) return landedPages([await this.#commit(page, answer)]);
    await answer.sink.discard();
    return this.#confirmShortAnswer(page, halves, answer.rows);
  }

  /** There may be more rows than in the answer: it has more rows than the cap, or as many as answers that were cut. */
  #isFull(page: Page, { rows, cap }: Downloaded<PageWriter> & { readonly cap: number }): boolean {
    return rows > cap || (rows === this.caps.rows + 1 && rows < (page.rows ?? Infinity));
  }

  /** Gives up when smaller and smaller parts are still refused. */
  #learnFromRefusal(page: Page, refusal: TooLarge): void {
    this.#learner.refused(page, refusal);
    if (refusal.by === 'timeout') return;
    this.#refusedBytes += refusal.bytesSeen;
    if (++this.#refusalsInARow > MAX_REFUSALS_IN_A_ROW || this.#refusedBytes > MAX_REFUSED_BYTES_IN_A_ROW)
      throw this.#undeliverable(page, refusal.by);
  }

  async #afterTimeout(page: Page, timeouts: number): Promise<Outcome> {
    if (++this.#timeoutsInARow > MAX_TIMEOUTS_IN_A_ROW) throw this.#undeliverable(page, 'timeout');
    if (timeouts > MAX_NESTED_TIMEOUTS) return this.#withoutPage(page, 'timeout');
    return this.#fetchInParts(page, 'timeout', timeouts);
  }

  async #fetchInParts(page: Page, by: TooLarge['by'], timeouts: number): Promise<Outcome> {
    const { children, calls } = await this.#divide(page);
    if (!children) return withSplits(calls, this.#withoutPage(page, by));
    await this.#replace([page], children);
    return withSplits(calls + children.length, await this.fetchAll(children, timeouts));
  }

  /**
   * The source has a row cap but does not report it. Requests smaller and smaller first parts of the page until one is
   * answered. The other parts wait, because all of them would be refused one by one.
   */
  async #searchCap(page: Page, timeouts: number): Promise<Outcome> {
    const { cells = [], calls } = page.rows === undefined ? NOT_COUNTED : await countCells(this.#counting, page);
    let splits = calls;
    for (;;) {
      const children = labelled(page, planPages(cells, this.caps));
      const [first, ...others] = children;
      if (!first || others.length === 0) break;
      splits++;
      const answer = await this.#request(first, false);
      if (answer.kind === 'too-large' && answer.by === 'rows' && answer.rowsSeen === 0) {
        const { caps } = this;
        this.#learnFromRefusal(first, answer);
        if (this.caps.rows < caps.rows) continue;
      }
      if (answer.kind === 'rows') this.#learner.searched(answer.rows);
      const remaining = cells.filter((cell) => !overlaps(cell, first.windows));
      const parts = first.hash ? children : labelled(page, [first, ...planPages(remaining, this.caps)]);
      await this.#landing.replace(page, parts);
      splits += parts.length - 1;
      const settled = await this.#settle(first, answer, timeouts);
      return withSplits(splits, combined([settled, await this.fetchAll(parts.slice(1), timeouts)]));
    }
    return withSplits(splits, await this.#fetchInParts(page, 'rows', timeouts));
  }

  /**
   * An answer had fewer rows than were just counted. Either rows vanished in the meantime, or the source cuts answers at
   * a cap without saying so. Fetches the page in parts. As long as they bring more than the whole did, they are split
   * further.
   */
  async #confirmShortAnswer(page: Page, halves: readonly Page[], rows: number): Promise<Outcome> {
    let outcome = landedPages([]);
    let cut: readonly CutPage[] = [{ page, rows, children: halves }];
    while (cut.length > 0) {
      const parents = cut.map((parent) => parent.page);
      const children = cut.flatMap((parent) => parent.children);
      await this.#replace(parents, children);
      const kept = { ...outcome, landed: outcome.landed.filter((part) => !parents.includes(part.page)) };
      outcome = withSplits(children.length, combined([kept, await this.fetchAll(children, 0)]));
      const isWhole = rowsIn(outcome.landed) >= (page.rows ?? 0);
      const next: CutPage[] = [];
      for (const parent of cut) {
        const parts = outcome.landed.filter((part) => part.page.id.startsWith(`${parent.page.id}.`));
        const found = await this.#cutParts(parent, parts, isWhole);
        next.push(...found.cut);
        outcome = withSplits(found.calls, outcome);
      }
      cut = next;
    }
    return outcome;
  }

  /** The parts of a page that may have been cut themselves. */
  async #cutParts(
    parent: CutPage,
    parts: readonly LandedPage[],
    isWhole: boolean,
  ): Promise<{ readonly cut: readonly CutPage[]; readonly calls: number }> {
    if (rowsIn(parts) <= parent.rows) return this.#cutTwins(parent, parts);
    let calls = await this.#confirmCap(parent);
    const over = parts.filter((part) => part.rows > this.caps.rows);
    if (over.length === 0 && isWhole) return { cut: [], calls };
    const cut: CutPage[] = [];
    for (const { page, rows } of over.length > 0 ? over : parts) {
      // With a known cap, one count replaces many halvings of a part whose rows are close together.
      const counted = over.length > 0 ? await countCells(this.#counting, page) : NOT_COUNTED;
      calls += counted.calls;
      const children = this.#partsOf(page, counted.cells);
      if (children) cut.push({ page, rows, children });
    }
    return { cut, calls };
  }

  /** Parts brought more rows than the whole. If the whole, requested again, ends at the same number, that is a cap. */
  async #confirmCap({ page, rows }: CutPage): Promise<number> {
    if (!this.#learner.isNewCap(rows)) return 0;
    const answer = await this.#request(page, false);
    if (answer.kind === 'rows') {
      await answer.sink.discard();
      if (answer.rows === rows) this.#learner.cutShort(rows);
    }
    return 1;
  }

  /**
   * The parts brought no more rows than the whole. Either rows vanished, or all rows are in one part, the twin, whose answer
   * was cut at the same number of rows as that of the whole. A new count shows which of the two.
   */
  async #cutTwins(
    parent: CutPage,
    parts: readonly LandedPage[],
  ): Promise<{ readonly cut: readonly CutPage[]; readonly calls: number }> {
    const twin = parts.find((part) => part.rows > 0 && part.rows === parent.rows);
    if (!twin) return { cut: [], calls: 0 };
    const { page, rows } = twin;
    const { cells, calls } = await countCells(this.#counting, page);
    const counted = cells?.reduce((sum, cell) => sum + cell.rows, 0);
    if (counted !== undefined && counted <= rows) return { cut: [], calls };
    if (counted !== undefined) this.#learner.cutShort(rows);
    const children = this.#partsOf(page, cells);
    return { cut: children ? [{ page, rows, children }] : [], calls };
  }

  #partsOf(page: Page, cells: readonly Cell[] = []): readonly Page[] | undefined {
    const planned = planPages(cells, this.caps);
    return planned.length > 1 ? labelled(page, planned) : splitPage(page);
  }

  #divide(page: Page): ReturnType<typeof divide> {
    return divide(this.#counting, page, capsFilled(page, this.caps, this.#rowBytes), () => this.caps);
  }

  /** Puts each parent's children in its place, durably. */
  async #replace(parents: readonly Page[], children: readonly Page[]): Promise<void> {
    for (const parent of parents) {
      const own = children.filter((child) => child.id.startsWith(`${parent.id}.`));
      await this.#landing.replace(parent, own);
    }
  }

  async #request(page: Page, isSplittable: boolean): Promise<Answer> {
    const { client, limit, dropKeys, digests } = this.#options;
    const { table } = this.#landing.batch;
    const columns = pageColumns(table, { digests });
    return limit(async () => {
      this.#stop.signal.throwIfAborted();
      const isOver = isSplittable && capsFilled(page, this.caps, this.#rowBytes) > 1;
      const isProbe = isOver && page.rows !== undefined && this.#learner.takeProbe(page.rows, page.bytes);
      if (isOver && !isProbe) return { kind: 'outgrown' };
      // A learnt cap does not limit what cannot be requested in smaller parts, such as copies of one row.
      const cap = isProbe || splitPage(page) === undefined ? this.#most.rows : this.caps.rows;
      const query = pageQuery(table, page, cap, { dropKeys, digests });
      const answer = await client.download(query, columns, () => this.#landing.open(page, query), this.#stop.signal);
      return { ...answer, cap };
    });
  }

  async #commit(page: Page, answer: Downloaded<PageWriter>): Promise<LandedPage> {
    const { sink, rows, bytes, largestRow } = answer;
    // With digests there is one cell more than the table has columns, so the file names the cells even if the answer does not.
    const requested = pageColumns(this.#landing.batch.table, this.#options);
    const columns = answer.columns ?? (this.#options.digests === true ? requested : undefined);
    const landed = await this.#landing.commit(page, sink, { rows, bytes, largestRow, columns });
    this.#options.onPage?.(landed);
    return landed;
  }

  #withoutPage(page: Page, by: TooLarge['by']): Outcome {
    return { landed: [], refused: [this.#undeliverable(page, by)], splits: 0 };
  }

  #undeliverable(page: Page, by: TooLarge['by']): PartError {
    const { tenant, table } = this.#landing.batch;
    const [first, last] = [page.windows[0], page.windows.at(-1)];
    const span = first && last ? `${formatInstant(first.from)} to ${formatInstant(last.to)}` : '';
    const place = { where: { tenant, table, ...this.#options.client.at }, page: page.id };
    if (by === 'timeout')
      return new PartError(
        `The source did not deliver even a small part of ${table} from ${span} in time: its calls timed out.`,
        { ...TIMEOUT_ADVICE, ...place },
      );
    return new PartError(`The source cannot deliver even a small part of ${table} from ${span}.`, {
      hint: 'Run again later. If the error persists, ask the vendor about the limits of the query endpoint.',
      ...place,
    });
  }
}
