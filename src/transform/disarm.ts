/**
 * For a landed file with bytes that the line reader refuses (text that is not UTF-8, raw control characters), or with rows that the
 * JSON parser refuses because of half a surrogate pair: makes a copy in which only those lines differ. Unreadable lines are marked,
 * so that they are quarantined as malformed and the other rows load; halves of pairs are replaced. It is used only after a reader has
 * refused something. The landed file itself never changes and keeps the text as received.
 */
import { isUtf8 } from 'node:buffer';
import { createReadStream, createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import { mendedRow } from './mend.ts';
import type { RowCells } from './mend.ts';

const NEWLINE = 0x0a;
const FIRST_PRINTABLE = 0x20;
/** No JSON value starts with it, and it is not the `#` of a header. */
const MARK = '!';

/** Any escaped half of a surrogate pair, or a whole pair, begins like this. */
const SURROGATES = ['\\ud', '\\uD'];

/** Copies `file` to `target` with unreadable lines marked and made readable. Returns the number of lines that differ. */
export async function disarm(file: string, target: string, cells: RowCells): Promise<number> {
  const out = createWriteStream(target, { mode: 0o600 });
  let changed = 0;
  let rest: Buffer = Buffer.alloc(0);
  const write = async (line: Buffer): Promise<void> => {
    const readable = readableLine(line, cells);
    if (readable !== line) changed += 1;
    if (!out.write(readable)) await once(out, 'drain');
    out.write('\n');
  };
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    let bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE)) {
      await write(bytes.subarray(0, end));
      bytes = bytes.subarray(end + 1);
    }
    rest = bytes;
  }
  if (rest.length > 0) await write(rest);
  out.end();
  await finished(out);
  return changed;
}

/** The line as the readers accept it: unchanged if nothing is wrong with it. */
function readableLine(line: Buffer, cells: RowCells): Buffer | string {
  if (!isUtf8(line) || line.some((byte) => byte < FIRST_PRINTABLE))
    // oxlint-disable-next-line no-control-regex -- the expression looks for control characters
    return MARK + line.toString('utf8').replaceAll(/[\u0000-\u001f]/g, ' ');
  if (!SURROGATES.some((start) => line.includes(start))) return line;
  const text = line.toString('utf8');
  const mended = mendedRow(text, cells);
  return mended === text ? line : mended;
}
