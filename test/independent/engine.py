"""Runs KQL on rows held in memory, with duckdb-kql and DuckDB: nothing of this project computes the answers.

duckdb-kql translates KQL to SQL. What it lacks for our queries is added here, with the semantics of Microsoft's
documentation. Three kinds of help:

- functions that it does not have: string_size, binary_all_xor;
- the types of the stored columns, which the translation cannot know. Without them it writes every case of every
  conversion into the SQL, nested, which grows to 18 MB for one fingerprint query;
- datetimes are exact: bin() counts microseconds instead of doubles, and the seventh digit, which DuckDB's timestamp
  lacks, is a column of its own that tostring(timestamp) appends.

Dynamic values are held as the text that was stored, so tostring() gives it back unchanged, whatever it is.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass

import duckdb
import duckdb_kql
import pyarrow
from duckdb_kql import ir
from duckdb_kql import translate as translation
from duckdb_kql.translate.functions import (
    AGGREGATE_FUNCTIONS,
    SCALAR_FUNCTIONS,
    AggregateSpec,
    FunctionSpec,
)

EVENT_COLUMNS = ["eventId", "timestamp", "tenantId", "eventType", "operationId", "properties"]
METRIC_COLUMNS = ["metricId", "tenantId", "metricType", "value", "properties", "timestamp"]
COLUMNS = {"Logs": EVENT_COLUMNS, "Events": EVENT_COLUMNS, "Metrics": METRIC_COLUMNS}

KINDS = {name: "text" for columns in COLUMNS.values() for name in columns}
KINDS |= {"timestamp": "time", "properties": "dynamic", "value": "dynamic"}

TICKS_PER_SECOND = 10_000_000
# Ticks from 0001-01-01, where .NET counts from, to 1970-01-01.
UNIX_EPOCH_TICKS = 621_355_968_000_000_000

TEXT_FUNCTIONS = {
    "tostring", "strcat", "substring", "tolower", "toupper", "strcat_array", "hash_md5", "hash_sha1", "hash_sha256",
}  # fmt: skip

_lone_surrogate = re.compile("[\ud800-\udfff]")


def unquote(text: str) -> str:
    """The text that a JSON string holds; half a surrogate pair is no character."""
    return _lone_surrogate.sub("\ufffd", json.loads(text))


def _is_text(node: ir.Expr) -> bool:
    if isinstance(node, ir.Literal):
        return node.kind == "string"
    if not isinstance(node, ir.FunctionCall):
        return False
    name = node.name.lower()
    return name in TEXT_FUNCTIONS or (name in ("iff", "iif") and _is_text(node.args[1]) and _is_text(node.args[2]))


def _kind(node: ir.Expr) -> str | None:
    return KINDS.get(node.name) if isinstance(node, ir.ColumnRef) else None


def _to_text(node: ir.Expr) -> str:
    sql = translation.render_expr(node)
    if _is_text(node):
        return sql
    match _kind(node):
        case "text":
            return f"coalesce({sql}, '')"
        case "dynamic":
            return f"kql_dynamic_text({sql})"
        case "time":
            return f"coalesce(strftime({sql}, '%Y-%m-%dT%H:%M:%S.%f') || _tick || 'Z', '')"
        case _:
            return f"kql_text({sql})"


def _or_else(name: str, render):
    """Use `render` for the calls that it can handle and duckdb-kql's own rendering for all others."""
    other = translation._SPECIAL_FORMS.get(name)

    def rendered(node: ir.FunctionCall) -> str | None:
        sql = render(node)
        return sql if sql is not None else other(node) if other is not None else None

    translation._SPECIAL_FORMS[name] = rendered


def _substring(node: ir.FunctionCall) -> str | None:
    if len(node.args) not in (2, 3):
        return None
    source = _to_text(node.args[0])
    start, *length = [translation.render_expr(arg) for arg in node.args[1:]]
    return f"kql_substring({source}, {start}, {length[0] if length else 2**31 - 1})"


def _gettype(node: ir.FunctionCall) -> str | None:
    if len(node.args) == 1 and _kind(node.args[0]) == "dynamic":
        return f"kql_dynamic_type({translation.render_expr(node.args[0])})"
    return None


