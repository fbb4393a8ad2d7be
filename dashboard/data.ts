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

export function ask<K extends keyof Answers>(
  question: Extract<Question, { kind: K }>,
  receive: (part: Part) => void = () => {},
): Promise<Answers[K]> {
  worker ??= start();
  const [id, to] = [++last, worker];
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject, receive });
    to.postMessage({ id, question });
  });
}

/** A question that was asked before there was a page to show its answer. */
interface Early {
  readonly search: string;
  readonly parts: Part[];
  receive: ((part: Part) => void) | undefined;
  readonly done: Promise<unknown>;
}

let early: Early | undefined;

/** Asks what the page at this address shows: the worker answers while the scripts of the page are still being loaded. */
export function askEarly(search: string): void {
  const parts: Part[] = [];
  const receive = (part: Part): void => (early?.receive ?? ((each) => void parts.push(each)))(part);
  early = { search, parts, receive: undefined, done: ask({ kind: 'page', search }, receive) };
  early.done.catch(() => {});
}

/** All that the page at this address shows, of one snapshot. `show` is called with what is known of it so far. */
export async function askPage(search: string, show: (answer: Answer) => void): Promise<Answer> {
  let answer: Answer | undefined;
  const receive = (part: Part): void => {
    answer = withPart(answer, part);
    if (answer) show(answer);
  };
  if (early?.search === search) {
    const { parts, done } = early;
    early.receive = receive;
    for (const part of parts) receive(part);
    await done.finally(() => (early = undefined));
  } else await ask({ kind: 'page', search }, receive);
  if (!answer) throw new DataError('The page’s files are incomplete. Load it again.', '');
  return { ...answer, isWhole: true };
}

function withPart(answer: Answer | undefined, part: Part): Answer | undefined {
  // The answer begins again when another snapshot was published meanwhile.
  if ('head' in part)
    return { ...part.head, charts: {}, figures: {}, options: { passTypes: [], platforms: [] }, isWhole: false };
  if (!answer) return undefined;
  if ('chart' in part) return { ...answer, charts: { ...answer.charts, [part.chart]: part.loaded } };
  if ('figure' in part) return { ...answer, figures: { ...answer.figures, [part.figure]: part.loaded } };
  return { ...answer, ...part };
}
