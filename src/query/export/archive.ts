/** Writes the parts of a workbook into its zip archive, one after the other, each while it is made. */
import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { ZipFile } from 'yazl';

export interface Part {
  readonly name: string;
  readonly data: AsyncIterable<string> | Iterable<string>;
}

/** The same parts give the same bytes, so the archive does not say when it was written. */
const OPTIONS = { mtime: new Date(1980, 0, 1), mode: 0o100_644, forceDosTimestamp: true } as const;

/** A part is asked for when the one before it is written. */
export async function writeArchive(path: string, parts: AsyncIterable<Part>, signal?: AbortSignal): Promise<void> {
  const zip = new ZipFile();
  const bytes = new Readable().wrap(zip.outputStream);
  zip.on('error', (error: Error) => bytes.destroy(error));
  const written = pipeline(bytes, createWriteStream(path, { mode: 0o600 }), signal === undefined ? {} : { signal });
  const failed = new AbortController();
  written.catch((error: unknown) => failed.abort(error));
  const add = async (): Promise<void> => {
    for await (const { name, data } of parts) {
      const part = Readable.from(data, { objectMode: false });
      zip.addReadStream(part, name, OPTIONS);
      // Nothing reads a part to its end once the file cannot be written.
      await finished(part, { signal: failed.signal }).finally(() => part.destroy());
    }
    zip.end();
  };
  // What fails first ends both.
  const added = add().catch((error: unknown) => {
    bytes.destroy(error instanceof Error ? error : new Error('The rows ended early.', { cause: error }));
    throw error;
  });
  const [first] = (await Promise.allSettled([written, added])).filter((end) => end.status === 'rejected');
  if (first) throw first.reason;
}
