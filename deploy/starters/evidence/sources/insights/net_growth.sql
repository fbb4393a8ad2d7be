select tenant_id, day, net_growth, coverage, is_cut
from read_parquet('${lake}/lake/marts/net_growth.parquet')
