"""Asks Polars and Spark the questions of `npm run layout`, of which each reader gets the same answer in the same form.

First prints the readers that this Python has, as a line of JSON. Then each line of input is a reader and a folder with the questions, and the line of
output is of each question the answer and its seconds, or why the reader refuses. An engine starts once for the whole run and opens each folder once.
"""

import importlib.metadata
import json
import os
import sys
import time
import uuid
from datetime import datetime

# Engines print to standard output, too: only answers go there.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

DAY = 86_400_000_000


class Polars:
    name, package = "Polars", "polars"

    def __init__(self):
        import polars

        self.pl, self.opened = polars, {}

    def open(self, folder):
        if folder not in self.opened:
            events = self.pl.scan_parquet(f"{folder}/**/*.parquet", hive_partitioning=False)
            self.opened[folder] = events, events.collect_schema()
        self.events, self.schema = self.opened[folder]

    def micros(self):
        return self.pl.col("timestamp").dt.epoch("us")

    def bytes(self):
        return self.pl.col("properties").str.len_bytes().cast(self.pl.Int64).sum()

    def whole(self, asked):
        return self.events.select(self.pl.len(), (self.micros() % DAY).sum(), self.bytes()).collect().rows()

    def installs(self, asked):
        day = self.pl.col("timestamp").dt.date().alias("day")
        chosen = self.events.filter(self.pl.col("event_type").is_in(asked["types"]))
        return chosen.group_by(day).agg(self.pl.len()).sort("day").collect().rows()

    def pass_(self, asked):
        chosen = self.events.filter(self.pl.col("pass_id") == asked["pass"])
        return chosen.select(self.micros(), "event_type").collect().sort("timestamp", "event_type").rows()

    def day(self, asked):
        at, (start, end) = self.pl.col("timestamp"), (datetime.fromisoformat(asked[name]) for name in ("from", "to"))
        return self.events.filter(at >= start, at < end).select(self.pl.len(), self.bytes()).collect().rows()

    def id(self, asked):
        # Polars has no UUIDs: a column of them holds their 16 bytes.
        wanted = uuid.UUID(asked["id"]).bytes if self.schema["event_id"] == self.pl.Binary else asked["id"]
        chosen = self.events.filter(self.pl.col("event_id") == wanted)
        return chosen.select(self.micros(), "event_type", "properties").collect().rows()


class Spark:
    name, package = "Spark", "pyspark"

    def __init__(self):
        from pyspark.sql import SparkSession

        settings = {
            "spark.ui.enabled": "false",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.shuffle.partitions": "2",
        }
        builder = SparkSession.builder.master("local[2]").appName("layout")
        for key, value in settings.items():
            builder = builder.config(key, value)
        self.spark = builder.getOrCreate()
        self.spark.sparkContext.setLogLevel("OFF")
        self.opened = {}

    def open(self, folder):
        if folder not in self.opened:
            self.opened[folder] = self.spark.read.parquet(folder)
        self.opened[folder].createOrReplaceTempView("events")

    def rows(self, sql, **values):
        return [tuple(row) for row in self.spark.sql(sql, args=values).collect()]

    def whole(self, asked):
        return self.rows(
            f"select count(*), sum(pmod(unix_micros(timestamp), {DAY})), sum(octet_length(properties)) from events"
        )

    def installs(self, asked):
        types = ", ".join(f":type{nth}" for nth in range(len(asked["types"])))
        return self.rows(
            f"select date(timestamp) as day, count(*) from events where event_type in ({types}) group by day order by day",
            **{f"type{nth}": value for nth, value in enumerate(asked["types"])},
        )

    def pass_(self, asked):
        return self.rows(
            "select unix_micros(timestamp), event_type from events where pass_id = :pass order by 1, 2", **{"pass": asked["pass"]}
        )

    def day(self, asked):
        start, end = (f"timestamp '{asked[name]}'" for name in ("from", "to"))
        return self.rows(
            f"select count(*), sum(octet_length(properties)) from events where timestamp >= {start} and timestamp < {end}"
        )

    def id(self, asked):
        return self.rows("select unix_micros(timestamp), event_type, properties from events where event_id = :id", id=asked["id"])


def texts(rows):
    return [[None if value is None else str(value) for value in row] for row in rows]


def answer(reader, question, request):
    try:
        reader.open(request["folder"])
        ask = getattr(reader, "pass_" if question == "pass" else question)
        start = time.perf_counter()
        rows = ask(request["asked"])
        return {"answer": texts(rows), "seconds": time.perf_counter() - start}
    except Exception as error:
        return {"refused": (str(error).strip().splitlines() or [type(error).__name__])[0][:200]}


def ask(reader, request):
    return {question: answer(reader, question, request) for question in request["questions"]}


def started(kind):
    try:
        return kind(), importlib.metadata.version(kind.package)
    except ImportError:
        return None


def say(message):
    print(json.dumps(message), file=answers, flush=True)


readers = {found[0].name: found for found in map(started, (Polars, Spark)) if found is not None}
say({"readers": {name: version for name, (_, version) in readers.items()}})
for line in sys.stdin:
    request = json.loads(line)
    say(ask(readers[request["reader"]][0], request))
