/** Functions of dynamic values: JSON text in and out, SQL null for null. Lists are lists of JSON texts. */
export const DYNAMIC_MACROS = String.raw`
-- An array, a bag or a number is its own text: only a string has to be unquoted.
create or replace macro kql_dynamic_text(x) as
  case when x is null or x = 'null' then '' when starts_with(x, '"') then coalesce(json_extract_string(x, '$'), '') else x end;
create or replace macro kql_json_at(x, path) as nullif(json_extract(x, path)::varchar, 'null');
-- Two dynamic values are compared by their JSON in one spelling.
create or replace macro kql_comparable(x) as case when x is null or x = 'null' then null else json(x)::varchar end;
create or replace macro kql_json_index(x, i) as
  kql_json_at(x, case when i < 0 then '$[#' || i::varchar || ']' else '$[' || i::varchar || ']' end);
create or replace macro kql_json_key(x, k) as
  case when starts_with(ltrim(x), '{') then kql_json_at(x, '/' || replace(replace(k, '~', '~0'), '/', '~1')) end;
create or replace macro kql_json_list(x) as
  coalesce(case when starts_with(ltrim(x), '[') then json_extract(x, '$[*]')::varchar[] end, []::varchar[]);
create or replace macro kql_json_array(items) as '[' || coalesce(array_to_string(items, ','), '') || ']';
create or replace macro kql_text_array(items) as
  kql_json_array(list_transform(items, lambda kql_item: to_json(kql_item)::varchar));
create or replace macro kql_some(x) as nullif(x, '[]');
create or replace macro kql_code_points(text) as
  kql_json_array(list_transform(range(1, length(text) + 1), lambda kql_i: unicode(substr(text, kql_i, 1))::varchar));
create or replace macro kql_parse_json(text) as
  case when text = '' then null when json_valid(text) then nullif(json(text)::varchar, 'null') else to_json(text)::varchar end;
create or replace macro kql_json_type(x) as
  case when x is null or x = 'null' then 'null' when starts_with(x, '{') then 'dictionary' when starts_with(x, '[') then 'array'
  when starts_with(x, '"') then 'string' when x in ('true', 'false') then 'bool'
  when try_cast(x as integer) is not null and not contains(x, '.') and not contains(lower(x), 'e') then 'int'
  when regexp_full_match(x, '-?[0-9]+') then 'long' else 'double' end;

create or replace macro kql_array_length(x) as case when starts_with(ltrim(x), '[') then json_array_length(x)::bigint end;
create or replace macro kql_from_end(i, n) as case when i < 0 then greatest(i + n, 0) else i end;
create or replace macro kql_array_slice(x, i, j) as
  case when starts_with(ltrim(x), '[') then kql_json_array(
    kql_json_list(x)[kql_from_end(i, json_array_length(x)) + 1 : (case when j < 0 then j + json_array_length(x) else j end) + 1]) end;
create or replace macro kql_item_places(items, value, first) as
  list_filter(range(first, len(items)), lambda kql_i: items[kql_i + 1] = value);
create or replace macro kql_array_index_of(x, value, start, n, occurrence) as
  case when starts_with(ltrim(x), '[') then kql_occurrence(
    kql_item_places(kql_json_list(x), value, kql_from_end(start, len(kql_json_list(x)))),
    kql_from_end(start, len(kql_json_list(x))), n, 1, occurrence) end;
create or replace macro kql_array_sum(x) as
  case when starts_with(ltrim(x), '[') then list_sum(list_transform(kql_json_list(x), lambda kql_item: try_cast(kql_item as double))) end;
-- Numbers come before strings, those before the rest.
create or replace macro kql_rank(item) as
  case when try_cast(item as double) is not null then 0 when starts_with(item, '"') then 1 else 2 end;
create or replace macro kql_sorted(items, way) as
  list_transform(list_sort(list_transform(list_filter(items, lambda kql_item: kql_item <> 'null'),
    lambda kql_item: {r: kql_rank(kql_item), n: try_cast(kql_item as double), v: kql_item}), way), lambda kql_pair: kql_pair.v);
create or replace macro kql_nulls(items) as list_filter(items, lambda kql_item: kql_item = 'null');
create or replace macro kql_sorted_list(items, way, nulls_last) as
  case when nulls_last then list_concat(kql_sorted(items, way), kql_nulls(items))
  else list_concat(kql_nulls(items), kql_sorted(items, way)) end;
create or replace macro kql_array_sort(x, way, nulls_last) as
  case when starts_with(ltrim(x), '[') then
    kql_json_array(list_transform([kql_json_list(x)], lambda kql_list: kql_sorted_list(kql_list, way, nulls_last))[1]) end;
create or replace macro kql_array_shift(x, n, filler) as
  case when starts_with(ltrim(x), '[') then kql_json_array(list_transform(range(1, json_array_length(x)::bigint + 1),
    lambda kql_i: case when kql_i + n between 1 and json_array_length(x) then kql_json_list(x)[kql_i + n] else filler end)) end;
create or replace macro kql_array_split(x, borders) as
  kql_json_array(list_transform(range(1, len(borders)), lambda kql_i: kql_json_array(kql_json_list(x)[borders[kql_i] + 1 : borders[kql_i + 1]])));
create or replace macro kql_split_borders(x, indices) as
  list_concat([0::bigint], list_transform(indices, lambda kql_i: kql_from_end(kql_i, json_array_length(x)::bigint)), [json_array_length(x)::bigint]);
create or replace macro kql_jaccard(a, b) as
  len(list_intersect(kql_json_list(a), kql_json_list(b))) / len(list_distinct(list_concat(kql_json_list(a), kql_json_list(b))));
create or replace macro kql_rotated(items, n) as
  case when len(items) = 0 then items else list_concat(items[n + 1 :], items[: n]) end;
create or replace macro kql_array_rotate(x, n) as
  case when starts_with(ltrim(x), '[') then kql_json_array(
    kql_rotated(kql_json_list(x), kql_modulo(n, greatest(json_array_length(x)::bigint, 1)))) end;
create or replace macro kql_zip(a, b) as
  kql_json_array(list_transform(range(1, greatest(len(kql_json_list(a)), len(kql_json_list(b))) + 1),
    lambda kql_i: '[' || coalesce(kql_json_list(a)[kql_i], 'null') || ',' || coalesce(kql_json_list(b)[kql_i], 'null') || ']'));
create or replace macro kql_array_iff(tests, yes, no) as
  kql_json_array(list_transform(range(1, len(kql_json_list(tests)) + 1), lambda kql_i:
    case when kql_json_list(tests)[kql_i] = 'true' or coalesce(try_cast(kql_json_list(tests)[kql_i] as double), 0) <> 0
    then case when starts_with(yes, '[') then coalesce(kql_json_list(yes)[kql_i], 'null') else yes end
    else case when starts_with(no, '[') then coalesce(kql_json_list(no)[kql_i], 'null') else no end end));

-- Sets keep the order in which their elements first occur.
create or replace macro kql_unique(items) as
  list_transform(list_filter(list_zip(items, range(len(items))), lambda kql_pair: list_position(items, kql_pair[1]) = kql_pair[2] + 1), lambda kql_pair: kql_pair[1]);
create or replace macro kql_set_union(a, b) as kql_json_array(kql_unique(list_concat(kql_json_list(a), kql_json_list(b))));
create or replace macro kql_set_intersect(a, b) as
  kql_json_array(kql_unique(list_filter(kql_json_list(a), lambda kql_item: list_contains(kql_json_list(b), kql_item))));
create or replace macro kql_set_difference(a, b) as
  kql_json_array(kql_unique(list_filter(kql_json_list(a), lambda kql_item: not list_contains(kql_json_list(b), kql_item))));

-- Bags.
create or replace macro kql_keys(x) as coalesce(case when starts_with(ltrim(x), '{') then json_keys(x) end, []::varchar[]);
create or replace macro kql_bag_keys(x) as case when starts_with(ltrim(x), '{') then kql_text_array(json_keys(x)) end;
create or replace macro kql_pairs(x) as
  list_transform(kql_keys(x), lambda kql_k: {k: kql_k, v: json_extract(x, '/' || replace(replace(kql_k, '~', '~0'), '/', '~1'))::varchar});
create or replace macro kql_bag_of(pairs) as
  '{' || coalesce(array_to_string(list_transform(pairs, lambda kql_p: to_json(kql_p.k)::varchar || ':' || kql_p.v), ','), '') || '}';
create or replace macro kql_first_pairs(pairs) as
  list_transform(list_filter(list_zip(pairs, list_transform(pairs, lambda kql_p: kql_p.k), range(len(pairs))),
    lambda kql_row: list_position(list_transform(pairs, lambda kql_p: kql_p.k), kql_row[2]) = kql_row[3] + 1), lambda kql_row: kql_row[1]);
create or replace macro kql_bag_merge(bags) as
  kql_bag_of(kql_first_pairs(flatten(list_transform(coalesce(bags, []::varchar[]), lambda kql_bag: kql_pairs(kql_bag)))));
create or replace macro kql_bag_has_key(x, key) as
  coalesce(case when starts_with(key, '$') then json_exists(x, key) else list_contains(kql_keys(x), key) end, false);
create or replace macro kql_bag_zip(keys, items) as
  case when starts_with(ltrim(keys), '[') then kql_bag_of(kql_first_pairs(list_filter(list_transform(
    list_zip(kql_json_list(keys), range(1, json_array_length(keys)::bigint + 1)),
    lambda kql_pair: {k: case when starts_with(kql_pair[1], '"') then kql_dynamic_text(kql_pair[1]) end, v: coalesce(kql_json_list(items)[kql_pair[2]], 'null')}),
    lambda kql_pair: kql_pair.k is not null))) end;
create or replace macro kql_bag_set_key(x, key, value) as
  case when starts_with(ltrim(x), '{') then kql_bag_of(list_concat(list_filter(kql_pairs(x), lambda kql_p: kql_p.k <> key), [{k: key, v: value}])) end;
create or replace macro kql_bag_remove_keys(x, keys) as
  case when starts_with(ltrim(x), '{') then kql_bag_of(list_filter(kql_pairs(x),
    lambda kql_p: not list_contains(list_transform(keys, lambda kql_key: kql_dynamic_text(kql_key)), kql_p.k))) end;
create or replace macro kql_bag_remove_path(x, path, patch) as
  case when starts_with(ltrim(x), '{') and json_exists(x, path) then json_merge_patch(x, patch)::varchar when starts_with(ltrim(x), '{') then x end;

-- What mv-expand makes rows of: an array's elements, a bag's properties, or the value itself; at least one row.
create or replace macro kql_expand(x, kind) as
  case when x is null or x in ('null', '[]', '{}') then [null::varchar]
  when starts_with(ltrim(x), '[') then kql_json_list(x)
  when starts_with(ltrim(x), '{') then list_transform(kql_pairs(x), lambda kql_p:
    case when kind = 'array' then '[' || to_json(kql_p.k)::varchar || ',' || kql_p.v || ']' else '{' || to_json(kql_p.k)::varchar || ':' || kql_p.v || '}' end)
  else [x] end;
`;
