"""Holds what other engines read from a lake against what the program itself exports: Delta tables, versions, and plain Parquet files.

Usage: lakehouse.py <node> <cli.js> <folder of the program> <admin URL> <readers, with commas> [<matrix.json>]
in a folder with `insights.yaml`, whose sandbox answers at the admin URL. Ends with 1 if a reader gives other rows.
"""

import json
import os
import subprocess
import sys
import threading
import time
import traceback
import urllib.request

import pyarrow
import pyarrow.parquet
from spark_views import compare_views

NODE, CLI, PROGRAM, ADMIN, CHOSEN, *REST = sys.argv[1:]
STORE, HEAD = os.path.abspath("data/store"), os.path.abspath("data/lake")
TABLES = ["events", "logs", "metrics"]
JSON_COLUMNS = {"properties", "value"}


def cli(*arguments):
    return subprocess.run([NODE, CLI, *arguments], check=True, capture_output=True, text=True).stdout


def expected(table, name):
    """The rows of the catalogue, exported by the program."""
    cli("export", "--query", f"select * from {table}", "--out", name, "--force")
    return canonical(pyarrow.parquet.read_table(name))


# Columns: every reader must give these kinds. The names are those of Arrow, in which each answer is compared.
def kind(type):
    text = str(type).replace("large_", "").replace("_view", "")
    if text.startswith("dictionary"):
        text = text[text.index("values=") + 7 : text.index(",")]
    if text.startswith("timestamp") and "tz=" in text:
        return "instant"
    if text.startswith("list"):
        return "list<string>"
    return "binary" if text == "binary" else text


