/**
 * Misbehaviour by rule. A rule matches calls, lets `after` of them pass, then replaces or damages the answers of `times`
 * more. Everything is declarative and seeded: the same calls in the same order meet the same faults.
 */
import { z } from 'zod';
import type { Limits, Question } from './answer.ts';
import { problem, type Answer } from './problem.ts';
import { literal } from './store.ts';
import { seededRandom } from './synthetic-hours.ts';
import { TABLE_NAMES } from '../tables.ts';

function isPattern(text: string): boolean {
  try {
    return new RegExp(text) instanceof RegExp;
  } catch {
    return false;
  }
}

const count = z.int().min(0);
const reply = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('status'),
    status: z.int().min(400).max(599),
    /** Seconds, the same as an HTTP date, or left out. */
    retryAfter: z.union([z.number().min(0), z.literal('date')]).optional(),
    body: z.enum(['problem', 'html', 'text', 'empty']).default('problem'),
  }),
  z.strictObject({ kind: z.literal('html'), status: z.int().min(200).max(599).default(200) }),
  z.strictObject({ kind: z.literal('reset'), at: z.enum(['before', 'body']).default('before') }),
  z.strictObject({
    kind: z.literal('stall'),
    at: z.enum(['before', 'body']).default('before'),
    /** Then go on; without it the call hangs until the client gives up. */
    ms: count.optional(),
  }),
  z.strictObject({ kind: z.literal('truncated-body'), contentLength: z.boolean().default(true) }),
  z.strictObject({ kind: z.literal('silent-truncation'), rows: count.default(1) }),
  z.strictObject({
    kind: z.literal('error-in-rows'),
    form: z.enum(['one-api-errors', 'exceptions']).default('one-api-errors'),
  }),
  z.strictObject({
    kind: z.literal('top-level-error'),
    member: z.enum(['error', 'errors', 'exceptions', 'OneApiErrors']).default('error'),
  }),
  z.strictObject({
    kind: z.literal('too-large'),
    by: z.enum(['rows', 'bytes']).default('rows'),
    mode: z.enum(['one-api-errors', 'exceptions', 'top-level', 'error-400', 'silent']).optional(),
  }),
  z.strictObject({
    kind: z.literal('malformed-rows'),
    width: z.union([z.literal(-1), z.literal(1)]).default(1),
    rows: count.default(1),
  }),
  z.strictObject({ kind: z.literal('wrong-tenant'), tenant: z.string().default('somebody-else') }),
  z.strictObject({ kind: z.literal('duplicate-rows') }),
  z.strictObject({ kind: z.literal('refused-function'), name: z.string() }),
]);

const rule = z.strictObject({
  match: z
    .strictObject({
      tenant: z.string().optional(),
      table: z.enum(TABLE_NAMES).optional(),
      /** A regular expression that the query text must match. */
      query: z.string().refine(isPattern, 'Expected a regular expression.').optional(),
      /** `page`: the query takes rows; `summary`: it summarizes; `other`: neither. */
      kind: z.enum(['page', 'summary', 'other']).optional(),
    })
    .default({}),
  after: count.default(0),
  /** How many matching calls meet the fault; null = all of them from then on. */
  times: count.nullable().default(1),
  probability: z.number().min(0).max(1).default(1),
  seed: z.int().default(1),
  reply,
});

export const faultRules = z.array(rule);
type Rule = z.output<typeof rule>;
type Reply = Rule['reply'];
/** A rule as it is written; everything but `reply` may be left out. */
export type FaultRule = z.input<typeof rule>;

/** How an answer is sent when not whole. `before`: no byte of it; `body`: the head and half of the body. */
export interface Delivery {
  readonly cut: 'reset' | 'stall' | 'end';
  readonly at: 'before' | 'body';
  readonly contentLength?: boolean;
  readonly resumeAfterMs?: number | undefined;
}

/** What a reply changes; the server applies what is present. */
export interface Fault {
  readonly name: Reply['kind'];
  readonly answer?: Answer;
  readonly relation?: (sql: string) => string;
  readonly limits?: Partial<Limits>;
  readonly editRow?: Question['editRow'];
  readonly failure?: Question['failure'];
  readonly delivery?: Delivery;
}

export interface Faults {
  /** The fault that this call meets, if any; the first matching rule that still has one wins. */
  next(call: { tenant: string; query: string; now: Date }): Fault | undefined;
  set(rules: readonly FaultRule[]): void;
}

export function createFaults(initial: readonly FaultRule[]): Faults {
  let rules: { rule: Rule; seen: number; done: number; random: () => number }[] = [];
  const faults: Faults = {
    set(given) {
      rules = faultRules.parse(given).map((rule) => ({ rule, seen: 0, done: 0, random: seededRandom(rule.seed) }));
    },
    next({ tenant, query, now }) {
      for (const state of rules) {
        const { rule } = state;
        if (!matches(rule, tenant, query)) continue;
        state.seen++;
        if (state.seen <= rule.after || (rule.times !== null && state.done >= rule.times)) continue;
        if (state.random() >= rule.probability) continue;
        state.done++;
        return effect(rule.reply, now);
      }
      return undefined;
    },
  };
  faults.set(initial);
  return faults;
}

