"""The rows of two brands, as the source returns them: lives of passes with ties, copies, odd spellings, and instants next to local midnights."""

from __future__ import annotations

import json
import random
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

FIRST = datetime(2026, 9, 3, 5, tzinfo=UTC)
NOW = datetime(2026, 11, 9, 12, 30, tzinfo=UTC)
TENANTS = ("acme", "nordlys")
# Midnights of these nights: in Santiago it does not exist, the others have a change of clocks on that day or none.
NIGHTS = [
    datetime(2026, 9, 6, 4, tzinfo=UTC), datetime(2026, 10, 4, 15, 30, tzinfo=UTC), datetime(2026, 10, 25, 0, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC), datetime(2026, 10, 29, 21, tzinfo=UTC), datetime(2026, 11, 1, 4, tzinfo=UTC),
    datetime(2026, 11, 1, 5, tzinfo=UTC), datetime(2026, 10, 11, 18, 15, tzinfo=UTC), datetime(2026, 9, 30, 22, tzinfo=UTC),
]  # fmt: skip
SPELLINGS = {
    "created": ["Pass:Created", "pass.created"],
    "updated": ["Pass:Updated", "pass.updated"],
    "installed": ["Pass:Installed", "pass.installed"],
    "uninstalled": ["Pass:Uninstalled", "pass.uninstalled"],
    "scanned": ["Pass:Scanned", "PASS:SCANNED"],
    "redirected": ["Redirect:Redirected", "redirect.redirected"],
    "notified": ["Notification:Sent", "notification.sent"],
    "viewed": ["PageView", "page.view"],
    "requested": ["ApiRequest", "api_request"],
    "other": ["Customer:Upserted"],
}
OF_PASSES = ("created", "updated", "installed", "uninstalled", "scanned")


@dataclass(frozen=True)
class Event:
    tenant: str
    id: str
    at: datetime
    kind: str
    properties: dict = field(compare=False)

    def get(self, *path: str):
        value = self.properties
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    @property
    def pass_id(self) -> str | None:
        return self.get("passId")

    @property
    def device(self) -> str:
        return (self.get("device") or "(unknown)").lower()


@dataclass(frozen=True)
class Log:
    tenant: str
    id: str
    at: datetime
    kind: str


@dataclass(frozen=True)
class Metric:
    tenant: str
    id: str
    at: datetime
    kind: str
    value: object = field(compare=False)
    pass_type: str


@dataclass
class World:
    events: list[Event] = field(default_factory=list)
    logs: list[Log] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)


def make_world(seed: int) -> World:
    world = World()
    for number, tenant in enumerate(TENANTS):
        dice = random.Random(seed * 100 + number)
        _events(world, tenant, dice, passes=70, count=2600)
        # The source keeps Logs for 45 days.
        instants = [at for at in (_instant(dice) for _ in range(600)) if at > NOW - timedelta(days=40)]
        world.logs += [Log(tenant, _id(dice), at, dice.choice(["Error", "Warning", "Information"])) for at in instants]
        _metrics(world, tenant, dice)
    return world


def _id(dice: random.Random) -> str:
    return str(uuid.UUID(int=dice.getrandbits(128), version=4))


def _instant(dice: random.Random) -> datetime:
    if dice.random() < 0.15:
        return dice.choice(NIGHTS) + timedelta(microseconds=dice.choice([-1, 0, 1, 59_999_999, 3_600_000_000, -3_600_000_000]))
    hours = int((NOW - FIRST) / timedelta(hours=1)) - 2
    at = FIRST + timedelta(hours=dice.randrange(hours))
    # Whole hours are frequent: ties, and rows at the edges of periods.
    return at if dice.random() < 0.2 else at + timedelta(microseconds=dice.randrange(3_600_000_000))


