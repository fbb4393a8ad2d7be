select tenant_id, day, active_passes, coverage, is_cut
from read_parquet('${lake}/lake/marts/active_passes.parquet')
