"""Parses the dbt project of `export dbt` and `export semantic`, validates it with MetricFlow, and compares metrics with reports.

Usage: semantic.py <project> <program...>, where <program...> is the command line of insights-etl up to its arguments.
Ends with 1 if dbt or MetricFlow refuses the project, or if a metric differs from the report that computes the same figure.
"""

import csv
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

BIN = Path(sys.executable).parent


def tool(name, *words, folder):
    environment = {**os.environ, "DO_NOT_TRACK": "1", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DBT_PROFILES_DIR": "."}
    done = subprocess.run([BIN / name, *words], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{name} {words[0]} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def reports_by_metric(project):
    """Metric, report and figure, from the descriptions of the metrics."""
    metrics = yaml.safe_load((project / "models/insights_semantic/metrics.yml").read_text(encoding="utf-8"))["metrics"]
    named = [(metric["name"], re.search(r"Report (\w+), figure (\w+)\.", metric["description"])) for metric in metrics]
    return [(name, *found.groups()) for name, found in named if found]


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def figures(program, report, figure, grain):
    """By tenant and period; rows of the same period add up."""
    answer = subprocess.run(
        [*program, "query", report, "--param", f"grain={grain}", "--format", "csv"], check=True, capture_output=True, text=True
    )
    found = {}
    for row in rows(answer.stdout.lstrip("\ufeff")):
        key = (row["tenant_id"], row["period"][:10])
        value = float(row[figure]) if row[figure] else None
        found[key] = value if key not in found or value is None or found[key] is None else found[key] + value
    return found


def main(project, *program):
    project = Path(project)
    tool("dbt", "parse", folder=project)
    tool("dbt", "run", folder=project)
    tool("mf", "validate-configs", folder=project)
    # The report has a row for each place, whose ratios do not add up.
    known = [entry for entry in reports_by_metric(project) if entry[0] != "installs_per_redirect"]
    compared = differing = 0
    for grain in ("week", "month"):
        names = ",".join(name for name, _, _ in known)
        tool("mf", "query", "--metrics", names, "--group-by", f"metric_time__{grain},tenant", "--csv", "metrics.csv", folder=project)
        computed = rows((project / "metrics.csv").read_text(encoding="utf-8"))
        for name, report, figure in known:
            expected = figures(program, report, figure, grain)
            for row in computed:
                key = (row["tenant"], row[f"metric_time__{grain}"][:10])
                if not row[name] or expected.get(key) is None:
                    continue
                compared += 1
                if abs(float(row[name]) - expected[key]) > 0.0001:
                    differing += 1
                    print(f"FAILED {name} {grain} {key}: {row[name]}, the report {report} has {expected[key]}")
    print(f"dbt and MetricFlow: {len(known)} metrics, {compared} values compared with reports, {differing} differ")
    sys.exit(1 if differing or compared < 100 else 0)


main(*sys.argv[1:])
