/**
 * Landed pages to typed rows, in one statement: `stageSql` builds it, `load/merge/staging.ts` runs it.
 *
 * A file is read line by line and each line is parsed as one JSON value. So a malformed line becomes a row with null cells and
 * never fails the statement, and its text is available for the quarantine. Measured with 400,000 rows of 400 bytes and 2 threads:
 * 0.3 s, as fast as `json_extract_string` and four times as fast as `read_json` over whole answers. Rows never pass through
 * JavaScript.
 *
 * Each row is checked in this order. The first reason that applies is recorded, and rows without one are loaded:
 *   malformed       not a JSON array or object
 *   wrong_width     fewer or more cells than requested: its cells must not be loaded into the wrong columns
 *   bad_timestamp   missing, or not an ISO 8601 instant (rows that the source itself finds without one: load/merge/timeless.ts)
 *   outside_window  not in a window of its page: it belongs to the account of an hour that this page does not cover
 *   no_id           empty id; it counts in its hour's account as the empty id, as the source counts it
 *   foreign_tenant  another tenant id than the pinned one
 */
import type { LandedPage, REASONS } from '../model/page.ts';
import type { Table } from '../model/tables.ts';
import { SourceError } from '../kernel/errors.ts';
import { DIGEST_CELL, DIGEST_COLUMN, digestSql, expectedDigestSql } from '../model/fingerprint.ts';
import { privateJsonSql } from './privacy.ts';
import { givenColumns, lakeName } from './lake.ts';
import { sqlText, sqlTexts } from '../kernel/sql.ts';

/** Reasons whose rows have a valid timestamp inside their page, so that they count in their hour's account. */
const COUNTED_REASONS = ['no_id', 'foreign_tenant'] as const satisfies readonly (typeof REASONS)[number][];

/** True for a quarantined row that counts in its hour's account. */
export function countedSql(reason = 'reason'): string {
  return `${reason} in (${sqlTexts(COUNTED_REASONS)})`;
}

/** Names of the temporary tables that `stageSql` fills; load/merge/merge-tables.ts declares them. */
export interface StageTables {
  /** Rows: landed (the page's index in `pages`), reason, raw, the columns that the source sends, and the row's digest. */
  readonly rows: string;
  /** The pages, by `landed`. */
  readonly pages: string;
  /** The windows of the pages, by `landed`. */
  readonly windows: string;
}

interface StageInput {
  readonly table: Table;
  readonly pages: readonly LandedPage[];
  /** The tenant id that rows must have; undefined while none is pinned. Rows with an empty tenant id are loaded. */
  readonly pinned: string | undefined;
  /** The tables to fill. */
  readonly into: StageTables;
  /** Files to read instead of a page's own file (see `disarm.ts`), by the page's file. */
  readonly substitutes?: ReadonlyMap<string, string>;
  /** A select of (file, line) to read instead of the files, for rows that are checked again. */
  readonly lines?: string;
}

/**
 * Statements that fill the empty tables of `into`; run them in order on one connection. Rows are inserted by day, type and
 * timestamp, so that the rows of one day can be read on their own and written without another sort.
 *
 * If the table has privacy rules, the text of quarantined rows is not kept, because rules cannot be applied to text that was not
 * parsed. A row that is checked again keeps its text: it is stored already, and it identifies the row.
 */
