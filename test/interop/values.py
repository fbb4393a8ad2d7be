"""Reads the JSON columns of the lake and of an export with every reader that is installed, each with its defaults.

Usage: values.py <data directory> <export.parquet> <expected.csv>. The CSV has name, n and characters: of the JSON columns of events,
metrics and the export, the values that are not null and their length together. Ends with 1 when a reader finds anything else, or no text.
"""

import csv
import glob
import importlib.util
import sys


def with_pandas(files, column):
    import pandas

    texts = pandas.concat([pandas.read_parquet(file, columns=[column], partitioning=None)[column] for file in files]).dropna()
    return len(texts), int(texts.str.len().sum())


def with_polars(files, column):
    import polars

    texts = polars.scan_parquet(files, missing_columns="insert", extra_columns="ignore").select(polars.col(column).drop_nulls()).collect()[column]
    return len(texts), texts.str.len_chars().sum()


def with_pyarrow(files, column):
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    texts = ds.dataset(files).to_table(columns=[column])[column].drop_null()
    return len(texts), pc.sum(pc.utf8_length(texts)).as_py()


def with_duckdb(files, column):
    import duckdb

    return duckdb.execute(f"select count({column}), sum(length({column})) from read_parquet(?)", [files]).fetchone()


def with_pyspark(files, column):
    from pyspark.sql import SparkSession

    settings = {"spark.ui.enabled": "false", "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    spark = SparkSession.builder.master("local[1]").config(map=settings).getOrCreate()
    return tuple(spark.read.parquet(*files).selectExpr(f"count({column})", f"sum(length({column}))").collect()[0])


def with_chdb(files, column):
    import chdb

    selects = " union all ".join(f"select {column} as json from file('{file}')" for file in files)
    answer = str(chdb.query(f"select count(json), sum(lengthUTF8(json)) from ({selects}) format TSV"))
    return tuple(int(cell) for cell in answer.split())


def main(data_dir, exported, expected):
    with open(expected, newline="", encoding="utf-8-sig") as file:
        wanted = {row["name"]: (int(row["n"]), int(row["characters"])) for row in csv.DictReader(file)}
    lake = {name: sorted(glob.glob(f"{data_dir}/lake/{name}/**/*.parquet", recursive=True)) for name in ("events", "metrics")}
    cases = [("events", lake["events"], "properties"), ("metrics", lake["metrics"], "value"), ("export", [exported], "value")]
    failed = run = 0
    for reader, read in sorted((name[5:], read) for name, read in globals().items() if name.startswith("with_")):
        if importlib.util.find_spec(reader) is None:
            print(f"-      {reader} is not installed")
            continue
        for name, files, column in cases:
            run += 1
            try:
                found = tuple(int(number) for number in read(files, column))
            except Exception as error:
                found = repr(error)[:300]
            failed += found != wanted[name]
            print(f"{'ok    ' if found == wanted[name] else 'FAILED'} {reader}: JSON of {name}: {found}", flush=True)
    sys.exit(1 if failed or run == 0 else 0)


main(*sys.argv[1:])