def _pack_array(node: ir.FunctionCall) -> str | None:
    if all(_kind(arg) == "dynamic" for arg in node.args):
        parts = [f"coalesce({translation.render_expr(arg)}, 'null')" for arg in node.args]
        return "kql_dynamic('[' || " + " || ',' || ".join(parts) + " || ']')"
    return None


def _tolong(node: ir.FunctionCall) -> str | None:
    if len(node.args) == 1 and _is_text(node.args[0]):
        return f"try_cast({translation.render_expr(node.args[0])} as bigint)"
    return None


def _tostring(node: ir.FunctionCall) -> str | None:
    arg = node.args[0]
    # tostring(pack_array(x)) of dynamic values is text already.
    if isinstance(arg, ir.FunctionCall) and arg.name.lower() == "pack_array":
        packed = _pack_array(arg)
        if packed is not None:
            return packed
    return _to_text(arg) if len(node.args) == 1 else None


def _bin(node: ir.FunctionCall) -> str | None:
    if len(node.args) != 2:
        return None
    value, size = node.args
    if not (isinstance(size, ir.Literal) and size.kind == "timespan") or translation._is_timespan_expr(value):
        return None
    return f"kql_bin({translation.render_expr(value)}, epoch_us({translation.render_expr(size)}))"


def _install() -> None:
    SCALAR_FUNCTIONS["string_size"] = FunctionSpec("string_size", "template", "", (1,), note="special")
    SCALAR_FUNCTIONS.setdefault("strcat_array", FunctionSpec("strcat_array", "template", "", (2,), note="special"))
    AGGREGATE_FUNCTIONS.setdefault(
        "binary_all_xor", AggregateSpec("binary_all_xor", "coalesce(bit_xor({0}), 0)", (1,))
    )
    translation.render_kql_tostring = _to_text
    _or_else("string_size", lambda node: f"strlen({_to_text(node.args[0])})")
    _or_else("substring", _substring)
    _or_else("gettype", _gettype)
    _or_else("pack_array", _pack_array)
    _or_else("tolong", _tolong)
    _or_else("tostring", _tostring)
    _or_else("bin", _bin)
    _or_else("hash_md5", lambda node: f"kql_md5({_to_text(node.args[0])})")


_install()

MACROS = [
    # A null is '', a boolean is .NET's, a datetime has seven digits. duckdb-kql's own text for this is 40 times as long.
    """create macro kql_text(v) as list_transform([v], lambda _x: coalesce(case typeof(_x)
       when 'TIMESTAMP' then strftime(cast(_x as timestamp), '%Y-%m-%dT%H:%M:%S.%f') || '0Z'
       when 'BOOLEAN' then case cast(_x as varchar) when 'true' then 'True' else 'False' end
       when 'INTERVAL' then error('the text of a timespan is not needed here')
       else cast(_x as varchar) end, ''))[1]""",
    # Positions count from 0, and from the end if they are negative.
    """create macro kql_substring(s, start, n) as list_transform([s], lambda _s: substring(_s,
       (case when start < 0 then length(_s) + start else start end) + 1, greatest(n, 0)))[1]""",
    """create macro kql_bin(v, step) as list_transform([epoch_us(v)], lambda _u:
       make_timestamp(_u - ((_u % step) + step) % step))[1]""",
    "create macro kql_dynamic(v) as v",
    """create macro kql_dynamic_text(v) as case when v is null or v = 'null' then ''
       when v[1] = '"' then kql_unquote(v) else v end""",
    """create macro kql_dynamic_type(v) as case when v is null or v[1] = 'n' then 'null' when v[1] = '"' then 'string'
       when v[1] = '{' then 'dictionary' when v[1] = '[' then 'array' when v[1] in ('t', 'f') then 'bool'
       when regexp_matches(v, '[.eE]') then 'double' else 'long' end""",
]


@dataclass(frozen=True)
class Row:
    """One row at the source. `ticks` counts 100 ns from 1970; dynamic values are JSON text."""

    id: str | None
    ticks: int | None
    type: str = "Pass:Created"
    properties: str | None = "{}"
    operation: str = ""
    value: str | None = None
    tenant: str = "demo"


class Refused(Exception):
    """The engine rejects a query, as a client would see it."""


