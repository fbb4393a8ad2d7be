select tenant_id, day, installation_rate, coverage, is_cut
from read_parquet('${lake}/lake/marts/installation_rate.parquet')
