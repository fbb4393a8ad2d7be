/**
 * Faults by rule. A rule matches calls, lets the first `after` of them pass, and then replaces or damages the answers of the
 * next `times`. Rules are declarative and seeded: the same calls in the same order get the same faults.
 */
import { z } from 'zod';
import { effect, type Fault } from './fault-effects.ts';
import { seededRandom } from './synthetic-hours.ts';
import { TABLE_NAMES } from './tables.ts';

function isPattern(text: string): boolean {
  try {
    return new RegExp(text) instanceof RegExp;
  } catch {
    return false;
  }
}

const count = z.int().min(0);
/** How many rows are damaged, counted from the first. */
const rows = count.default(1);
const reply = z.discriminatedUnion('kind', [
  // Replies that replace the answer.
  z.strictObject({
    kind: z.literal('status'),
    status: z.int().min(400).max(599),
    /** Seconds, `date` for an HTTP date, `nonsense` for invalid text; without it, no header is sent. */
    retryAfter: z.union([z.number().min(0), z.enum(['date', 'nonsense'])]).optional(),
    /** `problem-text`: a problem document as text/plain; `echo`: one whose detail repeats the credential. */
    body: z.enum(['problem', 'problem-text', 'echo', 'html', 'text', 'empty']).default('problem'),
    /** The detail of the problem document, for example an engine message. */
    detail: z.string().default('This answer comes from a fault rule.'),
  }),
  z.strictObject({ kind: z.literal('html'), status: z.int().min(200).max(599).default(200) }),
  z.strictObject({
    kind: z.literal('redirect'),
    status: z.union([301, 302, 303, 307, 308].map((status) => z.literal(status))).default(307),
    /** The target of the redirect. @default the same address */
    location: z.string().optional(),
  }),
  z.strictObject({ kind: z.literal('refused-function'), name: z.string() }),
  z.strictObject({
    kind: z.literal('endless-body'),
    /** What never ends: the rows, one string, blanks between rows, or members next to the rows. */
    form: z.enum(['rows', 'text', 'blanks', 'members']).default('rows'),
  }),
  z.strictObject({
    kind: z.literal('deep-nesting'),
    levels: z.int().min(1).default(1_000_000),
    /** Where the brackets are: around the answer, in a cell, or in the string of a cell. */
    at: z.enum(['answer', 'cell', 'text']).default('cell'),
  }),
  z.strictObject({ kind: z.literal('giant-row'), bytes: z.int().min(1).default(300_000_000) }),
  z.strictObject({ kind: z.literal('gzip-bomb'), bytes: z.int().min(1).default(1_000_000_000) }),
  // Replies that damage the delivery of the answer.
  z.strictObject({ kind: z.literal('reset'), at: z.enum(['before', 'headers', 'body']).default('before') }),
  z.strictObject({
    kind: z.literal('stall'),
    at: z.enum(['before', 'body']).default('before'),
    /** Milliseconds after which the answer continues; without it, the call hangs until the client disconnects. */
    ms: count.optional(),
  }),
  z.strictObject({
    kind: z.literal('drip'),
    bytes: z.int().min(1).default(1),
    everyMs: z.int().min(1).default(100),
  }),
  z.strictObject({ kind: z.literal('truncated-body'), contentLength: z.boolean().default(true) }),
  z.strictObject({ kind: z.literal('wrong-length'), by: z.int().default(-10) }),
  z.strictObject({
    kind: z.literal('encoding'),
    form: z.enum(['gzip', 'deflate', 'chunked', 'gzip-chunked', 'corrupt-gzip', 'cut-gzip', 'not-gzip']),
  }),
  // Replies that change the content of the answer.
  z.strictObject({ kind: z.literal('silent-truncation'), rows }),
  z.strictObject({
    kind: z.literal('error-in-rows'),
    form: z.enum(['one-api-errors', 'exceptions']).default('one-api-errors'),
  }),
  z.strictObject({
    kind: z.literal('top-level-error'),
    member: z.enum(['error', 'errors', 'exceptions', 'OneApiErrors']).default('error'),
    /** The engine's message. @default one about low memory */
    message: z.string().optional(),
  }),
  z.strictObject({
    kind: z.literal('deferred-failure'),
    /** The engine's envelope, with the failure after the rows: in a status table (v1) or in the last frame (v2). */
    form: z.enum(['v1', 'v2']).default('v2'),
  }),
  z.strictObject({
    kind: z.literal('too-large'),
    by: z.enum(['rows', 'bytes']).default('rows'),
    mode: z.enum(['one-api-errors', 'exceptions', 'top-level', 'error-400', 'silent']).optional(),
  }),
  z.strictObject({
    kind: z.literal('malformed-rows'),
    width: z.union([z.literal(-1), z.literal(1)]).default(1),
    rows,
  }),
  z.strictObject({ kind: z.literal('reordered-columns') }),
  z.strictObject({ kind: z.literal('wrong-tenant'), tenant: z.string().default('somebody-else') }),
  z.strictObject({ kind: z.literal('duplicate-rows') }),
  z.strictObject({ kind: z.literal('duplicate-ids'), rows }),
  z.strictObject({ kind: z.literal('altered-text'), rows }),
  z.strictObject({ kind: z.literal('null-id'), rows }),
  z.strictObject({ kind: z.literal('bad-datetime'), rows }),
  z.strictObject({ kind: z.literal('outside-window'), rows }),
  z.strictObject({
    kind: z.literal('stale-replica'),
    /** Share of the rows that are missing from this answer. */
    share: z.number().min(0).max(1).default(0.1),
  }),
]);

