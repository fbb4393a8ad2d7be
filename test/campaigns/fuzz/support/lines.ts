/**
 * Lines of landed pages, many of them damaged in one way, each with the expected outcome: the hour and the id under which it is
 * counted, or none. The outcome follows from how the line was made, never from the program.
 */
import { DAY, HOUR, parseInstant } from '../../../../src/kernel/instant.ts';
import type { Instant } from '../../../../src/kernel/instant.ts';
import type { TableName } from '../../../../src/model/tables.ts';
import type { Chance } from './chance.ts';

export interface Line {
  readonly bytes: Buffer;
  /** How the line was damaged, for the message of a failed test. */
  readonly fault: string;
  /** Where it is counted; undefined: it is quarantined without an hour. */
  readonly counted: { readonly hour: Instant; readonly id: string } | undefined;
  /** It goes into the lake or is a copy of a row there. */
  readonly loads: boolean;
}

const FROM = parseInstant('2026-07-03') ?? 0n;
export const WINDOW = { from: FROM, to: FROM + DAY };
export const TENANT = 'acme';

/** Cells of a row as JSON texts, in the order of the projection. */
interface Draft {
  cells: string[];
  hour: Instant | undefined;
  id: string;
  loads: boolean;
}

type Fault = (draft: Draft, chance: Chance, at: Columns) => void;

interface Columns {
  readonly id: number;
  readonly timestamp: number;
  readonly tenant: number;
  readonly type: number;
  readonly json: number;
  readonly width: number;
}

const COLUMNS: Readonly<Record<'Events' | 'Metrics', Columns>> = {
  Events: { id: 0, timestamp: 1, tenant: 2, type: 3, json: 5, width: 6 },
  Metrics: { id: 0, timestamp: 5, tenant: 1, type: 2, json: 4, width: 6 },
};

const text = (value: string): string => JSON.stringify(value);

/** Not an instant, or not one in the form that the source uses. */
const NO_INSTANT = [
  'null', '""', '" "', '"yesterday"', '"2026-07-32T00:00:00Z"', '"2026-02-30T10:00:00Z"', '"2026-13-01T00:00:00Z"',
  '"0000-00-00T00:00:00Z"', '"infinity"', '"-infinity"', '"epoch"', '"now"', '"2026-07-03"', '"10:00:00"', '1783072800',
  '{"a":1}', '["2026-07-03T10:00:00Z"]', 'true', '"2026-07-03T25:00:00Z"', '"2026-07-03T10:61:00Z"',
  '"2026-07-03T10:00:00Zjunk"', '"２０２６-07-03T10:00:00Z"', '"2026-07-03T10:00:00Z\\u0000"', '"2026-07-03T10:00:00+99:99"',
  '"99999-07-03T10:00:00Z"', '"2026/07/03T10:00:00Z"', `"${'9'.repeat(5000)}"`, '"\'); drop table hours; --"',
] as const; // oxfmt-ignore

/** Instants outside the window. */
const OUTSIDE = [
  '"2026-07-02T23:59:59.9999999Z"', '"2026-07-04T00:00:00Z"', '"1970-01-01T00:00:00Z"', '"9999-12-31T23:59:59.9999999Z"',
  '"0001-01-01T00:00:00Z"', '"2026-07-03T23:30:00-02:00"',
] as const; // oxfmt-ignore

/** Texts that a careless reader gets wrong. */
const ODD_TEXTS = [
  '', ' ', '\u0000', 'a\u0000b', '\u202eevil\u202c', '\ufeffbom', '\u2028\u2029', '\r\n', '\t', '\u0001', '\u007f', '\u0085',
  '"', "'", "'; drop table events; --", '`', '\\', '\\u0000', '../../etc/passwd', '%2e%2e%2f', '${HOME}', '{{', '[[', ']', '}',
  'null', 'NaN', '0', '-0', 'true', '😀', '𝒳', 'e\u0301', 'ﬀ', 'İ', 'ß', 'x'.repeat(70_000), '#comment', '!', 'select', ',', ';',
  'NULL', '\ud7ff', '\uffff', '\u{10ffff}', '|', '=1+1', 'a,b', '\u001b[31m',
] as const; // oxfmt-ignore

