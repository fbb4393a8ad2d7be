"""dlt as in its documentation: a resource that yields rows as dictionaries."""

from __future__ import annotations

import json
import sys

import dlt
from source import COLUMNS, ask, day_queries


def rows(table: str):
    for query in day_queries(table):
        for row in json.loads(ask(query))["rows"]:
            yield dict(zip(COLUMNS[table], row, strict=True))


resources = [
    dlt.resource(
        rows(table), name=table.lower(), columns={"properties": {"data_type": "json"}, "value": {"data_type": "json"}}
    )
    for table in COLUMNS
]
pipeline = dlt.pipeline("rows", destination=dlt.destinations.filesystem(sys.argv[1] + "/lake"), pipelines_dir=sys.argv[1] + "/state")
pipeline.run(resources, loader_file_format="parquet")
