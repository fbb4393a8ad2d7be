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

/**
 * The structure of a JSON text; null for text that is nested too deeply. The condition is inside the argument: `json_structure` in a
 * branch of a `case` takes three times as long.
 */
const STRUCTURE = `json_structure(case when ${shallowSql('body')} then body end)::varchar`;

/**
 * A key and the beginning of its value, in JSON text, if the value may be an instant or a number of 17 digits. A match that begins
 * at the end of a text does no harm: it only names a key that is looked up in vain.
 */
const DOUBTFUL_VALUE = String.raw`"((?:[^"\\]|\\.)*)"\s*:\s*(?:"[^"]{4}-[^"]{2}-[^"]{5}:[^"]{2}|-?[0-9]{17})`;

/** The columns of a table that hold JSON. */
export function jsonColumns(table: Table): readonly string[] {
  return table.columns.filter(({ type }) => type === 'dynamic').map(({ lake }) => lake);
}

/** Creates the temporary table `described_types` (nth, file, type, rows, …) from files (a `read_parquet` with the column `filename`). */
export function typesSql(table: Table, source: string, folderLength: number): string {
  return `create or replace temp table described_types as
select row_number() over () as nth, *, ceil(rows / ${PARSED_OF_A_TYPE})::bigint as one_in
from (
  select
    filename[${folderLength + 2}:] as file, coalesce("${lakeName(table, table.typeColumn)}", '') as type,
    count(*) as rows, min("timestamp") as first_at, max("timestamp") as last_at
  from ${source}
  group by all
)
qualify row_number() over (partition by file order by rows desc, type) <= ${LIMITS.types}`;
}

/**
 * `from … where …` of the rows that are parsed, each with the rows of `types` of its file and type: `described_types`, or a table with
 * its columns file, type and one_in.
 */
