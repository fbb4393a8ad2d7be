/**
 * Downloads the pages of a batch to disk. A page has landed when its answer is complete: not full (a full answer has one
 * row more than the cap), not rejected as too large, and no shorter than the source had counted. Any other page is split
 * and its parts are fetched. What a split reveals about the source's caps applies to the pages that follow.
 */
import type { LimitFunction } from 'p-limit';
import { BudgetError, InsightsError, PartError, StoppedError } from '../../kernel/errors.ts';
import { formatInstant } from '../../kernel/instant.ts';
import { overlaps } from '../../kernel/windows.ts';
import type { Batch, LandedPage, Page } from '../../model/page.ts';
import type { SourceDrop } from '../../model/privacy.ts';
import type { Client, Downloaded, TooLarge } from '../source/client.ts';
import {
  bytesPerRow,
  capsFilled,
  countAndSlice,
  countCells,
  divide,
  NOT_COUNTED,
  partsOf,
  plannedParts,
  rowsOfPart,
  slicesThatFit,
} from './divide.ts';
import type { Divided } from './divide.ts';
import { pageColumns, pageQuery } from '../source/kql.ts';
import type { Landing } from './land.ts';
import { CapsLearner } from './learning.ts';
import type { PageWriter } from './page-file.ts';
import { TIMEOUT_ADVICE } from '../source/refusal.ts';
import type { Caps } from '../plan/plan.ts';
import { labelled, splitPage } from '../plan/split.ts';
import { combined, landedPages, rowsIn, without, withSplits } from './outcome.ts';
import type { Outcome } from './outcome.ts';
import { countRows, cutParts, findShortGroups, pagesOf, refuseGroup } from './recount.ts';
import type { AnswerSize, Counting, CutPart } from './recount.ts';

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
/** How often a page that lacks rows is fetched again before it is left to the next run. */
const MAX_RECOVERIES = 3;

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
  /** Ids of counted pages that have fewer rows now, because rows vanished. */
  readonly #accepted = new Set<string>();
  /** Rows that the parts of a counted page had when they were last found to lack some. */
  readonly #reached = new Map<string, number>();
  /** Ids of parts that are compared with the count only when all of them have landed. */
  readonly #judgedTogether = new Set<string>();
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

  /** Fetches all pages. Those that have fewer rows than the source counts are fetched again in parts, and refused in the end. */
  async fetchWhole(): Promise<Outcome> {
    let outcome = await this.fetchAll(this.#landing.batch.pages, 0);
    for (let round = 1; ; round++) {
      const failed = new Set(outcome.refused.map(({ page }) => page));
      const { batch } = this.#landing;
      const { short, calls } = await findShortGroups(this.#counting, batch, outcome.landed, failed, this.#accepted);
      outcome = withSplits(calls, outcome);
      if (short.length === 0) return outcome;
      for (const group of short) {
        const hasGrown = group.rows > (this.#reached.get(group.origin) ?? -1);
        this.#reached.set(group.origin, group.rows);
        const cut = hasGrown && round <= MAX_RECOVERIES ? cutParts(group) : [];
        for (const part of cut) outcome = combined([without(outcome, [part.page]), await this.#recover(part)]);
        if (cut.length > 0) continue;
        const refused = await refuseGroup(this.#landing, group);
        outcome = combined([without(outcome, pagesOf(group)), { ...landedPages([]), refused }]);
      }
    }
  }

  /**
   * Fetches a page again whose answer lacked rows. If it lacks rows again, its parts are fetched. Together they have more rows than the
   * whole if a cap cut it; an outdated replica would deliver no more.
   */
  async #recover({ page, answer, counted }: CutPart): Promise<Outcome> {
    if (this.#landing.landed.has(page.id)) await this.#landing.takeBack([page], [page]);
    const cut: [AnswerSize, ...AnswerSize[]] = [answer];
    let calls = 0;
    if (answer.rows !== this.caps.rows + 1) {
      const again = await this.#request(page, false, true);
      calls++;
      if (again.kind === 'rows') {
        if (again.rows >= counted) return withSplits(calls, landedPages([await this.#commit(page, again)]));
        await again.sink.discard();
        cut.push(again);
      }
    }
    const most = Math.max(...cut.map(({ rows }) => rows));
    const caps = { ...this.caps, rows: Math.min(this.caps.rows, rowsOfPart(most, counted)) };
    const { cells, calls: more } = await countCells(this.#counting, page);
    calls += more;
    const children = cells ? partsOf(page, cells, caps) : slicesThatFit(page, counted, caps);
    if (!children) return withSplits(calls, this.#withoutPage(page, 'rows'));
    await this.#replace([page], children);
    if (!page.counted) this.#reached.set(page.id, most);
    for (const { id } of children) this.#judgedTogether.add(id);
    const parts = await this.fetchAll(children, 0);
    if (rowsIn(parts.landed) > most) this.#learner.cutShort(page, cut, counted);
    return withSplits(calls + children.length, parts);
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
    const isShort = answer.rows < (page.rows ?? 0);
    if (!isShort) this.#learner.answered(page, answer.rows);
    return isShort && !page.atRetentionEdge && !this.#judgedTogether.has(page.id)
      ? this.#confirmShortAnswer(page, answer)
      : landedPages([await this.#commit(page, answer)]);
  }

  /** An answer had fewer rows than were counted. Either rows vanished, or the source cut the answer without saying so. */
  async #confirmShortAnswer(page: Page, answer: Downloaded<PageWriter>): Promise<Outcome> {
    const { rows } = answer;
    const { counts, calls } = await countRows(this.#counting, [page]).catch(async (error: unknown) => {
      // The next run, which finds the page landed, counts it again.
      await this.#commit(page, answer);
      throw error;
    });
    const [counted = 0] = counts ?? [];
    if (rows < counted) {
      await answer.sink.discard();
      return withSplits(calls, await this.#recover({ page, answer, counted }));
    }
    if (counts && !page.counted) this.#accepted.add(page.id);
    // Without a count, `fetchWhole` decides.
    return withSplits(calls, landedPages([await this.#commit(page, answer)]));
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
    const { children, calls } = await (this.#isUneven(page, by) ? this.#countAndSlice(page) : this.#divide(page));
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
      const children = labelled(page, plannedParts(page, cells, this.caps));
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
      const parts =
        first.hash || first.slice ? children : labelled(page, [first, ...plannedParts(page, remaining, this.caps)]);
      await this.#landing.replace(page, parts);
      splits += parts.length - 1;
      const settled = await this.#settle(first, answer, timeouts);
      return withSplits(splits, combined([settled, await this.fetchAll(parts.slice(1), timeouts)]));
    }
    return withSplits(splits, await this.#fetchInParts(page, 'rows', timeouts));
  }

  #divide(page: Page): Promise<Divided> {
    return divide(this.#counting, page, capsFilled(page, this.caps, this.#rowBytes), () => this.caps);
  }

  #countAndSlice(page: Page): Promise<Divided> {
    return countAndSlice(this.#counting, page, () => this.caps);
  }

  /** An uncounted hash range that is too large although it should fit: many of its rows share an id, or have none. */
  #isUneven(page: Page, by: TooLarge['by']): boolean {
    const isUncounted = page.hash !== undefined && page.slice === undefined && page.rows === undefined;
    return isUncounted && by !== 'timeout' && capsFilled(page, this.caps, this.#rowBytes) <= 1;
  }

  /** Puts each parent's children in its place, durably. */
  async #replace(parents: readonly Page[], children: readonly Page[]): Promise<void> {
    for (const parent of parents) {
      const own = children.filter((child) => child.id.startsWith(`${parent.id}.`));
      await this.#landing.replace(parent, own);
    }
  }

  /** `isWhole`: no learnt cap limits the rows. */
  async #request(page: Page, isSplittable: boolean, isWhole = false): Promise<Answer> {
    const { client, limit, dropKeys, digests } = this.#options;
    const { table } = this.#landing.batch;
    const columns = pageColumns(table, { digests });
    return limit(async () => {
      this.#stop.signal.throwIfAborted();
      const isOver = isSplittable && capsFilled(page, this.caps, this.#rowBytes) > 1;
      const isProbe = isOver && page.rows !== undefined && this.#learner.takeProbe(page.rows, page.bytes);
      if (isOver && !isProbe) return { kind: 'outgrown' };
      // A learnt cap does not limit what cannot be requested in smaller parts, such as copies of one row.
      const cap = isProbe || isWhole || splitPage(page) === undefined ? this.#most.rows : this.caps.rows;
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