function matches({ match, reply }: Rule, tenant: string, query: string): boolean {
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

type Effects = { [Kind in Reply['kind']]: (reply: Extract<Reply, { kind: Kind }>, now: Date) => Omit<Fault, 'name'> };

/** One line or a few for each kind of reply: add one here and to the schema above. */
const EFFECTS: Effects = {
  status: ({ status, retryAfter, body }, now) => ({ answer: statusAnswer(status, retryAfter, body, now) }),
  html: ({ status }) => ({ answer: html(status) }),
  reset: ({ at }) => ({ delivery: { cut: 'reset', at } }),
  stall: ({ at, ms }) => ({ delivery: { cut: 'stall', at, resumeAfterMs: ms } }),
  'truncated-body': ({ contentLength }) => ({ delivery: { cut: 'end', at: 'body', contentLength } }),
  'silent-truncation': ({ rows }) => ({ limits: { rows, mode: 'silent' } }),
  'error-in-rows': ({ form }) => ({ failure: { where: 'rows', json: midwayFailure(form) } }),
  'top-level-error': ({ member }) => ({ failure: { where: 'beside', json: besideFailure(member) } }),
  'too-large': ({ by, mode }) => ({ limits: { [by]: 1, ...(mode ? { mode } : {}) } }),
  'malformed-rows': ({ width, rows }) => ({ editRow: (row, index) => (index < rows ? reshape(row, width) : row) }),
  'wrong-tenant': ({ tenant }) => ({
    relation: (sql) => `(select * replace (${literal(tenant)} as "tenantId") from ${sql})`,
  }),
  'duplicate-rows': () => ({ relation: (sql) => `(select * from ${sql} union all select * from ${sql})` }),
  'refused-function': ({ name }) => ({
    answer: problem(
      400,
      `BadRequest_SemanticError: Request is invalid and cannot be processed: Semantic error: SEM0260: Unknown function: '${name}'.`,
    ),
  }),
};

function effect(reply: Reply, now: Date): Fault {
  // The table's type ties each kind to its reply; indexing by a union loses the tie.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the line above
  const make = EFFECTS[reply.kind] as unknown as (reply: Reply, now: Date) => Omit<Fault, 'name'>;
  return { name: reply.kind, ...make(reply, now) };
}

function statusAnswer(status: number, retryAfter: number | 'date' | undefined, body: string, now: Date): Answer {
  const seconds = retryAfter === 'date' ? 2 : retryAfter;
  const header = retryAfter === 'date' ? new Date(now.getTime() + 2000).toUTCString() : String(seconds);
  const headers = seconds === undefined ? {} : { 'retry-after': header };
  if (body === 'html') return { ...html(status), headers };
  const text = { text: 'error', empty: '' }[body];
  if (text === undefined) return problem(status, 'A fault rule asked for this answer.', { headers });
  return { status, contentType: 'text/plain', body: Buffer.from(text), rows: 0, headers };
}

function html(status: number): Answer {
  const page = `<!DOCTYPE html>\n<html><head><title>${status} | gateway</title></head><body><h1>Error ${status}</h1></body></html>`;
  return { status, contentType: 'text/html; charset=UTF-8', body: Buffer.from(page), rows: 0 };
}

const LOW_MEMORY =
  'Query execution lacks memory resources to complete (80DA0007): Partial query failure: Low memory condition (E_LOW_MEMORY_CONDITION).';

function midwayFailure(form: 'one-api-errors' | 'exceptions'): string {
  if (form === 'exceptions') return JSON.stringify({ Exceptions: [LOW_MEMORY] });
  const error = { code: 'LowMemoryCondition', message: LOW_MEMORY, '@permanent': false };
  return JSON.stringify({ OneApiErrors: [{ error }] });
}

function besideFailure(member: string): string {
  const error = { code: 'LowMemoryCondition', message: LOW_MEMORY };
  const value = { error, errors: { query: [LOW_MEMORY] }, exceptions: [LOW_MEMORY] }[member] ?? [{ error }];
  return `${JSON.stringify(member)}:${JSON.stringify(value)}`;
}

/** One cell more at the end, or the first cell gone; a row that is an object gets or loses a member likewise. */
function reshape(row: string, width: 1 | -1): string {
  const cells: unknown = JSON.parse(row);
  if (!Array.isArray(cells)) return width === 1 ? row.replace(/\}$/, ',"surplus":"surplus"}') : '{}';
  return JSON.stringify(width === 1 ? [...cells, 'surplus'] : cells.slice(1));
}
