-- One row each time that this ledger may have missed file names: it was rebuilt (`repair`), came out of a backup (`restore`), or its
-- lake became the writer of a mirror. New files of tables and marts have a generation above every floor (generation-floor.ts).
create table generation_floors (
  floor bigint not null,
  set_at timestamptz not null
);
