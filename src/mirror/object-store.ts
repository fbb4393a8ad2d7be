/** What the mirror needs of an object store. Three adapters: folder.ts, s3.ts and azure.ts. Names are relative to the mirror, with slashes. */
import { createHash } from 'node:crypto';
import { onDisk } from '../kernel/files.ts';
import type { Files } from '../kernel/files.ts';

/** The bytes of an object to write. Read in parts, so that no file is ever held as a whole. */
export interface Source {
  readonly bytes: number;
  /** Of all bytes, in hexadecimal. It is stored with the object. */
  readonly sha256: string;
  read(from: number, length: number): Promise<Uint8Array>;
}

/** Only if there is no object with this name, or only if it is the one with this tag. */
export type Condition = { readonly ifAbsent: true } | { readonly ifMatch: string };

export interface ListedObject {
  readonly name: string;
  readonly bytes: number;
}

export interface ObjectHead {
  readonly bytes: number;
  /** Changes with the content. */
  readonly etag: string;
  /** As the mirror stored it, or computed from a file. Undefined: the mirror did not write the object. */
  readonly sha256: string | undefined;
}

/** All methods throw MirrorError, or the reason of the signal that they were opened with. */
export interface ObjectStore {
  /** For messages. */
  readonly place: string;
  /** Returns the tag of the object; undefined when the condition is not met, and then nothing was written. */
  put(name: string, source: Source, condition?: Condition): Promise<string | undefined>;
  /** A small object as a whole. Undefined: there is none. */
  read(name: string): Promise<{ readonly content: Buffer; readonly etag: string } | undefined>;
  /** Writes an object to a file. False: there is none. */
  download(name: string, path: string, files: Files): Promise<boolean>;
  head(name: string): Promise<ObjectHead | undefined>;
  list(prefix: string): AsyncIterable<ListedObject>;
  delete(name: string): Promise<void>;
  /** Removes what uploads left behind that began before this time, or what any upload has left. A store that removes it by itself may leave the former. */
  abortUploads(before: number | 'any'): Promise<void>;
}

const MIB = 1024 * 1024;

/** A part of a large object, and the largest object that is sent as one. Bounds the memory of an upload. */
const PART_BYTES = 8 * MIB;
/** Object stores allow 10,000. */
const MOST_PARTS = 9000;

export interface Part {
  readonly from: number;
  readonly length: number;
}

/** The parts in which an object is sent. An empty object is one part. */
export function partsOf(bytes: number, part = PART_BYTES): readonly Part[] {
  const length = Math.max(part, Math.ceil(bytes / MOST_PARTS / MIB) * MIB);
  const parts = Array.from({ length: Math.max(1, Math.ceil(bytes / length)) }, (_, nth) => nth * length);
  return parts.map((from) => ({ from, length: Math.min(length, bytes - from) }));
}

export function textSource(text: string): Source {
  const content = Buffer.from(text);
  return {
    bytes: content.length,
    sha256: createHash('sha256').update(content).digest('hex'),
    read: async (from, length) => content.subarray(from, from + length),
  };
}

/** A file that does not change while it is read. */
export function fileSource(path: string, { bytes, sha256 }: Pick<Source, 'bytes' | 'sha256'>, files: Files): Source {
  return {
    bytes,
    sha256,
    read: (from, length) =>
      // Reading the lake and writing a folder as its mirror are on different disks.
      onDisk(path, async () => {
        const handle = await files.open(path, 'r');
        try {
          const content = new Uint8Array(length);
          const { bytesRead } = await handle.read(content, 0, length, from);
          if (bytesRead === length) return content;
          // Some file systems return less than they were asked for.
          for (let at = bytesRead; at < length;) {
            const more = await handle.read(content, at, length - at, from + at);
            if (more.bytesRead === 0) throw new RangeError(`the file is shorter than ${from + length} bytes`);
            at += more.bytesRead;
          }
          return content;
        } finally {
          await handle.close();
        }
      }),
  };
}

export function md5Of(content: Uint8Array): Buffer {
  return createHash('md5').update(content).digest();
}
