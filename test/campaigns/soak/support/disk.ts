/** The system's file functions with a watcher, which is called before and after each operation and may throw. */
import { relative } from 'node:path';
import type { FileHandle } from 'node:fs/promises';
import { systemFiles, type Files } from '../../../../src/kernel/files.ts';

export interface Operation {
  readonly name: string;
  /** Of the file or folder, below the data directory; of a rename or link the new name. */
  readonly path: string;
  /** Old name of a rename or link. */
  readonly from?: string;
}

export interface Watcher {
  before?(operation: Operation): void | Promise<void>;
  after?(operation: Operation): void | Promise<void>;
}

const OF_HANDLE = ['sync', 'writeFile', 'appendFile', 'close', 'read', 'stat'];

export function watchedFiles(dataDir: string, watcher: Watcher): Files {
  const around = async (operation: Operation, step: () => unknown): Promise<unknown> => {
    await watcher.before?.(operation);
    const result = await step();
    await watcher.after?.(operation);
    return result;
  };
  const watchedHandle = (handle: FileHandle, path: string): FileHandle =>
    new Proxy(handle, {
      get(target, name) {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== 'function' || typeof name !== 'string') return member;
        const call = (...given: unknown[]): unknown => Reflect.apply(member, target, given);
        if (!OF_HANDLE.includes(name)) return call;
        // Close it even when the watcher throws: the test must not run out of handles.
        if (name === 'close')
          return async () => {
            await call();
            await around({ name, path }, () => undefined);
          };
        return (...given: unknown[]) => around({ name, path }, () => call(...given));
      },
    });
  return new Proxy(systemFiles, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function' || typeof name !== 'string') return member;
      return async (...given: unknown[]) => {
        const hasTwo = ['rename', 'link', 'copyFile'].includes(name);
        const below = (path: unknown): string => relative(dataDir, String(path));
        const path = below(hasTwo ? given[1] : given[0]);
        const operation = { name, path, ...(hasTwo ? { from: below(given[0]) } : {}) };
        const result = await around(operation, () => Reflect.apply(member, target, given));
        return isHandle(result) ? watchedHandle(result, path) : result;
      };
    },
  });
}

function isHandle(value: unknown): value is FileHandle {
  return typeof value === 'object' && value !== null && 'fd' in value && 'sync' in value;
}

/** A refusal as the system words it. */
export function diskFault(code: string, { name, path }: Operation): Error {
  return Object.assign(new Error(`${code}: injected, ${name} '${path}'`), { code, syscall: name });
}