function parsedRows({ table, source, folderLength, sampled }: ShapesInput, types: string): string {
  const isParsed = `(one_in = 1 or hash("${lakeName(table, table.id)}") % one_in::ubigint = 0)`;
  return `from ${source}
    join ${types}
      on ${types}.file = filename[${folderLength + 2}:]
      and ${types}.type = coalesce("${lakeName(table, table.typeColumn)}", '')
    where ${sampled ? isParsed : 'true'}`;
}

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
 * Creates the temporary tables `structures_by_day` (rows by file and type, `nth`, shape and UTC day, with one row's text), `structures`
 * (the same without the day), `nodes` (shape, pointer, kind), `doubtful` (paths whose kind is known only after every value was checked) and `refined` (empty).
 */
export function shapesSql(input: ShapesInput): string[] {
  const { table, column } = input;
  return [
    `create or replace temp table structures_by_day as
select *, ${SHAPE} as shape
from (
  select nth, moment::date as day, ${STRUCTURE} as structure, count(*) as rows, any_value(one_in) as one_in,
    min(moment) as first_at, max(moment) as last_at, min(id) as first_id, arg_min(body, id) as example
  from (
    select nth, one_in, "${lakeName(table, table.id)}" as id, "timestamp" as moment, "${column}"::varchar as body
    ${parsedRows(input, 'described_types')}
  )
  group by all
)`,
    `create or replace temp table structures as
select nth, structure, shape, sum(rows) as rows, any_value(one_in) as one_in,
  min(first_at) as first_at, max(last_at) as last_at, arg_min(example, first_id) as example
from structures_by_day group by all`,
    // A row without JSON has the structure null, and the kind of its root is null too. An object is parsed once for all of its keys.
    `create or replace temp table nodes as
with recursive walk as (
  select shape, '' as pointer, any_value(structure)::json as body, 0 as depth
  from structures
  where structure is not null
  group by shape
  union all
  select shape, pointer || '/' || replace(replace(member.key, '~', '~0'), '/', '~1'), member.value, depth + 1
  from (
    select shape, pointer, depth,
      unnest(case json_type(body)
        when 'OBJECT' then map_entries(from_json(body, '"MAP(VARCHAR, JSON)"'))
        when 'ARRAY' then [{key: '[]', value: body -> '/0'}]
      end) as member
    from walk
    where depth < ${LIMITS.depth} and json_type(body) in ('OBJECT', 'ARRAY')
  )
  where length(pointer) + length(member.key) < ${LIMITS.pointer} and not regexp_matches(member.key, '[\\x00-\\x1f]')
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
    // One row of each structure shows which texts may be instants and which numbers may be too long. Only paths whose last key has
    // such a value are looked up, which parses the text once per path.
    `create or replace temp table doubtful as
with candidates as (
  select distinct nth, shape, coalesce(try(json_extract_string('"' || key || '"', '$')), key) as key
  from (select nth, shape, unnest(regexp_extract_all(example, ${sqlText(DOUBTFUL_VALUE)}, 1)) as key from structures)
)
select distinct nth, file, type, described_types.one_in, pointer, kind
from (
  select nth, pointer, kind, json_extract_string(example, pointer) as seen
  from structures
  join nodes using (shape)
  join candidates using (nth, shape)
  where candidates.key = replace(replace(split_part(pointer, '/', -1), '~1', '/'), '~0', '~')
    and pointer <> '' and not contains(pointer || '/', '/[]/') and kind in ('text', 'bigint', 'double')
)
join described_types using (nth)
where (kind = 'text' and seen like ${sqlText(INSTANT)})
   or (kind <> 'text' and regexp_matches(seen, '^-?[0-9]{17,}$'))`,
    `create or replace temp table refined (nth bigint, pointer varchar, kind varchar, finer varchar)`,
  ];
}

/** Fills `refined` by checking every parsed value of the doubtful paths: a column's type must fit all of them. */
export function refineSql(input: ShapesInput): string {
  // A condition on `cell` in a `where` would parse each row twice.
  return `insert into refined
select nth, pointer, kind, finer
from (
  select nth, pointer, kind,
    case
      when kind = 'text' and bool_and(case when cell is not null then cell like ${sqlText(INSTANT)} and try_cast(cell as timestamptz) is not null end) then 'timestamp'
      when kind <> 'text' and not bool_and(case when cell is not null then try_cast(cell as bigint) is not null end) then 'digits'
    end as finer
  from (
    select nth, pointer, kind, json_extract_string("${input.column}"::varchar, pointer) as cell
    ${parsedRows(input, 'doubtful')}
  )
  group by nth, pointer, kind
)
where finer is not null`;
}

/**
 * Rows of `property_counts` without the tenant and the table: one per file, type, path and kind, and for the whole value (pointer '')
 * one per UTC day. So drift (`load/publish/drift.ts`) knows how many rows came before a path, also within the file of a month.
 */
export function countsSql(column: string): string {
  return `select file, type, ${sqlText(column)} as json_column, pointer, kind,
  -- Over days, the rounded counts add up to the rows of the type.
  (case when pointer = ''
    then round(sum(counted.rows) over before * (described_types.rows / parsed)) - round((sum(counted.rows) over before - counted.rows) * (described_types.rows / parsed))
    else round(counted.rows * (described_types.rows / parsed))
  end)::bigint as rows, counted.first_at, counted.last_at,
  parsed < described_types.rows as is_estimate
from (
  select
    structures.nth, null::date as day, nodes.pointer, coalesce(refined.finer, nodes.kind) as kind,
    sum(structures.rows) as rows, min(structures.first_at) as first_at, max(structures.last_at) as last_at
  from structures
  join nodes on nodes.shape = structures.shape and nodes.pointer <> ''
  left join refined
    on refined.nth = structures.nth and refined.pointer = nodes.pointer and refined.kind = nodes.kind
  group by all
  union all
  select nth, day, nodes.pointer, nodes.kind, sum(rows), min(first_at), max(last_at)
  from structures_by_day
  join nodes on nodes.shape = structures_by_day.shape and nodes.pointer = ''
  group by nth, day, nodes.pointer, nodes.kind
) as counted
join (select nth, sum(rows) as parsed from structures group by nth) as whole using (nth)
join described_types using (nth)
window before as (partition by nth, pointer = '' order by kind, day rows between unbounded preceding and current row)
qualify pointer = '' or row_number() over (partition by nth, pointer = '' order by counted.rows desc, pointer, kind) < ${LIMITS.paths}`;
}
