"""Makes a lake look as an earlier version of the program left it: before rows had digests, hours were proven by their ids only."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import duckdb

MIGRATIONS = Path(__file__).resolve().parents[2] / "queries" / "ledger"
# The last ledger without content.
IDS_ONLY = 8


def ids_only(data: Path) -> None:
    present, older = data / "state.duckdb", data / "older.duckdb"
    with duckdb.connect(":memory:") as ledger:
        ledger.execute("set timezone = 'UTC'")
        # The program's engine is older than the one here.
        ledger.execute(f"attach '{older}' as older (storage_version 'v1.2.0')")
        ledger.execute("use older")
        ledger.execute("create table migrations (version integer not null, applied_at timestamptz not null)")
        for file in sorted(MIGRATIONS.glob("*.sql"))[:IDS_ONLY]:
            ledger.execute(file.read_text())
            ledger.execute("insert into migrations values (?, now())", [int(file.name[:3])])
        ledger.execute(f"attach '{present}' as present (read_only)")
        tables = ledger.execute(
            "select table_name, string_agg(column_name, ', ') from duckdb_columns() "
            "where database_name = 'older' and table_name <> 'migrations' group by all"
        ).fetchall()
        for table, columns in tables:
            ledger.execute(f"insert into {table} select {columns} from present.{table}")
        files = ledger.execute("select distinct file from partitions where removed_at is null").fetchall()
        for [name] in files:
            path = data / name
            without_digests(ledger, path)
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            ledger.execute("update partitions set sha256 = ?, bytes = ? where file = ?", [sha256, path.stat().st_size, name])
    for left in data.glob("state.duckdb*"):
        left.unlink()
    older.rename(present)


def without_digests(ledger: duckdb.DuckDBPyConnection, path: Path) -> None:
    temporary = path.with_suffix(".older")
    ledger.execute(
        f"copy (select * exclude (row_digest) from read_parquet('{path}', hive_partitioning = false)) "
        f"to '{temporary}' (format parquet, compression zstd)"
    )
    os.replace(temporary, path)
