select tenant_id, day, source, first_installs, coverage, is_cut
from read_parquet('${lake}/lake/marts/attribution.parquet')