/** Texts of a dynamic column: unusual JSON, and text that only looks like JSON. */
const ODD_JSON = [
  '{', '[', '{"a":', '{"a":1,"a":2}', '{"":""}', '[1e999]', '{"n":123456789012345678901234567890}', '{"n":-0.0,"e":1e-400}',
  '{"s":"\\ud800"}', '{"s":"\\udc00\\ud800"}', '{"s":"\\u0000"}', '{"s":"\u0001"}', '{"s":"a\nb"}', "{'a':1}", '{"a":1,}', '[,]', '[1 2]', 'NaN',
  '{"a":NaN}', '{"a":Infinity}', '[01]', '[.5]', '[1.]', '[+1]', '//', '{"a":/* */1}', 'true', 'null', '"text"', '1', '{}', '[]', ' {"a":1} ',
  `${'['.repeat(200)}${']'.repeat(200)}`, `${'{"a":'.repeat(200)}1${'}'.repeat(200)}`, '['.repeat(20_000),
  `{"${'k'.repeat(65_536)}":1}`, `{${Array.from({ length: 500 }, (_, k) => `"k${k}":${k}`).join(',')}}`, '\u00e9', '{"é":"漢字😀"}', '{"__proto__":1}',
] as const; // oxfmt-ignore

const FAULTS: Readonly<Record<string, Fault>> = {
  nothing: () => {},
  'id null': (draft, _, { id }) => setId(draft, id, 'null', ''),
  'id empty': (draft, _, { id }) => setId(draft, id, '""', ''),
  'id in capitals': (draft, _, { id }) => void (draft.cells[id] = text(draft.id.toUpperCase())),
  'id a number': (draft, chance, { id }) => {
    const number = String(chance.below(1_000_000_000));
    setId(draft, id, number, number, true);
  },
  'id odd': (draft, chance, { id }) => {
    const odd = `${chance.below(1e9)}${chance.one(["'", '"', ';', '\u0000', '\u202e', '../', ' ', '😀', '\\', '\n', 'x'.repeat(70_000)])}`;
    setId(draft, id, text(odd), odd, true);
  },
  'no instant': (draft, chance, { timestamp }) => {
    draft.cells[timestamp] = chance.one(NO_INSTANT);
    draft.hour = undefined;
  },
  outside: (draft, chance, { timestamp }) => {
    draft.cells[timestamp] = chance.one(OUTSIDE);
    draft.hour = undefined;
  },
  foreign: (draft, chance, { tenant }) => {
    draft.cells[tenant] = text(
      chance.one([`${TENANT} `, 'ACME', 'acme\u0000', 'else', '\u202eemca', "acme' or '1'='1"]),
    );
    draft.loads = false;
  },
  'no tenant': (draft, chance, { tenant }) => void (draft.cells[tenant] = chance.one(['""', 'null'])),
  'type odd': (draft, chance, { type }) => void (draft.cells[type] = text(chance.one(ODD_TEXTS))),
  'properties odd text': (draft, chance, { json }) => void (draft.cells[json] = text(chance.one(ODD_TEXTS))),
  'properties odd JSON': (draft, chance, { json }) => void (draft.cells[json] = text(chance.one(ODD_JSON))),
  'properties nested': (draft, chance, { json }) =>
    void (draft.cells[json] = chance.one(['{"a":{"b":[1,2.50,"x"]}}', '[]', '{}', '1', 'true', 'null', '1e400', '{"a":1,"a":2}', `${'['.repeat(200)}${']'.repeat(200)}`])), // oxfmt-ignore
  'a cell less': (draft, chance, { width }) => {
    draft.cells.splice(chance.below(width), 1);
    draft.hour = undefined;
  },
  'a cell more': (draft, chance, { width }) => {
    draft.cells.splice(chance.below(width + 1), 0, chance.one(['null', '""', '1', '[]']));
    draft.hour = undefined;
  },
  'no cells': (draft) => {
    draft.cells = [];
    draft.hour = undefined;
  },
  'very many cells': (draft) => {
    draft.cells = Array.from({ length: 3000 }, () => '1');
    draft.hour = undefined;
  },
};

