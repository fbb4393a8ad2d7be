/** `privacy`: which parts of `properties` are dropped, hashed or masked before they reach the lake. */
import { z } from 'zod';
import { parseJsonPath } from '../kernel/json-path.ts';
import { PRIVACY_ACTIONS } from '../model/privacy.ts';
import type { PrivacyRule, SourceDrop } from '../model/privacy.ts';
import { TABLE_NAMES, type TableName } from '../model/tables.ts';
import { secretSource } from './secret-source.ts';

const dropKeys = () =>
  z
    .array(z.string().min(1).max(200))
    .default([])
    .describe('Keys of `properties` that the source removes before it answers.');

const rule = z.strictObject({
  action: z
    .enum(PRIVACY_ACTIONS)
    .describe(
      '`drop` removes the value, `hash` replaces it by a keyed hash (HMAC-SHA-256), `mask` keeps only its shape.',
    ),
  tables: z.array(z.enum(TABLE_NAMES)).min(1).optional().describe('Tables that the rule applies to. Default: all.'),
  types: z
    .array(z.string().min(1).max(200))
    .min(1)
    .optional()
    .describe('Types of events, logs or metrics, in any case; `*` matches any characters. Default: all.'),
  paths: z
    .array(
      z.string().refine((text) => parseJsonPath(text) !== undefined, {
        error: 'keys joined by dots such as identifiers.email; * matches any characters of one key',
      }),
    )
    .min(1)
    .describe('Paths in `properties`; `*` matches any characters of one key, or every element of a list.'),
});

export const privacySchema = z
  .strictObject({
    drop: z
      .strictObject({ Logs: dropKeys(), Events: dropKeys(), Metrics: dropKeys() })
      .prefault({})
      .describe('Keys of `properties`, by table, that the source removes before it answers.'),
    rules: z.array(rule).default([]).describe('What to drop, hash or mask before it reaches the lake.'),
    key: secretSource.optional().describe('Where to read the key for hashes; never the key itself.'),
  })
  .prefault({})
  .superRefine(({ rules, key }, context) => {
    if (key === undefined && rules.some(({ action }) => action === 'hash'))
      context.addIssue({ code: 'custom', path: ['key'], message: 'a key, because a rule has the action hash: {env: NAME}, {file: PATH} or {command: COMMAND}' }); // oxfmt-ignore
  })
  .describe('Personal data that must not reach the lake.');

type Privacy = z.output<typeof privacySchema>;

/** The rules of a table, including its `drop` keys. */
export function rulesOf({ drop, rules }: Privacy, table: TableName): PrivacyRule[] {
  // A drop key is a single key, even with dots in it, unless it starts with `$.`: then it is a path.
  const paths = drop[table]
    .map((key) => (key.startsWith('$.') ? key.slice(2) : `"${key.replaceAll(/["\\]/g, String.raw`\$&`)}"`))
    .filter((path) => parseJsonPath(path) !== undefined);
  const dropped: PrivacyRule[] = paths.length === 0 ? [] : [{ action: 'drop', types: undefined, paths }];
  const own = rules.filter(({ tables }) => tables === undefined || tables.includes(table));
  return [...dropped, ...own.map(({ action, types, paths: where }) => ({ action, types, paths: where }))];
}

/** What the source itself can remove: exact paths of plain keys. Everything else is dropped on arrival. */
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
