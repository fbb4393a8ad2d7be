-- The structure of the JSON in a file's rows: one row per type, path and kind. The pointer '' is the whole value, so the kinds
-- of '' add up to the rows of the type. is_estimate: rows were counted in a sample. Files are immutable, so the counts of a file
-- are written once and deleted when the file is no longer current.
create table property_counts (
  tenant varchar not null,
  table_name varchar not null,
  file varchar not null,
  type varchar not null,
  json_column varchar not null,
  pointer varchar not null,
  kind varchar not null,
  rows bigint not null,
  first_at timestamptz not null,
  last_at timestamptz not null,
  is_estimate boolean not null
);

-- Names of typed views and their columns. They are assigned once: a name never changes its meaning. Tenants share the names, but
-- each has its own rows, which are deleted with the tenant.
create table view_names (
  tenant varchar not null,
  table_name varchar not null,
  type varchar not null,
  view_name varchar not null
);
create table view_columns (
  tenant varchar not null,
  table_name varchar not null,
  view_name varchar not null,
  json_column varchar not null,
  pointer varchar not null,
  column_name varchar not null
);