export function stageSql({ table, pages, pinned, into, substitutes, lines }: StageInput): string[] {
  // A batch whose windows are empty at the source has no page.
  if (pages.length === 0) return [];
  const fileOf = (page: LandedPage): string => substitutes?.get(page.file) ?? page.file;
  const windows = pages.flatMap(({ page }, landed) =>
    page.windows.map(
      (window) => `(${landed}, make_timestamptz(${window.from / 10n}), make_timestamptz(${window.to / 10n}))`,
    ),
  );
  const groups = groupBy(pages, (landed) => JSON.stringify(landed.columns ?? null));
  const typed = [...groups.values()].map((group) =>
    typedRows(table, group, { names: pages.map(fileOf), fileOf, lines }),
  );
  const columns = givenColumns(table).map((column) => column.name);
  const id = lakeName(table, table.id);
  const keepsText = table.privacy.length === 0 || lines !== undefined;
  return [
    `insert into ${into.windows} (landed, lo, hi) values ${windows.join(', ')}`,
    `insert into ${into.pages} (landed, file, page, starts_at, cells, windows)
values ${pages.map((landed, place) => pageRow(landed, place, fileOf(landed))).join(', ')}`,
    `insert into ${into.rows} by name
with typed as (
${typed.join('\nunion all\n')}
),
judged as (
  select
    typed.*,
    case
      when width is null then 'malformed'
      when not fits then 'wrong_width'
      when "timestamp" is null then 'bad_timestamp'
      when page_window.landed is null then 'outside_window'
      when ${id} is null then 'no_id'
      ${pinned === undefined ? '' : `when source_tenant_id <> ${sqlText(pinned)} then 'foreign_tenant'`}
    end as reason
  from typed
  left join ${into.windows} as page_window
    on typed.landed = page_window.landed
    and typed."timestamp" >= page_window.lo
    and typed."timestamp" < page_window.hi
)
select
  landed,
  reason,
  ${keepsText ? 'case when reason is not null then line end' : 'null::varchar'} as raw,
  ${columns.map((name) => (name === 'properties' ? `${privateSql(table)} as "properties"` : `"${name}"`)).join(',\n  ')},
  "${DIGEST_COLUMN}",
  altered
from judged
order by (epoch_us("timestamp") + 62135596800000000) // 86400000000, "${lakeName(table, table.typeColumn)}", "timestamp"`,
  ];
}

/** What a quarantined row keeps of its page, so that it can be checked again without the page. */
function pageRow({ page, columns }: LandedPage, place: number, file: string): string {
  const windows = page.windows.map(({ from, to }) => [String(from / 10n), String(to / 10n)]);
  const startsAt = `make_timestamptz(${(page.windows[0]?.from ?? 0n) / 10n})`;
  const cells = columns === undefined ? 'null' : sqlText(JSON.stringify(columns));
  return `(${place}, ${sqlText(file)}, ${sqlText(page.id)}, ${startsAt}, ${cells}, ${sqlText(JSON.stringify(windows))})`;
}

/** The rules also cover the keys that the source was asked to remove, in case it did not. */
function privateSql(table: Table): string {
  const type = `"${lakeName(table, table.typeColumn)}"`;
  return privateJsonSql({ rules: table.privacy, json: '"properties"', type, stored: false });
}

interface Source {
  /** The files of all pages, in order. A row keeps only its page's index: a path per row takes a quarter of a sort's memory. */
  readonly names: readonly string[];
  readonly fileOf: (page: LandedPage) => string;
  readonly lines: string | undefined;
}

