/**
 * Keeps answers on disk until they are merged into the lake:
 *
 *     <root>/<tenant>/<Table>/<batch>/batch.json       the pages of the batch; rewritten when a page is split
 *     <root>/<tenant>/<Table>/<batch>/<page>.ndjson    one answer: `#{header}`, one line per row, `#{trailer}`
 *
 * A page is written to a temporary file, flushed and renamed, and its folder is flushed, so a file with its final name is
 * complete. After a crash the next run finds the batch, keeps the complete pages, removes the rest, and fetches only what
 * is missing. batch.json names the children of a split before they are fetched, so every child on disk is known.
 */
import { errorCode } from '../../kernel/errors.ts';
import { join } from 'node:path';
import { TEMPORARY, isMissing, onDisk, syncPath, systemFiles, writeDurably } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { BATCH_FILE, PAGE_SUFFIX } from '../../model/data-dir.ts';
import type { Batch, LandedPage, Page } from '../../model/page.ts';
import type { TableName } from '../../model/tables.ts';
import { readBatch, writeBatch } from './batch-file.ts';
import { createPageWriter, readLanded } from './page-file.ts';
import type { PageAnswer, PageWriter } from './page-file.ts';

/** One batch while it is being fetched: what is planned and what has landed. */
export interface Landing {
  /** The batch with its current pages, splits included. */
  readonly batch: Batch;
  readonly folder: string;
  readonly landed: ReadonlyMap<string, LandedPage>;
  /** Starts the file of a page and overwrites what an earlier attempt left. */
  open(page: Page, query: string): Promise<PageWriter>;
  /** Gives a finished file its final name. From then on the page has landed. */
  commit(page: Page, writer: PageWriter, answer: PageAnswer): Promise<LandedPage>;
  /** Replaces a page by its children, durably, and removes its file if it had landed. */
  replace(page: Page, children: readonly Page[]): Promise<void>;
  /** Drops landed pages whose answers will not be used, durably: removes their files and plans `instead` to be fetched in their place. */
  takeBack(pages: readonly Page[], instead: readonly Page[]): Promise<void>;
  /** Reduces the batch to this part of it, durably, and removes the files of all other pages, which are merged. */
  narrow(remainder: Batch): Promise<void>;
  /** Removes the folder, because the batch is merged or given up. */
  remove(): Promise<void>;
}

/** Starts a batch: creates its folder and batch.json, durably. `run` is written to each file's header. */
export async function createLanding(
  root: string,
  batch: Batch,
  run: string,
  files: Files = systemFiles,
): Promise<Landing> {
  const folder = join(root, batch.tenant, batch.table, batch.id);
  await onDisk(folder, async () => {
    await files.mkdir(folder, { recursive: true });
    await writeDurably(join(folder, BATCH_FILE), writeBatch(batch), files);
    await syncPath(join(folder, '..'), files);
  });
  return landing(files, folder, batch, run, new Map());
}

/** The batches that earlier runs left, oldest first. Removes the files that they did not finish. */
export async function openLandings(
  root: string,
  tenant: string,
  table: TableName,
  run: string,
  files: Files = systemFiles,
): Promise<Landing[]> {
  const parent = join(root, tenant, table);
  return onDisk(parent, () => readLandings(parent, tenant, table, run, files));
}

async function readLandings(
  parent: string,
  tenant: string,
  table: TableName,
  run: string,
  files: Files,
): Promise<Landing[]> {
  const landings: Landing[] = [];
  for (const name of (await entries(files, parent)).sort()) {
    const folder = join(parent, name);
    const batch = await readBatchFile(files, join(folder, BATCH_FILE));
    if (!batch || batch.id !== name || batch.tenant !== tenant || batch.table !== table) {
      // The run ended before batch.json was written, so no page was fetched.
      await files.rm(folder, { recursive: true, force: true });
      continue;
    }
    landings.push(landing(files, folder, batch, run, await readPages(files, folder, batch)));
  }
  return landings;
}

function landing(files: Files, folder: string, start: Batch, run: string, landed: Map<string, LandedPage>): Landing {
  let batch = start;
  // Splits of pages in flight must not overwrite each other's batch.json.
  let last: Promise<void> = Promise.resolve();

  async function replaceAfter(before: Promise<void>, page: Page, children: readonly Page[]): Promise<void> {
    await before;
    await rewrite({ ...batch, pages: batch.pages.flatMap((other) => (other.id === page.id ? children : [other])) });
  }

  /** Writes batch.json first, and then removes the files of pages that it no longer names. */
  async function rewrite(next: Batch): Promise<void> {
    await onDisk(folder, () => writeDurably(join(folder, BATCH_FILE), writeBatch(next), files));
    batch = next;
    const named = new Set(next.pages.map(({ id }) => id));
    for (const [id, { file }] of landed) {
      if (named.has(id)) continue;
      landed.delete(id);
      await onDisk(folder, () => files.rm(file, { force: true }));
    }
  }

  return {
    get batch() {
      return batch;
    },
    folder,
    landed,
    open: (page, query) => {
      const { tenant, table } = batch;
      return createPageWriter(join(folder, `${page.id}${PAGE_SUFFIX}`), { page, run, query, tenant, table }, files);
    },
    async commit(page, writer, answer) {
      const file = await writer.commit(answer);
      const { columns, ...counts } = answer;
      const result: LandedPage = { page, file, ...counts, ...(columns ? { columns } : {}) };
      landed.set(page.id, result);
      return result;
    },
    replace(page, children) {
      const step = replaceAfter(last, page, children);
      last = step.catch(() => {});
      return step;
    },
    async takeBack(pages, instead) {
      const ids = new Set(pages.map(({ id }) => id));
      const [first] = pages;
      await rewrite({
        ...batch,
        pages: batch.pages.flatMap((page) => {
          if (!ids.has(page.id)) return [page];
          return page.id === first?.id ? instead : [];
        }),
      });
      // A page that replaces itself is still named in batch.json.
      for (const id of ids) {
        const file = landed.get(id)?.file;
        if (file === undefined) continue;
        landed.delete(id);
        await onDisk(folder, () => files.rm(file, { force: true }));
      }
    },
    narrow: rewrite,
    remove: () => onDisk(folder, () => files.rm(folder, { recursive: true, force: true })),
  };
}

/** The complete files of pages that the batch still names. Removes everything else in the folder. */
async function readPages(files: Files, folder: string, batch: Batch): Promise<Map<string, LandedPage>> {
  const landed = new Map<string, LandedPage>();
  for (const name of await entries(files, folder)) {
    if (name === BATCH_FILE) continue;
    const file = join(folder, name);
    const page = batch.pages.find(({ id }) => name === `${id}${PAGE_SUFFIX}`);
    const complete = page && !name.endsWith(TEMPORARY) ? await readLanded(files, file, page) : undefined;
    if (complete) landed.set(complete.page.id, complete);
    else await files.rm(file, { recursive: true, force: true });
  }
  return landed;
}

async function readBatchFile(files: Files, file: string): Promise<Batch | undefined> {
  try {
    return readBatch(await files.readFile(file, 'utf8'));
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

async function entries(files: Files, folder: string): Promise<string[]> {
  try {
    return await files.readdir(folder);
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

/** There is nothing at the path, or a file where it needs a folder. */
function isAbsent(error: unknown): boolean {
  return isMissing(error) || errorCode(error) === 'ENOTDIR';
}
