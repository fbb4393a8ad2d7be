/** Runs the program inside the test process, with its own streams, environment and signals. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { main } from '../../src/commands/program.ts';
import type { Io } from '../../src/commands/shell.ts';

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface Stage {
  readonly folder: string;
  write(name: string, content: string): Promise<string>;
  run(argv: readonly string[], env?: Readonly<Record<string, string>>): Promise<Outcome>;
  /** Delivers a stop signal to the command that is running. */
  signal(name: string): void;
  /** Exit codes of forced ends. */
  readonly forced: number[];
  [Symbol.asyncDispose](): Promise<void>;
}

export class Collector extends Writable {
  text = '';
  readonly isTTY: boolean;
  columns = 120;

  constructor(isTTY = false) {
    super();
    this.isTTY = isTTY;
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString('utf8');
    done();
  }
}

/** A scratch folder as the working directory. */
export async function openStage(): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'insights-shell-'));
  const listeners = new Set<(signal: string) => void>();
  const forced: number[] = [];
  return {
    folder,
    forced,
    async write(name, content) {
      const path = join(folder, name);
      await writeFile(path, content);
      return path;
    },
    async run(argv, env = {}) {
      const stdout = new Collector();
      const stderr = new Collector();
      const io: Io = {
        stdout,
        stderr,
        // For the few rows of a test, threads cost more than they save.
        env: { INSIGHTS_ENGINE_THREADS: '1', ...env },
        cwd: folder,
        onStop(listener) {
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
        exit: (code) => void forced.push(code),
      };
      // Errors as a person sees them, though the streams are no terminals.
      const words = argv.includes('--log-format') ? argv : ['--log-format', 'text', ...argv];
      const code = await main(words, io);
      return { code, out: stdout.text, err: stderr.text };
    },
    signal(name) {
      for (const listener of listeners) listener(name);
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