/** One select over the pages with the same order of cells. */
function typedRows(table: Table, pages: readonly LandedPage[], { names, fileOf, lines }: Source): string {
  const order = pages[0]?.columns ?? table.columns.map((column) => column.name);
  const missing = table.columns.filter((column) => !order.includes(column.name));
  if (missing.length > 0) {
    throw new SourceError(`An answer lacks columns: ${missing.map((column) => column.name).join(', ')}.`, {
      hint: 'The page was not loaded. Compare the column names with the API guide.',
      where: { table: table.name, columns: order.length },
    });
  }
  const files = pages.map((page) => sqlText(fileOf(page))).join(', ');
  const source =
    lines === undefined
      ? lineReader(files, pages)
      : `(select file as filename, line from (${lines}) where file in (${files}))`;
  const paths = order.map((name) => sqlText(`$."${name}"`)).join(', ');
  const digest = order.indexOf(DIGEST_CELL);
  const cellOf = (name: string): string => `c[${order.indexOf(name) + 1}]`;
  // Where rules can drop keys at the source, the text is not what the digest was computed from.
  const isAltered =
    table.privacy.length > 0
      ? 'false'
      : `coalesce(lower(nullif(${cellOf(DIGEST_CELL)}, '')) <> ${expectedDigestSql(table, cellOf)}, false)`;
  const cells = table.columns.map((column) => ({ column, cell: cellOf(column.name) }));
  return `  select
    (list_position([${names.map(sqlText).join(', ')}], file) - 1)::usmallint as landed,
    line,
    len(c) as width,
    fits,
    ${cells.map(({ column, cell }) => typedCell(column, cell, table)).join(',\n    ')},
    ${digest < 0 ? 'null::bigint' : digestSql(`c[${digest + 1}]`)} as "${DIGEST_COLUMN}",
    ${digest < 0 ? 'false' : isAltered} as altered
  from (
    select
      file,
      line,
      c,
      len(c) = ${order.length} and not lacks_key as fits
    from (
      select
        filename as file,
        line,
        case
          when line[1] = '{' then try(json_extract_string(line, [${paths}]))
          else try(from_json(line, '["VARCHAR"]'))
        end as c,
        case
          when line[1] = '{' then not coalesce(list_has_all(try(json_keys(line)), [${order.map(sqlText).join(', ')}]), false)
          else false
        end as lacks_key
      from ${source}
      where line is null or line[1] <> '#'
    )
  )`;
}

function lineReader(files: string, pages: readonly LandedPage[]): string {
  // The longest line plus room for the header line, and a buffer for two lines. By default the reader's buffer holds sixteen:
  // staging a page of 59 MB on two threads then takes 190 to 220 MB instead of 170, without being faster.
  const longest = Math.max(2_000_000, ...pages.map((page) => page.largestRow + 1_000));
  return `read_csv(
        [${files}],
        header = false, auto_detect = false, delim = '\\x01', quote = '', escape = '', new_line = '\\n',
        columns = {line: 'VARCHAR'}, max_line_size = ${longest}, buffer_size = ${2 * longest}, filename = true
      )`;
}

function typedCell(column: Table['columns'][number], cell: string, table: Table): string {
  const name = `"${column.lake}"`;
  if (column.anyJson) {
    // The query packed the value into a one-element array; the text between the brackets is the exact value.
    const inner = `trim(substr(${cell}, 2, length(${cell}) - 2), E' \\t\\n\\r')`;
    const text = `nullif(case when left(${cell}, 1) = '[' and try(json_array_length(${cell})) = 1 then ${inner} else ${cell} end, '')`;
    const kind = `try(json_type(${text}))`;
    const number = `${kind} not in ('VARCHAR', 'OBJECT', 'ARRAY', 'NULL', 'BOOLEAN')`;
    return `coalesce(try_cast(${text} as json), to_json(${text})) as ${name},
    case
      when ${text} is null then null
      when ${kind} is null or ${kind} = 'VARCHAR' then 'string'
      when ${number} then 'number'
      else lower(${kind})
    end as "${column.lake}_type",
    case when ${number} then try_cast(${text} as double) end as "${column.lake}_number"`;
  }
  if (column.name === table.id) return `lower(nullif(${cell}, '')) as ${name}`;
  switch (column.type) {
    case 'datetime':
      // DuckDB truncates a 7th digit instead of rounding, so no row moves into the next hour. A test checks this.
      return `case
      when ${cell} like '____-__-__T__:__:__%' or ${cell} like '____-__-__ __:__:__%' then try_cast(${cell} as timestamptz)
    end as ${name}`;
    case 'dynamic':
      // Text that is not an object or array was a dynamic string at the source and becomes a JSON string.
      return `case
      when ${cell} = '' then null
      when left(${cell}, 1) in ('{', '[') then coalesce(try_cast(${cell} as json), to_json(${cell}))
      else to_json(${cell})
    end as ${name}`;
    case 'guid':
    case 'string':
      return `nullif(${cell}, '') as ${name}`;
    default:
      return column.type satisfies never;
  }
}

function groupBy<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group) group.push(item);
    else groups.set(key(item), [item]);
  }
  return groups;
}
