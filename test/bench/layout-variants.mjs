/**
 * The layouts that `npm run layout` compares. Each differs in one property from the files that the program writes
 * (src/load/store/arrange.ts); the first writes them again without a change, so that it shows what the rewriting itself does. Pure.
 */

const WRITTEN = { compression: 'zstd', row_group_size: 20_480 };

/** `options` of DuckDB's copy; `select` instead of all columns; `order` instead of the order of the file. `isIdText`: ids are compared as text. */
export const VARIANTS = [
  { property: 'nothing', name: 'rewritten' },
  { property: 'compression', name: 'Snappy', options: { compression: 'snappy' } },
  { property: 'compression', name: 'Zstandard, level 1', options: { compression_level: 1 } },
  { property: 'compression', name: 'Zstandard, level 3', options: { compression_level: 3 } },
  { property: 'compression', name: 'Zstandard, level 9', options: { compression_level: 9 } },
  { property: 'row groups', name: '10,240 rows', options: { row_group_size: 10_240 } },
  { property: 'row groups', name: '20,480 rows', options: { row_group_size: 20_480 } },
  { property: 'row groups', name: '122,880 rows', options: { row_group_size: 122_880 } },
  { property: 'format', name: 'Parquet version 2', options: { parquet_version: `'V2'` } },
  { property: 'dictionaries', name: 'without bloom filters', options: { write_bloom_filter: false } },
  { property: 'dictionaries', name: 'none, so no bloom filters', options: { dictionary_size_limit: 0 } },
  { property: 'dictionaries', name: 'of every column, with bloom filters', options: { dictionary_size_limit: 20_480 } },
  { property: 'order', name: 'time', order: '"timestamp"' },
  { property: 'order', name: 'type, time', order: 'event_type, "timestamp"' },
  { property: 'order', name: 'pass, time', order: 'pass_id, "timestamp"' },
  { property: 'order', name: 'type, id', order: 'event_type, event_id' },
  { property: 'columns', name: 'ids as UUID', select: '* replace (event_id::uuid as event_id)', needsUuids: true },
  { property: 'columns', name: 'without digests', select: '* exclude (row_digest)' },
  { property: 'columns', name: 'without ids', select: '* exclude (event_id)', hasNoIds: true },
]; // oxfmt-ignore

const quoted = (text) => `'${text.replaceAll("'", "''")}'`;

/** The copy of one file. `metadata`: the file's own key-value pairs, which belong to its size. */
export function copySql({ select = '*', order, options = {} }, from, to, metadata) {
  const pairs = metadata.map(([key, value]) => `${quoted(key)}: ${quoted(value)}`);
  const all = { format: 'parquet', ...WRITTEN, ...options, kv_metadata: `{${pairs.join(', ')}}` };
  const list = Object.entries(all).map(([name, value]) => `${name} ${value}`);
  const source = `select ${select} from read_parquet(${quoted(from)}, hive_partitioning = false)`;
  return `copy (${source}${order === undefined ? '' : ` order by ${order}`}) to ${quoted(to)} (${list.join(', ')})`;
}

/** Microseconds into the day, so that the sum fits into 64 bits whatever the reader. */
const DAY = 86_400_000_000;

/** Four questions that analysts ask, and sums over all rows, in SQL of DuckDB. `layout.py` asks other engines the same. */
export const QUESTIONS = {
  whole: () =>
    `select count(*), sum(((epoch_us("timestamp") % ${DAY}) + ${DAY}) % ${DAY})::bigint, sum(strlen(properties))::bigint from events`,
  installs: ({ types }) =>
    `select ("timestamp"::date)::varchar, count(*) from events where event_type in (${types.map(quoted).join(', ')}) group by all order by all`,
  pass: ({ pass }) =>
    `select epoch_us("timestamp"), event_type from events where pass_id = ${quoted(pass)} order by all`,
  day: ({ from, to }) =>
    `select count(*), sum(strlen(properties))::bigint from events where "timestamp" >= '${from}' and "timestamp" < '${to}'`,
  id: ({ id }) => `select epoch_us("timestamp"), event_type, properties from events where event_id = ${quoted(id)}`,
};