const rule = z.strictObject({
  match: z
    .strictObject({
      tenant: z.string().optional(),
      table: z.enum(TABLE_NAMES).optional(),
      /** A regular expression that the query text must match. */
      query: z.string().refine(isPattern, 'Expected a regular expression.').optional(),
      /** A regular expression that the key or token must match, for example to simulate an expired one. */
      credential: z.string().refine(isPattern, 'Expected a regular expression.').optional(),
      /** `page`: the query has `take` or `limit`; `summary`: it has `summarize`; `other`: neither. */
      kind: z.enum(['page', 'summary', 'other']).optional(),
    })
    .default({}),
  after: count.default(0),
  /** How many matching calls get the fault; null = all of them from then on. */
  times: count.nullable().default(1),
  probability: z.number().min(0).max(1).default(1),
  seed: z.int().default(1),
  reply,
});

export const faultRules = z.array(rule);
type Rule = z.output<typeof rule>;
export type Reply = Rule['reply'];
/** The properties of a call that rules can match. */
export interface FaultyCall {
  readonly tenant: string;
  readonly query: string;
  readonly now: Date;
  /** The credential that the client sent, for replies that repeat it. */
  readonly credential?: string | undefined;
}

/** A rule as it is written. Only `reply` is required. */
export type FaultRule = z.input<typeof rule>;

export interface Faults {
  /** The fault for this call, if any: that of the first matching rule that is not used up. */
  next(call: FaultyCall): Fault | undefined;
  set(rules: readonly FaultRule[]): void;
}

export function createFaults(initial: readonly FaultRule[]): Faults {
  let rules: { rule: Rule; seen: number; done: number; random: () => number }[] = [];
  const faults: Faults = {
    set(given) {
      rules = faultRules.parse(given).map((rule) => ({ rule, seen: 0, done: 0, random: seededRandom(rule.seed) }));
    },
    next(call) {
      for (const state of rules) {
        const { rule } = state;
        if (!matches(rule, call)) continue;
        state.seen++;
        if (state.seen <= rule.after || (rule.times !== null && state.done >= rule.times)) continue;
        if (state.random() >= rule.probability) continue;
        state.done++;
        return effect(rule.reply, call);
      }
      return undefined;
    },
  };
  faults.set(initial);
  return faults;
}

function matches({ match, reply }: Rule, { tenant, query, credential = '' }: FaultyCall): boolean {
  if (match.credential !== undefined && !new RegExp(match.credential).test(credential)) return false;
  if (reply.kind === 'refused-function' && !new RegExp(`\\b${reply.name}\\s*\\(`).test(query)) return false;
  if (match.tenant !== undefined && match.tenant !== tenant) return false;
  if (match.table !== undefined && !new RegExp(`\\b${match.table}\\b`).test(query)) return false;
  if (match.query !== undefined && !new RegExp(match.query).test(query)) return false;
  return match.kind === undefined || match.kind === queryKind(query);
}

function queryKind(query: string): 'page' | 'summary' | 'other' {
  if (/\|\s*(take|limit)\b/.test(query)) return 'page';
  return /\|\s*summarize\b/.test(query) ? 'summary' : 'other';
}
