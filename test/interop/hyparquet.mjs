// The rows of a folder of Parquet files as lines of JSON, read by hyparquet. Instants and whole numbers are objects of text: { us } and { n }.
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';

const [folder = '.'] = process.argv.slice(2);
const parsers = { timestampFromMicroseconds: (us) => ({ us: String(us) }) };
const plain = (value) => (typeof value === 'bigint' ? { n: String(value) } : (value ?? null));
for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.parquet'))) {
  const bytes = readFileSync(join(folder, name));
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const keys = Object.fromEntries([...relative('.', name).matchAll(/([^/=]+)=([^/]+)\//g)].map(([, key, value]) => [key, value]));
  for (const row of await parquetReadObjects({ file, compressors, parsers }))
    console.log(JSON.stringify({ ...keys, ...Object.fromEntries(Object.entries(row).map(([key, value]) => [key, plain(value)])) }));
} // oxfmt-ignore
