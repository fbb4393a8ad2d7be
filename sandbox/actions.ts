/**
 * Changes to a running sandbox: late rows, erasures, expiry, passing time, new faults. The admin server, the scenario file
 * and tests use the same actions.
 */
import { z } from 'zod';
import { DAY, formatInstant, HOUR, MINUTE, parseInstant, SECOND, type Instant } from './instant.ts';
import { TABLE_NAMES, TABLES } from './tables.ts';
import { cap, LIMIT_MODES } from './answer.ts';
import type { SandboxClock } from './clock.ts';
import { faultRules, type Faults } from './faults.ts';
import { parseRow } from './ndjson.ts';
import type { Manner } from './server.ts';
import type { Store } from './store.ts';
import { fillWindow } from './synthetic.ts';

const table = z.enum(TABLE_NAMES);
const tenant = z.string().min(1);
const instant = z.string().refine((text) => parseInstant(text) !== undefined, 'Expected an ISO 8601 instant.');
/** `90s`, `15m`, `3h`, `2d`; a minus sign moves the clock back. */
const DURATION = /^(-?)(\d+)(s|m|h|d)$/;
const UNIT: Readonly<Record<string, bigint>> = { s: SECOND, m: MINUTE, h: HOUR, d: DAY };

export const actionSchema = z.discriminatedUnion('action', [
  z.strictObject({
    action: z.literal('rows'),
    table,
    tenant,
    /** Objects, or lines of NDJSON where the exact text of a value matters. */
    rows: z.array(z.union([z.string(), z.record(z.string(), z.unknown())])),
  }),
  z.strictObject({
    action: z.literal('generate'),
    table,
    tenant,
    rows: z.int().min(1),
    from: instant,
    to: instant,
    seed: z.int().default(1),
  }),
  z.strictObject({
    action: z.literal('erase'),
    table,
    tenant,
    from: instant.optional(),
    to: instant.optional(),
    type: z.string().optional(),
    ids: z.array(z.string()).min(1).optional(),
    share: z.number().min(0).max(1).optional(),
  }),
  z.strictObject({ action: z.literal('expire'), table, tenant, before: instant }),
  z.strictObject({
    action: z.literal('clock'),
    advance: z.string().regex(DURATION).optional(),
    set: instant.optional(),
  }),
  z.strictObject({ action: z.literal('faults'), rules: faultRules }),
  /** What is not given stays as it is. */
  z.strictObject({
    action: z.literal('limits'),
    /** 0 = no cap. */
    rows: z.int().min(0).exactOptional(),
    bytes: z.int().min(0).exactOptional(),
    mode: z.enum(LIMIT_MODES).exactOptional(),
  }),
  z.strictObject({
    action: z.literal('wire'),
    shape: z.enum(['rows', 'columns', 'v1', 'v2', 'tables', 'array']).exactOptional(),
    row: z.enum(['array', 'object']).exactOptional(),
    datetime: z.enum(['full', 'trimmed']).exactOptional(),
    dynamic: z.enum(['nested', 'text']).exactOptional(),
    layout: z.enum(['compact', 'indented']).exactOptional(),
    gzip: z.boolean().exactOptional(),
  }),
]);

export type SandboxAction = z.input<typeof actionSchema>;
/** Rows added or removed, the sandbox's time after the action, or the names of what was changed. */
export type ActionResult =
  | { readonly rows: number }
  | { readonly now: string }
  | { readonly faults: number }
  | { readonly changed: readonly string[] };

/** Returns the function that carries out an action. It throws ZodError when the action is not valid. */
export function createActions(sandbox: { store: Store; clock: SandboxClock; faults: Faults; manner: Manner }) {
  const { store, clock, faults, manner } = sandbox;
  return async (given: unknown): Promise<ActionResult> => {
    const action = actionSchema.parse(given);
    switch (action.action) {
      case 'rows': {
        const { table: name, tenant, rows } = action;
        const cells = rows.map((row, index) => {
          const line = typeof row === 'string' ? row : JSON.stringify(row);
          // A row that names a tenant keeps that name, even if it is another tenant's.
          return parseRow(line, TABLES[name], `row ${index + 1}`).map((cell, column) =>
            cell === '' && TABLES[name].columns[column]?.name === 'tenantId' ? tenant : cell,
          );
        });
        return { rows: await store.addRows(name, cells, { tenant }) };
      }
      case 'generate': {
        const [from, to] = [at(action.from), at(action.to)];
        // A large seed, so that ids differ from those of the initial rows, whose seeds are smaller.
        const window = { start: from, span: to - from, rows: action.rows, seed: 1_000_000_000 + action.seed * 16 };
        await fillWindow(store, action.tenant, action.table, window);
        return { rows: action.rows };
      }
      case 'erase': {
        const { from, to, type, ids, share } = action;
        const window = { from: from === undefined ? from : at(from), to: to === undefined ? to : at(to) };
        return { rows: await store.erase(action.tenant, action.table, { ...window, type, ids, share }) };
      }
      case 'expire':
        return { rows: await store.erase(action.tenant, action.table, { to: at(action.before) }) };
      case 'clock': {
        if (action.set !== undefined) clock.set(at(action.set));
        if (action.advance !== undefined) clock.advance(duration(action.advance));
        return { now: formatInstant(clock.now()) };
      }
      case 'limits': {
        const { action: _, rows, bytes, ...given } = action;
        const caps = {
          ...(rows === undefined ? {} : { rows: cap(rows) }),
          ...(bytes === undefined ? {} : { bytes: cap(bytes) }),
        };
        manner.limits = { ...manner.limits, ...caps, ...given };
        return { changed: Object.keys({ ...caps, ...given }) };
      }
      case 'wire': {
        const { action: _, ...given } = action;
        manner.wire = { ...manner.wire, ...given };
        return { changed: Object.keys(given) };
      }
      case 'faults':
      default:
        faults.set(action.rules);
        return { faults: action.rules.length };
    }
  };
}

function at(text: string): Instant {
  const parsed = parseInstant(text);
  if (parsed === undefined) throw new TypeError('The schema accepted a text that is not an instant.');
  return parsed;
}

function duration(text: string): bigint {
  const [, sign, amount = '0', unit = 's'] = DURATION.exec(text) ?? [];
  const ticks = BigInt(amount) * (UNIT[unit] ?? SECOND);
  return sign === '-' ? -ticks : ticks;
}
