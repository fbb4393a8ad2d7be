select tenant_id, day, scans, scanning_passes, coverage, is_cut
from read_parquet('${lake}/lake/marts/scans.parquet')
