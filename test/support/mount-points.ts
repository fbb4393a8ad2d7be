/** Folders that are mount points, as a system treats them: it deletes and renames none of them, nor what is above one. */
import { systemFiles, type Files } from '../../src/kernel/files.ts';

/** `before`: called before each step that changes files, with its name. */
export function withMountPoints(folders: readonly string[], before: (step: string) => void = () => {}): Files {
  const changing =
    <A extends readonly unknown[], R>(name: string, step: (...given: A) => Promise<R>) =>
    async (...given: A): Promise<R> => {
      before(name);
      const [path] = given.map(String);
      const isBusy =
        ['rm', 'rmdir', 'rename'].includes(name) && folders.some((each) => `${each}/`.startsWith(`${path}/`));
      if (isBusy && name === 'rmdir' && !folders.includes(`${path}`)) throw fault('ENOTEMPTY');
      if (isBusy) throw fault('EBUSY');
      return step(...given);
    };
  return {
    ...systemFiles,
    rm: changing('rm', systemFiles.rm),
    rmdir: changing('rmdir', systemFiles.rmdir),
    rename: changing('rename', systemFiles.rename),
    writeFile: changing('writeFile', systemFiles.writeFile),
  };
}

function fault(code: string): Error {
  return Object.assign(new Error(code), { code });
}
