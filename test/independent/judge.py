"""Runs the built program against the second API and compares each lake, row by row, with the rows of the source.

All cases are tenants of one lake: a round changes every source, runs the program once for all, and checks every tenant.
"""

from __future__ import annotations

import argparse
import fnmatch
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from case import DAY, HOUR, MINUTE, Case, Result
from cases import all_cases
from engine import Row
from lake import Hour, Lake, content, faults_of, hour_of, unproven
from server import KEY, Fault, Server

HERE = Path(__file__).resolve().parent
# The first round is at twenty past an hour, so that no hour ends where a case does not expect it.
START = (datetime.now(UTC).replace(minute=20, second=0, microsecond=0) + timedelta(hours=1)) - datetime.now(UTC)
# How far the clocks of the machine and the sources have moved since then in each round.
ROUNDS = [timedelta(0), timedelta(minutes=1), *(timedelta(hours=5, minutes=at) for at in range(5))]


class Program:
    """The built command line, run as a user would."""

    def __init__(self, cli: Path, folder: Path, config: dict, limit: float = 300) -> None:
        self.cli, self.folder, self.limit = cli, folder, limit
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "insights.json").write_text(json.dumps(config))
        self.seconds = 0.0
        self.runs = 0

    def __call__(self, *args: str, shift: timedelta = START, key: str = KEY) -> tuple[int, dict | str]:
        env = {
            **os.environ, "JUDGE_KEY": key, "JUDGE_SHIFT_MS": str(shift // timedelta(milliseconds=1)),
            "NODE_OPTIONS": f"--import={(HERE / 'shift.mjs').as_uri()}",
        }  # fmt: skip
        began = time.monotonic()
        done = subprocess.run(
            ["node", str(self.cli), *args], cwd=self.folder, env=env, capture_output=True, text=True, timeout=self.limit
        )
        self.seconds += time.monotonic() - began
        self.runs += 1
        if "--json" in args:
            try:
                return done.returncode, json.loads(done.stdout)
            except ValueError:
                raise RuntimeError(f"{args} ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-1500:]}") from None
        return done.returncode, done.stdout + done.stderr


def ticks_of(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 10


def judge_group(cases: list[Case], server: Server, cli: Path, folder: Path, began: datetime, settings: dict) -> Program:
    base = ticks_of(began) // HOUR * HOUR - 2 * DAY - 12 * HOUR
    for case in cases:
        case.base, case.random = base, random.Random(case.name)
        tenant = server.tenant(case.name)
        tenant.set(case.table, case.rows(case))
    program = Program(cli, folder, {
        "baseUrl": server.url, "dataDir": "./data", "callsPerMinute": 0, "lake": {"marts": False, "checks": False},
        "engine": {"threads": 1},
        "tenants": [{"id": case.name, "apiKey": {"env": "JUDGE_KEY"}, "tables": [case.table]} for case in cases],
        **settings,
    }, cases[0].limit)  # fmt: skip
    proven = {case.name: [] for case in cases}
    for at, moved in enumerate(cases[0].shifts or ROUNDS):
        shift = START + moved
        live = [case for case in cases if at < len(case.steps)]
        if not live:
            break
        for case in live:
            tenant = server.tenant(case.name)
            tenant.shift = shift
            case.steps[at].change(tenant, case)
            tenant.seen = len(tenant.queries)
        live[0].steps[at].prepare(folder / "data")
        started = datetime.now(UTC) + shift
        try:
            code, report = program("run", "--json", "--quiet", *live[0].steps[at].flags, "--tenant", *[case.name for case in live], shift=shift)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            for case in live:
                case.faults.append(f"run {at + 1}: {str(error)[-300:]}")
            break
        if code != report.get("exitCode") or code not in (0, 4, 5, 8):
            live[0].faults.append(f"run {at + 1}: exit code {code}, the report says {report.get('exitCode')}")
        lake = Lake(folder / "data")
        tables = {entry["tenant"]: entry for entry in report.get("tables", [])}
        for case in live:
            for fault in check(case, at, server, lake, tables.get(case.name), started, proven):
                case.faults.append(f"run {at + 1}: {fault}")
    return program


def check(case, at, server, lake, entry, started, proven) -> list[str]:
    tenant = server.tenant(case.name)
    if entry is None:
        return ["the report does not mention it"]
    step = case.steps[at]
    rows = list(tenant.tables[case.table])
    hours = lake.coverage(case.name, case.table)
    held = lake.rows(case.name, case.table)
    entry = {**entry, "startedTicks": ticks_of(started)}
    result = Result(entry, hours, held, len(tenant.queries) - tenant.seen)
    is_verified = entry["outcome"] == "verified"
    faults = [f"the engine refused a query: {refusal.splitlines()[0]}" for refusal in tenant.refusals[:1]]
    if step.verified and not is_verified:
        why = (entry.get("error") or {}).get("message", "")
        faults.append(f"the outcome is {entry['outcome']}: {why}")
    # A table whose run failed may only say what an earlier run proved.
    accepted = [proven[case.name]] if step.stale else []
    if entry["outcome"] not in ("failed", "refused"):
        proven[case.name] = rows
    accepted.append(proven[case.name])
    # Where what changed is not due yet, each hour must be as it is now or as it was.
    found = [set(faults_of([row for row in one if not case.outside(row)], held, hours, case.name)) for one in accepted]
    faults += sorted(set.intersection(*found))
    case.seen.append(f"{entry['outcome']}, {result.calls} calls")
    if is_verified and not step.stale:
        now = min(tenant.now(), started)
        faults += unproven([row for row in rows if not case.outside(row)], hours, ticks_of(now) - 10 * MINUTE)
    faults += step.check(result)
    return faults


def as_a_user(server: Server, cli: Path, folder: Path) -> list[str]:
    """One tenant with the default settings: exit codes, calls, texts and figures of the commands."""
    name = "user"
    tenant = server.tenant(name)
    tenant.shift = START
    makers = {table: Case(name, "", lambda case: [], [], table, random=random.Random(table)) for table in tenant.tables}
    base = ticks_of(datetime.now(UTC)) // HOUR * HOUR - 3 * DAY
    for table, maker in makers.items():
        maker.base = base
        odd = [replace(maker.row(0), ticks=None), maker.row(base + 30 * DAY)] if table == "Events" else []
        tenant.set(table, maker.spread(40) + odd)
    program = Program(cli, folder, {
        "baseUrl": server.url, "dataDir": "./data", "callsPerMinute": 0,
        "tenants": [{"id": name, "apiKey": {"env": "JUDGE_KEY"}}],
    })  # fmt: skip
    faults: list[str] = []

    def expect(what: str, is_true: bool) -> None:
        if not is_true:
            faults.append(what)

    def doctor(*, is_well: bool, **details: str) -> None:
        before = len(tenant.queries)
        code, report = program("doctor", "--json")
        [found] = report["tenants"]
        asked = len(tenant.queries) - before
        expect(f"doctor ends with {code} and reports {report['exitCode']}", code == report["exitCode"] == (0 if is_well else 4))
        expect(f"doctor sent {asked} calls and reports {found['calls']}", asked == found["calls"] <= 20)
        checks = {check["name"].replace(" ", "_"): check for check in found["checks"]}
        for name, detail in details.items():
            said = checks.get(name, {}).get("detail", "nothing")
            expect(f"doctor says of {name}: {said}, expected {detail}", detail in said)
        ill = [check["name"] for check in [*report["machine"], *checks.values()] if not check["ok"]]
        expect(f"doctor finds fault with {', '.join(ill) or 'nothing'}", (not ill) == is_well)

    in_no_hour = "1 without a possible time, which go to quarantine; 1 in the future"
    doctor(is_well=True, rows_of_Logs="40 rows", rows_of_Events=f"42 rows, from {text_of(base)[:16]}", proof="work")
    doctor(is_well=True, rows_of_Events=in_no_hour, row_cap="arrives complete")
    code, text = program("run")
    expect(f"the first run ends with {code}: {text[-300:]}", code == 0)
    expect(f"the first run does not tell of rows in no hour: {text[-300:]}", "1 without a timestamp, 1 in the future" in text)
    lake = Lake(folder / "data")
    for table, rows in tenant.tables.items():
        faults += faults_of(rows, lake.rows(name, table), lake.coverage(name, table), name)
        faults += unproven(rows, lake.coverage(name, table), ticks_of(tenant.now()) - 10 * MINUTE)
    before = len(tenant.queries)
    code, text = program("run")
    expect(f"the second run ends with {code}: {text[-300:]}", code == 0)
    expect(f"the second run took {len(tenant.queries) - before} calls, expected 3", len(tenant.queries) - before == 3)
    expect("the second run does not say that nothing is new", "nothing new" in text)
    code, status = program("status", "--json")
    figures = {entry["table"]: entry["rows"] for entry in status["tables"]}
    expect(f"status counts {figures}", figures == {table: 40 for table in tenant.tables})
    code, text = program("verify")
    expect(f"verify ends with {code}", code == 0)
    tenant.faults = [Fault(lambda query: True, times=None, rows=lambda rows: rows[:300])]
    doctor(is_well=True, row_cap="300", caps="300")
    tenant.faults = []
    doctor(is_well=True, row_cap="arrives complete", caps="has not shown a lower limit")
    code, text = program("run", key="wrong")
    expect(f"a wrong key ends with {code}, expected 3", code == 3)
    tenant.set("Metrics", [])
    code, text = program("run")
    expect(f"a source that lost a table ends with {code}, expected 8", code == 8)
    expect("rows of that table were removed", len(Lake(folder / "data").rows(name, "Metrics")) == 40)
    return faults


def notices() -> list[str]:
    """The judge itself: each of these lakes must be found out."""
    case = Case("self", "", lambda case: [], [], random=random.Random(1))
    rows = case.spread()
    good = [content(row) for row in rows]
    hours: dict[int, Hour] = {}
    for row in rows:
        hours[hour_of(row)] = Hour("verified", "content", sum(hour_of(row) == hour_of(other) for other in rows), 0, 0, 0)
    hours = {hour: replace(claim, lake=claim.source) for hour, claim in hours.items()}
    bad = {
        "nothing": good,
        "a missing row": good[1:],
        "a row too many": [*good, good[0]],
        "another instant": [(good[0][0], good[0][1] + 1, *good[0][2:]), *good[1:]],
        **{f"another cell {at}": [(*good[0][:at], "x", *good[0][at + 1 :]), *good[1:]] for at in (0, 2, 3, 4, 5, 6)},
    }
    faults = []
    for name, held in bad.items():
        if bool(faults_of(rows, held, hours, "self")) == (name == "nothing"):
            faults.append(f"a lake with {name} is judged wrongly")
    return faults


def real_data(server: Server, cli: Path, folder: Path, source: Path) -> list[str]:
    """The rows of a folder with logs, events and metrics as .ndjson.gz, each value as the text that the file has."""
    tables = {table: recorded(source / f"{table.lower()}.ndjson.gz", table) for table in ("Logs", "Events", "Metrics")}
    names = sorted({row.tenant for rows in tables.values() for row in rows})
    newest = max(row.ticks for rows in tables.values() for row in rows)
    now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=newest // 10, hours=3)
    shift = now - datetime.now(UTC)
    for name in names:
        tenant = server.tenant(name)
        tenant.shift = shift
        tenant.engine.optimize()
        for table, rows in tables.items():
            tenant.set(table, [row for row in rows if row.tenant == name])
    program = Program(cli, folder, {
        "baseUrl": server.url, "dataDir": "./data", "callsPerMinute": 0, "tables": {"Logs": {"retentionDays": 36500}},
        "lake": {"marts": False, "checks": False},
        "tenants": [{"id": name, "apiKey": {"env": "JUDGE_KEY"}} for name in names],
    }, limit=1800)  # fmt: skip
    faults = []
    code, _ = program("run", "--json", "--quiet", shift=shift)
    if code != 0:
        faults.append(f"the first run ends with {code}")
    lake = Lake(folder / "data")
    total = 0
    for name in names:
        tenant = server.tenant(name)
        for table, rows in tenant.tables.items():
            held, hours = lake.rows(name, table), lake.coverage(name, table)
            total += len(held)
            found = faults_of(rows, held, hours, name) + unproven(rows, hours, ticks_of(now) - 10 * MINUTE)
            faults += [f"{name} {table}: {fault}" for fault in found]
            weak = {hour.grade for hour in hours.values() if hour.state == "verified"} - {"content"}
            if weak:
                faults.append(f"{name} {table}: verified hours with grade {weak}")
    before = {name: len(server.tenant(name).queries) for name in names}
    code, _ = program("run", "--json", "--quiet", shift=shift)
    extra = {name: len(server.tenant(name).queries) - count for name, count in before.items()}
    if code != 0 or set(extra.values()) != {3}:
        faults.append(f"the second run ends with {code} after {extra} calls")
    print(f"judge: {total:,} rows of the real data compared")
    return faults


def recorded(file: Path, table: str) -> list[Row]:
    decoder = json.JSONDecoder()
    rows = []
    with gzip.open(file, "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            cells, raw, at = {}, {}, line.index("{") + 1
            while line[at] != "}":
                key, at = decoder.raw_decode(line, at)
                at = line.index(":", at) + 1
                while line[at] == " ":
                    at += 1
                start = at
                cells[key], at = decoder.raw_decode(line, at)
                raw[key] = line[start:at]
                while line[at] in ", ":
                    at += 1
            metric = table == "Metrics"
            rows.append(Row(
                cells["metricId" if metric else "eventId"], ticks_of_text(cells["timestamp"]),
                cells["metricType" if metric else "eventType"], raw.get("properties"), cells.get("operationId") or "",
                raw.get("value"), cells["tenantId"],
            ))  # fmt: skip
    return rows


def text_of(ticks: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10)).isoformat()


def ticks_of_text(text: str) -> int:
    whole, _, fraction = text.rstrip("Z").partition(".")
    return ticks_of(datetime.fromisoformat(whole).replace(tzinfo=UTC)) + int(fraction.ljust(7, "0"))


@dataclass
class Verdict:
    name: str
    title: str
    faults: list[str]
    expected_failure: str | None = None
    seen: str = ""

    @property
    def state(self) -> str:
        if self.expected_failure is None:
            return "FAILED" if self.faults else "ok"
        return "expected failure" if self.faults else "ok, unexpectedly"


def judged(flags: argparse.Namespace) -> list[Verdict]:
    cases = [case for case in all_cases() if fnmatch.fnmatch(case.name, flags.only)]
    began = datetime.now(UTC) + START
    server = Server()
    cli = flags.cli.resolve()
    shared = [case for case in cases if not case.alone]
    groups = [group for group in ([shared] + [[case] for case in cases if case.alone]) if group]
    with tempfile.TemporaryDirectory(prefix="judge-") as scratch, ThreadPoolExecutor(3) as pool:
        root = flags.keep or Path(scratch)
        work = [
            pool.submit(judge_group, group, server, cli, root / group[0].name, began, group[0].settings) for group in groups
        ]
        others = [("judge", "the judge finds out a lake that differs", pool.submit(notices))]
        if fnmatch.fnmatch("user", flags.only):
            others.append(("user", "the commands with default settings: exit codes, calls, figures",
                           pool.submit(as_a_user, server, cli, root / "user")))  # fmt: skip
        for future in work:
            future.result()
        if flags.real_data:
            others.append(("real-data", "recorded rows of real systems",
                           pool.submit(real_data, server, cli, root / "real", Path(flags.real_data))))  # fmt: skip
        verdicts = [
            Verdict(case.name, case.title, case.faults, case.expected_failure, "; ".join(case.seen)) for case in cases
        ]
        verdicts += [Verdict(name, title, future.result()) for name, title, future in others]
    server.close()
    return verdicts


def write_table(verdicts: list[Verdict]) -> None:
    """The generated part of README.md."""
    lines = ["| case | what happens | outcome of each run, calls | verdict |", "| --- | --- | --- | --- |"]
    for verdict in verdicts:
        why = f": {verdict.expected_failure}" if verdict.expected_failure else ""
        lines.append(f"| `{verdict.name}` | {verdict.title} | {verdict.seen} | {verdict.state}{why} |".replace("|d", "d"))
    readme = HERE / "README.md"
    head, _, rest = readme.read_text().partition("<!-- cases -->")
    tail = rest.partition("<!-- end -->")[2]
    readme.write_text(f"{head}<!-- cases -->\n\n" + "\n".join(lines) + f"\n\n<!-- end -->{tail}")
    subprocess.run(["npx", "oxfmt", str(readme)], cwd=HERE, check=True)


def main() -> int:
    options = argparse.ArgumentParser(description="Judge the built program with a second Insights API.")
    options.add_argument("--cli", default=HERE.parent.parent / "dist" / "cli.js", type=Path, help="the built program")
    options.add_argument("--only", default="*", help="only the cases whose names match")
    options.add_argument("--keep", type=Path, help="keep the lakes in this folder")
    options.add_argument("--real-data", default=os.environ.get("JUDGE_REAL_DATA"), help="a folder with recorded rows")
    options.add_argument("--write-table", action="store_true", help="write the table of README.md")
    flags = options.parse_args()

    clock = time.monotonic()
    verdicts = judged(flags)
    for verdict in verdicts:
        print(f"{verdict.state:17} {verdict.name}: {verdict.title} [{verdict.seen}]")
        if verdict.expected_failure:
            print(f"{'':18}expected: {verdict.expected_failure}")
        for fault in verdict.faults[:6]:
            print(f"{'':18}{fault[:400]}")
    if flags.write_table:
        write_table(verdicts)
    failed = sum(verdict.state == "FAILED" for verdict in verdicts)
    print(f"judge: {time.monotonic() - clock:.0f} s")
    print(f"{len(verdicts) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
