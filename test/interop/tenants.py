"""Reads a lake whose tenants have ids that look like numbers, booleans, dates or null, with every reader that is installed.

Usage: tenants.py <data directory> <expected.csv>. The file holds tenant_id and n, the rows that the program counts. Each reader must
return the tenant as text, and the same rows for it. Ends with 1 when one does not.
"""

import csv
import importlib.util
import os
import sys


def hive_name(tenant):
    """The rule of docs/recipes.md."""
    words = "null none nil na nan true false t f y n yes no on off inf infinity epoch now today tomorrow yesterday"
    is_marked = not tenant[0].isalpha() or tenant.lower() in words.split()
    return "_" + tenant if is_marked else tenant


def with_pandas(root):
    import pandas

    counted = pandas.read_parquet(root, columns=["event_type", "tenant_id"]).groupby("tenant_id", observed=True).size()
    return list(counted.items())


def with_polars(root):
    import polars

    lake = polars.scan_parquet(f"{root}/**/*.parquet", hive_partitioning=True)
    return lake.group_by("tenant_id").agg(polars.len()).collect().rows()


def with_pyarrow(root):
    import pyarrow.dataset

    rows = pyarrow.dataset.dataset(root, partitioning="hive").to_table(columns=["tenant_id"])
    return [(row["tenant_id"], row["tenant_id_count"]) for row in rows.group_by("tenant_id").aggregate([("tenant_id", "count")]).to_pylist()]


def with_duckdb(root):
    import duckdb

    files = f"read_parquet('{root}/**/*.parquet', hive_partitioning = true)"
    return duckdb.sql(f"select tenant_id, count(*) from {files} group by 1").fetchall()


def with_pyspark(root):
    from pyspark.sql import SparkSession

    settings = {"spark.ui.enabled": "false", "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    spark = SparkSession.builder.master("local[1]").config(map=settings).getOrCreate()
    version = next(name for name in os.listdir(root) if name.startswith("v"))
    return [tuple(row) for row in spark.read.parquet(f"{root}/{version}").groupBy("tenant_id").count().collect()]


def with_chdb(root):
    import chdb

    query = f"select tenant_id, count() from file('{root}/v*/tenant_id=*/month=*/*.parquet') group by 1 format TSV settings use_hive_partitioning = 1"
    return [(tenant, int(n)) for tenant, n in (line.split("\t") for line in str(chdb.query(query)).splitlines())]


def main(data_dir, expected):
    with open(expected, newline="", encoding="utf-8-sig") as file:
        counts = {row["tenant_id"]: int(row["n"]) for row in csv.DictReader(file)}
    wanted = sorted((hive_name(tenant), n) for tenant, n in counts.items())
    if len(wanted) < 2 or not all(n > 0 for _, n in wanted):
        sys.exit("The program's own answer lacks tenants or rows: nothing to compare with.")
    root = os.path.abspath(os.path.join(data_dir, "lake", "events"))
    failed = run = 0
    for name, read in sorted((name[5:], read) for name, read in globals().items() if name.startswith("with_")):
        if importlib.util.find_spec(name) is None:
            print(f"-      {name} is not installed")
            continue
        run += 1
        try:
            found = sorted(read(root))
            same = found == wanted and all(isinstance(tenant, str) for tenant, _ in found)
        except Exception as error:
            found, same = repr(error)[:200], False
        failed += not same
        print(f"{'ok    ' if same else 'FAILED'} {name}: {len(wanted)} tenants" + ("" if same else f", read {found}, expected {wanted}"), flush=True)
    sys.exit(1 if failed or run == 0 else 0)


main(*sys.argv[1:])
