"""The views of `export spark` against the catalogue: state models, reports by week and month, and typed views, row by row.

`lakehouse.py` calls `compare_views`.
"""

import json
import re

import pyarrow
import pyarrow.parquet

MODELS = ["event_facts", "pass_events", "registrations", "pass_states", "passes", "daily_active"]


def statements(text):
    return [part for part in text.split(";\n") if part.strip()]


def days_of(table):
    """Periods of a report begin with an instant, those of a view are days."""
    at = table.column_names.index("period")
    period = table.column(at).combine_chunks()
    if pyarrow.types.is_timestamp(period.type):
        period = period.cast(pyarrow.timestamp("us", "UTC")).cast(pyarrow.timestamp("us")).cast(pyarrow.date32())
    return table.set_column(at, "period", period)


def as_json(table):
    """Lists and objects within JSON: Spark writes characters beyond the basic plane as escapes, so they are compared by value."""
    for at, name in enumerate(table.column_names):
        if name in ["properties", "value"] or not pyarrow.types.is_string(table.column(at).type):
            continue
        values = [json.dumps(json.loads(value)) if value and value[0] in "[{" else value for value in table.column(at).to_pylist()]
        table = table.set_column(at, name, pyarrow.array(values, pyarrow.string()))
    return table


def compare_views(sql, cli, check, canonical, same):
    """`sql` runs a statement in Spark."""
    cli("export", "spark", "--out", "spark", "--force")
    texts = {name: open(f"spark/{name}.sql").read() for name in ["views", "periods", "types"]}
    for text in texts.values():
        for statement in statements(text):
            sql(statement)

    def spark_rows(view):
        return sql(f"select * from `{view}`").toArrow()

    def catalogue_rows(*words):
        cli("export", *words, "--out", "view.parquet", "--force")
        return pyarrow.parquet.read_table("view.parquet")

    def model(view):
        found = spark_rows(view)
        # A sum of DuckDB is wider than a file can hold as a whole number.
        names = [f'"{name}"::bigint as "{name}"' if name == "active_platforms" else f'"{name}"' for name in found.column_names]
        want = canonical(catalogue_rows("--query", f'select {", ".join(names)} from "{view}"'))
        found = canonical(found)
        # Counts and steps are wider in one than in the other.
        same((want[0], *found[1:]), want, view)
        return f"yes, {len(want[1])} rows"

    def typed(view):
        found, want = canonical(as_json(spark_rows(view))), canonical(as_json(catalogue_rows("--query", f'select * from "{view}"')))
        same(found, want, view)
        return f"yes, {len(want[1])} rows"

    def periods(report):
        counts = []
        for grain in ["week", "month"]:
            found = spark_rows(f"mart_{report}_{grain}")
            want = days_of(catalogue_rows("--report", report, "--param", f"grain={grain}")).select(found.column_names)
            found, want = canonical(found), canonical(want)
            same((want[0], *found[1:]), want, f"{report} by {grain}")
            counts.append(f"{len(want[1])} rows by {grain}")
        return f"yes, {', '.join(counts)}"

    for view in MODELS:
        check("Spark, state models", view, lambda: model(view))
    for report in dict.fromkeys(re.findall(r"^create or replace temporary view mart_(\w+)_(?:week|month) as$", texts["periods"], re.M)):
        check("Spark, periods", report, lambda: periods(report))
    for view in re.findall(r"^create or replace temporary view `?(.*?)`? as$", texts["types"], re.M):
        check("Spark, typed views", view, lambda: typed(view))
