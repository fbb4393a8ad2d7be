/** What an entry of a Delta log says, as data and text. */
import { expect, test } from 'vitest';
import { activePaths, entryText, isCheckpointDue, parseEntry } from '../../../src/load/publish/delta/commit.ts';
import type { Entry, TableNow } from '../../../src/load/publish/delta/commit.ts';
import { schemaText } from '../../../src/load/publish/delta/schema.ts';

const AT = { snapshot: 7, run: 'run-7', nowMs: 1_000, coverage: { hours: { verified: 24 } } };
const TABLE: TableNow = {
  name: 'events',
  description: 'Events',
  schema: schemaText([{ name: 'a', type: 'BIGINT', comment: 'A' }]),
  partitionColumns: ['month'],
  files: 'digest-1',
  keepSeconds: 60,
};
const add = (path: string): string => JSON.stringify({ add: { path } });

function entry(version: number, text: string): Entry {
  const parsed = parseEntry(version, text);
  if (parsed === undefined) throw new Error('damaged');
  return parsed;
}

test('a schema has the types of Delta, and leaves out what a table of this protocol cannot have', () => {
  const types = {
    a: 'VARCHAR', b: 'JSON', c: 'TIMESTAMP WITH TIME ZONE', d: 'HUGEINT', e: 'DECIMAL(18,3)', f: 'VARCHAR[]', g: 'DATE', h: 'BOOLEAN',
    i: 'TIMESTAMP', j: 'UBIGINT', k: 'UUID', l: 'STRUCT(a INTEGER)', m: 'UUID[]', 'a name': 'BIGINT',
  }; // oxfmt-ignore
  const columns = Object.entries(types).map(([name, type]) => ({ name, type, comment: name === 'a' ? 'words' : '' }));
  const { fields }: { fields: { name: string; type: unknown; metadata: unknown }[] } = JSON.parse(schemaText(columns));
  expect(Object.fromEntries(fields.map(({ name, type }) => [name, type]))).toEqual({
    a: 'string', b: 'string', c: 'timestamp', d: 'double', e: 'decimal(18,3)', g: 'date', h: 'boolean',
    f: { type: 'array', elementType: 'string', containsNull: true },
  }); // oxfmt-ignore
  expect(fields.slice(0, 2).map(({ metadata }) => metadata)).toEqual([{ comment: 'words' }, {}]);
});

test('an entry continues the one before: metadata only where it has changed, the same table, the paths after both', () => {
  const first = entry(0, entryText(TABLE, undefined, { adds: [add('x'), add('y')], removes: [], isWhole: true }, AT));
  expect(first).toMatchObject({ version: 0, timestamp: 1_000, added: ['x', 'y'], onlyInforms: false });
  const text = entryText({ ...TABLE, files: 'digest-2' }, first.own, { adds: [add('z')], removes: ['x'], isWhole: false }, { ...AT, nowMs: 2_000 }); // oxfmt-ignore
  expect(text.trim().split('\n').map((line) => Object.keys(JSON.parse(line))[0])).toEqual(['commitInfo', 'txn', 'remove', 'add']); // oxfmt-ignore
  const second = entry(1, text);
  expect(second.own).toMatchObject({ table: first.own?.table, createdTime: 1_000, files: 'digest-2', isWhole: false });
  expect([...activePaths([], [first, second])]).toEqual(['y', 'z']);
  const wider = { ...TABLE, schema: schemaText([{ name: 'b', type: 'DATE', comment: '' }]) };
  const third = entryText(wider, second.own, { adds: [], removes: [], isWhole: false }, AT);
  expect(third).toContain(`"id":"${first.own?.table}"`);
  expect(third).not.toContain('protocol');
});

test('a table that starts again has another id', () => {
  const change = { adds: [], removes: [], isWhole: true };
  const ids = [1_000, 2_000].map((nowMs) => entry(0, entryText(TABLE, undefined, change, { ...AT, nowMs })).own?.table);
  expect(ids[0]).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  expect(ids[1]).not.toBe(ids[0]);
});

test('what is not an entry is damaged, and what another program writes is not ours', () => {
  expect(['', '\n', '{"add":', '[]', '7'].map((text) => parseEntry(1, text))).toEqual(Array(5).fill(undefined));
  expect(entry(1, '{"commitInfo":{"operation":"VACUUM START"}}')).toMatchObject({ own: undefined, onlyInforms: true });
  expect(entry(1, '{"commitInfo":{}}\n{"remove":{"path":"x"}}')).toMatchObject({ own: undefined, onlyInforms: false });
});

test('checkpoints are every 20 versions and after an entry of many files', () => {
  const few = { adds: [''], removes: [] };
  expect([0, 1, 19, 20, 21, 40].filter((version) => isCheckpointDue(version, few))).toEqual([20, 40]);
  expect(isCheckpointDue(3, { adds: Array<string>(900).fill(''), removes: Array<string>(101).fill('') })).toBe(true);
});
