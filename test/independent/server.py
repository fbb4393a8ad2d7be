"""A second Insights API: `POST /api/{tenantId}/insights/query` on the loopback interface, as the vendor documents it.

The rate limit of the real service is left out, because the cases would wait for it. The clock of each tenant can be set,
and `Fault`s make single answers odd.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from engine import Engine, Refused, Row

KEY = "judge-key"

Cells = list[list[object]]


def is_fingerprint(query: str) -> bool:
    return "materialize(" in query


def is_page(query: str) -> bool:
    return "| take " in query and "materialize(" not in query


@dataclass
class Fault:
    """Changes the answers to the next `times` queries that match."""

    match: Callable[[str], bool]
    times: int | None = 1
    status: int | None = None
    body: str | None = None
    content_type: str = "application/problem+json"
    headers: dict[str, str] = field(default_factory=dict)
    rows: Callable[[Cells], Cells] | None = None
    fired: int = 0

    def applies(self, query: str) -> bool:
        return (self.times is None or self.fired < self.times) and self.match(query)


def compact(names: list[str], rows: Cells) -> str:
    return json.dumps({"rows": rows}, ensure_ascii=False, separators=(",", ":"))


class Tenant:
    def __init__(self, name: str) -> None:
        self.name = name
        self.engine = Engine(name)
        self.tables: dict[str, list[Row]] = {"Logs": [], "Events": [], "Metrics": []}
        # How far its clock is ahead of the machine, and how far the machine is ahead of the real time.
        self.clock = timedelta(0)
        self.shift = timedelta(0)
        self.faults: list[Fault] = []
        self.queries: list[str] = []
        self.seen = 0
        self.refusals: list[str] = []
        self.write: Callable[[list[str], Cells], str] = compact

    def now(self) -> datetime:
        return datetime.now(UTC) + self.shift + self.clock

    def set(self, table: str, rows: list[Row]) -> None:
        self.tables[table] = list(rows)
        self.engine.load(table, self.tables[table])

    def answer(self, query: str) -> tuple[int, str, str, dict[str, str]]:
        self.queries.append(query)
        fault = next((fault for fault in self.faults if fault.applies(query)), None)
        if fault is not None:
            fault.fired += 1
            if fault.rows is None:
                status = fault.status or 200
                return status, fault.body or problem(status, "The request could not be handled."), fault.content_type, fault.headers
        try:
            names, rows = self.engine.run(query, self.now().strftime("%Y-%m-%dT%H:%M:%S.%f"))
        except Refused as refusal:
            self.refusals.append(f"{refusal}\n{query}")
            return 400, problem(400, str(refusal)), "application/problem+json", {}
        if fault is not None and fault.rows is not None:
            rows = fault.rows(rows)
        return 200, self.write(names, rows), "application/json; charset=utf-8", {}


def problem(status: int, detail: str) -> str:
    return json.dumps({"type": "about:blank", "title": "Error", "status": status, "detail": detail, "instance": None})


class Server:
    """Serves its tenants until it is closed."""

    def __init__(self) -> None:
        self.tenants: dict[str, Tenant] = {}
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def tenant(self, name: str) -> Tenant:
        if name not in self.tenants:
            self.tenants[name] = Tenant(name)
        return self.tenants[name]

    def close(self) -> None:
        self.http.shutdown()

    def _respond(self, path: str, headers, body: bytes) -> tuple[int, str, str, dict[str, str]]:
        kind = "application/problem+json"
        key = headers.get("x-api-key") or (headers.get("authorization") or "").removeprefix("Bearer ")
        if key != KEY:
            return 401, problem(401, "The API key is missing or invalid."), kind, {}
        match path.strip("/").split("/"):
            case ["api", name, "insights", "query"] if name in self.tenants:
                pass
            case _:
                return 404, problem(404, "There is no such tenant."), kind, {}
        try:
            request = json.loads(body)
        except ValueError:
            return 400, problem(400, "The body is not JSON."), kind, {}
        unknown = set(request) - {"query", "parameters", "options"}
        if unknown or not isinstance(request.get("query"), str):
            return 400, problem(400, f"Fields that are not allowed: {sorted(unknown)}"), kind, {}
        return self.tenants[name].answer(request["query"])

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                try:
                    status, text, kind, headers = server._respond(self.path, self.headers, body)
                except Exception as error:
                    status, text, kind, headers = 500, problem(500, f"The judge's server failed: {error!r}"), "application/json", {}
                    print(f"judge: server error: {error!r}", flush=True)
                payload = text.encode()
                self.send_response(status)
                for name, value in {"content-type": kind, "content-length": str(len(payload)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(payload)

            def do_GET(self) -> None:
                self.send_error(405)

            def log_message(self, *_) -> None:
                pass

        return Handler