def canonical(table, marked=False):
    """Columns with their kinds, and sorted rows in which every value is text: instants as microseconds since 1970 in UTC."""
    kinds, columns = {}, {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        kinds[name] = kind(column.type)
        if kinds[name] == "instant":
            column = column.cast(pyarrow.timestamp("us", "UTC")).cast(pyarrow.int64())
        values = column.to_pylist()
        if kinds[name] == "list<string>":
            values = [None if value is None else json.dumps(list(value)) for value in values]
        columns[name] = ["null" if value is None else f"={value}" for value in values]
    if marked and "tenant_id" in columns:
        # The names of folders have an underscore in front of ids that look like numbers or null.
        columns["tenant_id"] = [value.replace("=_", "=", 1) for value in columns["tenant_id"]]
    names = sorted(columns)
    return kinds, sorted(zip(*(columns[name] for name in names))), names


def same(found, wanted, what):
    kinds, rows, names = found
    wanted_kinds, wanted_rows, wanted_names = wanted
    if names != wanted_names:
        raise AssertionError(f"{what}: columns {sorted(set(names) ^ set(wanted_names))} differ")
    if kinds != wanted_kinds:
        raise AssertionError(f"{what}: types differ: { {n: (kinds[n], wanted_kinds[n]) for n in names if kinds[n] != wanted_kinds[n]} }")
    if rows != wanted_rows:
        odd = [(a, b) for a, b in zip(rows, wanted_rows) if a != b][:1]
        raise AssertionError(f"{what}: {len(rows)} rows, expected {len(wanted_rows)}; first difference {odd}")


class DeltaRs:
    name, package = "delta-rs", "deltalake"

    def open(self, path, version=None):
        from deltalake import DeltaTable

        return DeltaTable(path, version=version)

    def rows(self, opened):
        return opened.to_pyarrow_table()

    def version(self, opened):
        return opened.version()

    def vacuum(self, path):
        return self.open(path).vacuum(dry_run=True)

    def comments(self, path):
        return {field.name: (field.metadata or {}).get("comment") for field in self.open(path).schema().fields}


class Polars:
    name, package = "Polars, `use_pyarrow`", "polars"
    own = False

    def open(self, path, version=None):
        import polars
        from deltalake import DeltaTable

        # Polars opens the log with delta-rs and reads the files itself.
        table = DeltaTable(path, version=version)
        return polars.scan_delta(table, use_pyarrow=not self.own), table.version()

    def rows(self, opened):
        return opened[0].collect().to_arrow()

    def version(self, opened):
        return opened[1]


class PolarsOwn(Polars):
    # Takes tenant_id from the name of the folder, and not from the log.
    name, own, marked = "Polars", True, "in ids, the underscore of the folder"


class DuckDb:
    name, package = "DuckDB, extension `delta`", "duckdb-extension-delta"

    def open(self, path, version=None):
        import duckdb
        import duckdb_extension_delta

        folder = os.path.join(os.path.dirname(duckdb_extension_delta.__file__), "extensions", f"v{duckdb.__version__}")
        connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
        connection.execute(f"load '{folder}/delta.duckdb_extension'")
        connection.execute("set TimeZone = 'UTC'")
        number = "" if version is None else f", version {version}"
        connection.execute(f"attach '{path}' as opened (type delta, pin_snapshot{number})")
        # The first query pins the version.
        connection.execute("select 1 from opened limit 1").fetchall()
        return connection

    def rows(self, opened):
        found = opened.execute("select * from opened").arrow()
        return found.read_all() if hasattr(found, "read_all") else found

    def version(self, opened):
        return None


class Spark:
    name, package = "Spark with Delta", "delta-spark"
    session = None

    def spark(self):
        if Spark.session is None:
            from pyspark.sql import SparkSession

            jars = os.environ.get("SPARK_JARS", "")
            settings = {
                "spark.ui.enabled": "false",
                "spark.ui.showConsoleProgress": "false",
                "spark.sql.sources.parallelPartitionDiscovery.parallelism": "1",
                "spark.databricks.delta.snapshotPartitions": "1",
                "spark.driver.bindAddress": "127.0.0.1",
                "spark.driver.host": "127.0.0.1",
                "spark.sql.session.timeZone": "UTC",
                "spark.sql.shuffle.partitions": "1",
                "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
                "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
                "spark.databricks.delta.vacuum.logging.enabled": "false",
                "spark.databricks.delta.retentionDurationCheck.enabled": "false",
                "spark.jars": ",".join(os.path.join(jars, name) for name in sorted(os.listdir(jars)) if name.endswith(".jar")),
            }
            Spark.session = SparkSession.builder.master("local[1]").config(map=settings).getOrCreate()
            Spark.session.sparkContext.setLogLevel("ERROR")
        return Spark.session

    def open(self, path, version=None):
        reader = self.spark().read.format("delta")
        newest = self.spark().sql(f"describe history delta.`{path}` limit 1").first()["version"] if version is None else version
        return reader.option("versionAsOf", newest).load(path), newest

    def rows(self, opened):
        return opened[0].toArrow()

    def version(self, opened):
        return opened[1]

    def vacuum(self, path):
        return [row[0] for row in self.spark().sql(f"vacuum delta.`{path}` retain 24 hours dry run").collect() if row[0]]

    def comments(self, path):
        return {field.name: field.metadata.get("comment") for field in self.open(path)[0].schema}


class ChDb:
    name, package = "ClickHouse (chDB)", "chdb"

    def open(self, path, version=None):
        return path, newest(os.path.basename(path)) if version is None and "marts" not in path else version

    def rows(self, opened):
        import chdb

        path, version = opened
        at = "" if version is None else f", delta_lake_snapshot_version = {version}"
        query = f"select * from deltaLakeLocal('{path}') settings session_timezone = 'UTC'{at}"
        return pyarrow.ipc.open_file(pyarrow.BufferReader(chdb.query(query, "Arrow").bytes())).read_all()

    def version(self, opened):
        return opened[1]


# Plain Parquet: the head, `lake/<table>/v<number>/tenant_id=…/month=…`.
def version_folder(table):
    return f"{HEAD}/{table}/{next(name for name in os.listdir(f'{HEAD}/{table}') if name.startswith('v'))}"


def pandas_rows(table):
    import pandas

    return pyarrow.Table.from_pandas(pandas.read_parquet(version_folder(table), dtype_backend="pyarrow"), preserve_index=False)


def pyarrow_rows(table):
    import pyarrow.dataset

    return pyarrow.dataset.dataset(version_folder(table), partitioning="hive").to_table()


def polars_rows(table):
    import polars

    return polars.scan_parquet(f"{HEAD}/{table}/**/*.parquet", hive_partitioning=True).collect().to_arrow()


def spark_rows(table):
    return Spark().spark().read.parquet(version_folder(table)).toArrow()


def chdb_rows(table):
    import chdb

    query = f"select * from file('{HEAD}/{table}/v*/tenant_id=*/month=*/*.parquet') settings use_hive_partitioning = 1"
    return pyarrow.ipc.open_file(pyarrow.BufferReader(chdb.query(query, "Arrow").bytes())).read_all()


def lists_never_null(wanted):
    """ClickHouse has no list that is missing."""
    kinds, rows, names = wanted
    empty = [kinds[name].startswith("list") for name in names]
    return kinds, sorted(tuple("=[]" if is_list and value == "null" else value for value, is_list in zip(row, empty)) for row in rows), names


def hyparquet_rows(table):
    out = subprocess.run([NODE, f"{PROGRAM}/test/interop/hyparquet.mjs", version_folder(table)], check=True, capture_output=True, text=True).stdout
    rows = [json.loads(line) for line in out.splitlines()]
    names = [name for name in rows[0]]
    columns = {}
    for name in names:
        values = [row[name] for row in rows]
        if any(isinstance(value, dict) for value in values):
            # An instant in microseconds, or a whole number, as text.
            instants = any(isinstance(value, dict) and "us" in value for value in values)
            numbers = [None if value is None else int(value["us"] if instants else value["n"]) for value in values]
            columns[name] = pyarrow.array(numbers, pyarrow.timestamp("us", "UTC") if instants else pyarrow.int64())
        elif any(isinstance(value, list) for value in values):
            columns[name] = pyarrow.array(values, pyarrow.list_(pyarrow.string()))
        else:
            columns[name] = pyarrow.array(values, pyarrow.float64() if any(isinstance(value, (int, float)) for value in values) else pyarrow.string())
    return pyarrow.table(columns)


PLAIN = {
    "pandas": ("pandas", pandas_rows),
    "pyarrow": ("pyarrow", pyarrow_rows),
    "Polars": ("polars", polars_rows),
    "Spark": ("pyspark", spark_rows),
    "chDB": ("chdb", chdb_rows),
    "hyparquet": (None, hyparquet_rows),
}
DELTA = [DeltaRs(), PolarsOwn(), Polars(), DuckDb(), Spark(), ChDb()]
DELTA_FEATURES = ["rows", "types", "time travel", "isolation", "while writing", "marts", "comments", "vacuum"]


def rows_of(reader, found):
    return canonical(found, marked=hasattr(reader, "marked"))


def wanted_of(reader, want):
    return lists_never_null(want) if isinstance(reader, ChDb) else want


def installed(package):
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def post(path, body):
    urllib.request.urlopen(urllib.request.Request(ADMIN + path, data=body.encode(), method="POST")).read()


number = 0


def insert(tenant):
    """Rows with what readers get wrong: beyond 2^53, beyond ASCII, quotes, nulls, lists, JSON of all kinds."""
    global number
    number += 1
    odd = [
        {"registrationInformation": {"activeRegistrationCount": 9007199254740993}, "tags": ["a,b", 'say "x"', "日本 😀"], "statusCode": 200},
        {"passId": None, "text": "O'Brien\n\ttab \\ back", "n": 12345678901234567890},
        {},
    ]
    lines = [
        json.dumps({"eventId": f"odd-{number}-{n}", "timestamp": f"{DAY}T10:00:0{n}.123456{n}Z", "tenantId": tenant, "eventType": "Pass:Created", "properties": value})
        for n, value in enumerate(odd)
    ]
    post(f"/rows?table=Events&tenant={tenant}", "\n".join(lines))


def run():
    subprocess.run([NODE, CLI, "run", "--config", "insights.yaml", "--quiet"], check=True, stdout=subprocess.DEVNULL)


def newest(table):
    return max(int(name[:20]) for name in os.listdir(f"{STORE}/{table}/_delta_log") if name.endswith(".json"))


results, failed = {}, 0


def check(reader, feature, work):
    global failed
    try:
        answer = work()
        results.setdefault(reader, {})[feature] = answer or "yes"
    except Exception as error:
        if not isinstance(error, AssertionError):
            traceback.print_exc()
        results.setdefault(reader, {})[feature] = "no: " + str(error).split("\n")[0][:300]
        failed += 1
    print(f"{results[reader][feature]:6.300} | {reader}: {feature}", flush=True)


DAY = json.load(urllib.request.urlopen(ADMIN + "/clock"))["now"][:10]
DAY = time.strftime("%Y-%m-%d", time.gmtime(time.mktime(time.strptime(DAY, "%Y-%m-%d")) - 86400))
tenants = ["007", "null", "acme"]
run()
wanted = {0: {table: expected(table, f"{table}-0.parquet") for table in TABLES}}
chosen = None if CHOSEN == "all" else CHOSEN.split(",")
# With chosen readers only a part is tried, which takes a minute and not ten.
rounds = [[tenant] for tenant in tenants] if chosen is None else [tenants]
for version, several in enumerate(rounds, 1):
    for tenant in several:
        insert(tenant)
    run()
    wanted[version] = {"events": expected("events", f"events-{version}.parquet")}
assert newest("events") == len(rounds), newest("events")
marts = {name: expected(f"mart_{name}", f"mart-{name}.parquet") for name in sorted(os.listdir(f"{STORE}/marts"))[: None if chosen is None else 3] if os.path.isdir(f"{STORE}/marts/{name}")}

delta = [reader for reader in DELTA if (chosen is None or reader.package in chosen) and installed(reader.package)]
for reader in delta:
    path = f"{STORE}/events"

    def latest(types):
        for table in TABLES:
            want = wanted_of(reader, wanted[0].get(table) if table != "events" else wanted[len(rounds)]["events"])
            found = rows_of(reader, reader.rows(reader.open(f"{STORE}/{table}")))
            same(found if types else (want[0], *found[1:]), want, table)

    check(reader.name, "rows", lambda: latest(False) or getattr(reader, "marked", None) and f"yes; {reader.marked}" or isinstance(reader, ChDb) and "yes; a missing list is an empty one")
    check(reader.name, "types", lambda: latest(True))

    def travel():
        for version, tables in wanted.items():
            same(rows_of(reader, reader.rows(reader.open(path, version))), wanted_of(reader, tables["events"]), f"version {version}")

    check(reader.name, "time travel", travel)

    def every_mart():
        for name, want in marts.items():
            same(rows_of(reader, reader.rows(reader.open(f"{STORE}/marts/{name}"))), wanted_of(reader, want), name)

    check(reader.name, "marts", every_mart)
    if hasattr(reader, "comments"):
        check(reader.name, "comments", lambda: None if all(reader.comments(path).values()) else 1 / 0)
    if hasattr(reader, "vacuum"):

        def vacuum():
            left = reader.vacuum(path)
            assert left == [], left

        check(reader.name, "vacuum", vacuum)

# The views of `export spark`, against those of the catalogue.
spark = next((reader for reader in delta if isinstance(reader, Spark)), None)
if spark is not None:
    compare_views(spark.spark().sql, cli, check, canonical, same)

# A table that is opened before a publish shows the version at which it was opened.
before = {reader.name: (reader, reader.open(f"{STORE}/events")) for reader in delta}
insert("acme")
run()
version = newest("events")
wanted[version] = {"events": expected("events", "events-now.parquet")}
for name, (reader, opened) in before.items():
    check(name, "isolation", lambda: same(rows_of(reader, reader.rows(opened)), wanted_of(reader, wanted[version - 1]["events"]), "opened before"))

# While runs publish one version after the other: a reader gets one of them, whole.
for reader in delta if chosen is None else delta[:1]:
    stop = threading.Event()

    def write():
        while not stop.is_set():
            insert("acme")
            run()
            at = newest("events")
            wanted[at] = {"events": expected("events", "events-now.parquet")}

    writer = threading.Thread(target=write)
    first = newest("events")
    writer.start()
    seen = []

    def reading():
        until = time.time() + (6 if chosen else 15)
        while time.time() < until or len({at for at, _ in seen}) < 2 and time.time() < until + 60:
            opened = reader.open(f"{STORE}/events")
            seen.append((reader.version(opened), rows_of(reader, reader.rows(opened))))

    try:
        check(reader.name, "while writing", reading)
    finally:
        stop.set()
        writer.join()

    def whole():
        for at, found in seen:
            if at is None:
                assert any(found[1] == tables["events"][1] for tables in wanted.values()), "rows of no version"
            else:
                same(found, wanted_of(reader, wanted[at]["events"]), f"version {at}")
        return f"yes, {len(seen)} reads"

    check(reader.name, "while writing", whole)

if chosen is None:
    for table in TABLES:
        wanted["head"] = {**wanted.get("head", {}), table: expected(table, f"{table}-now.parquet")}
    for name, (package, rows) in PLAIN.items():
        if package is not None and not installed(package):
            continue

        def plain(types):
            for table in TABLES:
                want = wanted["head"][table] if name != "chDB" else lists_never_null(wanted["head"][table])
                found = canonical(rows(table), marked=True)
                found = ({column: each for column, each in found[0].items() if column != "row_digest"}, *without(found, "row_digest"))
                same(found if types else (want[0], *found[1:]), want, table)

        def without(found, column):
            _, lines, names = found
            if column not in names:
                return lines, names
            at = names.index(column)
            return sorted(line[:at] + line[at + 1 :] for line in lines), names[:at] + names[at + 1 :]

        check(f"{name}, Parquet", "rows", lambda: plain(False) or name == "chDB" and "yes; a missing list is an empty one")
        check(f"{name}, Parquet", "types", lambda: plain(True))

if REST:
    versions = {reader.name: f"{reader.package} {installed(reader.package)}" for reader in DELTA if installed(reader.package)}
    versions.update({f"{name}, Parquet": f"{package} {installed(package)}" if package else f"hyparquet {json.load(open(f'{PROGRAM}/node_modules/hyparquet/package.json'))['version']}" for name, (package, _) in PLAIN.items() if package is None or installed(package)})
    json.dump({"results": results, "versions": versions, "delta": [reader.name for reader in DELTA], "plain": [f"{name}, Parquet" for name in PLAIN], "features": DELTA_FEATURES, "views": {kind: results.get(f"Spark, {kind}", {}) for kind in ["state models", "periods", "typed views"]}}, open(REST[0], "w"), indent=1)
print(f"{failed} failed")
sys.exit(1 if failed else 0)
