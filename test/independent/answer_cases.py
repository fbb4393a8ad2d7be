"""Cases about what the source answers: odd statuses, missing rows, silent caps, other forms on the wire."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from dataclasses import replace

from case import HOUR, MINUTE, NOTHING_NEW, SECOND, Case, Check, Result, Step, add, both, calls, fault, grades, heal, says, usual
from engine import Row
from server import Fault, Tenant, is_fingerprint, is_page, problem

STATUSES = [
    302, 400, 402, 405, 409, 410, 415, 422, 425, 451, 499, 501, 505, 507, 508,
    525, 526, 527, 528, 529, 530, 598,
]  # fmt: skip


Answer = tuple[str, dict[str, object]]


def odd_answers() -> list[Case]:
    """One odd answer is a failure of the source; it lowers no proof, and is gone with the next run."""
    statuses: list[Answer] = [
        (str(status), {"status": status, "headers": {"location": "/elsewhere"} if status == 302 else {}})
        for status in STATUSES
    ]
    semantic: Answer = ("500 'Semantic error'", {"status": 500, "body": problem(500, "Semantic error: SEM0100: it failed")})
    inside: Answer = ("200 with a BadRequest error", {
        "status": 200, "content_type": "application/json",
        "body": json.dumps({"error": {"code": "BadRequest", "message": "Request is invalid and cannot be executed."}})})
    partial: Answer = ("200 with rows and an exception", {
        "status": 200, "content_type": "application/json",
        "body": json.dumps({"rows": [], "Exceptions": ["BadRequest: Semantic error"]})})
    html: Answer = ("503 with HTML", {"status": 503, "content_type": "text/html", "body": "<html>"})

    def case(name: str, kind: str, match: Callable[[str], bool], answers: list[Answer]) -> Case:
        def odd(members: dict[str, object], at: int) -> Step:
            return Step(fault(lambda: Fault(match, **members), (6 + at) * HOUR), grades, verified=None)

        steps = [odd(members, at) for at, (_, members) in enumerate(answers)]
        best = both(grades, says(grade="content"))
        titles = ", ".join(title for title, _ in answers)
        return Case(name, f"one answer to a {kind} has status {titles}", usual, [Step(), *steps, Step(heal(), best)])

    everything = [*statuses, semantic, inside, partial, html]
    some = [*(answer for answer in statuses if answer[0] in ("302", "400", "410", "425", "501", "530")), semantic, inside, partial, html]
    return [
        *[case(f"fingerprint-status-{at // 5 + 1}", "fingerprint", is_fingerprint, everything[at : at + 5]) for at in range(0, len(everything), 5)],
        *[case(f"page-status-{at // 5 + 1}", "page", is_page, some[at : at + 5]) for at in range(0, len(some), 5)],
    ]


def removed_rows() -> list[Case]:
    def without_meta(rows: list[list[object]]) -> list[list[object]]:
        return [row for row in rows if row[0] != ""]

    def without_part(rows: list[list[object]]) -> list[list[object]]:
        return [row for row in rows if row[0] == ""]

    def lost(tenant: Tenant, case: Case) -> None:
        case.kept = tenant.tables["Events"]
        tenant.set("Events", [])

    def back(tenant: Tenant, case: Case) -> None:
        tenant.set("Events", case.kept)

    def failed(result: Result) -> list[str]:
        return [] if result.outcome != "verified" else ["the run says verified"]

    def answer(make: Callable[[list[list[object]]], list[list[object]]], match=is_fingerprint, times: int | None = 1):
        return lambda: Fault(match, times=times, rows=make)

    cases = [
        Case("no-meta", "a fingerprint without its meta row", usual,
             [Step(), Step(fault(answer(without_meta), 5 * HOUR), verified=None), Step(heal())]),
        Case("no-parts", "a fingerprint with its meta row only", usual,
             [Step(), Step(fault(answer(without_part), 5 * HOUR), verified=None), Step(heal())]),
        Case("no-rows", "a fingerprint without rows", usual,
             [Step(), Step(fault(answer(lambda rows: []), 5 * HOUR), verified=None), Step(heal())]),
        Case("empty-page", "a page without rows, once", usual,
             [Step(), Step(fault(answer(lambda rows: [], is_page), 5 * HOUR, 31 * HOUR), verified=None), Step(heal())]),
        Case("empty-pages", "pages without rows, always", usual,
             [Step(), Step(fault(answer(lambda rows: [], is_page, None), 5 * HOUR, 31 * HOUR), failed, None), Step(heal())]),
        Case("short-page", "a page one row short, once, and a pair of equal rows", lambda case: [*case.spread(), *[case.row(case.base + HOUR)] * 2],
             [Step(fault(answer(lambda rows: rows[:-1], is_page)), calls(15), None), Step(heal(5 * HOUR), calls(6)), NOTHING_NEW]),
        Case("two-row-page", "the first page is one of two rows and one row short", lambda case: case.spread(2),
             [Step(fault(answer(lambda rows: rows[:-1], is_page)), calls(12), None),
              Step(lambda tenant, case: tenant.set("Events", [*tenant.tables["Events"], *case.spread(300), *[case.row(case.base + HOUR)] * 2]), calls(6)),
              NOTHING_NEW]),
        Case("all-lost", "the source has no row any more", usual,
             [Step(), Step(lost, both(failed, says(outcome="refused")), None), Step(back)]),
    ]  # fmt: skip
    return cases


def caps() -> list[Case]:
    def burst(case: Case) -> list[Row]:
        return [*case.spread(60), *[case.row(case.base + 8 * HOUR + at * 2 * SECOND + at % 10) for at in range(250)]]

    def capped(tenant: Tenant, case: Case) -> None:
        tenant.faults = [Fault(is_page, times=None, rows=lambda rows: rows[:100])]

    def sizes(case: Case) -> list[Row]:
        text = [json.dumps({"large": "x" * (at * at % 1500)}) for at in range(150)]
        return [*case.spread(), *[case.row(case.base + 8 * HOUR + at * 20 * SECOND, properties=text[at]) for at in range(150)]]

    def fitting(rows: list[list[object]]) -> list[list[object]]:
        sums = itertools.accumulate(len(json.dumps(row)) for row in rows)
        return [row for row, size in zip(rows, sums) if size <= 20_000]

    def cut(tenant: Tenant, case: Case) -> None:
        tenant.faults = [Fault(is_page, times=None, rows=fitting)]

    return [
        Case("silent-cap", "answers are cut at 100 rows without a word; 250 rows in ten minutes", burst,
             [Step(capped, calls(40)), NOTHING_NEW, Step(add(7 * HOUR), calls(8)), NOTHING_NEW]),
        Case("silent-byte-cap", "answers are cut at 20,000 bytes without a word; rows of many sizes", sizes,
             [Step(cut, calls(80)), NOTHING_NEW, Step(add(7 * HOUR), calls(8)), NOTHING_NEW]),
    ]  # fmt: skip


def wire() -> list[Case]:
    def pretty(names: list[str], rows: list[list[object]]) -> str:
        return json.dumps({"rows": [dict(zip(names, row)) for row in rows]}, indent=2)

    def pretty_arrays(names: list[str], rows: list[list[object]]) -> str:
        return json.dumps({"columns": names, "rows": rows}, indent=4, ensure_ascii=False)

    def version_1(names: list[str], rows: list[list[object]]) -> str:
        columns = [{"ColumnName": name, "DataType": "String"} for name in names]
        return json.dumps({"Tables": [{"TableName": "Table_0", "Columns": columns, "Rows": rows}]})

    def frames(names: list[str], rows: list[list[object]], progressive: bool) -> str:
        columns = [{"ColumnName": name, "ColumnType": "string"} for name in names]
        table = {"TableId": 1, "TableKind": "PrimaryResult", "TableName": "PrimaryResult", "Columns": columns}
        half = len(rows) // 2
        parts = [
            {"FrameType": "TableHeader", **table},
            {"FrameType": "TableFragment", "TableFragmentType": "DataAppend", "TableId": 1, "Rows": rows[:half]},
            {"FrameType": "TableFragment", "TableFragmentType": "DataAppend", "TableId": 1, "Rows": rows[half:]},
            {"FrameType": "TableCompletion", "TableId": 1, "RowCount": len(rows)},
        ]
        if not progressive:
            parts = [{"FrameType": "DataTable", **table, "Rows": rows}]
        head = {"FrameType": "DataSetHeader", "IsProgressive": progressive, "Version": "v2.0"}
        return json.dumps([head, *parts, {"FrameType": "DataSetCompletion", "HasErrors": False, "Cancelled": False}])

    def half_pairs(names: list[str], rows: list[list[object]]) -> str:
        return json.dumps({"rows": rows}, ensure_ascii=False).replace("\ufffd", "\\ud83d")

    def write(form) -> Callable[[Tenant, Case], None]:
        def change(tenant: Tenant, case: Case) -> None:
            tenant.write = form

        return change

    def broken_text(case: Case) -> list[Row]:
        rows = case.spread()
        rows[3] = replace(rows[3], operation="a \ufffd b")
        rows[4] = replace(rows[4], properties='{"text":"half \\ud83d pair","next":"kept","n":1.0}')
        rows[5] = replace(rows[5], properties='{"text":"whole \\ud83c\\udf89 pair"}')
        return rows

    def huge(case: Case) -> list[Row]:
        rows = case.spread()
        rows[3] = replace(rows[3], value="1e400")
        rows[4] = replace(rows[4], value="-1e400", properties='{"n":1e400}')
        return rows

    forms = [
        ("pretty-objects", "rows as objects, indented", pretty),
        ("pretty-arrays", "columns and rows, indented", pretty_arrays),
        ("version-1", "the engine's first version: Tables", version_1),
        ("version-2", "the engine's second version: frames", lambda names, rows: frames(names, rows, False)),
    ]
    cases = [
        Case(name, f"answers are {title}", usual, [Step(write(form)), NOTHING_NEW, Step(add(7 * HOUR), calls(3))])
        for name, title, form in forms
    ]
    def explained(result: Result) -> list[str]:
        error = result.report.get("error") or {}
        return [] if "fragments" in error.get("message", "") else [f"the refusal does not speak of fragments: {error}"]

    progressive = write(lambda names, rows: frames(names, rows, True))
    cases += [
        Case("progressive", "answers are progressive frames: read, or refused with the reason", usual,
             [Step(progressive, explained, None), Step(write(forms[3][2]))]),
        Case("half-pairs", "half a surrogate pair in a text of the answer and in properties", broken_text,
             [Step(write(half_pairs)), NOTHING_NEW, Step(add(7 * HOUR), calls(3))]),
        Case("huge-number", "1e400 as a value and in properties", huge,
             [Step(), NOTHING_NEW, Step(add(7 * HOUR), calls(3))], "Metrics"),
    ]  # fmt: skip
    return cases


def refused_functions() -> list[Case]:
    message = problem(400, "BadRequest_SemanticError: Semantic error: SEM0260: Unknown function: 'hash_md5'.")

    def refusing() -> Fault:
        return Fault(lambda query: "hash_md5(" in query, times=None, status=400, body=message)

    def lowered(result: Result) -> list[str]:
        grade = result.report["grade"]
        return ["the run does not say that its proof is lowered"] if grade == "content" else []

    def refuse(tenant: Tenant, case: Case) -> None:
        tenant.faults = [refusing()]

    def counted(changed: bool) -> Check:
        def check(result: Result) -> list[str]:
            proofs = {hour.grade for hour in result.hours.values() if hour.state == "verified" and hour.source}
            faults = [] if proofs == {"count"} else [f"verified hours with grade {sorted(proofs)}, expected count"]
            return faults + list(says(grade="count", changed=changed)(result))

        return check

    def within_hours(tenant: Tenant, case: Case) -> None:
        # The third row is exchanged for another, and the fourth gets another instant: a count cannot notice that.
        rows = tenant.tables[case.table]
        case.kept = rows[2:4]
        into = rows[3].ticks % HOUR
        rows[2:4] = [case.row(rows[2].ticks), replace(rows[3], ticks=rows[3].ticks - into + (into + 20 * MINUTE) % HOUR)]
        tenant.set(case.table, rows)

    def to_another_hour(tenant: Tenant, case: Case) -> None:
        rows = tenant.tables[case.table]
        rows[5] = replace(rows[5], ticks=case.base + 13 * HOUR + 40 * MINUTE)
        tenant.set(case.table, [*rows[:6], *rows[7:], case.row(case.base + 20 * HOUR)])

    def size(result: Result) -> list[str]:
        return [] if len(result.held) == 12 else [f"{len(result.held)} rows in the lake, expected 12"]

    def by_ids(result: Result) -> list[str]:
        proofs = {hour.grade for hour in result.hours.values() if hour.state == "verified" and hour.source}
        return [] if proofs == {"checksum", "content"} else [f"verified hours with grade {sorted(proofs)}"]

    def again(result: Result) -> list[str]:
        return [] if result.report["grade"] == "content" else [f"the grade is still {result.report['grade']}"]

    return [
        Case("no-md5", "the engine rejects hash_md5 for one run", usual,
             [Step(), Step(fault(refusing), both(lowered, grades)), Step(heal(4 * HOUR), both(again, grades)), NOTHING_NEW]),
        Case("count-only", "the engine has no hash_md5: rows change within hours, then move between hours; then it has it", usual,
             [Step(refuse, counted(True)), Step(within_hours, both(counted(False), calls(3, 3))),
              Step(to_another_hour, both(counted(True), size)), Step(heal(), both(again, by_ids)),
              Step(check=both(again, grades, size), flags=("--prove-content",)), NOTHING_NEW], alone=True),
    ]  # fmt: skip
