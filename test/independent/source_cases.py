"""Cases about what the source holds: changed rows, shared and missing ids, odd times, clocks, old history."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from case import DAY, HOUR, MINUTE, NOTHING_NEW, SECOND, Case, Check, Result, Step, add, both, calls, grades, says, usual
from engine import Row
from lake import EMPTY_GUID
from older import ids_only
from server import Tenant

def plain() -> list[Case]:
    texts = [
        '{"a":1.0,"b":1e5,"c":12345678901234567890123,"d":"\\u00e9 é 日本 🎉 \\ud83c\\udf89","e":null,"f":[[],{}]}',
        '{ "spaced" : [ 1 , 2 ] }', '"5"', "5", "true", "[1,\"x\"]", '"C:\\\\x\\t\\"q\\" \\/"',
        '{"t":"line\\nbreak | pipe \' quote"}', "1.0", "-0.0", '{"big":"' + "x" * 3000 + '"}', '{"k":1,"k":2}',
    ]  # fmt: skip

    def rows(case: Case) -> list[Row]:
        made = case.spread(len(texts) + 2)
        column = "value" if case.table == "Metrics" else "properties"
        odd = [replace(row, **{column: text}) for row, text in zip(made, texts)]
        odd[0] = replace(odd[0], type="Páss:Créé|d", operation="" if case.table == "Metrics" else "o|p " + "y" * 1200)
        return [*odd, *made[len(texts) :]]

    def late_and_erased(tenant: Tenant, case: Case) -> None:
        add(5 * HOUR + 1, 30 * HOUR)(tenant, case)
        tenant.set(case.table, [row for at, row in enumerate(tenant.tables[case.table]) if at != 3])

    steps = [
        Step(check=both(calls(2, 2), grades)),
        NOTHING_NEW,
        Step(late_and_erased, both(calls(3), says(inserted=2, removed=1))),
        NOTHING_NEW,
    ]
    return [
        Case(f"plain-{table.lower()}", f"{table}: odd JSON, ticks, late rows and an erased row", rows, steps, table)
        for table in ("Events", "Logs", "Metrics")
    ]


def changed_in_place() -> list[Case]:
    def change(name: str, make: Callable[[Row], object]) -> Callable[[Tenant, Case], None]:
        def changed(tenant: Tenant, case: Case) -> None:
            rows = tenant.tables[case.table]
            rows[4] = replace(rows[4], **{name: make(rows[4])})
            tenant.set(case.table, rows)

        return changed

    def moved(row: Row) -> int:
        into = row.ticks % HOUR
        return row.ticks - into + (into + 20 * MINUTE) % HOUR

    def piped(case: Case) -> list[Row]:
        rows = case.spread()
        rows[4] = replace(rows[4], type="Pass|Created", operation="op")
        return rows

    def border(tenant: Tenant, case: Case) -> None:
        rows = tenant.tables[case.table]
        rows[4] = replace(rows[4], type="Pass", operation="Created|op")
        tenant.set(case.table, rows)

    kinds: list[tuple[str, str, Callable[[Row], object], str]] = [
        ("properties", "properties", lambda row: '{"passId":"scrubbed"}', "Events"),
        ("type", "type", lambda row: "Pass:Updated", "Events"),
        ("operation", "operation", lambda row: "op-changed", "Events"),
        ("time", "ticks", moved, "Events"),
        ("value", "value", lambda row: "2.5", "Metrics"),
    ]
    return [
        Case(
            f"changed-{name}",
            f"{name} of a row changes under the same id",
            usual,
            [Step(), Step(change(member, make), calls(3, 2)), NOTHING_NEW],
            table,
        )
        for name, member, make, table in kinds
    ] + [
        Case("changed-border", "the end of a type moves to the operation id: with a separator between them, they stay equal", piped,
             [Step(), Step(border, calls(3, 2)), NOTHING_NEW]),
    ]  # fmt: skip


def shared_ids() -> list[Case]:
    def empties(case: Case) -> list[Row]:
        hour = case.base + 10 * HOUR
        shared = [case.row(hour + at * SECOND, id=EMPTY_GUID, properties=json.dumps({"n": at})) for at in range(100)]
        return [*case.spread(), *shared, shared[5], shared[5], shared[7]]

    def pair(case: Case) -> list[Row]:
        rows = case.spread()
        twin = replace(rows[2], properties='{"other":"content"}')
        return [*rows, twin, rows[6]]

    def third(tenant: Tenant, case: Case) -> None:
        rows = tenant.tables["Events"]
        tenant.set("Events", [*rows, replace(rows[-1 if case.name == "shared-id" else 40], properties='{"a":"third content"}')])

    return [
        Case("empty-guids", "100 different events with the empty guid in one hour, and 3 copies", empties,
             [Step(check=calls(2)), NOTHING_NEW, Step(third, calls(3)), NOTHING_NEW]),
        Case("shared-id", "two events with one id and different content, and a copy", pair,
             [Step(check=calls(2)), NOTHING_NEW, Step(third, calls(3)), NOTHING_NEW]),
    ]  # fmt: skip


def ids() -> list[Case]:
    def nulls(case: Case) -> list[Row]:
        rows = case.spread(30)
        for at, id in {2: None, 3: None, 4: "", 9: EMPTY_GUID}.items():
            rows[at] = replace(rows[at], id=id)
        return rows

    def among(case: Case) -> list[Row]:
        rows = case.spread()
        rows[3] = replace(rows[3], id=None, ticks=rows[0].ticks + 5)
        return rows

    def hashed(tenant: Tenant, case: Case) -> None:
        tenant.engine.hash_of_nothing(False)

    def foreign(case: Case) -> list[Row]:
        rows = case.spread(30)
        rows[7] = replace(rows[7], tenant="someone-else")
        return rows

    def counted(result: Result) -> list[str]:
        total = sum(hour.quarantined for hour in result.hours.values())
        return [] if total == 3 else [f"{total} rows in quarantine, expected 3"]

    return [
        Case("null-ids", "null and empty ids, hash_md5('') is ''", nulls,
             [Step(check=both(grades, counted)), NOTHING_NEW, Step(add(HOUR), counted)]),
        Case("null-id-among-others", "a null id in an hour with other rows, hash_md5('') is ''", among,
             [Step(check=grades), NOTHING_NEW, Step(add(HOUR))]),
        Case("null-ids-hashed", "null and empty ids, hash_md5('') is a hash", nulls,
             [Step(hashed, both(grades, counted)), NOTHING_NEW, Step(add(HOUR), counted)]),
        Case("foreign-row", "a row of another tenant", foreign, [Step(check=grades), NOTHING_NEW]),
    ]  # fmt: skip


def empty_properties() -> list[Case]:
    def hashed(tenant: Tenant, case: Case) -> None:
        tenant.engine.hash_of_nothing(False)

    def rows(case: Case) -> list[Row]:
        made = case.spread()
        made[3] = replace(made[3], properties=None)
        made[4] = replace(made[4], properties="null", operation="", type="")
        return made

    return [
        Case("no-properties", "rows without properties, hash_md5('') is ''", rows,
             [Step(check=both(calls(2), grades)), NOTHING_NEW]),
        Case("no-properties-hashed", "rows without properties, hash_md5('') is a hash", rows,
             [Step(hashed, check=both(calls(2), grades)), NOTHING_NEW]),
    ]  # fmt: skip


def clocks() -> list[Case]:
    def ahead(tenant: Tenant, case: Case) -> None:
        tenant.clock = timedelta(hours=3)

    def right(tenant: Tenant, case: Case) -> None:
        tenant.clock = timedelta(0)
        # Rows of the two hours that seemed to be over.
        add(2 * DAY + 13 * HOUR, 2 * DAY + 14 * HOUR)(tenant, case)

    def begun(result: Result) -> list[str]:
        latest = max((hour for hour, claim in result.hours.items() if claim.state == "verified"), default=0)
        first = int(result.report["startedTicks"]) // HOUR
        return [] if latest < first else [f"hour {latest - first} after the running one is verified"]

    ancient = {"year-1": -621_355_968_000_000_000, "1600": -11_676_096_000 * SECOND, "1899": -2_209_075_200 * SECOND,
               "1969": -86_400 * SECOND, "1970": 0}  # fmt: skip

    def odd_times(case: Case) -> list[Row]:
        return [*case.spread(), replace(case.row(0), ticks=None), case.row(case.base + 2 * DAY + 14 * HOUR + 5),
                *[case.row(ticks) for ticks in ancient.values()]]  # fmt: skip

    def no_hour(row: Row) -> bool:
        return row.ticks is None or row.ticks <= ancient["year-1"] + 366 * DAY

    def loaded(future: int) -> Check:
        def check(result: Result) -> list[str]:
            instants = {row[1] * 10 for row in result.held}
            missing = [name for name, ticks in ancient.items() if name != "year-1" and ticks not in instants]
            faults = [f"rows of {', '.join(missing)} are not in the lake"] if missing else []
            expected = 12 + 4 + future
            return faults + ([f"{len(result.held)} rows in the lake, expected {expected}"] if len(result.held) != expected else [])

        return check

    def counted(future: int) -> Check:
        return says(outside={"noTimestamp": 1, "impossible": 1, "future": future})

    return [
        Case("clock-ahead", "the source's clock is three hours ahead for one run", usual,
             [Step(), Step(ahead, begun), Step(right, begun), Step()]),
        Case("odd-times", "null, future, year 1, 1600, 1899, 1969, 1970", odd_times,
             [Step(check=both(loaded(0), counted(1), calls(4))), Step(check=both(loaded(0), counted(1), calls(1))),
              Step(check=both(loaded(1), counted(0))), NOTHING_NEW], outside=no_hour, alone=True, limit=40),
    ]  # fmt: skip


def rotation() -> list[Case]:
    """Rows that change beyond `reconcile.depthDays` are found by runs that compare old hours in turn."""

    def old(case: Case) -> list[Row]:
        return [*case.spread(), *[case.row(case.base - at * DAY + 5 * HOUR) for at in range(3, 9)]]

    def late(tenant: Tenant, case: Case) -> None:
        rows = [*tenant.tables["Events"], case.row(case.base - 8 * DAY + 5 * HOUR + 9), case.row(case.base - 30 * DAY)]
        rows[-4] = replace(rows[-4], properties='{"changed":true}')
        tenant.set("Events", rows)

    def whole(result: Result) -> list[str]:
        return [] if len(result.held) == 20 else [f"{len(result.held)} rows in the lake, expected 20"]

    def first(result: Result) -> list[str]:
        oldest = min(row[1] for row in result.held) * 10 // HOUR
        if max(result.hours) - oldest < 30 * 24:
            return ["the row before all others is not in the lake"]
        missing = [hour for hour in range(oldest, max(result.hours)) if hour not in result.hours]
        return [f"{len(missing)} hours since the first row are not listed"] if missing else []

    days = [timedelta(0), timedelta(days=1), timedelta(days=2), timedelta(days=3)]
    return [
        Case("rotation", "beyond the depth of a run, an old row comes late, another changes, and one comes before all others", old,
             [Step(), Step(late, both(calls(3), first), stale=True), Step(check=calls(3), stale=True), Step(check=both(calls(3), whole))],
             alone=True, shifts=days, settings={"reconcile": {"depthDays": 1, "rotationDays": 2}}),
    ]  # fmt: skip


def older_lake() -> list[Case]:
    def change(tenant: Tenant, case: Case) -> None:
        rows = tenant.tables[case.table]
        add(5 * HOUR)(tenant, case)
        changed = replace(rows[3], properties='{"changed":true}')
        tenant.set(case.table, [changed if row is rows[3] else row for row in tenant.tables[case.table]])

    def by_ids(result: Result) -> list[str]:
        proofs = {hour.grade for hour in result.hours.values() if hour.state == "verified" and hour.source}
        return [] if proofs == {"checksum", "content"} else [f"verified hours with grade {sorted(proofs)}"]

    return [
        Case("older-lake", "a lake of a version without digests: a row changes and another comes; then content is proven", usual,
             [Step(), Step(change, by_ids, prepare=ids_only), Step(check=grades, flags=("--prove-content",)), NOTHING_NEW], alone=True),
    ]  # fmt: skip
