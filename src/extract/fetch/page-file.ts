/** The file of one answer. It is written in large steps while the answer streams in; only its last line is read back. */
import { TEMPORARY, commitFile, onDisk, systemFiles } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import type { LandedPage, Page } from '../../model/page.ts';
import type { TableName } from '../../model/tables.ts';
import { pageText } from './batch-file.ts';
import { isJsonObject, parseJson } from '../../kernel/json.ts';

export interface PageAnswer {
  readonly rows: number;
  readonly bytes: number;
  readonly largestRow: number;
  readonly columns: readonly string[] | undefined;
}

export interface PageHeader {
  readonly page: Page;
  readonly run: string;
  readonly query: string;
  readonly tenant: string;
  readonly table: TableName;
}

export interface PageWriter {
  /** Takes the next bytes of the lines. Resolves when it can take more. */
  write(part: Buffer): Promise<void>;
  /** Ends the file and gives it its final name, durably. Returns that name. */
  commit(answer: PageAnswer): Promise<string>;
  /** Removes the unfinished file. */
  discard(): Promise<void>;
}

const STEP_BYTES = 1 << 20;
/** More than enough for a trailer, which has three numbers and some column names. */
const TRAILER_BYTES = 64 * 1024;

export async function createPageWriter(
  file: string,
  header: PageHeader,
  files: Files = systemFiles,
): Promise<PageWriter> {
  const temporary = `${file}${TEMPORARY}`;
  const handle = await onDisk(temporary, () => files.open(temporary, 'w'));
  const { page, ...rest } = header;
  const first = Buffer.from(`#${JSON.stringify({ format: 1, ...rest, page: pageText(page) })}\n`);
  let parts: Buffer[] = [first];
  let pending = first.length;
  let closed = false;

  async function flush(): Promise<void> {
    if (pending === 0) return;
    const bytes = Buffer.concat(parts, pending);
    parts = [];
    pending = 0;
    // writeFile on a handle continues at the current position and writes everything.
    await onDisk(temporary, () => handle.writeFile(bytes));
  }

  async function close(): Promise<void> {
    if (closed) return;
    closed = true;
    await handle.close();
  }

  return {
    async write(part) {
      parts.push(part);
      pending += part.length;
      if (pending >= STEP_BYTES) await flush();
    },
    async commit(answer) {
      const trailer = Buffer.from(`#${JSON.stringify(answer)}\n`);
      parts.push(trailer);
      pending += trailer.length;
      await onDisk(file, async () => {
        try {
          await flush();
        } finally {
          await close();
        }
        await commitFile(temporary, file, files);
      });
      return file;
    },
    async discard() {
      await onDisk(temporary, async () => {
        await close();
        await files.rm(temporary, { force: true });
      });
    },
  };
}

/** Reads a complete page of this format; `undefined` when the file is anything else. */
export async function readLanded(files: Files, file: string, page: Page): Promise<LandedPage | undefined> {
  const handle = await files.open(file, 'r');
  try {
    const { size } = await handle.stat();
    const length = Math.min(size, TRAILER_BYTES);
    const tail = Buffer.alloc(length);
    await handle.read(tail, 0, length, size - length);
    const text = tail.toString('utf8');
    const start = text.lastIndexOf('\n', text.length - 2) + 1;
    if (!text.startsWith('#', start) || !text.endsWith('\n')) return undefined;
    const trailer = parseJson(text.slice(start + 1));
    if (!isJsonObject(trailer)) return undefined;
    const { rows, bytes, largestRow, columns } = trailer;
    if (typeof rows !== 'number' || typeof bytes !== 'number' || typeof largestRow !== 'number') return undefined;
    const names = Array.isArray(columns) ? columns.map(String) : undefined;
    return { page, file, rows, bytes, largestRow, ...(names ? { columns: names } : {}) };
  } finally {
    await handle.close();
  }
}
