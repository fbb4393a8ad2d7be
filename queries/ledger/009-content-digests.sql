-- Fingerprints also hold the sum of the rows' digests (c). It is null when some row has none: in every hour that was loaded before
-- digests existed. An empty fingerprint has the sum 0. The tables are made again: DuckDB 1.5 cannot replay `add column source.c`
-- from its write-ahead log, so that a killed process would leave a ledger that cannot be opened.
create macro with_content(f) as {n: f.n, s0: f.s0, s1: f.s1, x: f.x, c: case when f.n = 0 then 0::hugeint end};
create table hours_with_content (
  tenant varchar not null,
  table_name varchar not null,
  hour timestamptz not null,
  source struct(n hugeint, s0 hugeint, s1 hugeint, x bigint, c hugeint),
  lake struct(n hugeint, s0 hugeint, s1 hugeint, x bigint, c hugeint) not null,
  duplicates struct(n hugeint, s0 hugeint, s1 hugeint, x bigint, c hugeint) not null,
  quarantined struct(n hugeint, s0 hugeint, s1 hugeint, x bigint, c hugeint) not null,
  covered_to timestamptz not null,
  state varchar not null,
  grade varchar not null,
  checked_at timestamptz,
  verified_at timestamptz,
  run varchar
);
insert into hours_with_content
select
  tenant, table_name, hour, case when source is not null then with_content(source) end,
  with_content(lake), with_content(duplicates), with_content(quarantined),
  covered_to, state, grade, checked_at, verified_at, run
from hours;
drop table hours;
alter table hours_with_content rename to hours;
create table partitions_with_content (
  tenant varchar not null,
  table_name varchar not null,
  period varchar not null,
  from_ts timestamptz not null,
  to_ts timestamptz not null,
  generation integer not null,
  file varchar not null,
  rows bigint not null,
  bytes bigint not null,
  sha256 varchar not null,
  fingerprint struct(n hugeint, s0 hugeint, s1 hugeint, x bigint, c hugeint) not null,
  min_ts timestamptz not null,
  max_ts timestamptz not null,
  run varchar,
  created_at timestamptz not null,
  superseded_at timestamptz,
  unpublished_at timestamptz,
  removed_at timestamptz,
  promotion varchar,
  privacy varchar,
  -- The version of the digests in the file (form.ts); null: it has none.
  digests varchar
);
insert into partitions_with_content
select * replace (with_content(fingerprint) as fingerprint), null from partitions;
drop table partitions;
alter table partitions_with_content rename to partitions;
drop macro with_content;
alter table duplicates add column digest bigint;
alter table quarantine add column digest bigint;
