-- Results of the checks (checks.ts): the rows and rules that each day was checked with, its failures, and the results of each run.
create table check_days (
  tenant varchar not null,
  day date not null,
  source varchar not null
);
create table check_failures (
  check_name varchar not null,
  severity varchar not null,
  tenant varchar not null,
  day date not null,
  failures bigint not null,
  run varchar not null,
  found_at timestamptz not null
);
create table check_results (
  run varchar not null,
  check_name varchar not null,
  severity varchar not null,
  tenant varchar not null,
  days bigint not null,
  failures bigint,
  seconds double not null,
  error varchar,
  checked_at timestamptz not null
);
