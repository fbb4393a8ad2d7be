select tenant_id, day, passes_created, coverage, is_cut
from read_parquet('${lake}/lake/marts/passes_created.parquet')
