"""Runs every block of Python in docs/recipes.md and holds its `per_day` against what the program itself answers.

Usage: recipes.py <recipes.md> <expected.csv>, in a folder that holds `data/` and `october.xlsx`.
Ends with 1 when a recipe fails, gives other rows, or when there is none.
"""

import csv
import re
import sys
import traceback


def plain(answer):
    """Rows of any of the tools as (day, type, n) tuples, in order."""
    if hasattr(answer, "fetchall"):
        rows = answer.fetchall()
    elif hasattr(answer, "itertuples"):
        rows = list(answer.itertuples(index=False, name=None))
    elif hasattr(answer, "to_pylist"):
        rows = [tuple(row.values()) for row in answer.to_pylist()]
    elif hasattr(answer, "rows"):
        rows = answer.rows()
    else:
        rows = [tuple(row.values()) for row in answer]
    return sorted((str(day)[:10], kind, int(n)) for day, kind, n in rows)


def main(recipes, expected):
    with open(expected, newline="", encoding="utf-8-sig") as file:
        wanted = sorted((row["day"][:10], row["event_type"], int(row["n"])) for row in csv.DictReader(file))
    if not wanted:
        sys.exit("The program's own answer has no row: nothing to compare with.")
    text = open(recipes, encoding="utf-8").read()
    blocks = re.findall(r"^## ([^\n]+)|^```python\n(.*?)^```", text, re.M | re.S)
    heading, failed, run = "", 0, 0
    for title, code in blocks:
        if title:
            heading = title
            continue
        run += 1
        scope = {}
        try:
            exec(compile(code, f"{heading}", "exec"), scope)
            rows = plain(scope["per_day"])
        except Exception:
            traceback.print_exc()
            rows = None
        same = rows == wanted
        failed += not same
        print(f"{'ok    ' if same else 'FAILED'} {heading}: {'-' if rows is None else len(rows)} rows, {sum(n for _, _, n in rows or [])} events", flush=True)
    print(f"{run} recipes, {failed} failed; expected {len(wanted)} rows, {sum(n for _, _, n in wanted)} events")
    sys.exit(1 if failed or run == 0 else 0)


main(*sys.argv[1:])
