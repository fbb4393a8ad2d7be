"""Reads a lake as an analyst would, and compares it with the rows of the source."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
from engine import Row

TICKS_PER_HOUR = 36_000_000_000
EMPTY_GUID = "00000000-0000-0000-0000-000000000000"

_half_pair = re.compile(r"\\u[dD][89a-fA-F]")
_surrogates = re.compile("[\ud800-\udfff]")

# id, microseconds, tenant, type, operation, properties, value
Content = tuple[str, int, str, str, str, str, str]


@dataclass(frozen=True)
class Hour:
    state: str
    grade: str
    source: int
    lake: int
    duplicates: int
    quarantined: int


def hour_of(row: Row) -> int | None:
    return None if row.ticks is None else row.ticks // TICKS_PER_HOUR


def is_loadable(row: Row, tenant: str) -> bool:
    return bool(row.id) and row.tenant == tenant


def canonical(text: str) -> str:
    """JSON with half surrogate pairs replaced; numbers keep their spelling, keys their order."""
    parsed = json.loads(text, parse_float=lambda n: f"number {n}", parse_int=lambda n: f"number {n}", object_pairs_hook=list)
    return _surrogates.sub("\ufffd", json.dumps(parsed, ensure_ascii=False))


def _json(text: str | None) -> str:
    return "" if text is None or text == "null" else text


def content(row: Row) -> Content:
    assert row.id is not None and row.ticks is not None
    return (row.id.lower(), row.ticks // 10, row.tenant, row.type, row.operation, _json(row.properties), _json(row.value))


class Lake:
    """The published files of one data directory."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.connection = duckdb.connect(":memory:", config={"threads": 1})
        self.connection.execute("set timezone = 'UTC'")

    def rows(self, tenant: str, table: str) -> list[Content]:
        folder = self.data / "lake" / table.lower()
        files = sorted(str(file) for file in folder.glob(f"v*/tenant_id={tenant}/**/*.parquet"))
        if not files:
            return []
        metric = table == "Metrics"
        key, kind = ("metric_id", "metric_type") if metric else ("event_id", "event_type")
        operation, value = ("''", "value::varchar") if metric else ("operation_id", "null::varchar")
        found = self.connection.execute(
            f"""select {key}, epoch_us("timestamp"), source_tenant_id, coalesce({kind}, ''), coalesce({operation}, ''),
                       properties::varchar, {value}
                from read_parquet(?, hive_partitioning = false)""",
            [files],
        ).fetchall()
        return [(*row[:5], _json(row[5]), _json(row[6])) for row in found]

    def coverage(self, tenant: str, table: str) -> dict[int, Hour]:
        file = self.data / "lake" / "coverage.parquet"
        if not file.exists():
            return {}
        found = self.connection.execute(
            f"""select epoch_us(hour) // 3600000000, state, grade, source_rows, lake_rows, duplicate_rows, quarantined_rows
                from read_parquet('{file}') where tenant_id = ? and table_name = ?""",
            [tenant, table.lower()],
        ).fetchall()
        return {row[0]: Hour(*row[1:]) for row in found}


def faults_of(
    rows: Iterable[Row], held: list[Content], hours: dict[int, Hour], tenant: str
) -> list[str]:
    """What the lake claims and does not hold. Empty: every verified hour equals the source."""
    source: dict[int, list[Row]] = {}
    for row in rows:
        if (hour := hour_of(row)) is not None:
            source.setdefault(hour, []).append(row)
    lake: dict[int, list[Content]] = {}
    for row in held:
        lake.setdefault(row[1] * 10 // TICKS_PER_HOUR, []).append(row)

    faults = []
    for hour, claim in sorted(hours.items()):
        if claim.state != "verified":
            continue
        there = source.get(hour, [])
        here = lake.get(hour, [])
        loadable = [content(row) for row in there if is_loadable(row, tenant)]
        distinct = set(loadable)
        account = (len(there), len(here), len(loadable) - len(distinct), len(there) - len(loadable))
        claimed = (claim.source, claim.lake, claim.duplicates, claim.quarantined)
        if account != claimed:
            faults.append(f"hour {_name(hour)} is verified with the account {claimed}, the truth is {account}")
        if not _equal(Counter(distinct), Counter(here), claim.grade):
            faults.append(
                f"hour {_name(hour)} is verified ({claim.grade}) and differs: "
                f"{len(Counter(distinct) - Counter(here))} rows only at the source, {len(Counter(here) - Counter(distinct))} only in the lake"
            )
    for hour in sorted(set(lake) - set(hours)):
        faults.append(f"{len(lake[hour])} rows in hour {_name(hour)}, which coverage does not list")
    return faults


def _equal(source: Counter[Content], lake: Counter[Content], grade: str) -> bool:
    if grade == "count":
        return source.total() == lake.total()
    if grade == "checksum":
        return Counter(row[0] for row in source.elements()) == Counter(row[0] for row in lake.elements())
    if source == lake:
        return True
    return _lenient(source) == _lenient(lake)


def _lenient(rows: Counter[Content]) -> Counter[Content]:
    """Only texts with half of a surrogate pair may be spelt differently."""
    return Counter(tuple(_spelt(cell) for cell in row) for row in rows.elements())


def _spelt(cell: object) -> object:
    if isinstance(cell, str) and cell.startswith(("{", "[", '"')) and (_half_pair.search(cell) or "\ufffd" in cell or "\\ufffd" in cell.lower()):
        return canonical(cell)
    return cell


def unproven(rows: Iterable[Row], hours: dict[int, Hour], until: int) -> list[str]:
    """Hours with rows that are over at `until` (ticks) and are not verified."""
    expected = {hour for row in rows if (hour := hour_of(row)) is not None and (hour + 1) * TICKS_PER_HOUR <= until}
    return [
        f"hour {_name(hour)} is {hours[hour].state if hour in hours else 'not listed'}, not verified"
        for hour in sorted(expected)
        if hour not in hours or hours[hour].state != "verified"
    ]


def _name(hour: int) -> str:
    """The hour as text; Python's dates end at year 1, which is early enough."""
    try:
        return (datetime(1970, 1, 1) + timedelta(hours=hour)).isoformat()[:13]
    except OverflowError:
        return f"{hour} from 1970"
