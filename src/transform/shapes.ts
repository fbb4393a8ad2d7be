/**
 * The structure of the rows' JSON, as SQL that `load/publish/properties.ts` runs. Rows are grouped by the structure of their JSON
 * first, and only the distinct structures are split into paths: a million rows have a handful of structures.
 *
 * Paths are JSON pointers (`/source/medium`; `/lines/[]/price` for the members of a list), which name any key exactly.
 * Kinds: text, timestamp, bigint, digits (whole numbers beyond 64 bits), double, boolean, list, object, mixed (members
 * of a list that differ), null.
 */
import type { Table } from '../model/tables.ts';
import { shallowSql } from './depth.ts';
import { lakeName } from './lake.ts';
import { sqlText } from '../kernel/sql.ts';

/**
 * Up to this many rows of one type in one file are all parsed. If there are more, one row in k is parsed, chosen by id, and the counts are
 * multiplied by k. Parsing costs as much as merging, and the file of a large day is rewritten by every run of that day.
 */
export const PARSED_OF_A_TYPE = 20_000;

/** Limits of the description: types of a file, paths of a type (the most frequent ones), levels, and length of a pointer. */
const LIMITS = { types: 5_000, paths: 500, depth: 8, pointer: 500 } as const;

/** For `like`: a date, a letter or blank, hours and minutes. A date without a time stays a text. */
const INSTANT = '____-__-_____:__%';

/** The structure of a JSON text; null for text that is nested too deeply. */
const STRUCTURE = `case when ${shallowSql('body')} then json_structure(body)::varchar end`;

/** The columns of a table that hold JSON. */
export function jsonColumns(table: Table): readonly string[] {
  return table.columns.filter(({ type }) => type === 'dynamic').map(({ lake }) => lake);
}

/** Creates the temporary table `described_types` (file, type, rows, …) from files (a `read_parquet` with the column `filename`). */
export function typesSql(table: Table, source: string, folderLength: number): string {
  return `create or replace temp table described_types as
select *, ceil(rows / ${PARSED_OF_A_TYPE})::bigint as one_in
from (
  select
    filename[${folderLength + 2}:] as file, coalesce("${lakeName(table, table.typeColumn)}", '') as type,
    count(*) as rows, min("timestamp") as first_at, max("timestamp") as last_at
  from ${source}
  group by all
)
qualify row_number() over (partition by file order by rows desc, type) <= ${LIMITS.types}`;
}

/** The rows that are parsed: columns file, type, one_in, id, moment, body (the JSON). `where` narrows the types. */
function parsedRows(
  table: Table,
  column: string,
  source: string,
  folderLength: number,
  where = 'true',
  sampled = false,
): string {
  const id = lakeName(table, table.id);
  return `select described_types.file, described_types.type, one_in, "${id}" as id, "timestamp" as moment, "${column}"::varchar as body
  from ${source}
  join described_types
    on described_types.file = filename[${folderLength + 2}:]
    and described_types.type = coalesce("${lakeName(table, table.typeColumn)}", '')
  where ${where}${sampled ? ` and (one_in = 1 or hash("${id}") % one_in::ubigint = 0)` : ''}`;
}

/** The engine keeps a copy of the text for each value that it finds in its tree, so the trees of longer texts are not read. */
const LONG_TEXT = 50_000;

/** The id of a structure: 128 bits instead of kilobytes of text in each of its paths. Rows without JSON have the id 0. */
const SHAPE = 'coalesce(md5_number(structure), 0::uhugeint)';

export interface ShapesInput {
  readonly table: Table;
  readonly column: string;
  readonly source: string;
  readonly folderLength: number;
  /** Some type has more than PARSED_OF_A_TYPE rows in a file, so only a sample of its rows is parsed. */
  readonly sampled: boolean;
}

/**
 * Creates the temporary tables `structures` (rows by file, type and shape, with one row's text), `nodes` (shape, pointer,
 * kind), `doubtful` (paths whose kind is known only after every value was checked) and `refined` (empty).
 */
