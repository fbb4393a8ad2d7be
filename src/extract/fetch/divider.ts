/** How a page that is too large is asked for in parts: by a finer count where that pays, else blindly. */
import type { LimitFunction } from 'p-limit';
import { isRefusedQuery } from '../../kernel/errors.ts';
import { DAY, MINUTE, SECOND } from '../../kernel/instant.ts';
import { totalLength } from '../../kernel/windows.ts';
import type { Batch, Cell, Page } from '../../model/page.ts';
import type { SourceDrop } from '../../model/privacy.ts';
import type { Client } from '../source/client.ts';
import { readHistogram } from '../plan/histogram.ts';
import type { CapsLearner } from './learning.ts';
import { planPages } from '../plan/plan.ts';
import { labelled, splitPage } from '../plan/split.ts';

interface DividerOptions {
  readonly client: Client;
  readonly limit: LimitFunction;
  readonly dropKeys: readonly SourceDrop[];
  readonly batch: Batch;
  readonly learner: CapsLearner;
  readonly signal: AbortSignal;
}

/** Beyond so many caps a count of what lies where costs less than finding out by halves. */
const COUNT_FROM = 3;
const MOST_BLIND_PARTS = 64;

export class Divider {
  /** Calls beyond those planned. */
  splits = 0;
  readonly #options: DividerOptions;
  /** Estimated bytes of a row, to tell rows where they were not counted. */
  readonly #bytesARow: number;

  constructor(options: DividerOptions) {
    this.#options = options;
    const counted = options.batch.pages.filter((page) => page.rows !== undefined);
    const rows = counted.reduce((sum, page) => sum + (page.rows ?? 0), 0);
    const bytes = counted.reduce((sum, page) => sum + page.bytes, 0);
    this.#bytesARow = rows > 0 && bytes > 0 ? bytes / rows : 400;
  }

  /** How many caps a page holds, as far as is known. */
  capsOf(page: Page): number {
    const { caps } = this.#options.learner;
    const rows = page.rows ?? page.bytes / this.#bytesARow;
    return Math.max(rows / caps.rows, page.bytes / caps.bytes);
  }

  isSplittable(page: Page): boolean {
    return splitPage(page) !== undefined;
  }

  /** Children in the page's place; `undefined` when there is nothing smaller to ask for. */
  async divide(page: Page): Promise<Page[] | undefined> {
    const caps = this.capsOf(page);
    const cells = caps > COUNT_FROM ? await this.count(page) : undefined;
    const counted = cells ? planPages(cells, this.#options.learner.caps) : [];
    if (counted.length > 1) return labelled(page, counted);
    return splitPage(page, Math.max(2, Math.min(MOST_BLIND_PARTS, Math.ceil(caps * 1.1))));
  }

  /** What lies where inside a page; `undefined` when it is too short for that, or the source refuses. */
  async count(page: Page): Promise<readonly Cell[] | undefined> {
    const { client, limit, dropKeys, batch, signal } = this.#options;
    const span = totalLength(page.windows);
    if (page.hash || span <= SECOND) return undefined;
    const onMinutes = page.windows.every(({ from }) => from % MINUTE === 0n);
    const unit = onMinutes && span > 2n * DAY ? 'minute' : 'second';
    try {
      const request = { table: batch.table, unit, windows: page.windows, dropKeys } as const;
      const { cells, calls } = await limit(async () => readHistogram(client, request, signal));
      this.splits += calls;
      return cells;
    } catch (error) {
      if (isRefusedQuery(error)) return undefined;
      throw error;
    }
  }
}
