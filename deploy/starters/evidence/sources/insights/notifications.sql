select tenant_id, day, notifications, coverage, is_cut
from read_parquet('${lake}/lake/marts/notifications.parquet')
