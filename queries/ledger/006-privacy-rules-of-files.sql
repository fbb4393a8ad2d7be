-- The privacy rules that the file was written with (privacyKey); null: none.
alter table partitions add column privacy varchar;
