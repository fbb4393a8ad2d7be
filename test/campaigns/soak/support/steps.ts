/** What may happen in a history, and how often. */
import * as fc from 'fast-check';
import type { Damage } from './damage.ts';
import { TABLE_NAMES, type TableName } from '../../../../src/model/tables.ts';

export const PROPERTIES: readonly string[] = [
  '{"a":1}',
  '{"a":"x"}',
  '{"deep":{"b":[1,2,{"c":null}]}}',
  '{"é":"ü\u2028"}',
  '{"q":"\'; drop"}',
  '{"n":12345678901234567890}',
  `{"large":"${'x'.repeat(1500)}"}`,
];

/** What rows look like from a drift on: names of types, values of metrics as JSON, a property that comes along. */
export const SHAPES: readonly { readonly type: string; readonly value: string; readonly properties?: string }[] = [
  { type: 't', value: '1.0' },
  { type: 'pass.installed', value: '"many"', properties: '{"tier":"gold"}' },
  { type: 'Pass:Installed', value: '{"p50":1,"p99":20}', properties: '{"tier":3}' },
  { type: 'Überraschung "neu"', value: '12345678901234567890', properties: '{"tier":{"id":3,"since":null}}' },
  { type: '', value: '[1,"a",null]', properties: '[1,2]' },
];

/** Replies of the source that a run may meet, by the calls that pass before. */
export const FAULTS = [
  (after: number) => ({ after, times: 1, reply: { kind: 'status' as const, status: 503 } }),
  (after: number) => ({ after, times: 20, reply: { kind: 'status' as const, status: 500 } }),
  (after: number) => ({ after, times: 2, reply: { kind: 'reset' as const, at: 'body' as const } }),
  (after: number) => ({ after, times: 1, reply: { kind: 'truncated-body' as const } }),
  (after: number) => ({
    match: { kind: 'page' as const },
    after,
    times: 1,
    reply: { kind: 'silent-truncation' as const, rows: 3 },
  }),
  (after: number) => ({
    match: { kind: 'page' as const },
    after,
    times: 1,
    reply: { kind: 'duplicate-rows' as const },
  }),
  (after: number) => ({ match: { kind: 'page' as const }, after, times: 2, reply: { kind: 'too-large' as const } }),
  (after: number) => ({ after, times: 1, reply: { kind: 'status' as const, status: 402 } }),
  (after: number) => ({ after, times: 1, reply: { kind: 'status' as const, status: 530 } }),
  (after: number) => ({
    after,
    times: 1,
    reply: { kind: 'status' as const, status: 500, detail: 'Semantic error: SEM0100' },
  }),
  (after: number) => ({ after, times: 1, reply: { kind: 'top-level-error' as const } }),
  (after: number) => ({
    match: { kind: 'page' as const },
    after,
    times: 1,
    reply: { kind: 'silent-truncation' as const, rows: 0 },
  }),
  (after: number) => ({
    match: { kind: 'summary' as const },
    after,
    times: 1,
    reply: { kind: 'silent-truncation' as const, rows: 0 },
  }),
  (after: number) => ({ after, times: 3, reply: { kind: 'silent-truncation' as const, rows: 2 } }),
  (after: number) => ({
    match: { kind: 'page' as const },
    after,
    times: 1,
    reply: { kind: 'altered-text' as const },
  }),
];

/** What the source may have as a row's time instead of a usual one. `soon`: some hours ahead; `far`: years ahead. */
const ODD_TIMES = ['null', 'year 1', '1600', '1899', '1969', 'soon', 'far'] as const;
export type OddTime = (typeof ODD_TIMES)[number];

/** A cap of rows under which hours cannot even be counted: a count has two rows. */
export const NO_COUNT_CAP = 1;

/** Days within which a run compares older days than `DEPTH_DAYS`. */
export const ROTATION_DAYS = 4;
export const DEPTH_DAYS = 3;

/** Small pages and limits, so that few rows meet all of them. */
export const SETTINGS = {
  callsPerMinute: 0,
  tenants: [{ id: 'demo', apiKey: { env: 'KEY' } }],
  page: { maxRows: 25 },
  deletes: { maxShare: 0.5, minRows: 4 },
  quarantine: { maxShare: 1 },
  // Marts are recovered in kills.test.ts; here they would be a fifth of all work.
  lake: { keepHours: 0, marts: false },
  engine: { threads: 1 },
  http: { attempts: 3 },
  reconcile: { depthDays: DEPTH_DAYS, rotationDays: ROTATION_DAYS },
};

