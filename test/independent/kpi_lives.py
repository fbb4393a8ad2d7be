"""The life of each pass, one event after the other, from the section on state of docs/analyst.md."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlsplit

from kpi_clock import Options
from kpi_world import OF_PASSES, Event, World


@dataclass(frozen=True)
class Change:
    """A unit (a pass on a platform) became active or inactive."""

    pass_id: str
    platform: str
    at: datetime
    is_active: bool
    is_first: bool


@dataclass(frozen=True)
class Registration:
    event: Event
    is_first: bool
    pass_store: str | None


STEPS = {"created": 1, "installed": 2, "uninstalled": 4}


def registrations_left(event: Event) -> int | None:
    return event.get("registrationInformation", "activeRegistrationCount")


def leaves_active(event: Event) -> bool:
    count = registrations_left(event)
    return count > 0 if count is not None else event.kind == "installed"


def store_named(event: Event) -> str | None:
    return event.get("storeId") or event.get("metadata", "storeId")


def alphabetical(*texts: object) -> tuple:
    """A key in which what is missing comes last."""
    return tuple((not text, text or "") for text in texts)


def order_of_life(event: Event) -> tuple:
    """At one instant, a pass is created, installed, scanned or changed, and removed, in this order."""
    # What decides less comes first: an installation that leaves nothing active, a removal that leaves something.
    is_decisive = leaves_active(event) == (event.kind == "installed")
    return event.at, STEPS.get(event.kind, 3), is_decisive, *alphabetical(store_named(event), event.get("passType"))


def order_of_unit(event: Event) -> tuple:
    source = event.get("registrationSource") or {}
    host = urlsplit(source["origin"]).hostname if source.get("origin") else None
    return *order_of_life(event)[:3], *alphabetical(source.get("medium"), host), not source.get("tags"), source.get("tags") or []


class Tenant:
    def __init__(self, world: World, tenant: str, states: dict[str, dict[datetime, str]]) -> None:
        self.states = states
        self.events = sorted((event for event in world.events if event.tenant == tenant), key=order_of_life)
        self.logs = [log for log in world.logs if log.tenant == tenant]
        self.metrics = [metric for metric in world.metrics if metric.tenant == tenant]
        self.pass_events: list[Event] = []
        self.type_of: dict[str, str] = {}
        self.registrations: list[Registration] = []
        self.changes: list[Change] = []
        self._replay()

    def _replay(self) -> None:
        seen: set[str] = set()
        store_of: dict[str, str] = {}
        active: dict[tuple[str, str], bool] = {}
        for event in self.events:
            if event.kind not in OF_PASSES or event.pass_id is None:
                continue
            if event.get("passType"):
                self.type_of[event.pass_id] = event.get("passType")
            if event.id in seen:
                continue
            seen.add(event.id)
            self.pass_events.append(event)
            store = store_named(event)
            if event.kind in ("created", "installed") and store:
                store_of.setdefault(event.pass_id, store)
            if event.kind not in ("installed", "uninstalled"):
                continue
            unit = (event.pass_id, event.device)
            self.registrations.append(Registration(event, False, store_of.get(event.pass_id)))
            is_active = leaves_active(event)
            if is_active != active.get(unit, False):
                self.changes.append(Change(*unit, event.at, is_active, unit not in active))
                active[unit] = is_active
        firsts: dict[tuple[str, str, str], Event] = {}
        for each in sorted((each.event for each in self.registrations), key=order_of_unit):
            firsts.setdefault((each.pass_id, each.device, each.kind), each)
        is_first = {id(event) for event in firsts.values()}
        self.registrations = [replace(each, is_first=id(each.event) in is_first) for each in self.registrations]

    def chosen(self, items: Iterable, options: Options, with_platform: bool = True) -> list:
        """Those of the type and platform that the options name."""
        return [
            item for item in items
            if options.pass_type in (None, self.type_of.get(item.pass_id))
            and (not with_platform or options.platform in (None, getattr(item, "platform", None) or getattr(item, "device", None)))
        ]  # fmt: skip

    def installs(self, options: Options, kind: str = "installed") -> list[Registration]:
        return [each for each in self.registrations if each.event.kind == kind and self.chosen([each.event], options)]


class State:
    """Which units are active after some changes."""

    def __init__(self) -> None:
        self.units: set[tuple[str, str]] = set()
        self.ever: set[str] = set()
        self.platforms: set[str] = set()

    def apply(self, change: Change) -> None:
        unit = (change.pass_id, change.platform)
        self.platforms.add(change.platform)
        if change.is_active:
            self.units.add(unit)
            self.ever.add(change.pass_id)
        else:
            self.units.discard(unit)

    def passes(self) -> set[str]:
        return {pass_id for pass_id, _ in self.units}