export function shapesSql({ table, column, source, folderLength, sampled }: ShapesInput): string[] {
  return [
    `create or replace temp table structures as
select *, ${SHAPE} as shape
from (
  select file, type, ${STRUCTURE} as structure, count(*) as rows, any_value(one_in) as one_in,
    min(moment) as first_at, max(moment) as last_at, arg_min(body, id) as example
  from (${parsedRows(table, column, source, folderLength, 'true', sampled)})
  group by all
)`,
    // A row without JSON has the structure null, and the kind of its root is null too.
    `create or replace temp table nodes as
with recursive walk as (
  select shape, '' as pointer, any_value(structure)::json as body, 0 as depth
  from structures
  where structure is not null
  group by shape
  union all
  select
    shape,
    pointer || '/' || replace(replace(step, '~', '~0'), '/', '~1'),
    case json_type(body) when 'ARRAY' then body -> '/0' else body -> ('/' || replace(replace(step, '~', '~0'), '/', '~1')) end,
    depth + 1
  from (
    select *, unnest(case json_type(body) when 'OBJECT' then json_keys(body) when 'ARRAY' then ['[]'] end) as step
    from walk
    where depth < ${LIMITS.depth}
  )
  where length(pointer) + length(step) < ${LIMITS.pointer} and not regexp_matches(step, '[\\x00-\\x1f]')
)
select shape, pointer,
  case json_type(body)
    when 'OBJECT' then 'object'
    when 'ARRAY' then 'list'
    else case body ->> '$'
      when 'VARCHAR' then 'text'
      when 'UBIGINT' then 'bigint'
      when 'BIGINT' then 'bigint'
      when 'HUGEINT' then 'digits'
      when 'DOUBLE' then 'double'
      when 'BOOLEAN' then 'boolean'
      when 'NULL' then 'null'
      -- An object without a key, or members that differ.
      when 'JSON' then case when pointer like '%/[]' then 'mixed' else 'object' end
      else 'mixed'
    end
  end as kind
from walk
union all
select 0::uhugeint, '', 'null'`,
    // One row of each structure shows which texts may be instants and which numbers may be too long. The tree of its text is
    // read once, and only paths whose last key has such a value are looked up, which parses the text once per path.
    `create or replace temp table doubtful as
with candidates as materialized (
  select distinct file, parsed.type, shape, tree.key
  from (select * from structures where structure is not null and length(example) < ${LONG_TEXT}) as parsed, json_tree(parsed.example) as tree
  where (tree.type = 'VARCHAR' and json_extract_string(atom, '$') like ${sqlText(INSTANT)})
     or (tree.type in ('UBIGINT', 'BIGINT', 'DOUBLE') and regexp_matches(atom::varchar, '[0-9]{17,}'))
)
select distinct pointer, kind, type, file
from (
  select structures.file, structures.type, pointer, kind, json_extract_string(example, pointer) as seen
  from structures
  join nodes using (shape)
  left join candidates
    on candidates.file = structures.file and candidates.type = structures.type and candidates.shape = structures.shape
    and candidates.key = replace(replace(split_part(pointer, '/', -1), '~1', '/'), '~0', '~')
  where (candidates.key is not null or length(example) >= ${LONG_TEXT}) and pointer <> '' and not contains(pointer || '/', '/[]/') and kind in ('text', 'bigint', 'double')
)
where (kind = 'text' and seen like ${sqlText(INSTANT)})
   or (kind <> 'text' and regexp_matches(seen, '^-?[0-9]{17,}$'))`,
    `create or replace temp table refined (file varchar, type varchar, pointer varchar, kind varchar, finer varchar)`,
  ];
}

/** Fills `refined` by checking every parsed value of the doubtful paths: a column's type must fit all of them. */
export function refineSql({ table, column, source, folderLength, sampled }: ShapesInput): string {
  const types = 'described_types.type in (select type from doubtful)';
  return `insert into refined
select file, type, pointer, kind, finer
from (
  select file, type, pointer, kind,
    case
      when kind = 'text' and bool_and(cell like ${sqlText(INSTANT)} and try_cast(cell as timestamptz) is not null) then 'timestamp'
      when kind <> 'text' and not bool_and(try_cast(cell as bigint) is not null) then 'digits'
    end as finer
  from (
    select file, type, pointer, kind, json_extract_string(body, pointer) as cell
    from (${parsedRows(table, column, source, folderLength, types, sampled)})
    join doubtful using (file, type)
  )
  where cell is not null
  group by file, type, pointer, kind
)
where finer is not null`;
}

/** Rows of `property_counts` without the tenant and the table: one per file, type, path and kind. */
export function countsSql(column: string): string {
  return `select file, type, ${sqlText(column)} as json_column, pointer, kind,
  round(rows * known)::bigint as rows, first_at, last_at, parsed < 1 as is_estimate
from (
  select
    structures.file, structures.type, nodes.pointer, coalesce(refined.finer, nodes.kind) as kind,
    sum(structures.rows) as rows, min(structures.first_at) as first_at, max(structures.last_at) as last_at,
    any_value(whole.rows) / any_value(whole.parsed) as known,
    any_value(whole.parsed) / any_value(whole.rows) as parsed
  from structures
  join nodes using (shape)
  join (
    select file, type, any_value(described_types.rows) as rows, sum(structures.rows) as parsed
    from structures join described_types using (file, type)
    group by all
  ) as whole on whole.file = structures.file and whole.type = structures.type
  left join refined
    on refined.file = structures.file and refined.type = structures.type
    and refined.pointer = nodes.pointer and refined.kind = nodes.kind
  group by all
)
qualify row_number() over (partition by file, type order by rows desc, pointer, kind) <= ${LIMITS.paths}`;
}
