select tenant_id, day, platform, active_units, coverage, is_cut
from read_parquet('${lake}/lake/marts/platform_split.parquet')
