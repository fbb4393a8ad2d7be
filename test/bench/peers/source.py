"""What every peer has in common: the three tables, a day per page, and one call of the API.

A day of the bench's rows fits in an answer, so nobody has to split. Without an order and without `take`, as the API's guide shows it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import requests

EVENT_COLUMNS = ["eventId", "timestamp", "tenantId", "eventType", "operationId", "properties"]
METRIC_COLUMNS = ["metricId", "tenantId", "metricType", "value", "properties", "timestamp"]
COLUMNS = {"Logs": EVENT_COLUMNS, "Events": EVENT_COLUMNS, "Metrics": METRIC_COLUMNS}

_session = requests.Session()


def day_queries(table: str) -> Iterator[str]:
    """A query for each day from BENCH_FROM to BENCH_TO (exclusive)."""
    day = datetime.fromisoformat(os.environ["BENCH_FROM"]).replace(tzinfo=UTC)
    end = datetime.fromisoformat(os.environ["BENCH_TO"]).replace(tzinfo=UTC)
    while day < end:
        following = day + timedelta(days=1)
        yield (
            f"{table} | where timestamp >= datetime({day:%Y-%m-%dT%H:%M:%SZ})"
            f" and timestamp < datetime({following:%Y-%m-%dT%H:%M:%SZ}) | project {', '.join(COLUMNS[table])}"
        )
        day = following


def ask(query: str) -> bytes:
    """The body of the answer: `{"rows": [[…], …]}`."""
    answer = _session.post(
        f"{os.environ['BENCH_URL']}/api/demo/insights/query",
        json={"query": query},
        headers={"X-API-KEY": "sandbox-demo"},
        timeout=600,
    )
    answer.raise_for_status()
    return answer.content