def _events(world: World, tenant: str, dice: random.Random, passes: int, count: int) -> None:
    types = [dice.choice(["loyalty", "loyalty", "gift", None]) for _ in range(passes)]
    devices = [dice.choice(["apple", "google", None]) for _ in range(passes)]
    for number in range(passes):
        properties = {"passId": f"P{number}", "passType": types[number], "metadata": {"storeId": dice.choice(["PAR", "LYO", None])}}
        # Often at the instant of an installation of the pass.
        at = FIRST + timedelta(hours=dice.randrange(900)) if dice.random() < 0.3 else _instant(dice)
        if dice.random() < 0.8:
            _add(world, tenant, dice, at, "created", properties)
    kinds = ["installed"] * 5 + ["uninstalled"] * 4 + ["scanned"] * 4 + ["updated", "redirected", "notified", "notified", "viewed", "requested", "other"]
    for _ in range(count):
        kind = dice.choice(kinds)
        number = min(dice.randrange(passes), dice.randrange(passes))
        properties: dict = {}
        if kind in (*OF_PASSES, "notified") and dice.random() < 0.98:
            properties["passId"] = f"P{number}"
            if types[number] and dice.random() < 0.7:
                properties["passType"] = types[number]
        if kind in ("installed", "uninstalled"):
            device = dice.choice(["apple", "google"]) if dice.random() < 0.3 else devices[number]
            properties["device"] = dice.choice([device, device.title()]) if device else None
            if dice.random() < 0.3:
                properties["registrationInformation"] = {"activeRegistrationCount": dice.choice([0, 1, 2])}
        if kind == "installed":
            properties["registrationSource"] = {
                "medium": dice.choice(["email", "qr", None]),
                "origin": dice.choice(["https://Shop.example/card?x=1", "https://brand.example", None]),
                "tags": dice.choice([[], ["spring"], ["spring", "news"], ["news", "news"]]),
            }
        if kind in ("installed", "redirected", "scanned"):
            properties["storeId"] = dice.choice(["PAR", "LYO", "NCE", None])
        if kind in ("installed", "redirected"):
            properties["redirectId"] = dice.choice(["qr-1", "qr-2", None])
        if kind == "notified":
            properties["campaign"] = dice.choice(["spring", "summer", None])
        if kind == "requested":
            properties["statusCode"] = dice.choice([200, 200, 204, 399, 400, 404, "500", "none"])
        _add(world, tenant, dice, _instant(dice), kind, properties)
        # The source sends some events again, in a later hour and with the same id.
        if kind in OF_PASSES and dice.random() < 0.05:
            event = world.events[-1]
            later = event.at + timedelta(hours=dice.randrange(1, 60))
            if later < NOW - timedelta(hours=2):
                world.events.append(Event(tenant, event.id, later, kind, event.properties))


def _add(world: World, tenant: str, dice: random.Random, at: datetime, kind: str, properties: dict) -> None:
    given = {key: value for key, value in properties.items() if value is not None or dice.random() < 0.5}
    world.events.append(Event(tenant, _id(dice), at, kind, given))


def _metrics(world: World, tenant: str, dice: random.Random) -> None:
    hours = int((NOW - FIRST) / timedelta(hours=1)) - 2
    for kind, pass_type in (("passes.installed", "loyalty"), ("passes.installed", "gift"), ("passes.total", "")):
        for hour in range(dice.randrange(200), hours):
            if dice.random() < 0.15:
                at = FIRST + timedelta(hours=hour, seconds=dice.randrange(1, 3599))
                value = {"apple": dice.randrange(90), "google": dice.randrange(50)} if pass_type else 7
                world.metrics.append(Metric(tenant, _id(dice), at, kind, value, pass_type))


def write_world(world: World, folder: Path, seed: int) -> None:
    """The files that a sandbox serves with `--data`."""
    dice = random.Random(seed)
    folder.mkdir(parents=True)

    def row(name: str, kind: str, item: Event | Log | Metric) -> dict:
        at = f"{item.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"
        return {f"{name}Id": item.id, "timestamp": at, "tenantId": item.tenant, f"{name}Type": kind}

    events = [
        {**row("event", dice.choice(SPELLINGS[event.kind]), event), "operationId": "", "properties": event.properties}
        for event in world.events
    ]
    logs = [{**row("event", log.kind, log), "operationId": "", "properties": {}} for log in world.logs]
    metrics = [
        {**row("metric", metric.kind, metric), "value": metric.value, "properties": {"passType": metric.pass_type} if metric.pass_type else None}
        for metric in world.metrics
    ]
    for name, rows in (("events", events), ("logs", logs), ("metrics", metrics)):
        (folder / f"{name}.ndjson").write_text("".join(json.dumps(each) + "\n" for each in rows))
