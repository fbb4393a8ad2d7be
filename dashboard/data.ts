/** Asks the worker. */
import type { Answers, Question } from './types.ts';

export class DataError extends Error {
  readonly file: string;
  constructor(message: string, file: string) {
    super(message);
    this.file = file;
  }
}

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: DataError) => void;
}

let worker: Worker | undefined;
let last = 0;
const waiting = new Map<number, Waiting>();

function start(): Worker {
  const started = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  started.addEventListener(
    'message',
    (event: MessageEvent<{ id: number; value: never; error?: string; file?: string }>) => {
      const { id, value, error, file } = event.data;
      const asked = waiting.get(id);
      waiting.delete(id);
      if (error === undefined) asked?.resolve(value);
      else asked?.reject(new DataError(error, file ?? ''));
    },
  );
  started.addEventListener('error', () => {
    for (const { reject } of waiting.values())
      reject(new DataError('The page’s files are incomplete. Load it again.', ''));
    waiting.clear();
  });
  return started;
}

export function ask<K extends Question['kind']>(question: Extract<Question, { kind: K }>): Promise<Answers[K]> {
  worker ??= start();
  const [id, to] = [++last, worker];
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    to.postMessage({ id, question });
  });
}
