"""A plain script: the answers are saved, and DuckDB reads the folder into one sorted Parquet file for each table."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import duckdb
from source import COLUMNS, ask, day_queries

folder = Path(sys.argv[1])
(folder / "lake").mkdir(exist_ok=True)
for table, names in COLUMNS.items():
    landed = folder / "landed" / table
    landed.mkdir(parents=True, exist_ok=True)
    for number, query in enumerate(day_queries(table)):
        (landed / f"{os.environ['BENCH_FROM']}-{number:05}.json").write_bytes(ask(query))
    cells = ", ".join(
        f"row ->> {position} as {name}" if name != "timestamp" else f"try_cast(row ->> {position} as timestamptz) as {name}"
        for position, name in enumerate(names)
    )
    order = "metricType" if table == "Metrics" else "eventType"
    duckdb.sql(
        f"""copy (
            select {cells}
            from (select unnest(rows) as row from read_json('{landed}/*.json', columns = {{rows: 'JSON[]'}}, maximum_object_size = 200000000))
            order by {order}, timestamp
        ) to '{folder}/lake/{table.lower()}.parquet' (compression zstd)"""
    )
