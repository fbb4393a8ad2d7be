/**
 * The ledger's schema, as numbered steps that are never edited once released. A step's row in `migrations` is written
 * in the step's own transaction. A ledger with a higher number than the last one here belongs to a newer program.
 *
 * Fingerprints are structs (n, s0, s1, x), so that two of them compare as one value.
 */
const FINGERPRINT = 'struct(n hugeint, s0 hugeint, s1 hugeint, x bigint)';

export const MIGRATIONS: readonly string[] = [
  `
  -- What a tenant taught us: pinned tenant id, learnt caps, grade, wire ratio (see profile.ts).
  create table tenants (tenant varchar not null, profile json not null);

  -- One row per hour ever compared or loaded. account = lake + duplicates + quarantined.
  create table hours (
    tenant varchar not null,
    table_name varchar not null,
    hour timestamptz not null,
    source ${FINGERPRINT},
    lake ${FINGERPRINT} not null,
    duplicates ${FINGERPRINT} not null,
    quarantined ${FINGERPRINT} not null,
    covered_to timestamptz not null,
    state varchar not null,
    grade varchar not null,
    checked_at timestamptz,
    verified_at timestamptz,
    run varchar
  );

  -- One row per generation; current while superseded_at is null. [from_ts, to_ts) is the period. Once a
  -- snapshot without it is published (unpublished_at), its file stays lake.keepHours for readers of older ones. The row of a period's
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
    fingerprint ${FINGERPRINT} not null,
    min_ts timestamptz not null,
    max_ts timestamptz not null,
    run varchar,
    created_at timestamptz not null,
    superseded_at timestamptz,
    unpublished_at timestamptz,
    removed_at timestamptz
  );

  -- Copies of an id beyond the first in its hour: one row per copy left out of the lake.
  create table duplicates (
    tenant varchar not null,
    table_name varchar not null,
    hour timestamptz not null,
    minute timestamptz not null,
    kept_minute timestamptz not null,
    id varchar not null,
    same_content boolean not null
  );

  -- Rows that could not be loaded. hour and minute are null where the row has no known place in the account;
  -- placed_at then is the start of its page, so that asking for the page again replaces it.
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
  `,
  `
  -- Which set of promoted columns the file holds (promotionKey); null: none, it was written before there were any.
  alter table partitions add column promotion varchar;
  `,
  `
  -- What judging a quarantined row again needs: the names of its cells in their order where the answer told them, and
  -- the windows of its page in microseconds, both as JSON. raw is null once the row was given up (dropped_at).
  alter table quarantine add column cells varchar;
  alter table quarantine add column windows varchar;
  alter table quarantine add column dropped_at timestamptz;
  `,
  `
  -- What the JSON of a file's rows is made of: one row per type, path and kind. pointer '' stands for the whole value, so the
  -- kinds of '' add up to the rows of the type. is_estimate: rows were counted in a sample. Files are immutable, so a file's
  -- rows here are written once and go when the file is no longer current.
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

  -- Names of typed views and their columns, given once and kept: a name never changes its meaning. Several tenants share them;
  -- each has rows of its own, which leave with it.
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
  `,
  `
  -- What changed in the shape of the source's JSON, see drift.ts: new_type, new_path, new_kind, stopped. changed_at: the first row
  -- with it, or the last.
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
  `,
  `
  -- Which privacy rules the file was written under (privacyKey); null: none.
  alter table partitions add column privacy varchar;
  `,
  `
  -- Results of reports by UTC day (marts.ts): the files that hold them, and of which rows and rules each day was made.
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
  `,
  `
  -- What the checks say (checks.ts): of which rows and rules each day was looked at, what failed there, and the results of each run.
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
  `,
];
