/**
 * The pages of a batch, from the source to the disk. A page counts as landed when its answer is whole: not full (one row
 * more than the cap came), not refused as too large, and not shorter than the source had counted. Otherwise it is asked
 * for in parts; what that teaches about the source's caps holds for the pages that follow.
 */
import type { LimitFunction } from 'p-limit';
import { BudgetError, InsightsError, PartError, StoppedError } from '../../kernel/errors.ts';
import { formatInstant } from '../../kernel/instant.ts';
import { overlaps } from '../../kernel/windows.ts';
import type { Batch, LandedPage, Page } from '../../model/page.ts';
import type { SourceDrop } from '../../model/privacy.ts';
import { TABLES } from '../../model/tables.ts';
import type { Client, Downloaded, TooLarge } from '../source/client.ts';
import { Divider } from './divider.ts';
import { pageQuery } from '../source/kql.ts';
import type { Landing } from './land.ts';
import { CapsLearner } from './learning.ts';
import type { PageWriter } from './page-file.ts';
import { planPages } from '../plan/plan.ts';
import type { Caps } from '../plan/plan.ts';
import { labelled, splitPage } from '../plan/split.ts';

export interface FetchOptions {
  readonly client: Client;
  readonly caps: Caps;
  /** Bounds the calls in flight; shared by all that ask the same tenant. */
  readonly limit: LimitFunction;
  readonly dropKeys?: readonly SourceDrop[];
  /** The source showed smaller caps: to be kept for the tenant. */
  readonly onLearn?: (caps: Caps) => void;
  readonly onPage?: (page: LandedPage) => void;
  readonly signal?: AbortSignal;
}

export interface Fetched {
  /** The batch with the pages that it was really fetched in. */
  readonly batch: Batch;
  readonly landed: readonly LandedPage[];
  /** One for each page of it that the source cannot give; all others are landed. */
  readonly refused: readonly PartError[];
  /** Pages that had to be asked for at the start. */
  readonly planned: number;
  /** Calls beyond those, forced by splits: calls = planned + splits + retries. */
  readonly splits: number;
  readonly caps: Caps;
}

/** Parts of a 64th that time out are not going to be answered. */
const MAX_NESTED_TIMEOUTS = 6;
/** Nor is anything, when nothing else has come for so long. */
const MAX_TIMEOUTS_IN_A_ROW = 8;
/** A cap is found in some twenty steps, while others are in flight; more refusals are not about size. */
const MAX_REFUSALS_IN_A_ROW = 64;
/** Nor are they when so much has come in vain: one row that is larger than an answer may be, wherever it is cut. */
const MAX_REFUSED_BYTES_IN_A_ROW = 4e9;

/**
 * Lands every page of the batch that is not landed yet. A part that the source cannot give, however small it is cut, is in
 * the way of no other. Throws what the client throws, and PartError when nothing at all could be given, or nothing for long;
 * then what is landed stays for the next run.
 */
export async function fetchBatch(landing: Landing, options: FetchOptions): Promise<Fetched> {
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(options.signal?.reason);
  options.signal?.addEventListener('abort', onAbort, { once: true });
  if (options.signal?.aborted) onAbort();
  try {
    const job = new FetchJob(landing, options, stop);
    const planned = landing.batch.pages.filter((page) => !landing.landed.has(page.id)).length;
    const landed = await job.all(landing.batch.pages, 0);
    const { refused, splits } = job;
    if (refused[0] && landed.length === 0) throw refused[0];
    return { batch: landing.batch, landed, refused, planned, splits, caps: job.learner.caps };
  } catch (error) {
    if (!options.signal?.aborted || error instanceof InsightsError) throw error;
    throw new StoppedError('Stopped between two pages.', { cause: error });
  } finally {
    options.signal?.removeEventListener('abort', onAbort);
  }
}

type Answer = { readonly kind: 'over' } | ((Downloaded<PageWriter> | TooLarge) & { readonly cap: number });

