-- Questions for Metabase, each a native question over a DuckDB database with the path `:memory:`.
-- Replace /srv/insights/data by the data directory as Metabase sees it. `tenant` is a text variable, `from` and `to` are dates.
-- A part in [[ ]] counts only when its variable has a value.

-- question: Passes by platform (area, stacked by platform)
-- A pass on two platforms counts on both. A state: days are never summed.
select tenant_id, day, platform, active_units
from read_parquet('/srv/insights/data/lake/marts/platform_split.parquet')
where true
  [[and tenant_id = {{tenant}}]]
  [[and day >= {{from}}]]
  [[and day < {{to}}]]
order by tenant_id, day, platform;

-- question: Passes in wallets (line)
-- A state: the value of the last day counts, never the sum of days.
select tenant_id, day, active_passes, coverage
from read_parquet('/srv/insights/data/lake/marts/active_passes.parquet')
where true
  [[and tenant_id = {{tenant}}]]
  [[and day >= {{from}}]]
  [[and day < {{to}}]]
order by tenant_id, day;

-- question: Net growth (bar)
-- Passes on a platform gained less removed. Days add up.
select tenant_id, day, net_growth, coverage
from read_parquet('/srv/insights/data/lake/marts/net_growth.parquet')
where true
  [[and tenant_id = {{tenant}}]]
  [[and day >= {{from}}]]
  [[and day < {{to}}]]
order by tenant_id, day;

-- question: Passes created (line)
-- Counted once on each day on which they were created.
select tenant_id, day, passes_created, coverage
from read_parquet('/srv/insights/data/lake/marts/passes_created.parquet')
where true
  [[and tenant_id = {{tenant}}]]
  [[and day >= {{from}}]]
  [[and day < {{to}}]]
order by tenant_id, day;

-- question: Installation rate by day of creation (line)
-- Of the passes created on that day, the share installed until now.
select tenant_id, day, installation_rate, coverage
from read_parquet('/srv/insights/data/lake/marts/installation_rate.parquet')
where true
  [[and tenant_id = {{tenant}}]]
  [[and day >= {{from}}]]
  [[and day < {{to}}]]
order by tenant_id, day;

-- question: Installs and removals (line)
-- Events, of all devices. Days add up.
select tenant_id, day, installs, uninstalls, coverage
from read_parquet('/srv/insights/data/lake/marts/gross_installs.parquet')
where true
  [[and tenant_id = {{tenant}}]]
  [[and day >= {{from}}]]
  [[and day < {{to}}]]
order by tenant_id, day;

-- question: Survival by day of first installation (line)
-- Empty for passes that are not old enough yet.
select tenant_id, day, survival_d7, survival_d30, survival_d90, coverage
from read_parquet('/srv/insights/data/lake/marts/survival.parquet')
where true
  [[and tenant_id = {{tenant}}]]
  [[and day >= {{from}}]]
  [[and day < {{to}}]]
order by tenant_id, day;

-- question: Churn (line)
-- Passes that left on that day, of those active when it began.
select tenant_id, day, churn_rate, coverage
from read_parquet('/srv/insights/data/lake/marts/churn.parquet')
where true
  [[and tenant_id = {{tenant}}]]
  [[and day >= {{from}}]]
  [[and day < {{to}}]]
order by tenant_id, day;

-- question: Scans (line)
-- Scans of days add up, passes scanned do not.
select tenant_id, day, scans, scanning_passes, coverage
from read_parquet('/srv/insights/data/lake/marts/scans.parquet')
where true
  [[and tenant_id = {{tenant}}]]
  [[and day >= {{from}}]]
  [[and day < {{to}}]]
order by tenant_id, day;

-- question: Notifications (line)
-- Days add up.
select tenant_id, day, notifications, coverage
from read_parquet('/srv/insights/data/lake/marts/notifications.parquet')
where true
  [[and tenant_id = {{tenant}}]]
  [[and day >= {{from}}]]
  [[and day < {{to}}]]
order by tenant_id, day;

-- question: API requests that failed (line)
-- errors / requests.
select tenant_id, day, error_rate, coverage
from read_parquet('/srv/insights/data/lake/marts/api_error_rate.parquet')
where true
  [[and tenant_id = {{tenant}}]]
  [[and day >= {{from}}]]
  [[and day < {{to}}]]
order by tenant_id, day;

-- question: Log entries that are errors (line)
-- errors / entries.
select tenant_id, day, error_share, coverage
from read_parquet('/srv/insights/data/lake/marts/log_errors.parquet')
where true
  [[and tenant_id = {{tenant}}]]
  [[and day >= {{from}}]]
  [[and day < {{to}}]]
order by tenant_id, day;

-- question: Where first installs come from (row)
-- Days add up.
select source, sum(first_installs) as first_installs
from read_parquet('/srv/insights/data/lake/marts/attribution.parquet')
where true
  [[and tenant_id = {{tenant}}]]
  [[and day >= {{from}}]]
  [[and day < {{to}}]]
group by source
order by first_installs desc;

-- question: Hours by state (bar)
-- Hours of the three tables: verified, open, partial or expired.
select tenant_id, table_name, state, count(*) as hours
from read_parquet('/srv/insights/data/lake/coverage.parquet')
where true
  [[and tenant_id = {{tenant}}]]
  [[and hour >= {{from}}]]
  [[and hour < {{to}}]]
group by tenant_id, table_name, state
order by tenant_id, table_name, state;
