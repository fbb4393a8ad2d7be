/**
 * Reads answers tolerantly: a byte scanner that finds the rows in any known envelope and emits them as lines, one row per
 * line, without building JavaScript values of them.
 *
 * Envelopes: `{rows}`, `{columns, rows}`, `{tables: [{columns, rows}]}` and the engine's v1 and v2 forms (`Tables`,
 * `Columns`, `Rows`; frames with a `PrimaryResult`), keys in any case; rows as arrays or as objects.
 *
 * Everything outside the rows is collected as the *skeleton* and parsed strictly at the end, for columns and failures.
 * Inside the rows only the structure is followed: strings, brackets, and the commas between rows, which are replaced by
 * line feeds in place. Other bytes are not changed, so numbers and escapes stay as the source wrote them.
 * A row with broken content is left to the loader; a row that would break the line structure is rejected here.
 * Each byte is looked at once; the tests contain a benchmark.
 */
import { isUtf8 } from 'node:buffer';
import { EnvelopeError } from './envelope-error.ts';
import { SkeletonReader } from './skeleton.ts';

export interface EnvelopeResult {
  readonly rows: number;
  /** Bytes of the largest row. */
  readonly largestRow: number;
  /** Bytes of the body. */
  readonly bytes: number;
  readonly columns: readonly string[] | undefined;
  /** Text of a failure that is reported inside a successful answer. */
  readonly failure: string | undefined;
}

export interface EnvelopeScanner {
  /** Rows started so far, not counting one that turned out to be a failure report. */
  readonly rows: number;
  /** Takes the next bytes, which may be changed in place and are passed to `emit` in parts. Throws EnvelopeError. */
  push(chunk: Buffer): void;
  /** Ends the body. Throws EnvelopeError when it is incomplete. */
  end(): EnvelopeResult;
}

/** The engine allows about 100 levels in a dynamic value. */
const MAX_DEPTH = 256;
const OBJECT_HEAD = 64;
const MAX_FAILURE = 64 * 1024;
const FAILURE_ROW = /^\{\s*"(?:OneApiErrors|Exceptions|errors?)"\s*:/i;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const TAB = 0x09;
const LINE_FEED = 0x0a;
const RETURN = 0x0d;
const BLANK = 0x20;

/** By byte: 1 inside a string for all but quotes, backslashes and control characters. */
const IS_PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= BLANK && byte !== QUOTE && byte !== BACKSLASH ? 1 : 0,
);

function controlCharacter(): EnvelopeError {
  return new EnvelopeError('malformed', 'A string contains a control character.');
}

