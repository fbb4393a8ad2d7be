select tenant_id, day, error_share, coverage, is_cut
from read_parquet('${lake}/lake/marts/log_errors.parquet')
