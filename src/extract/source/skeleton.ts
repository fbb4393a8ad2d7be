/**
 * Reads the part of an answer outside its rows. Follows it byte by byte to find where the primary rows begin, keeps it as
 * text of limited size, and parses it strictly at the end to find columns and failures.
 */
import { EnvelopeError } from './envelope-error.ts';
import { isJsonObject, parseJson } from '../../kernel/json.ts';
import type { JsonObject } from '../../kernel/json.ts';

export interface Skeleton {
  readonly columns: readonly string[] | undefined;
  readonly failure: string | undefined;
  /** Top-level keys, for the message about an answer that cannot be understood. */
  readonly keys: readonly string[];
}

interface Level {
  readonly array: boolean;
  /** The key whose value is being read, in lower case. */
  key: string;
  expectsKey: boolean;
  /** Engine v2: the kind of this frame. Only the frame of kind `PrimaryResult` holds the answer. */
  tableKind: string;
}

const MAX_BYTES = 1_000_000;
const MAX_DEPTH = 64;
const FAILURES = new Set(['error', 'errors', 'exceptions', 'oneapierrors']);

export class SkeletonReader {
  /** `scan` stopped after the opening bracket of the rows. The caller reads the rows and calls `scan` again. */
  atRows = false;
  /** The rows were found. */
  found = false;
  #parts: Buffer[] = [];
  #bytes = 0;
  #levels: Level[] = [];
  #text: string[] | undefined;
  #escaped = false;
  #started = false;
  /** The object that holds the rows, and the list of tables around it. */
  #holder: Level | undefined;
  #tables: Level | undefined;
  /** There are rows in a second place. */
  #second = false;

