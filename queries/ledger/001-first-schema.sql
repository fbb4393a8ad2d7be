-- Fingerprints are structs (n, s0, s1, x), so that two of them compare as one value.

-- What earlier runs learnt about a tenant: pinned tenant id, learnt caps, grades, wire ratios (see profile.ts).
create table tenants (tenant varchar not null, profile json not null);

-- One row per hour that was ever compared or loaded. Its account is lake + duplicates + quarantined.
create table hours (
  tenant varchar not null,
  table_name varchar not null,
  hour timestamptz not null,
  source struct(n hugeint, s0 hugeint, s1 hugeint, x bigint),
  lake struct(n hugeint, s0 hugeint, s1 hugeint, x bigint) not null,
  duplicates struct(n hugeint, s0 hugeint, s1 hugeint, x bigint) not null,
  quarantined struct(n hugeint, s0 hugeint, s1 hugeint, x bigint) not null,
  covered_to timestamptz not null,
  state varchar not null,
  grade varchar not null,
  checked_at timestamptz,
  verified_at timestamptz,
  run varchar
);

-- One row per generation of a period [from_ts, to_ts); it is current while superseded_at is null. After a snapshot without it
-- is published (unpublished_at), its file is kept for lake.keepHours for readers of older snapshots. The row of a period's
-- highest generation outlives its file (removed_at), so that a file name is never used twice.
create table partitions (
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
  fingerprint struct(n hugeint, s0 hugeint, s1 hugeint, x bigint) not null,
  min_ts timestamptz not null,
  max_ts timestamptz not null,
  run varchar,
  created_at timestamptz not null,
  superseded_at timestamptz,
  unpublished_at timestamptz,
  removed_at timestamptz
);

-- One row per copy that was left out of the lake: the lake keeps one row per id and hour.
create table duplicates (
  tenant varchar not null,
  table_name varchar not null,
  hour timestamptz not null,
  minute timestamptz not null,
  kept_minute timestamptz not null,
  id varchar not null,
  same_content boolean not null
);

-- Rows that could not be loaded. hour and minute are null for a row without a known place in the account; placed_at is then the
-- start of its page, so that fetching the page again replaces the row.
create table quarantine (
  tenant varchar not null,
  table_name varchar not null,
  placed_at timestamptz not null,
  hour timestamptz,
  minute timestamptz,
  page varchar not null,
  run varchar,
  reason varchar not null,
  id varchar,
  raw varchar
);

create table batches (
  id varchar not null,
  tenant varchar not null,
  table_name varchar not null,
  run varchar,
  merged_at timestamptz not null
);

create table runs (
  run varchar not null,
  started_at timestamptz not null,
  finished_at timestamptz,
  outcome varchar,
  stats json
);

create table snapshots (
  snapshot bigint not null,
  content varchar not null,
  run varchar,
  published_at timestamptz not null
);
