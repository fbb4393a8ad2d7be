/**
 * Executes a Dockerfile without Docker, as an ordinary user: each stage is a folder that serves as the root of its file
 * system. It supports only the instructions that deploy/Dockerfile uses. The base image is the machine itself, and `chown` is only recorded, because it needs root.
 */
import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';

export interface Instruction {
  readonly word: string;
  readonly rest: string;
}

export interface Stage {
  readonly root: string;
  readonly workFolder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
}

export function instructionsOf(text: string): Instruction[] {
  const lines = text.replaceAll('\\\n', ' ').split('\n');
  return lines
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    .map((line) => ({ word: line.split(' ')[0] ?? '', rest: line.slice(line.indexOf(' ') + 1) }));
}

/** Stages by their name; the last one is `''`. `env` is what the steps need of the machine, such as PATH. */
export async function executeDockerfile(
  file: string,
  context: string,
  scratch: string,
  env: NodeJS.ProcessEnv,
): Promise<ReadonlyMap<string, Stage>> {
  const stages = new Map<string, Stage>();
  const included: readonly string[] = (await readFile(`${file}.dockerignore`, 'utf8')).match(/(?<=^!).+$/gm) ?? [];
  const tools = join(scratch, 'tools');
  await mkdir(tools, { recursive: true });
  await writeFile(join(tools, 'chown'), `#!/bin/sh\necho "$@" >> ${join(scratch, 'chown.txt')}\n`, { mode: 0o755 });
  let name = '';
  for (const { word, rest } of instructionsOf(await readFile(file, 'utf8'))) {
    const words = rest.split(' ');
    if (word === 'FROM') {
      name = words[2] ?? '';
      const root = join(scratch, `stage${stages.size}`);
      // Every base image has /etc.
      await mkdir(join(root, 'etc'), { recursive: true });
      const base = stages.get(words[0] ?? '');
      if (base) await cp(base.root, root, { recursive: true, verbatimSymlinks: true });
      stages.set(name, { ...(base ?? { workFolder: '/', env: {}, entrypoint: [], command: [] }), root });
      continue;
    }
    const stage = stages.get(name);
    if (!stage) throw new Error(`${word} before FROM`);
    const inRoot = (path: string): string =>
      join(stage.root, path.startsWith('/') ? path : join(stage.workFolder, path));
    const change = (changed: Partial<Stage>): unknown => stages.set(name, { ...stage, ...changed });
    switch (word) {
      case 'WORKDIR':
        await mkdir(inRoot(rest), { recursive: true });
        change({ workFolder: rest });
        break;
      case 'ENV':
        change({ env: { ...stage.env, ...Object.fromEntries(words.map((pair) => pair.split('='))) } });
        break;
      case 'COPY': {
        const [from = '', to = ''] = words.slice(-2);
        const other = /^--from=(\S+)/.exec(rest)?.[1];
        if (other !== undefined) {
          const source = stages.get(other);
          if (!source) throw new Error(`there is no stage ${other}`);
          await cp(join(source.root, from), inRoot(to), { recursive: true, verbatimSymlinks: true });
          break;
        }
        for (const path of from === '.' ? included : words.slice(0, -1)) {
          if (!included.includes(path)) throw new Error(`the ignore file excludes ${path}`);
          const copy = join(inRoot(to), basename(path));
          await cp(join(context, path), copy, { recursive: true });
          // As in a checkout that only its owner can read.
          await promisify(execFile)('chmod', ['-R', 'go-rwx', copy]);
        }
        break;
      }
      case 'RUN': {
        const script = rest.replaceAll(/(?<=^|\s)\/(?=\w)/g, `${stage.root}/`);
        const mapped = { ...env, ...stage.env, PATH: `${tools}:${env['PATH'] ?? ''}` };
        await promisify(execFile)('sh', ['-c', `umask 022; ${script}`], { cwd: inRoot('.'), env: mapped });
        break;
      }
      case 'ENTRYPOINT':
        change({ entrypoint: wordsOf(rest) });
        break;
      case 'CMD':
        change({ command: wordsOf(rest) });
        break;
      case 'USER':
      case 'VOLUME':
      case 'HEALTHCHECK':
      case 'STOPSIGNAL':
        break;
      default:
        throw new Error(`unknown instruction ${word}`);
    }
  }
  return stages;
}

function wordsOf(json: string): string[] {
  return z.array(z.string()).parse(JSON.parse(json));
}
