/** Conversion between text and each type, terms, and text functions that need more than one DuckDB function. */
export const TEXT_MACROS = String.raw`
create or replace macro kql_real_text(x) as
  case when isnan(x) then 'NaN' when x = 'inf'::double then 'Infinity' when x = '-inf'::double then '-Infinity'
  else upper(x::varchar) end;
create or replace macro kql_real_json(x) as
  case when isfinite(x) then x::varchar else '"' || kql_real_text(x) || '"' end;
create or replace macro kql_decimal_text(x) as
  case when contains(x::varchar, '.') then rtrim(rtrim(x::varchar, '0'), '.') else x::varchar end;
create or replace macro kql_hex(x) as lower(hex(x::bigint));

-- Whole numbers in decimal or hexadecimal; DuckDB's own cast would round, and would accept underscores and exponents.
create or replace macro kql_parse_long(text) as
  case when regexp_full_match(trim(text), '[+-]?[0-9]+|0[xX][0-9a-fA-F]+') then try_cast(trim(text) as bigint)
  when regexp_full_match(trim(text), '[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)') then try_cast(trunc(try_cast(trim(text) as double)) as bigint)
  end;
create or replace macro kql_parse_real(text) as
  case when lower(trim(text)) in ('nan', '+inf', '-inf', 'inf', 'infinity', '-infinity') then try_cast(trim(text) as double)
  when regexp_full_match(trim(text), '[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?') then try_cast(trim(text) as double)
  else try_cast(kql_parse_long(text) as double) end;
create or replace macro kql_parse_bool(text) as
  case lower(trim(text)) when 'true' then true when 'false' then false
  else kql_parse_long(text) <> 0 end;
create or replace macro kql_parse_guid(text) as
  try_cast(case when regexp_full_match(trim(text), '[{(]?[0-9a-fA-F-]{32,36}[)}]?') then trim(text, '{}() ') end as uuid)::varchar;
-- Escapes in lower case, as .NET writes them.
create or replace macro kql_url_encode(text) as
  array_to_string(list_transform(string_split(url_encode(text), '%'),
    lambda kql_piece, kql_i: case when kql_i = 1 then kql_piece else '%' || lower(left(kql_piece, 2)) || substr(kql_piece, 3) end), '');
create or replace macro kql_base64_text(text) as
  case when regexp_full_match(text, '[A-Za-z0-9+/]*={0,2}') and length(text) % 4 = 0 then coalesce(try(decode(from_base64(text))), '') else '' end;

-- Terms: runs of letters and digits. The text test in front spares the regular expression where it can.
create or replace macro kql_has_folded(text, term) as
  contains(text, term) and regexp_matches(text, '(?:^|[^\pL\pN])' || regexp_escape(term) || '(?:[^\pL\pN]|$)');
create or replace macro kql_has_prefix_folded(text, term) as
  contains(text, term) and regexp_matches(text, '(?:^|[^\pL\pN])' || regexp_escape(term));
create or replace macro kql_has_suffix_folded(text, term) as
  contains(text, term) and regexp_matches(text, regexp_escape(term) || '(?:[^\pL\pN]|$)');
create or replace macro kql_has(text, term) as kql_has_folded(lower(text), lower(term));

create or replace macro kql_strcmp(a, b) as case when a < b then -1 when a > b then 1 else 0 end;
create or replace macro kql_substring(text, start, n) as
  case when n <= 0 then '' else substr(text, case when start >= 0 then start + 1 else greatest(length(text) + start, 0) + 1 end, n) end;
create or replace macro kql_split(text, delimiter) as
  case when delimiter = '' then [text] else string_split(text, delimiter) end;
create or replace macro kql_only(parts, i) as
  case when i >= 0 and i < len(parts) then [parts[i + 1]] else []::varchar[] end;
create or replace macro kql_trim_start(pattern, text) as regexp_replace(text, '^(?:' || pattern || ')+', '');
create or replace macro kql_trim_end(pattern, text) as regexp_replace(text, '(?:' || pattern || ')+$', '');
create or replace macro kql_count_of(text, term) as
  case when term = '' then 0 else
  len(list_filter(range(1, length(text) - length(term) + 2), lambda kql_i: substr(text, kql_i, length(term)) = term)) end;
create or replace macro kql_places(text, term, first, last) as
  list_filter(range(first, last + 1), lambda kql_i: substr(text, kql_i + 1, length(term)) = term);
create or replace macro kql_index_from(text, start) as case when start < 0 then greatest(length(text) + start, 0) else start end;
-- The length bounds each step of the search: to the first place from the start, then from one place to the next.
create or replace macro kql_occurrence(places, start, n, size, occurrence) as
  case when occurrence < 1 or n < -1 then null
  when len(places) >= occurrence and (n = -1 or list_bool_and(list_transform(range(1, occurrence + 1),
    lambda kql_k: places[kql_k] + size <= case when kql_k = 1 then start else places[kql_k - 1] + 1 end + n)))
  then places[occurrence] else -1 end;
create or replace macro kql_index_of(text, term, start, n, occurrence) as
  kql_occurrence(kql_places(text, term, kql_index_from(text, start), length(text) - length(term)),
    kql_index_from(text, start), n, length(term), occurrence);
create or replace macro kql_bytes_unit(size) as
  case when abs(size) < 1024 then 0 else least(floor(log2(abs(size)) / 10)::integer, 6) end;
create or replace macro kql_format_bytes(size, digits, unit) as
  rtrim(rtrim(format('{:.10f}', round(size / pow(1024, unit), (digits)::integer)), '0'), '.') || ' '
  || ['Bytes', 'KB', 'MB', 'GB', 'TB', 'PB', 'EB'][unit + 1];
create or replace macro kql_version_part(text, i) as lpad(coalesce(string_split(text, '.')[i], '0'), 8, '0');
create or replace macro kql_parse_version(text) as
  case when regexp_full_match(text, '[0-9]{1,8}([.][0-9]{1,8}){0,3}') then (kql_version_part(text, 1)
    || kql_version_part(text, 2) || kql_version_part(text, 3) || kql_version_part(text, 4))::decimal(38,0) end;
create or replace macro kql_translate(from_set, to_set, text) as
  case when length(from_set) = 0 then text else translate(text, from_set,
    case when length(to_set) = 0 then '' else rpad(to_set, greatest(length(from_set), length(to_set))::integer, right(to_set, 1)) end) end;

create or replace macro kql_url_part(text, i) as
  coalesce(regexp_extract(text, '^(?:([a-zA-Z][a-zA-Z0-9+.-]*)://)?(?:([^:@/?#]*)(?::([^@/?#]*))?@)?([^:/?#]*)(?::(\d+))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$', i), '');
create or replace macro kql_query_pairs(query) as
  '{' || array_to_string(list_transform(list_filter(string_split(query, '&'), lambda kql_pair: kql_pair <> ''),
    lambda kql_pair: to_json(split_part(kql_pair, '=', 1))::varchar || ':' || to_json(case when contains(kql_pair, '=') then substr(kql_pair, instr(kql_pair, '=') + 1) else '' end)::varchar), ',') || '}';
create or replace macro kql_parse_url(text) as
  '{"Scheme":' || to_json(kql_url_part(text, 1))::varchar || ',"Host":' || to_json(kql_url_part(text, 4))::varchar
  || ',"Port":' || to_json(kql_url_part(text, 5))::varchar || ',"Path":' || to_json(ltrim(kql_url_part(text, 6), '/'))::varchar
  || ',"Username":' || to_json(kql_url_part(text, 2))::varchar || ',"Password":' || to_json(kql_url_part(text, 3))::varchar
  || ',"Query Parameters":' || kql_query_pairs(kql_url_part(text, 7))
  || ',"Fragment":' || to_json(kql_url_part(text, 8))::varchar || '}';
create or replace macro kql_parse_urlquery(text) as '{"Query Parameters":' || kql_query_pairs(ltrim(text, '?')) || '}';
`;
