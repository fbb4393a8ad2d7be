select tenant_id, day, error_rate, coverage, is_cut
from read_parquet('${lake}/lake/marts/api_error_rate.parquet')