/** `emit` receives the lines in order, in parts of any size. Each line ends with a line feed. */
export function scanEnvelope(emit: (part: Buffer) => void): EnvelopeScanner {
  const skeleton = new SkeletonReader();
  // Inside the rows: the brackets that are open in the current row; depth 0 = between rows.
  const open = new Uint8Array(MAX_DEPTH);
  let depth = 0;
  let inRows = false;
  let inString = false;
  let escaped = false;
  // What may come next between rows.
  let expect: 'first' | 'row' | 'comma' = 'first';
  let rows = 0;
  let rowBytes = 0;
  let largestRow = 0;
  let bytes = 0;
  let kind = 0;
  let head: Buffer[] | undefined;
  let headBytes = 0;
  let failure: string | undefined;
  let tail = Buffer.alloc(0);

  function startRow(byte: number): void {
    if (expect === 'comma') throw new EnvelopeError('malformed', 'There is no comma between two rows.');
    if (byte !== OPEN_ARRAY && byte !== OPEN_OBJECT)
      throw new EnvelopeError('unexpected', 'A row is neither an array nor an object.');
    rows++;
    rowBytes = 0;
    open[0] = byte;
    depth = 1;
    if (byte === OPEN_OBJECT) {
      head = [];
      headBytes = 0;
    } else if (kind === OPEN_OBJECT)
      throw new EnvelopeError('unexpected', 'Some rows are arrays and others are objects.');
    kind = byte;
  }

  /** An object row may be a failure report: keeps its first bytes, and all of them when it is one. */
  function keepHead(part: Buffer, ended: boolean): void {
    if (!head) return;
    head.push(Buffer.from(part.subarray(0, MAX_FAILURE - headBytes)));
    headBytes += part.length;
    if (!ended && headBytes < OBJECT_HEAD) return;
    const text = Buffer.concat(head).toString();
    if (!FAILURE_ROW.test(text)) head = undefined;
    else if (ended || headBytes >= MAX_FAILURE) {
      failure ??= text;
      rows--;
      head = undefined;
    }
  }

  function endRow(): void {
    if (rowBytes > largestRow) largestRow = rowBytes;
    expect = 'comma';
  }

  /** Scans rows from `start`. Returns where the array of rows ended, or the chunk's length. */
  function scanRows(chunk: Buffer, start: number): number {
    const length = chunk.length;
    let at = start;
    // Where the bytes to emit start, and where the current row starts within this chunk.
    let from = depth > 0 ? at : -1;
    let rowFrom = at;
    while (at < length) {
      if (inString) {
        // A loop instead of indexOf: in text full of escaped quotes, one call per quote costs more.
        while (at < length) {
          if (escaped) {
            if ((chunk[at] ?? 0) < BLANK) throw controlCharacter();
            escaped = false;
            at++;
          }
          while (at < length && IS_PLAIN[chunk[at] ?? 0] === 1) at++;
          if (at === length) break;
          const byte = chunk[at++];
          if (byte === BACKSLASH) escaped = true;
          else if (byte === QUOTE) {
            inString = false;
            break;
          } else throw controlCharacter();
        }
        continue;
      }
      const byte = chunk[at] ?? 0;
      if (depth > 0) {
        if (byte === QUOTE) inString = true;
        else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
          if (depth === MAX_DEPTH)
            throw new EnvelopeError('malformed', `A row is nested deeper than ${MAX_DEPTH} levels.`);
          open[depth++] = byte;
        } else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) {
          // In ASCII, the codes of ']' and '}' are two higher than those of their opening brackets.
          if (open[--depth] !== byte - 2) throw new EnvelopeError('malformed', 'Brackets do not match.');
          if (depth === 0) {
            rowBytes += at + 1 - rowFrom;
            keepHead(chunk.subarray(rowFrom, at + 1), true);
            endRow();
          }
        } else if (byte < BLANK) chunk[at] = blankOf(byte);
        at++;
        continue;
      }
      if (byte === COMMA) {
        if (expect !== 'comma') throw new EnvelopeError('malformed', 'There is no row before a comma.');
        expect = 'row';
        chunk[at] = LINE_FEED;
        if (from < 0) from = at;
      } else if (byte === CLOSE_ARRAY) {
        if (expect === 'row') throw new EnvelopeError('malformed', 'There is no row after a comma.');
        if (from >= 0) emitUtf8(chunk.subarray(from, at));
        if (rows > 0) emit(Buffer.from('\n'));
        inRows = false;
        return at;
      } else if (byte <= BLANK) {
        chunk[at] = blankOf(byte);
        // Blanks after a row belong to its line, wherever the chunk was cut. Those before a row are left out, because the
        // first byte of a line says whether it is an array or an object.
        if (expect === 'row' && from >= 0) {
          emitUtf8(chunk.subarray(from, at));
          from = -1;
        } else if (expect === 'comma' && from < 0) from = at;
      } else {
        startRow(byte);
        rowFrom = at;
        if (from < 0) from = at;
      }
      at++;
    }
    if (depth > 0) {
      rowBytes += length - rowFrom;
      keepHead(chunk.subarray(rowFrom, length), false);
    }
    if (from >= 0) emitUtf8(chunk.subarray(from, length));
    return length;
  }

  /** Readers of text files stop at a byte that is not UTF-8, so such a body must not land. */
  function emitUtf8(part: Buffer): void {
    const whole = tail.length > 0 ? Buffer.concat([tail, part]) : part;
    const cut = incompleteTail(whole);
    if (!isUtf8(cut > 0 ? whole.subarray(0, whole.length - cut) : whole))
      throw new EnvelopeError('malformed', 'The body is not valid UTF-8.');
    tail = Buffer.from(whole.subarray(whole.length - cut));
    emit(part);
  }

  return {
    get rows() {
      return rows;
    },
    push(chunk) {
      bytes += chunk.length;
      let at = 0;
      while (at < chunk.length) {
        if (inRows) at = scanRows(chunk, at);
        else {
          at = skeleton.scan(chunk, at);
          inRows = skeleton.atRows;
        }
      }
    },
    end() {
      if (inRows) throw new EnvelopeError('truncated', 'The body ends inside the rows.');
      if (tail.length > 0) throw new EnvelopeError('malformed', 'The body is not valid UTF-8.');
      const rest = skeleton.end();
      const failed = failure ?? rest.failure;
      if (failed === undefined && !skeleton.found)
        throw new EnvelopeError(
          'unexpected',
          `The answer has no rows; its keys are: ${rest.keys.join(', ') || 'none'}.`,
        );
      return { rows, largestRow, bytes, columns: rest.columns, failure: failed };
    },
  };
}

/** White space between JSON values, including line feeds, becomes a blank. No other control character is allowed. */
function blankOf(byte: number): number {
  if (byte !== BLANK && byte !== LINE_FEED && byte !== TAB && byte !== RETURN)
    throw new EnvelopeError('malformed', 'There is a control character between values.');
  return BLANK;
}

/** How many bytes at the end (0 to 3) belong to a character that is not complete yet. */
function incompleteTail(part: Buffer): number {
  for (let back = 1; back <= Math.min(3, part.length); back++) {
    const byte = part[part.length - back] ?? 0;
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) {
      const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return needed > back ? back : 0;
    }
  }
  return 0;
}
