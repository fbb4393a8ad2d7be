/**
 * Bodies of answers in every known envelope, with repeated keys, escapes, other members and damage. They are also read
 * independently of the program: with JSON.parse, then the rows at the place that the envelope defines.
 */
import type { Chance } from './chance.ts';

export interface Body {
  readonly text: string;
  /** How it was made and damaged, for the message of a failed test. */
  readonly made: string;
  /** It is a known form without damage and must be read. */
  readonly whole: boolean;
}

const STRINGS = ['', 'a', '"', '\\', '\\"', ']', '[', '}', '{', ',', '\n', '\u0000', '\u2028', '😀', '\ud800', 'é', '"]}', 'x'.repeat(70), 'rows', '{"rows":[['] as const; // oxfmt-ignore
const NUMBERS = ['0', '-0', '1e5', '1E+400', '0.1', '123456789012345678901234567890', '-1.5e-7'] as const;
/** Other members of the known forms; none of them holds rows or reports a failure. */
const MEMBERS = [
  '"took":3', '"next":null', '"error":null', '"errors":[]', '"nested":{"rows":[[9]]}', '"text":"{\\"rows\\":[[9]]}"', '"a\\"b":[1]', '"rows ":[[9]]',
  '"exceptions":[]', '"row":[[9]]', '"":0', '"n":1e400', '"list":[{"rows":[[9]]}]', '"HasErrors":false', '"\\ud83d\\ude00":"\\u0000"',
] as const; // oxfmt-ignore

function cell(chance: Chance, depth = 0): string {
  switch (chance.below(depth > 3 ? 4 : 7)) {
    case 0:
      return chance.one(['null', 'true', 'false']);
    case 1:
      return chance.one(NUMBERS);
    case 2:
      return escapes(chance.one(STRINGS), chance);
    case 3:
      return JSON.stringify(JSON.stringify({ a: chance.one(STRINGS), b: [1] }));
    case 4:
      return `[${list(chance, 3, () => cell(chance, depth + 1)).join(',')}]`;
    default:
      return `{${list(chance, 3, () => `${escapes(chance.one(STRINGS), chance)}:${cell(chance, depth + 1)}`).join(',')}}`;
  }
}

