-- What a replay of a quarantined row needs, as JSON: the names of its cells in order, if the answer named them, and the windows
-- of its page in microseconds. raw is null after the row was dropped (dropped_at).
alter table quarantine add column cells varchar;
alter table quarantine add column windows varchar;
alter table quarantine add column dropped_at timestamptz;