_database: duckdb.DuckDBPyConnection | None = None
_opening = threading.Lock()


def _cursor() -> duckdb.DuckDBPyConnection:
    """A connection to the one database of this process."""
    global _database
    with _opening:
        if _database is None:
            _database = duckdb.connect(":memory:", config={"threads": 2})
            _database.create_function("kql_unquote", unquote, ["VARCHAR"], "VARCHAR")
            for macro in MACROS:
                _database.execute(macro)
        return _database.cursor()


class Engine:
    """The tables of one tenant, in a schema of their own."""

    def __init__(self, name: str) -> None:
        self.lock = threading.Lock()
        self.connection = _cursor()
        self.connection.execute("set timezone = 'UTC'")
        # Planning costs more than reading some hundred rows.
        self.connection.execute("pragma disable_optimizer")
        self.connection.execute(f'create schema "{name}"')
        self.connection.execute(f"set search_path = '\"{name}\",main'")
        self.hash_of_nothing(True)
        for table in COLUMNS:
            self.load(table, [])

    def optimize(self) -> None:
        with self.lock:
            self.connection.execute("pragma enable_optimizer")

    def hash_of_nothing(self, is_empty: bool) -> None:
        """Microsoft's emulator says that hash_md5('') is ''; the documentation does not say so."""
        digest = "coalesce(md5(nullif(s, '')), '')" if is_empty else "md5(s)"
        with self.lock:
            self.connection.execute(f"create or replace macro kql_md5(s) as {digest}")

    def load(self, table: str, rows: list[Row]) -> None:
        metric = table == "Metrics"
        cells = {
            ("metricId" if metric else "eventId"): [row.id for row in rows],
            "micros": [None if row.ticks is None else row.ticks // 10 for row in rows],
            "_tick": [None if row.ticks is None else str(row.ticks % 10) for row in rows],
            "tenantId": [row.tenant for row in rows],
            ("metricType" if metric else "eventType"): [row.type for row in rows],
            "operationId": [row.operation for row in rows],
            "value": [row.value for row in rows],
            "properties": [row.properties for row in rows],
        }
        types = {name: pyarrow.int64() if name == "micros" else pyarrow.string() for name in cells}
        source = pyarrow.table({name: pyarrow.array(values, types[name]) for name, values in cells.items()})  # noqa: F841
        columns = ", ".join(
            "make_timestamp(micros) as timestamp" if name == "timestamp" else f'"{name}"' for name in COLUMNS[table]
        )
        with self.lock:
            self.connection.execute(f'create or replace table "{table}" as select {columns}, _tick from source')

    def run(self, kql: str, now: str) -> tuple[list[str], list[list[object]]]:
        """The names of the columns and the rows."""
        with self.lock:
            try:
                sql, values = _translated(kql, now)
                answer = self.connection.execute(sql, values) if values else self.connection.execute(sql)
                names = [column[0] for column in answer.description]
                rows = answer.fetchall()
            except duckdb_kql.KqlSyntaxError as error:
                raise Refused(f"BadRequest_SyntaxError: Syntax error: {error}") from error
            except (duckdb_kql.errors.KqlError, duckdb.Error) as error:
                raise Refused(f"BadRequest_SemanticError: Semantic error: {error}") from error
        return names, [[_wire(cell) for cell in row] for row in rows]


_schema = {table: [*columns, "_tick"] for table, columns in COLUMNS.items()}
_cache: dict[str, tuple[str, dict[str, object]]] = {}
_translating = threading.Lock()


def _translated(kql: str, now: str) -> tuple[str, dict[str, object]]:
    """The SQL of a query; the same query at another time differs only in one bound value."""
    with _translating:
        if kql not in _cache:
            sql = duckdb_kql.to_sql(kql, schema=_schema, query_now=now)
            _cache[kql] = (str(sql), dict(sql.parameters))
    sql, values = _cache[kql]
    return sql, {name: now.rstrip("Z") if name == translation.CLOCK_SLOT else value for name, value in values.items()}


def _wire(cell: object) -> object:
    if cell is None or isinstance(cell, (str, int, float, bool, list)):
        return cell
    if hasattr(cell, "isoformat"):
        return cell.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"
    return str(cell)
