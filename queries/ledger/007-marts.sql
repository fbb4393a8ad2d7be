-- Results of reports by UTC day (marts.ts): the files that hold them, and the rows and rules that each day was computed from.
create table mart_files (
  mart varchar not null,
  generation integer not null,
  file varchar not null,
  rows bigint not null,
  bytes bigint not null,
  sha256 varchar not null,
  days bigint not null,
  first_day date,
  last_day date,
  comment varchar not null,
  privacy varchar not null,
  superseded_at timestamptz,
  unpublished_at timestamptz
);
create table mart_days (
  mart varchar not null,
  tenant varchar not null,
  day date not null,
  source varchar not null
);