class FetchJob {
  readonly learner: CapsLearner;
  readonly refused: PartError[] = [];
  readonly #landing: Landing;
  readonly #options: FetchOptions;
  readonly #stop: AbortController;
  readonly #divider: Divider;
  #timeoutsInARow = 0;
  #refusalsInARow = 0;
  #refusedBytes = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(landing: Landing, options: FetchOptions, stop: AbortController) {
    this.#landing = landing;
    this.#options = options;
    this.#stop = stop;
    this.learner = new CapsLearner(options.caps, (caps) => options.onLearn?.(caps));
    const { client, limit, dropKeys = [] } = options;
    this.#divider = new Divider({
      client,
      limit,
      dropKeys,
      batch: landing.batch,
      learner: this.learner,
      signal: stop.signal,
    });
  }

  get splits(): number {
    return this.#divider.splits;
  }

  /** The first failure stops the others; all have ended when it is thrown. */
  async all(pages: readonly Page[], timeouts: number): Promise<LandedPage[]> {
    const results = await Promise.allSettled(
      pages.map(async (page) => {
        try {
          return await this.#page(page, timeouts);
        } catch (error) {
          this.#failure ??= { error };
          // What is on its way when a budget ends was paid for: it is landed.
          if (!(error instanceof BudgetError)) this.#stop.abort(error);
          throw error;
        }
      }),
    );
    if (this.#failure) throw this.#failure.error;
    return results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
  }

  async #page(page: Page, timeouts: number): Promise<LandedPage[]> {
    const landed = this.#landing.landed.get(page.id);
    if (landed) return [landed];
    const outcome = await this.#ask(page, this.#divider.isSplittable(page));
    if (outcome.kind !== 'over') return this.#settle(page, outcome, timeouts);
    const children = await this.#divider.divide(page);
    if (!children) return this.#settle(page, await this.#ask(page, false), timeouts);
    return this.all(await this.#replaced([page], children, -1), timeouts);
  }

  /** Takes an answer or asks for less. */
  async #settle(page: Page, outcome: Answer, timeouts: number): Promise<LandedPage[]> {
    if (outcome.kind === 'over') return this.#page(page, timeouts);
    if (outcome.kind === 'too-large') {
      this.#refused(page, outcome);
      if (outcome.by === 'timeout') return this.#afterTimeout(page, timeouts + 1);
      if (outcome.by === 'rows' && outcome.rowsSeen === 0) return this.#searchCap(page, timeouts);
      return this.#askInChildren(page, outcome.by, timeouts);
    }
    this.#timeoutsInARow = this.#refusalsInARow = this.#refusedBytes = 0;
    if (outcome.rows > outcome.cap) {
      await outcome.sink.discard();
      return this.#askInChildren(page, 'rows', timeouts);
    }
    this.learner.answered(page, outcome.rows);
    const isShort = page.rows !== undefined && outcome.rows < page.rows && !page.atRetentionEdge;
    const halves = isShort ? splitPage(page) : undefined;
    if (!halves) return [await this.#commit(page, outcome)];
    await outcome.sink.discard();
    return this.#askInParts(page, halves, outcome.rows);
  }

  /** Learns from a refusal, and gives up where ever smaller parts are refused all the same. */
  #refused(page: Page, refusal: TooLarge): void {
    this.learner.refused(page, refusal);
    if (refusal.by === 'timeout') return;
    this.#refusedBytes += refusal.bytesSeen;
    if (++this.#refusalsInARow > MAX_REFUSALS_IN_A_ROW || this.#refusedBytes > MAX_REFUSED_BYTES_IN_A_ROW)
      throw this.#tooMuch(page, refusal.by);
  }

  async #afterTimeout(page: Page, timeouts: number): Promise<LandedPage[]> {
    if (++this.#timeoutsInARow > MAX_TIMEOUTS_IN_A_ROW) throw this.#tooMuch(page, 'timeout');
    if (timeouts > MAX_NESTED_TIMEOUTS) return this.#leaveOut(page, 'timeout');
    return this.#askInChildren(page, 'timeout', timeouts);
  }

  async #askInChildren(page: Page, by: TooLarge['by'], timeouts: number): Promise<LandedPage[]> {
    const children = await this.#divider.divide(page);
    if (!children) return this.#leaveOut(page, by);
    return this.all(await this.#replaced([page], children, 0), timeouts);
  }

  /**
   * The source has a cap of rows and does not tell it. One page is asked for in ever smaller first parts until one is
   * answered, while its other parts wait: all at once they would be refused one by one.
   */
  async #searchCap(page: Page, timeouts: number): Promise<LandedPage[]> {
    const cells = page.rows === undefined ? undefined : await this.#divider.count(page);
    for (;;) {
      const children = labelled(page, planPages(cells ?? [], this.learner.caps));
      const [first, ...others] = children;
      if (!first || others.length === 0) break;
      this.#divider.splits++;
      const outcome = await this.#ask(first, false);
      if (outcome.kind === 'too-large' && outcome.by === 'rows' && outcome.rowsSeen === 0) {
        const { caps } = this.learner;
        this.#refused(first, outcome);
        if (this.learner.caps.rows < caps.rows) continue;
      }
      if (outcome.kind === 'rows') this.learner.searched(outcome.rows);
      const rest = planPages(
        (cells ?? []).filter((cell) => !overlaps(cell, first.windows)),
        this.learner.caps,
      );
      const parts = first.hash ? children : labelled(page, [first, ...rest]);
      await this.#landing.replace(page, parts);
      this.#divider.splits += parts.length - 1;
      const landed = await this.#settle(first, outcome, timeouts);
      return [...landed, ...(await this.all(parts.slice(1), timeouts))];
    }
    return this.#askInChildren(page, 'rows', timeouts);
  }

  /**
   * Fewer rows came than were counted moments ago. Either rows vanished meanwhile, or the source stops at a cap without
   * a sign. Parts that bring no more than the whole say the first; parts that bring more are split for as long as they do.
   */
  async #askInParts(page: Page, halves: readonly Page[], rows: number): Promise<LandedPage[]> {
    let landed = await this.all(await this.#replaced([page], halves, 0), 0);
    let total = rows;
    for (;;) {
      const sum = rowsOf(landed);
      if (sum <= total) return landed;
      this.learner.cutShort(
        rows,
        landed.some((part) => part.rows === rows),
      );
      const cut = landed.filter((part) => part.rows > this.learner.caps.rows);
      if (cut.length === 0 && sum >= (page.rows ?? 0)) return landed;
      const suspects = cut.length > 0 ? cut : landed;
      const children = suspects.flatMap((part) => splitPage(part.page) ?? []);
      const parents = suspects.map((part) => part.page).filter((parent) => splitPage(parent) !== undefined);
      if (children.length === 0) return landed;
      const kept = landed.filter((part) => !parents.includes(part.page));
      landed = [...kept, ...(await this.all(await this.#replaced(parents, children, 0), 0))];
      total = sum;
    }
  }

  /** Puts children in their parents' place, durably. `spared`: -1 when a parent was not asked itself. */
  async #replaced(parents: readonly Page[], children: readonly Page[], spared: 0 | -1): Promise<readonly Page[]> {
    for (const parent of parents) {
      const own = children.filter((child) => child.id.startsWith(`${parent.id}.`));
      await this.#landing.replace(parent, own);
    }
    this.#divider.splits += children.length + spared;
    return children;
  }

  /** `over`: while the page waited for its turn, a smaller cap was learnt than it was planned for. */
  async #ask(page: Page, mayBeOver: boolean): Promise<Answer> {
    const { client, limit, dropKeys } = this.#options;
    const { table } = this.#landing.batch;
    const columns = TABLES[table].columns.map(({ name }) => name);
    return limit(async () => {
      this.#stop.signal.throwIfAborted();
      if (mayBeOver && this.#divider.capsOf(page) > 1) return { kind: 'over' };
      const cap = this.learner.caps.rows;
      const query = pageQuery(table, page, cap, dropKeys);
      const answer = await client.download(query, columns, () => this.#landing.open(page, query), this.#stop.signal);
      return { ...answer, cap };
    });
  }

  async #commit(page: Page, answer: Downloaded<PageWriter>): Promise<LandedPage> {
    const { sink, rows, bytes, largestRow, columns } = answer;
    const landed = await this.#landing.commit(page, sink, { rows, bytes, largestRow, columns });
    this.#options.onPage?.(landed);
    return landed;
  }

  #leaveOut(page: Page, by: TooLarge['by']): LandedPage[] {
    this.refused.push(this.#tooMuch(page, by));
    return [];
  }

  #tooMuch(page: Page, by: TooLarge['by']): PartError {
    const { tenant, table } = this.#landing.batch;
    const [first, last] = [page.windows[0], page.windows.at(-1)];
    const span = first && last ? `${formatInstant(first.from)} to ${formatInstant(last.to)}` : '';
    const what = by === 'timeout' ? 'answers in time not even' : 'cannot give even';
    return new PartError(`The source ${what} a small part of ${table} from ${span}.`, {
      hint: 'Run again later; if it stays so, ask the vendor about the limits of the query endpoint.',
      where: { tenant, table },
      page: page.id,
    });
  }
}

function rowsOf(landed: readonly LandedPage[]): number {
  return landed.reduce((sum, page) => sum + page.rows, 0);
}
