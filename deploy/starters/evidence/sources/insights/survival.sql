select tenant_id, day, survival_d7, survival_d30, survival_d90, coverage, is_cut
from read_parquet('${lake}/lake/marts/survival.parquet')
