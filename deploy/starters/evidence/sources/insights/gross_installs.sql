select tenant_id, day, installs, uninstalls, coverage, is_cut
from read_parquet('${lake}/lake/marts/gross_installs.parquet')
