// The rows of a folder of Parquet files as lines of JSON, read by hyparquet. Instants and whole numbers are objects of text: { us } and { n }.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { decompress } from 'fzstd';
import { parquetReadObjects } from 'hyparquet';

const [folder = '.'] = process.argv.slice(2);
const compressors = { ZSTD: (input) => decompress(input) };
const parsers = { timestampFromMicroseconds: (us) => ({ us: String(us) }) };
const plain = (value) => (typeof value === 'bigint' ? { n: String(value) } : (value ?? null));
for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.parquet'))) {
  const bytes = readFileSync(join(folder, name));
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const keys = Object.fromEntries([...name.matchAll(/([^/=]+)=([^/]+)\//g)].map(([, key, value]) => [key, value]));
  for (const row of await parquetReadObjects({ file, compressors, parsers }))
    process.stdout.write(`${JSON.stringify({ ...keys, ...Object.fromEntries(Object.entries(row).map(([key, value]) => [key, plain(value)])) })}\n`);
} // oxfmt-ignore
