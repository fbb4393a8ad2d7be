"""Computes every report again from the rows, over zones, grains, ranges and filters, and compares each cell with what the program prints.

It shares no code with `src/` and `queries/`: rows are made here, served by the sandbox, loaded and queried by the built program as a user would.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from fractions import Fraction
from pathlib import Path

from kpi_clock import Options
from kpi_reckon import REPORTS, Tenant, reckon, reckon_compared
from kpi_split import SPLITS, reckon_split
from kpi_world import NOW, TENANTS, make_world, write_world

ZONES = [
    "UTC", "Europe/Paris", "Asia/Kathmandu", "Atlantic/Azores", "America/Havana", "Australia/Lord_Howe",
    "Africa/Cairo", "America/Santiago", "Pacific/Chatham", "America/St_Johns",
]  # fmt: skip
GRAINS = ["day", "week", "month", "quarter", "year", "hour"]
NIGHTS = [("2026-10-24", "2026-10-26"), ("2026-10-29", "2026-10-31"), ("2026-10-31", "2026-11-02")]
RANGES = [(None, None), ("2026-09-06", "2026-10-26"), ("2026-10-25", None), (None, "2026-11-01"), ("2026-10-29", "2026-11-03")]
# First day, end, and the first day of as many periods before.
COMPARED = {
    "day": ("2026-10-20", "2026-10-31", "2026-10-09"),
    "week": ("2026-10-05", "2026-11-02", "2026-09-07"),
    "month": ("2026-10-01", "2026-11-01", "2026-09-01"),
}
ONE_ROW = ("gross_installs", "net_growth", "retention", "churn", "scans", "notifications", "view_to_install")
WITH_TYPE = {
    "passes_created", "installs", "gross_installs", "first_installs", "net_growth", "active_passes", "retention", "churn", "wallet_status",
    "installation_rate", "installation_rate_period", "survival", "attribution", "platform_split", "scans", "campaigns",
}  # fmt: skip
WITH_PLATFORM = WITH_TYPE - {"passes_created", "wallet_status", "platform_split", "scans", "campaigns"}
WORDS = {"attribution": ["medium", "origin", "tag"], "redirect_to_install": ["store", "redirect"]}


def choices(name: str, dice: random.Random) -> list[Options]:
    """
    A report in four of the grains, each with a zone, a range and filters by chance. Of hours only two days, in which clocks change.
    Some reports are also compared with the periods before, and some are split by one or two dimensions.
    """
    found = []
    for grain in dice.sample(GRAINS, 4):
        start, end = dice.choice(NIGHTS if grain == "hour" else RANGES)
        found.append(Options(
            zone=dice.choice(ZONES),
            grain=grain,
            week_start=dice.choice(["monday", "sunday", "thursday"]) if grain == "week" else "monday",
            start=date.fromisoformat(start) if start else None,
            end=date.fromisoformat(end) if end else None,
            tenant=dice.choice([None, "acme"]),
            pass_type=dice.choice([None, "loyalty", "gift"]) if name in WITH_TYPE else None,
            platform=dice.choice([None, "apple", "(unknown)"]) if name in WITH_PLATFORM else None,
            by=dice.choice(WORDS[name]) if name in WORDS else None,
        ))  # fmt: skip
    for grain in dice.sample(["day", "week", "month", "quarter"], 2) if name in SPLITS else []:
        start, end = dice.choice(RANGES)
        found.append(Options(
            zone=dice.choice(ZONES),
            grain=grain,
            week_start=dice.choice(["monday", "sunday"]) if grain == "week" else "monday",
            start=date.fromisoformat(start) if start else None,
            end=date.fromisoformat(end) if end else None,
            by=dice.choice(WORDS[name]) if name in WORDS else None,
            split=tuple(dice.sample(SPLITS[name], dice.choice([1, 2]))),
        ))  # fmt: skip
    if name in ONE_ROW:
        grain = dice.choice(list(COMPARED))
        start, end, _ = (date.fromisoformat(day) for day in COMPARED[grain])
        found.append(Options(zone=dice.choice(ZONES), grain=grain, start=start, end=end, compare="previous"))
    return found


class Program:
    def __init__(self, cli: Path, folder: Path, url: str) -> None:
        self.cli, self.folder = cli, folder
        config = {"baseUrl": url, "lake": {"marts": False, "checks": False}, "tenants": [{"id": tenant, "apiKey": {"env": "KPI_KEY_" + tenant.upper()}} for tenant in TENANTS]}
        (folder / "insights.json").write_text(json.dumps(config))
        self.env = {**os.environ, **{"KPI_KEY_" + tenant.upper(): f"sandbox-{tenant}" for tenant in TENANTS}}

    def __call__(self, *args: str) -> str:
        done = subprocess.run(["node", str(self.cli), *args], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            raise RuntimeError(f"insights-etl {' '.join(args)} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout


def is_same(shown: object, reckoned: object) -> bool:
    """Ratios are printed with three or four digits."""
    if isinstance(reckoned, Fraction):
        return shown is not None and abs(float(shown) - float(reckoned)) <= 0.00051
    return str(shown) == str(reckoned)


def compare(name: str, options: Options, shown: list[dict], tenants: dict[str, Tenant]) -> tuple[int, list[str]]:
    """The number of cells compared, and each difference."""
    cells, differences = 0, []
    said: dict[tuple, dict] = {}
    for row in shown:
        row["period"] = row["period"][:19].replace("T", " ")
        said[tuple(str(row[key]) for key in ("tenant_id", "period", *key_names(row, options)))] = row
    if len(said) != len(shown):
        differences.append("two rows have the same keys")
    def rows_of(tenant: Tenant) -> list:
        if options.split:
            return reckon_split(name, tenant, options)
        if options.compare is None:
            return reckon(name, tenant, options)
        return reckon_compared(name, tenant, options, date.fromisoformat(COMPARED[options.grain][2]))

    for tenant, rows in ((tenant, rows_of(tenants[tenant])) for tenant in tenants if options.tenant in (None, tenant)):
        for keys, figures in rows:
            key = (tenant, *(str(value) for value in keys.values()))
            row = said.pop(key, None)
            cells += len(figures)
            if row is None:
                differences.append(f"{key}: no such row, expected {figures}")
                continue
            for column, value in figures.items():
                if column not in row or not is_same(row[column], value):
                    differences.append(f"{key} {column}: printed {row.get(column)}, computed {value}")
    differences += [f"{key}: a row that nothing explains" for key in said]
    return cells, differences


KEYS = ("platform", "wallet_status", "place", "source", "campaign", "log_type", "metric_type")


def key_names(row: dict, options: Options) -> list[str]:
    return [*options.split, *(name for name in KEYS if name in row and name not in options.split)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cli", type=Path, default=Path(__file__).resolve().parents[2] / "dist" / "cli.js")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1, help="how often each report is asked in four grains")
    parser.add_argument("--only", help="one report")
    given = parser.parse_args()
    world = make_world(given.seed)
    with tempfile.TemporaryDirectory(prefix="insights-kpis-") as scratch:
        folder = Path(scratch)
        write_world(world, folder / "rows", given.seed)
        sandbox = subprocess.Popen(
            ["node", str(given.cli), "sandbox", "--data", str(folder / "rows"), "--now", NOW.isoformat().replace("+00:00", "Z"), "--frozen",
             "--rate", "0", "--memory"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert sandbox.stdout is not None
            program = Program(given.cli, folder, sandbox.stdout.readline().strip())
            program("run", "--quiet")
        finally:
            sandbox.terminate()
            sandbox.wait()
        return judge(given, world, program)


def judge(given: argparse.Namespace, world, program: Program) -> int:
    states: dict[str, dict[str, dict[datetime, str]]] = {tenant: {"events": {}, "logs": {}, "metrics": {}} for tenant in TENANTS}
    for row in json.loads(program("sql", "select tenant_id, table_name, hour, state from coverage", "--format", "json")):
        at = datetime.fromisoformat(str(row["hour"]).replace(" ", "T").replace("+00", "+00:00").replace("+00:00:00", "+00:00"))
        states[row["tenant_id"]][row["table_name"]][at] = row["state"]
    tenants = {tenant: Tenant(world, tenant, states[tenant]) for tenant in TENANTS}
    dice = random.Random(given.seed)
    asked = [(name, options) for _ in range(given.rounds) for name in REPORTS for options in choices(name, dice) if given.only in (None, name)]

    def ask(question: tuple[str, Options]) -> list[dict]:
        name, options = question
        return json.loads(program("query", name, "--param", *options.words(), "--format", "json"))

    cells: Counter[str] = Counter()
    zones: dict[str, set[str]] = {}
    faults: list[str] = []
    wrong: Counter[str] = Counter()
    with ThreadPoolExecutor(max_workers=2) as pool:
        for (name, options), shown in zip(asked, pool.map(ask, asked), strict=True):
            count, differences = compare(name, options, shown, tenants)
            cells[name] += count
            wrong[name] += len(differences)
            zones.setdefault(name, set()).add(options.zone)
            faults += [f"{name} {' '.join(options.words())}\n  {each}" for each in differences[:3]]
    print(f"{'report':<26}{'queries':>8}{'zones':>7}{'cells':>9}{'differences':>13}")
    for name in cells:
        print(f"{name:<26}{sum(asked_name == name for asked_name, _ in asked):>8}{len(zones[name]):>7}{cells[name]:>9}{wrong[name]:>13}")
    print(f"{'all':<26}{len(asked):>8}{len(set().union(*zones.values())):>7}{cells.total():>9}{wrong.total():>13}")
    for fault in faults[:40]:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