/** What may happen. Numbers are taken modulo what there is. */
export type Step =
  | { do: 'insert'; table: TableName; days: number; hour: number; second: number; kind: number; rows: number }
  | { do: 'odd time'; table: 'Events' | 'Metrics'; time: OddTime; kind: number; rows: number }
  | { do: 'future log'; hours: number }
  | { do: 'late'; table: TableName; days: number; hour: number; second: number; kind: number; rows: number }
  | { do: 'old change'; table: TableName; pick: number; what: 'properties' | 'type' | 'time' | 'erase' }
  | { do: 'cap'; rows: number; mode: 'silent' | 'one-api-errors' | 'error-400' }
  | { do: 'byte cap'; bytes: number }
  | { do: 'layout'; layout: 'compact' | 'indented'; row: 'array' | 'object' }
  | { do: 'fresh'; table: 'Events' | 'Metrics'; minutes: number }
  | { do: 'repeat'; table: TableName; pick: number; how: 'copy' | 'content' | 'minute' | 'hour' }
  | { do: 'erase'; table: TableName; pick: number }
  | { do: 'change in place'; table: TableName; pick: number; what: 'properties' | 'type' | 'time' }
  | { do: 'clock jump'; hours: number }
  | { do: 'drift'; shape: number }
  | { do: 'clock'; days: number; minutes: number }
  | { do: 'machine clock'; hours: number }
  | { do: 'faults'; kind: number; after: number }
  | { do: 'run'; deep: boolean; allowDeletes: boolean }
  | { do: 'backfill'; days: number; length: number }
  | { do: 'verify'; deep: boolean }
  | { do: 'kill'; at: number; deep: boolean }
  | { do: 'process kill'; after: 'spawn' | 'start'; ms: number }
  | { do: 'second process'; at: number }
  | { do: 'disk'; at: number; code: string; goesOn: boolean }
  | { do: 'change'; at: number; table: TableName }
  | { do: 'damage'; what: Damage; pick: number }
  | { do: 'repair' }
  | { do: 'move' };

const table = fc.constantFrom(...TABLE_NAMES);
const nat = (max: number): fc.Arbitrary<number> => fc.integer({ min: 0, max });

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('odd time' as const),
      table: fc.constantFrom('Events' as const, 'Metrics' as const),
      time: fc.constantFrom(...ODD_TIMES),
      kind: nat(8),
      rows: fc.integer({ min: 1, max: 14 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('future log' as const), hours: fc.constantFrom(2, 30, 1000) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('late' as const), table, days: fc.integer({ min: 4, max: 25 }), hour: nat(3), second: nat(3599), kind: nat(8), rows: fc.integer({ min: 1, max: 8 }) }) }, // oxfmt-ignore
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('old change' as const),
      table,
      pick: nat(999),
      what: fc.constantFrom('properties' as const, 'type' as const, 'time' as const, 'erase' as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('cap' as const),
      rows: fc.constantFrom(0, NO_COUNT_CAP, 2, 3, 7, 12, 16, 20, 24),
      mode: fc.constantFrom('silent' as const, 'silent' as const, 'one-api-errors' as const, 'error-400' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('byte cap' as const), bytes: fc.constantFrom(0, 20_000, 20_000) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('layout' as const),
      layout: fc.constantFrom('compact' as const, 'indented' as const, 'indented' as const),
      row: fc.constantFrom('array' as const, 'object' as const),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('insert' as const), table, days: nat(3), hour: nat(3), second: nat(3599), kind: nat(8), rows: fc.integer({ min: 1, max: 30 }) }) }, // oxfmt-ignore
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('fresh' as const),
      table: fc.constantFrom('Events' as const, 'Metrics' as const),
      minutes: fc.constantFrom(-2, 3, 10, 45, 130),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('repeat' as const), table, pick: nat(999), how: fc.constantFrom('copy' as const, 'content' as const, 'minute' as const, 'hour' as const) }) }, // oxfmt-ignore
  { weight: 2, arbitrary: fc.record({ do: fc.constant('erase' as const), table, pick: nat(999) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('change in place' as const), table, pick: nat(999), what: fc.constantFrom('properties' as const, 'type' as const, 'time' as const) }) }, // oxfmt-ignore
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('clock jump' as const), hours: fc.integer({ min: 1, max: 5 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('clock' as const),
      days: fc.constantFrom(0, 0, 1, 6, 20, 40),
      minutes: fc.constantFrom(-60, 0, 30, 90),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('drift' as const), shape: nat(4) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('machine clock' as const),
      hours: fc.constantFrom(-9000, -26, -1, 0, 1, 50),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('faults' as const), kind: nat(14), after: nat(4) }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('run' as const), deep: fc.boolean(), allowDeletes: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('backfill' as const), days: nat(3), length: nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('verify' as const), deep: fc.boolean() }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('kill' as const), at: nat(160), deep: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('process kill' as const),
      after: fc.constantFrom('spawn' as const, 'start' as const, 'start' as const),
      ms: nat(900),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('second process' as const), at: nat(7) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('disk' as const),
      at: nat(120),
      code: fc.constantFrom('ENOSPC', 'EACCES', 'EIO', 'EROFS'),
      goesOn: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('change' as const), at: nat(60), table }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('damage' as const),
      what: fc.constantFrom<Damage[]>(0, 1, 2, 3, 4, 5, 6),
      pick: nat(999),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'repair' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'move' as const }) },
);

export interface Life {
  readonly steps: readonly Step[];
  /** What brings everything in order at last: one run that compares all there is, or the daily runs of a rotation. */
  readonly ending: 'deep' | 'rotation';
}

/** Histories of 3 to 12 steps. */
export const histories: fc.Arbitrary<Life> = fc.record({
  steps: fc.array(step, { minLength: 3, maxLength: 12, size: 'max' }),
  ending: fc.constantFrom('deep' as const, 'rotation' as const),
});
