-- Changes in the structure of the source's JSON (see drift.ts): new_type, new_path, new_kind, stopped. changed_at: the first row
-- with the change; for stopped, the last row with the path.
create table property_drift (
  tenant varchar not null,
  table_name varchar not null,
  type varchar not null,
  json_column varchar not null,
  pointer varchar not null,
  change varchar not null,
  kind varchar not null,
  changed_at timestamptz not null,
  run varchar not null,
  found_at timestamptz not null
);
