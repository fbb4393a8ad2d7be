/**
 * For a landed file with bytes that the line reader refuses (text that is not UTF-8, raw control characters): makes a copy in
 * which only those lines are marked, so that they are quarantined as malformed and the other rows load. Used only after the
 * reader has refused a file; the landed file itself never changes.
 */
import { isUtf8 } from 'node:buffer';
import { createReadStream, createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';

const NEWLINE = 0x0a;
const FIRST_PRINTABLE = 0x20;
/** No JSON value starts with it, and it is not the `#` of a header. */
const MARK = '!';

/** Copies `file` to `target` with unreadable lines marked and made readable. Returns the number of marked lines. */
export async function disarm(file: string, target: string): Promise<number> {
  const out = createWriteStream(target, { mode: 0o600 });
  let marked = 0;
  let rest: Buffer = Buffer.alloc(0);
  const write = async (line: Buffer): Promise<void> => {
    const isUnreadable = !isUtf8(line) || line.some((byte) => byte < FIRST_PRINTABLE);
    if (isUnreadable) marked += 1;
    // oxlint-disable-next-line no-control-regex -- the expression looks for control characters
    const text = isUnreadable ? MARK + line.toString('utf8').replaceAll(/[\u0000-\u001f]/g, ' ') : line;
    if (!out.write(text)) await once(out, 'drain');
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
  return marked;
}
