"""The life of each pass, one event after the other, from the section on state of docs/analyst.md."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

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


class Tenant:
    def __init__(self, world: World, tenant: str, states: dict[str, dict[datetime, str]]) -> None:
        self.states = states
        self.events = sorted((event for event in world.events if event.tenant == tenant), key=lambda event: (event.at, event.id))
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
        kinds: set[tuple[str, str, str]] = set()
        for event in self.events:
            if event.kind not in OF_PASSES or event.pass_id is None:
                continue
            if event.get("passType"):
                self.type_of[event.pass_id] = event.get("passType")
            if event.id in seen:
                continue
            seen.add(event.id)
            self.pass_events.append(event)
            store = event.get("storeId") or event.get("metadata", "storeId")
            if event.kind in ("created", "installed") and store:
                store_of.setdefault(event.pass_id, store)
            if event.kind not in ("installed", "uninstalled"):
                continue
            unit = (event.pass_id, event.device)
            self.registrations.append(Registration(event, (*unit, event.kind) not in kinds, store_of.get(event.pass_id)))
            kinds.add((*unit, event.kind))
            count = event.get("registrationInformation", "activeRegistrationCount")
            is_active = count > 0 if count is not None else event.kind == "installed"
            if is_active != active.get(unit, False):
                self.changes.append(Change(*unit, event.at, is_active, unit not in active))
                active[unit] = is_active

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
