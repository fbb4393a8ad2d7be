/** Asks the worker. */
import type { Answer, Answers, Part, Question } from './types.ts';

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
  readonly receive: (part: Part) => void;
}

interface Message {
  readonly id: number;
  readonly part?: Part;
  readonly value: never;
  readonly error?: string;
  readonly file?: string;
}

let worker: Worker | undefined;
let last = 0;
const waiting = new Map<number, Waiting>();

function start(): Worker {
  const started = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  started.addEventListener('message', (event: MessageEvent<Message>) => {
    const { id, part, value, error, file } = event.data;
    const asked = waiting.get(id);
    if (part) return asked?.receive(part);
    waiting.delete(id);
    if (error === undefined) asked?.resolve(value);
    else asked?.reject(new DataError(error, file ?? ''));
  });
  started.addEventListener('error', () => {
    for (const { reject } of waiting.values())
      reject(new DataError('The page’s files are incomplete. Load it again.', ''));
    waiting.clear();
  });
  return started;
}

function send<T>(question: Question, receive: (part: Part) => void = () => {}): Promise<T> {
  worker ??= start();
  const [id, to] = [++last, worker];
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject, receive });
    to.postMessage({ id, question });
  });
}

export const ask = <K extends keyof Answers>(question: Extract<Question, { kind: K }>): Promise<Answers[K]> =>
  send(question);

/** All reports, of one snapshot. `show` is called once the first of them are there, those named in `first`. */
export async function askMarts(
  question: Extract<Question, { kind: 'marts' }>,
  first: readonly string[],
  show: (answer: Answer) => void,
): Promise<Answer> {
  let answer: Answer | undefined;
  await send(question, (part) => {
    // The answer begins again when another snapshot was published meanwhile.
    if (!('name' in part)) answer = { ...part, reports: {}, isWhole: false };
    else if (answer) {
      answer = { ...answer, reports: { ...answer.reports, [part.name]: part.loaded } };
      if (first.every((name) => name in (answer?.reports ?? {})) && first.at(-1) === part.name) show(answer);
    }
  });
  if (!answer) throw new DataError('The page’s files are incomplete. Load it again.', '');
  return { ...answer, isWhole: true };
}
