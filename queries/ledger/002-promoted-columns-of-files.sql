-- The set of promoted columns in the file (promotionKey); null: none, the file is older than promoted columns.
alter table partitions add column promotion varchar;