  /** Reads from `start`. Returns where it stopped: at the rows, or at the end of the chunk. */
  scan(chunk: Buffer, start: number): number {
    this.atRows = false;
    let at = start;
    while (at < chunk.length) {
      const char = String.fromCharCode(chunk[at] ?? 0);
      at++;
      if (this.#text) this.#inText(this.#text, char);
      else if (this.#isBareRow(char)) {
        at--;
        this.atRows = this.found = true;
        break;
      } else if (this.#opensRows(char)) {
        this.atRows = this.found = true;
        break;
      }
    }
    this.#keep(chunk.subarray(start, at));
    return at;
  }

  /** Ends the body and parses what was kept. Throws EnvelopeError. */
  end(): Skeleton {
    const open = this.#levels.length > 0 || this.#text !== undefined || !this.#started;
    if (open) throw new EnvelopeError('truncated', 'The body ends before the answer is complete.');
    let value: unknown;
    try {
      value = JSON.parse(
        Buffer.concat(this.#parts)
          .toString()
          .replace(/^\uFEFF/, ''),
      );
    } catch {
      throw new EnvelopeError('malformed', 'The body is not JSON.');
    }
    if (Array.isArray(value) && value.length === 0) this.found = true;
    // With rows in two places there is no way to know which are the answer, and the wrong ones would look complete.
    // The rows were taken out, so exactly one empty list must be left. Anything else is a second place that the scan
    // missed, because a key is repeated or the kind of a frame comes after its rows.
    const [rows, ...others] = rowLists(value);
    if (this.#second || (this.#holder && (rows?.length !== 0 || others.length > 0)))
      throw new EnvelopeError('unexpected', 'The answer has rows in more than one place.');
    return readSkeleton(value);
  }

  #keep(part: Buffer): void {
    this.#bytes += part.length;
    if (this.#bytes > MAX_BYTES)
      throw new EnvelopeError('unexpected', 'The answer has more than a megabyte outside its rows.');
    this.#parts.push(Buffer.from(part));
  }

  #inText(text: string[], char: string): void {
    if (this.#escaped) this.#escaped = false;
    else if (char === '\\') this.#escaped = true;
    else if (char === '"') {
      const level = this.#levels.at(-1);
      const word = wordOf(text.join(''));
      if (level?.expectsKey) level.key = word;
      else if (level?.key === 'tablekind') level.tableKind = word;
      else if (level?.key === 'frametype' && this.#levels.length === 2 && this.#levels[0]?.array && FRAGMENTS.has(word))
        throw fragmented(text.join(''));
      this.#text = undefined;
      return;
    }
    if (text.length < 64) text.push(char);
  }

  /** `[[…], …]`: the answer consists only of rows. */
  #isBareRow(char: string): boolean {
    return char === '[' && this.#levels.length === 1 && this.#levels[0]?.array === true && !this.found;
  }

  #opensRows(char: string): boolean {
    const level = this.#levels.at(-1);
    switch (char) {
      case '"':
        this.#text = [];
        break;
      case ':':
        if (level) level.expectsKey = false;
        break;
      case ',':
        if (level) level.expectsKey = !level.array;
        break;
      case '[':
      case '{': {
        const array = char === '[';
        const rows = array && this.#holdsRows();
        if (this.#levels.length === MAX_DEPTH) throw new EnvelopeError('malformed', 'The answer is nested too deeply.');
        this.#levels.push({ array, key: '', expectsKey: !array, tableKind: '' });
        this.#started = true;
        return rows;
      }
      case ']':
      case '}':
        this.#levels.pop();
        break;
      default:
        // HTML or plain text: there is no need to read to its end. 0xEF 0xBB 0xBF is a byte order mark.
        if (!this.#started && !/[\s\u00ef\u00bb\u00bf]/.test(char))
          throw new EnvelopeError('malformed', 'The body is not JSON.');
    }
    return false;
  }

  /** Whether the array that opens here holds the primary rows. */
  #holdsRows(): boolean {
    const [root, second, third] = this.#levels;
    const last = this.#levels.at(-1);
    if (!root || !last || last.key !== 'rows' || last.array || last.expectsKey) return false;
    const inTables = this.#levels.length === 3 && root.key === 'tables' && second?.array === true && third === last;
    const holds =
      this.#levels.length === 1 ||
      (this.#levels.length === 2 && root.array && last.tableKind === 'primaryresult') ||
      inTables;
    if (!holds) return false;
    // Later tables contain the engine's information about the query. Any other second place is an error.
    if (this.found) {
      this.#second ||= !(inTables && second === this.#tables && third !== this.#holder);
      return false;
    }
    this.#holder = last;
    this.#tables = inTables ? second : undefined;
    return true;
  }
}

/** The frames of the engine's v2 form that hold a table in pieces. Their rows may also replace earlier ones. */
const FRAGMENTS = new Set(['tableheader', 'tablefragment', 'tableprogress', 'tablecompletion']);

function fragmented(frame: string): EnvelopeError {
  return new EnvelopeError(
    'unexpected',
    `The answer holds its rows in fragments (frame ${frame}), which this program does not read.`,
    'Ask the vendor to switch off progressive and fragmented results for this endpoint: the request options results_progressive_enabled and results_v2_fragment_primary_tables.',
  );
}

/** A key in lower case, with its escapes resolved. */
function wordOf(text: string): string {
  if (!text.includes('\\')) return text.toLowerCase();
  const word = parseJson(`"${text}"`);
  return (typeof word === 'string' ? word : text).toLowerCase();
}

/** The lists in all places where the rows of an answer can be; of several tables, only the first that has rows counts. */
function rowLists(value: unknown): readonly (readonly unknown[])[] {
  const lists = (place: JsonObject): readonly (readonly unknown[])[] =>
    Object.entries(place).flatMap(([key, rows]) => (key.toLowerCase() === 'rows' && Array.isArray(rows) ? [rows] : []));
  if (Array.isArray(value))
    return value
      .filter(isJsonObject)
      .filter((frame) => isPrimary(frame))
      .flatMap(lists);
  if (!isJsonObject(value)) return [];
  const tables = Object.entries(value)
    .filter(([key]) => key.toLowerCase() === 'tables')
    .flatMap(([, list]) =>
      Array.isArray(list)
        ? list
            .filter(isJsonObject)
            .filter((table) => lists(table).length > 0)
            .slice(0, 1)
        : [],
    );
  return [...lists(value), ...tables.flatMap(lists)];
}

function isPrimary(frame: JsonObject): boolean {
  const kind = member(frame, 'tablekind');
  return typeof kind === 'string' && kind.toLowerCase() === 'primaryresult';
}

function readSkeleton(value: unknown): Skeleton {
  if (Array.isArray(value)) {
    const frames = value.filter(isJsonObject);
    const primary = frames.find(isPrimary);
    return {
      columns: primary && columnNames(primary),
      failure: firstFailure(frames),
      keys: ['(array)', ...new Set(frames.flatMap((frame) => Object.keys(frame)))],
    };
  }
  if (!isJsonObject(value)) return { columns: undefined, failure: undefined, keys: [] };
  const list = member(value, 'tables');
  const tables = Array.isArray(list) ? list.filter(isJsonObject) : [];
  const holder = member(value, 'rows') === undefined ? tables.find((table) => member(table, 'rows')) : value;
  return {
    columns: holder && columnNames(holder),
    failure: firstFailure([value, ...tables]),
    keys: Object.keys(value),
  };
}

function firstFailure(places: readonly JsonObject[]): string | undefined {
  for (const place of places) {
    for (const [key, content] of Object.entries(place))
      if (FAILURES.has(key.toLowerCase()) && !isEmpty(content)) return JSON.stringify({ [key]: content });
    if (member(place, 'haserrors') === true) return '{"HasErrors":true}';
    const status = failedStatus(place);
    if (status !== undefined) return status;
  }
  return undefined;
}

/** Engine v1 reports a failure that occurs after the first rows in a second table, by severity: 1 critical, 2 error. */
function failedStatus(table: JsonObject): string | undefined {
  const columns = columnNames(table)?.map((name) => name.toLowerCase());
  const [severity, description] = [columns?.indexOf('severity') ?? -1, columns?.indexOf('statusdescription') ?? -1];
  const rows = member(table, 'rows');
  if (severity < 0 || description < 0 || !Array.isArray(rows)) return undefined;
  for (const row of rows) {
    if (!Array.isArray(row)) continue;
    const cells: readonly unknown[] = row;
    const level = cells[severity];
    if (level === 1 || level === 2) return JSON.stringify({ status: cells[description] });
  }
  return undefined;
}

function columnNames(place: JsonObject): string[] | undefined {
  const columns = member(place, 'columns');
  if (!Array.isArray(columns)) return undefined;
  const names = columns.map((column: unknown) => {
    if (typeof column === 'string') return column;
    return isJsonObject(column) ? (member(column, 'name') ?? member(column, 'columnname')) : undefined;
  });
  return names.every((name) => typeof name === 'string') ? names : undefined;
}

/** A member by its key, ignoring case. */
function member(object: JsonObject, key: string): unknown {
  for (const [name, value] of Object.entries(object)) if (name.toLowerCase() === key) return value;
  return undefined;
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === false || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