/** Damage to the whole line: none of the results is a row of cells. */
const BROKEN: readonly [(line: string, chance: Chance) => string, ...((line: string, chance: Chance) => string)[]] = [
  (line, chance) => line.slice(0, 1 + chance.below(line.length - 2)),
  (line) => `${line}]`,
  (line) => `${line},`,
  (line) => line.replace('[', '[,'),
  (line) => line.replaceAll('"', "'"),
  (line) => `\ufeff${line}`,
  (line) => line.replace(/\]$/, '}'),
  () => '"text"',
  () => 'null',
  () => '123',
  () => '[',
  () => '['.repeat(100_000),
  (line) => `${line} ${line}`,
  (line) => line.replace(/"/, '"\\x'),
  (line) => line.replace(/"/, '"\\ud800'),
];

/** Bytes that a text file of JSON lines must not contain: the loader must quarantine such lines and continue. */
const BYTES: readonly [Buffer, ...Buffer[]] = [
  Buffer.from([0xff]),
  Buffer.from([0xc3, 0x28]),
  Buffer.from([0xed, 0xa0, 0x80]),
  Buffer.from([0xf8, 0x88, 0x80, 0x80, 0x80]),
  Buffer.from([0x00]),
  Buffer.from([0x01]),
  Buffer.from([0x0d]),
  Buffer.from([0x1f]),
];

/** `rawBytes`: lines may contain bytes that are not text. The first one does, so that the loader has to disarm the page. */
export function makeLines(
  table: Extract<TableName, 'Events' | 'Metrics'>,
  count: number,
  chance: Chance,
  rawBytes: boolean,
): Line[] {
  const lines: Line[] = [];
  for (let index = 0; index < count; index++) {
    const copied = chance.happens(0.05) ? lines[chance.below(Math.max(1, index))] : undefined;
    lines.push(copied ?? makeLine(table, index, chance, rawBytes));
  }
  return lines;
}

function makeLine(table: 'Events' | 'Metrics', index: number, chance: Chance, rawBytes: boolean): Line {
  const at = COLUMNS[table];
  const minute = chance.below(1440);
  // Few ids in few hours, so that different rows often share an id.
  const id = `id-${chance.below(Math.max(10, index))}`;
  const hour = FROM + BigInt(Math.floor(minute / 60)) * HOUR;
  const clock = `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
  const fraction = chance.one(['', '.1', '.123456', '.1234567', '.9999999']);
  const timestamp = chance.one([`T${clock}:07${fraction}Z`, `T${clock}:07${fraction}+00:00`, `T${clock}:07${fraction}`, ` ${clock}:07${fraction}Z`]); // oxfmt-ignore
  const cells = Array.from({ length: at.width }, () => text(`t${chance.below(5)}`));
  cells[at.id] = text(id);
  cells[at.timestamp] = text(`2026-07-03${timestamp}`);
  cells[at.tenant] = text(TENANT);
  cells[at.json] = text(chance.one(['', '{"a":1}', '{"passId":"p1","n":[1,2]}']));
  const draft: Draft = { cells, hour, id, loads: true };
  const fault = chance.happens(0.4) ? chance.one(FAULT_NAMES) : 'nothing';
  FAULTS[fault]?.(draft, chance, at);
  const line = `[${draft.cells.join(chance.one([',', ', ']))}]`;
  const done = (bytes: Buffer, what: string): Line =>
    draft.hour === undefined || what !== fault
      ? { bytes, fault: what, counted: undefined, loads: false }
      : { bytes, fault, counted: { hour: draft.hour, id: draft.id }, loads: draft.loads };
  if (rawBytes && (index === 0 || chance.happens(0.1))) {
    const bytes = Buffer.from(line);
    const cut = 1 + chance.below(bytes.length - 1);
    const raw = index === 0 ? BYTES[0] : chance.one(BYTES);
    return done(Buffer.concat([bytes.subarray(0, cut), raw, bytes.subarray(cut)]), 'raw bytes');
  }
  if (chance.happens(0.08)) return done(Buffer.from(chance.one(BROKEN)(line, chance)), 'broken');
  return done(Buffer.from(line), fault);
}

const FAULT_NAMES: readonly [string, ...string[]] = ['nothing', ...Object.keys(FAULTS)];

function setId(draft: Draft, at: number, cell: string, id: string, loads = false): void {
  draft.cells[at] = cell;
  draft.id = id;
  draft.loads = loads;
}