/** A JSON string with some characters as \u escapes. */
function escapes(text: string, chance: Chance): string {
  const plain = JSON.stringify(text) === `"${text}"`;
  return JSON.stringify(text).replaceAll(/[a-zé]/g, (char) =>
    plain && chance.happens(0.2) ? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}` : char,
  );
}

function list(chance: Chance, most: number, make: () => string): string[] {
  return Array.from({ length: chance.below(most + 1) }, make);
}

const spelt = (word: string, chance: Chance): string =>
  chance.one([word, word.toLowerCase(), word.toUpperCase(), word.charAt(0).toUpperCase() + word.slice(1)]);

function rowsText(chance: Chance): string {
  if (chance.happens(0.15)) {
    const names = ['id', 'errors', 'rows', 'v'];
    return `[${list(chance, 6, () => `{"id":1${list(chance, 2, () => `,"${chance.one(['b', 'c'])}${chance.below(9)}":${cell(chance)}`).join('')},"${names.at(-1)}":2}`).join(',')}]`; // oxfmt-ignore
  }
  return `[${list(chance, 8, () => `[${list(chance, 5, () => cell(chance)).join(',')}]`).join(',')}]`;
}

function columnsText(chance: Chance): string {
  const names = ['id', 'ts', 'v'];
  const form = chance.below(3);
  return `[${names.map((name) => (form === 0 ? `"${name}"` : `{"${form === 1 ? 'name' : 'ColumnName'}":"${name}","DataType":"String"}`)).join(',')}]`;
}

/** Members in any order. */
function object(members: readonly string[], chance: Chance): string {
  const shuffled = [...members];
  for (let k = shuffled.length - 1; k > 0; k--) {
    const other = chance.below(k + 1);
    [shuffled[k], shuffled[other]] = [shuffled[other] ?? '', shuffled[k] ?? ''];
  }
  return `{${shuffled.join(',')}}`;
}

const FORMS: readonly [(chance: Chance) => string, ...((chance: Chance) => string)[]] = [
  (chance) => object([`"${spelt('rows', chance)}":${rowsText(chance)}`, ...list(chance, 3, () => chance.one(MEMBERS))], chance), // oxfmt-ignore
  (chance) => object([`"${spelt('columns', chance)}":${columnsText(chance)}`, `"rows":${rowsText(chance)}`, ...list(chance, 2, () => chance.one(MEMBERS))], chance), // oxfmt-ignore
  (chance) => {
    const table = object([`"${spelt('columns', chance)}":${columnsText(chance)}`, `"${spelt('rows', chance)}":${rowsText(chance)}`, '"TableName":"Table_0"'], chance); // oxfmt-ignore
    const status = '{"Columns":["Severity","StatusDescription"],"Rows":[[4,"fine"]]}';
    return object([`"${spelt('tables', chance)}":[${[table, ...(chance.happens(0.5) ? [status] : [])].join(',')}]`, ...list(chance, 2, () => chance.one(MEMBERS))], chance); // oxfmt-ignore
  },
  (chance) => {
    const primary = `{"FrameType":"DataTable","TableKind":"PrimaryResult","Columns":${columnsText(chance)},"Rows":${rowsText(chance)}}`;
    const before = list(chance, 2, () => chance.one(['{"FrameType":"DataSetHeader","Version":"v2.0"}', '{"TableKind":"QueryProperties","Columns":["k"],"Rows":[["9"]]}'])); // oxfmt-ignore
    const after = list(chance, 2, () => chance.one(['{"TableKind":"QueryCompletionInformation","Columns":[],"Rows":[["9"]]}', '{"FrameType":"DataSetCompletion","HasErrors":false}'])); // oxfmt-ignore
    return `[${[...before, primary, ...after].join(',')}]`;
  },
  (chance) => `[${list(chance, 6, () => `[${list(chance, 4, () => cell(chance)).join(',')}]`).join(',')}]`,
];

/** Bodies of no known form: two sets of rows, escaped keys, a table kind after its rows. */
const AMBIGUOUS: readonly [(chance: Chance) => string, ...((chance: Chance) => string)[]] = [
  (chance) => `{"rows":${rowsText(chance)},"rows":${rowsText(chance)}}`,
  (chance) => `{"rows":${rowsText(chance)},"ROWS":${rowsText(chance)}}`,
  (chance) => `{"rows":${rowsText(chance)},"\\u0072ows":${rowsText(chance)}}`,
  (chance) => `{"\\u0072ows":${rowsText(chance)}}`,
  (chance) => `{"rows":${rowsText(chance)},"rows":null}`,
  (chance) => `{"rows":null,"rows":${rowsText(chance)}}`,
  (chance) => `{"rows":${rowsText(chance)},"tables":[{"rows":${rowsText(chance)}}]}`,
  (chance) => `{"tables":[{"rows":${rowsText(chance)}}],"rows":${rowsText(chance)}}`,
  (chance) => `{"tables":[{"rows":${rowsText(chance)},"rows":${rowsText(chance)}}]}`,
  (chance) => `{"tables":[{"rows":${rowsText(chance)}}],"tables":[{"rows":${rowsText(chance)}}]}`,
  (chance) => `{"tables":[],"tables":[{"rows":${rowsText(chance)}}]}`,
  (chance) => `[{"Rows":${rowsText(chance)},"TableKind":"PrimaryResult"}]`,
  (chance) =>
    `[{"TableKind":"PrimaryResult","Rows":${rowsText(chance)}},{"TableKind":"PrimaryResult","Rows":${rowsText(chance)}}]`,
  (chance) => `[{"TableKind":"PrimaryResult","TableKind":"Other","Rows":${rowsText(chance)}}]`,
  (chance) => `{"rows":[${rowsText(chance)}],"error":{"code":"80DA0003"}}`,
  (chance) => `{"rows":{"rows":${rowsText(chance)}}}`,
  (chance) => `{"columns":${columnsText(chance)},"columns":["v","ts","id"],"rows":${rowsText(chance)}}`,
  (chance) => `{"result":{"rows":${rowsText(chance)}}}`,
];

export function makeBody(chance: Chance): Body {
  const known = chance.happens(0.7);
  const spaced = (text: string): string => (chance.happens(0.2) ? `\r\n ${text}\t\n` : text);
  const text = spaced(known ? chance.one(FORMS)(chance) : chance.one(AMBIGUOUS)(chance));
  if (chance.happens(0.5)) return { text, made: known ? 'a known form' : 'ambiguous', whole: known };
  const at = chance.below(text.length);
  const to = Math.min(text.length, at + 1 + chance.below(12));
  const junk = chance.one(['"', ',', '[', ']', '{', '}', ':', '\\', '\u0000', '\n', '\ufeff', 'é', 'rows', '"rows":', '[[9]]', ',"rows":[]', '/*', '0', '-', 'null', '\\u00', '<html>']); // oxfmt-ignore
  switch (chance.below(5)) {
    case 0:
      return { text: text.slice(0, at), made: `cut at ${at}`, whole: false };
    case 1:
      return {
        text: text.slice(0, at) + junk + text.slice(at),
        made: `${JSON.stringify(junk)} at ${at}`,
        whole: false,
      };
    case 2:
      return { text: text.slice(0, at) + text.slice(to), made: `without ${at} to ${to}`, whole: false };
    case 3:
      return { text: text.slice(0, to) + text.slice(at), made: `${at} to ${to} twice`, whole: false };
    default:
      return {
        text: text.slice(0, at) + junk + text.slice(to),
        made: `${JSON.stringify(junk)} for ${at} to ${to}`,
        whole: false,
      };
  }
}

/** Every list of rows that a reader could take as the answer, by JSON.parse; undefined if the text is not JSON. */
export function candidates(text: string): readonly (readonly unknown[])[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch {
    return undefined;
  }
  const found: (readonly unknown[])[] = [];
  const take = (rows: unknown): void => void (Array.isArray(rows) ? found.push(rows) : undefined);
  if (Array.isArray(value)) {
    for (const frame of value) if (isPrimary(frame)) for (const rows of members(frame, 'rows')) take(rows);
    if (value.every((row) => Array.isArray(row))) found.push(value);
    return found;
  }
  for (const rows of members(value, 'rows')) take(rows);
  for (const tables of members(value, 'tables')) {
    const [first] = Array.isArray(tables) ? tables.filter((table) => members(table, 'rows').some(Array.isArray)) : [];
    for (const rows of members(first, 'rows')) take(rows);
  }
  return found;
}

function isPrimary(frame: unknown): boolean {
  return members(frame, 'tablekind').some((kind) => String(kind).toLowerCase() === 'primaryresult');
}

function members(value: unknown, key: string): unknown[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  return Object.entries(value).flatMap(([name, member]) => (name.toLowerCase() === key ? [member as unknown] : []));
}
