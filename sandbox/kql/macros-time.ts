/** Conversion between ticks (100 ns since 1970) and calendar fields, and arithmetic with the engine's rounding. */
export const TIME_MACROS = `
-- The remainder that is never negative.
create or replace macro kql_modulo(x, m) as ((x % m) + abs(m)) % m;
create or replace macro kql_bin(x, m) as case when m > 0 then x - ((x % m) + m) % m end;
create or replace macro kql_bin_real(x, m) as floor(x / nullif(m, 0)) * m;
create or replace macro kql_bin_at(x, m, fixed) as x - ((((x - fixed) % m) + m) % m);
create or replace macro kql_divide_decimal(a, b) as (a / nullif(b, 0))::decimal(38,10);
create or replace macro kql_shift_left(x, n) as
  case when n < 0 then null when n > 63 then 0 else (((x::bigint)::bit) << n::integer)::bigint end;
create or replace macro kql_shift_right(x, n) as case when n >= 0 and n < 64 then (x >> n::integer) when n >= 64 then 0 end;

-- Null equals no value; of two nulls nothing is known.
create or replace macro kql_equal(a, b) as case when a is null and b is null then null else a is not distinct from b end;
create or replace macro kql_not_equal(a, b) as case when a is null and b is null then null else a is distinct from b end;

create or replace macro kql_floor_div(x, m) as (x - ((x % m) + m) % m) // m;
create or replace macro kql_timestamp(t) as make_timestamp(kql_floor_div(t, 10));
create or replace macro kql_ticks(ts) as epoch_us(ts) * 10;
create or replace macro kql_datetime_text(t) as
  strftime(make_timestamp(kql_floor_div(t, 10)), '%Y-%m-%dT%H:%M:%S.%f') || (((t % 10) + 10) % 10)::varchar || 'Z';
create or replace macro kql_clock_text(t) as
  lpad((t // 36000000000 % 24)::varchar, 2, '0') || ':' || lpad((t // 600000000 % 60)::varchar, 2, '0') || ':'
  || lpad((t // 10000000 % 60)::varchar, 2, '0')
  || case when t % 10000000 = 0 then '' else '.' || lpad((t % 10000000)::varchar, 7, '0') end;
create or replace macro kql_timespan_text(t) as
  case when t < 0 then '-' else '' end
  || case when abs(t) >= 864000000000 then (abs(t) // 864000000000)::varchar || '.' else '' end || kql_clock_text(abs(t));

create or replace macro kql_field(name, t) as date_part(name, kql_timestamp(t));
create or replace macro kql_day_of_week(t) as ((kql_floor_div(t, 864000000000) + 4) % 7 + 7) % 7;
create or replace macro kql_start_of_day(t) as kql_bin(t, 864000000000);
create or replace macro kql_start_of_week(t) as kql_bin(t, 864000000000) - kql_day_of_week(t) * 864000000000;
create or replace macro kql_start_of_month(t) as kql_ticks(date_trunc('month', kql_timestamp(t)));
create or replace macro kql_start_of_year(t) as kql_ticks(date_trunc('year', kql_timestamp(t)));

create or replace macro kql_add_months(t, n) as
  kql_ticks(kql_timestamp(t) + to_months((n)::integer)) + ((t % 10) + 10) % 10;
create or replace macro kql_add_year(t, n) as kql_add_months(t, (n) * 12);
create or replace macro kql_add_quarter(t, n) as kql_add_months(t, (n) * 3);
create or replace macro kql_add_month(t, n) as kql_add_months(t, n);
create or replace macro kql_add_week(t, n) as t + (n) * 6048000000000;
create or replace macro kql_add_day(t, n) as t + (n) * 864000000000;
create or replace macro kql_add_hour(t, n) as t + (n) * 36000000000;
create or replace macro kql_add_minute(t, n) as t + (n) * 600000000;
create or replace macro kql_add_second(t, n) as t + (n) * 10000000;
create or replace macro kql_add_millisecond(t, n) as t + (n) * 10000;
create or replace macro kql_add_microsecond(t, n) as t + (n) * 10;
create or replace macro kql_add_nanosecond(t, n) as t + (n) // 100;

-- Differences count the borders of the part that lie between the two, towards the first argument.
create or replace macro kql_diff_year(a, b) as kql_field('year', a) - kql_field('year', b);
create or replace macro kql_diff_month(a, b) as
  kql_diff_year(a, b) * 12 + kql_field('month', a) - kql_field('month', b);
create or replace macro kql_diff_quarter(a, b) as
  kql_diff_year(a, b) * 4 + kql_field('quarter', a) - kql_field('quarter', b);
create or replace macro kql_diff_week(a, b) as (kql_start_of_week(a) - kql_start_of_week(b)) // 6048000000000;
create or replace macro kql_diff_day(a, b) as kql_floor_div(a, 864000000000) - kql_floor_div(b, 864000000000);
create or replace macro kql_diff_hour(a, b) as kql_floor_div(a, 36000000000) - kql_floor_div(b, 36000000000);
create or replace macro kql_diff_minute(a, b) as kql_floor_div(a, 600000000) - kql_floor_div(b, 600000000);
create or replace macro kql_diff_second(a, b) as kql_floor_div(a, 10000000) - kql_floor_div(b, 10000000);
create or replace macro kql_diff_millisecond(a, b) as kql_floor_div(a, 10000) - kql_floor_div(b, 10000);
create or replace macro kql_diff_microsecond(a, b) as kql_floor_div(a, 10) - kql_floor_div(b, 10);
create or replace macro kql_diff_nanosecond(a, b) as (a - b) * 100;

create or replace macro kql_date(y, mo, d) as
  try_cast(lpad((y)::varchar, 4, '0') || '-' || (mo)::varchar || '-' || (d)::varchar as date);
create or replace macro kql_make_datetime(y, mo, d, h, mi, s) as
  case when y between 1 and 9999 and h between 0 and 23 and mi between 0 and 59 and s >= 0 and s < 60
  then epoch_us(kql_date(y, mo, d)::timestamp) * 10
    + (h)::bigint * 36000000000 + (mi)::bigint * 600000000 + round((s) * 10000000)::bigint end;
create or replace macro kql_make_timespan(d, h, mi, s) as
  (d)::bigint * 864000000000 + (h)::bigint * 36000000000 + (mi)::bigint * 600000000 + round((s) * 10000000)::bigint;

-- Text to ticks. The pattern is ISO 8601 in whole or in part; what does not match is null.
create or replace macro kql_datetime_parts(text) as regexp_extract(
  trim(text),
  '^(\\d{4})-(\\d{1,2})(?:-(\\d{1,2})(?:[T ](\\d{1,2}):(\\d{1,2})(?::(\\d{1,2})(?:\\.(\\d{1,7})\\d*)?)?)?)?\\s*(?:Z|([+-])(\\d\\d):?(\\d\\d))?$',
  ['y', 'mo', 'd', 'h', 'mi', 's', 'f', 'sign', 'zh', 'zm']);
create or replace macro kql_number(text, otherwise) as coalesce(try_cast(nullif(text, '') as bigint), otherwise);
create or replace macro kql_parts_ticks(p) as
  kql_make_datetime(kql_number(p.y, 0), kql_number(p.mo, 1), kql_number(p.d, 1), kql_number(p.h, 0),
    kql_number(p.mi, 0), kql_number(p.s, 0))
  + kql_number(rpad(p.f, 7, '0'), 0)
  - case when p.sign = '-' then -1 else 1 end * (kql_number(p.zh, 0) * 36000000000 + kql_number(p.zm, 0) * 600000000);
-- A list of one binds what it holds to a name, so that the pattern is applied once and not at each use of a part.
create or replace macro kql_parse_datetime(text) as
  list_transform([kql_datetime_parts(text)], lambda kql_parts: kql_parts_ticks(kql_parts))[1];
create or replace macro kql_timespan_parts(text) as regexp_extract(
  trim(text), '^(-?)(?:(\\d+)\\.)?(\\d{1,2}):(\\d{1,2})(?::(\\d{1,2})(?:\\.(\\d{1,7}))?)?$', ['sign', 'd', 'h', 'mi', 's', 'f']);
create or replace macro kql_amount_parts(text) as regexp_extract(
  trim(text), '^(-?\\d+(?:\\.\\d+)?)(d|h|m|s|ms|microsecond|tick)?$', ['n', 'unit']);
create or replace macro kql_clock_ticks(p) as
  case when p.h <> '' then case when p.sign = '-' then -1 else 1 end
    * (kql_make_timespan(kql_number(p.d, 0), kql_number(p.h, 0), kql_number(p.mi, 0), kql_number(p.s, 0))
      + kql_number(rpad(p.f, 7, '0'), 0)) end;
create or replace macro kql_amount_ticks(p) as
  case when p.n <> '' then round(p.n::decimal(38,9) * case p.unit
    when 'h' then 36000000000 when 'm' then 600000000 when 's' then 10000000 when 'ms' then 10000
    when 'microsecond' then 10 when 'tick' then 1 else 864000000000 end)::bigint end;
create or replace macro kql_parse_timespan(text) as coalesce(
  list_transform([kql_timespan_parts(text)], lambda kql_parts: kql_clock_ticks(kql_parts))[1],
  list_transform([kql_amount_parts(text)], lambda kql_parts: kql_amount_ticks(kql_parts))[1]);

-- Number lists with both ends included, cut at the engine's 2^20 elements.
create or replace macro kql_steps(a, b, step) as
  case when step > 0 then generate_series(a, least(b, a + step * 1048575), step)
  when step < 0 then generate_series(a, greatest(b, a + step * 1048575), step) else [] end;
`;
