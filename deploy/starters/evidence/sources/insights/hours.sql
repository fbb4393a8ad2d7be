select tenant_id, table_name, hour::date as day, state, count(*) as hours
from read_parquet('${lake}/lake/coverage.parquet')
group by all
