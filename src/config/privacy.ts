/** `privacy`: what of `properties` must not reach the lake as the source has it. */
import { z } from 'zod';
import { parseJsonPath } from '../kernel/json-path.ts';
import { PRIVACY_ACTIONS } from '../model/privacy.ts';
import type { PrivacyRule, SourceDrop } from '../model/privacy.ts';
import type { TableName } from '../model/tables.ts';
import { secretSource } from './secret-source.ts';

const dropKeys = () =>
  z.array(z.string().min(1).max(200)).default([]).describe('Keys of `properties` that are removed at the source.');

const rule = z.strictObject({
  action: z
    .enum(PRIVACY_ACTIONS)
    .describe('`drop` removes, `hash` puts a keyed hash (HMAC-SHA-256) in place, `mask` keeps the shape alone.'),
  tables: z
    .array(z.enum(['Logs', 'Events', 'Metrics']))
    .min(1)
    .optional()
    .describe('Tables that it holds for. Default: all.'),
  types: z
    .array(z.string().min(1).max(200))
    .min(1)
    .optional()
    .describe('Types of events, logs or metrics, `*` for any characters, without regard to case. Default: all.'),
  paths: z
    .array(
      z.string().refine((text) => parseJsonPath(text) !== undefined, {
        error: 'keys joined by dots such as identifiers.email, with * for any characters of one key',
      }),
    )
    .min(1)
    .describe('Where in `properties`; `*` stands for any characters of one key, or for every element of a list.'),
});

export const privacySchema = z
  .strictObject({
    drop: z
      .strictObject({ Logs: dropKeys(), Events: dropKeys(), Metrics: dropKeys() })
      .prefault({})
      .describe('Keys of `properties`, by table, that are removed at the source and never travel.'),
    rules: z.array(rule).default([]).describe('What is dropped, hashed or masked before it reaches the lake.'),
    key: secretSource.optional().describe('Where the key of the hashes comes from; never the key itself.'),
  })
  .prefault({})
  .superRefine(({ rules, key }, context) => {
    if (key === undefined && rules.some(({ action }) => action === 'hash'))
      context.addIssue({ code: 'custom', path: ['key'], message: 'a key, since a rule says hash: {env: NAME}, {file: PATH} or {command: COMMAND}' }); // prettier-ignore
  })
  .describe('What must not reach the lake.');

type Privacy = z.output<typeof privacySchema>;

/** A table's rules, plain drop keys among them. */
export function rulesOf({ drop, rules }: Privacy, table: TableName): PrivacyRule[] {
  // A drop key is one key whatever it is made of; what begins with `$.` is a path, for the source as well.
  const paths = drop[table]
    .map((key) => (key.startsWith('$.') ? key.slice(2) : `"${key.replaceAll(/["\\]/g, String.raw`\$&`)}"`))
    .filter((path) => parseJsonPath(path) !== undefined);
  const dropped: PrivacyRule[] = paths.length === 0 ? [] : [{ action: 'drop', types: undefined, paths }];
  const own = rules.filter(({ tables }) => tables === undefined || tables.includes(table));
  return [...dropped, ...own.map(({ action, types, paths: where }) => ({ action, types, paths: where }))];
}

/** What the source itself can leave out: exact paths of plain keys. The rest is dropped when it comes. */
export function dropAtSource({ drop, rules }: Privacy, table: TableName): SourceDrop[] {
  const own = rules.filter(({ action, tables }) => action === 'drop' && (tables?.includes(table) ?? true));
  const keysOf = (paths: readonly string[]): string[] => paths.flatMap((path) => sourceKey(path) ?? []);
  const always = own.flatMap(({ types, paths }) => (types === undefined ? keysOf(paths) : []));
  const typed = own.flatMap(({ types, paths }) => (types === undefined ? [] : [{ types, keys: keysOf(paths) }]));
  return [{ types: undefined, keys: [...new Set([...drop[table], ...always])] }, ...typed].filter(
    ({ keys }) => keys.length > 0,
  );
}

function sourceKey(path: string): string | undefined {
  const segments = parseJsonPath(path) ?? [];
  const isPlain = segments.every(({ text, isPattern }) => !isPattern && /^[A-Za-z_][A-Za-z0-9_]*$/.test(text));
  if (!isPlain || segments.length === 0) return undefined;
  const keys = segments.map(({ text }) => text).join('.');
  return segments.length === 1 ? keys : `$.${keys}`;
}
