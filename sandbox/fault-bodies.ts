/** Bodies too large for a client to keep in memory. They are generated piece by piece, so the sandbox needs no memory. */
import { constants, createGzip } from 'node:zlib';
import { pipeline, Readable } from 'node:stream';

const PIECE = 64 * 1024;
const ROW = '["6f1d2c9e-0b1a-4a55-9a51-0c5b7d1e0001","2026-01-01T00:00:00.0000000Z","","PageView","","{}"]';

/** Never ends; the client must disconnect. */
export function* endlessBody(form: 'rows' | 'text' | 'blanks' | 'members'): Generator<Buffer> {
  const start = { rows: `{"rows":[${ROW}`, text: '{"rows":[["', blanks: '{"rows":[', members: '{"more":[0' }[form];
  const again = { rows: `,${ROW}`, text: 'x', blanks: ' ', members: ',0' }[form];
  const piece = Buffer.from(again.repeat(Math.ceil(PIECE / again.length)));
  yield Buffer.from(start);
  for (;;) yield Buffer.from(piece);
}

/** Nested brackets, all of them closed at the end. */
export function* deepBody(at: 'answer' | 'cell', levels: number): Generator<Buffer> {
  yield Buffer.from(at === 'cell' ? '{"rows":[[' : '{"result":');
  yield* repeated('[', levels);
  yield* repeated(']', levels);
  yield Buffer.from(at === 'cell' ? ']]}' : '}');
}

/** One row whose last cell is a string of the given size. */
export function* giantRowBody(bytes: number): Generator<Buffer> {
  yield Buffer.from('{"rows":[');
  yield* giantRow(bytes);
  yield Buffer.from(']}');
}

function* giantRow(bytes: number): Generator<Buffer> {
  yield Buffer.from(ROW.slice(0, -4) + '"');
  yield* repeated('x', bytes);
  yield Buffer.from('"]');
}

/** A megabyte of blanks compresses to a few kilobytes. */
export function gzipBomb(bytes: number): AsyncIterable<Buffer> {
  const gzip = createGzip({ level: constants.Z_BEST_SPEED });
  // Both end when the client disconnects.
  pipeline(Readable.from(blanks(bytes)), gzip, () => {});
  return gzip;
}

function* blanks(bytes: number): Generator<Buffer> {
  yield Buffer.from('{"rows":[');
  yield* repeated(' ', bytes);
  yield Buffer.from(']}');
}

function* repeated(char: string, times: number): Generator<Buffer> {
  const piece = Buffer.from(char.repeat(PIECE));
  for (let left = times; left > 0; left -= PIECE) yield Buffer.from(left >= PIECE ? piece : piece.subarray(0, left));
}
