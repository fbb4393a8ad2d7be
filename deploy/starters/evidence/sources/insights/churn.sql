select tenant_id, day, churn_rate, coverage, is_cut
from read_parquet('${lake}/lake/marts/churn.parquet')
