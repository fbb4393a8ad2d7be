"""What a case is: rows at the source, changes before each run, and what must be true after it."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from engine import Row
from lake import TICKS_PER_HOUR, Hour
from server import Fault, Tenant

SECOND = 10_000_000
MINUTE = 60 * SECOND
HOUR = TICKS_PER_HOUR
DAY = 24 * HOUR


@dataclass
class Result:
    """What one run said about one table, and what it left."""

    report: dict
    hours: dict[int, Hour]
    held: list[tuple]
    calls: int

    @property
    def outcome(self) -> str:
        return self.report["outcome"]


Check = Callable[[Result], Iterable[str]]


@dataclass
class Step:
    """Before the run of a round: change the source. After it: check."""

    change: Callable[[Tenant, "Case"], None] = lambda tenant, case: None
    check: Check = lambda result: ()
    # None: the run may fail, and the lake must then be as it was.
    verified: bool | None = True
    # True: what changed is not due yet, so hours may be proven as they were before.
    stale: bool = False
    # Before the run: changes the data directory of a case with a lake of its own.
    prepare: Callable[[Path], None] = lambda data: None
    # More flags of the run, for a case with a lake of its own.
    flags: tuple[str, ...] = ()


@dataclass
class Case:
    name: str
    title: str
    rows: Callable[["Case"], list[Row]]
    steps: list[Step]
    table: str = "Events"
    expected_failure: str | None = None
    # True: it gets a lake of its own.
    alone: bool = False
    # Seconds that one command may take.
    limit: float = 300
    shifts: list[timedelta] | None = None
    settings: dict = field(default_factory=dict)
    # Rows that belong to no hour of the lake.
    outside: Callable[[Row], bool] = lambda row: False
    # Filled in by the judge.
    base: int = 0
    faults: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    kept: list[Row] = field(default_factory=list)
    random: random.Random = field(default_factory=random.Random)

    def row(self, ticks: int, **cells: object) -> Row:
        id = str(uuid.UUID(int=self.random.getrandbits(128), version=4))
        properties = json.dumps({"passId": f"p{self.random.randrange(40)}", "device": "apple", "n": [1.0, None, True]})
        value = "1.50" if self.table == "Metrics" else None
        operation = "" if self.table == "Metrics" else f"op-{self.random.randrange(10**6)}"
        return replace(Row(id, ticks, "Pass:Created", properties, operation, value, self.name), **cells)

    def spread(self, count: int = 12) -> list[Row]:
        """Rows over two days: one at each end, so that the pages of all cases cover the same time."""
        inner = [self.base + self.random.randrange(2 * DAY) for _ in range(count - 2)]
        return [self.row(ticks) for ticks in [self.base + 7, *inner, self.base + 2 * DAY - 3]]


def add(*ticks: int) -> Callable[[Tenant, Case], None]:
    """Late rows, at these ticks after the beginning."""

    def change(tenant: Tenant, case: Case) -> None:
        tenant.set(case.table, tenant.tables[case.table] + [case.row(case.base + at) for at in ticks])

    return change


def fault(make: Callable[[], Fault], *ticks: int) -> Callable[[Tenant, Case], None]:
    def change(tenant: Tenant, case: Case) -> None:
        add(*ticks)(tenant, case)
        tenant.faults = [make()]

    return change


def heal(*ticks: int) -> Callable[[Tenant, Case], None]:
    def change(tenant: Tenant, case: Case) -> None:
        tenant.faults = []
        add(*ticks)(tenant, case)

    return change


def calls(most: int, least: int = 1) -> Check:
    return lambda result: [] if least <= result.calls <= most else [f"{result.calls} calls, expected {least} to {most}"]


def says(**members: object) -> Check:
    return lambda result: [
        f"the report says {name} {result.report.get(name)!r}, expected {value!r}"
        for name, value in members.items()
        if result.report.get(name) != value
    ]


def both(*checks: Check) -> Check:
    return lambda result: [fault for check in checks for fault in check(result)]


def grades(result: Result) -> Iterable[str]:
    lowered = sorted({hour.grade for hour in result.hours.values() if hour.state == "verified" and hour.source} - {"content"})
    return [f"verified hours with grade {', '.join(lowered)}"] if lowered else []


def usual(case: Case) -> list[Row]:
    return case.spread()


NOTHING_NEW = Step(check=both(calls(1), says(changed=False)))
