"""Reports split by dimensions: each combination of values is a world of its own, from the section on splits of docs/analyst.md."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from urllib.parse import urlsplit

from kpi_clock import Options
from kpi_lives import Tenant, order_of_life, order_of_unit, store_named
from kpi_reckon import Row, reckon
from kpi_world import OF_PASSES, Event, World

NONE = "(none)"
# What each report can be split by.
OF_PASS = ["pass_type", "store", "medium", "origin", "tag"]
SPLITS = {
    **dict.fromkeys(("first_installs", "gross_installs", "net_growth", "retention", "churn", "survival", "installation_rate"), [*OF_PASS, "platform"]),
    **dict.fromkeys(("installs", "passes_created", "scans", "platform_split", "wallet_status", "campaigns"), OF_PASS),
    "attribution": ["pass_type", "store", "platform"],
    "notifications": ["store", "campaign"],
}  # fmt: skip


def _source(event: Event, key: str):
    return (event.get("registrationSource") or {}).get(key)


def _medium(event: Event) -> str | None:
    return _source(event, "medium")


def _origin(event: Event) -> str | None:
    origin = _source(event, "origin")
    return urlsplit(origin).hostname if origin else None


def _tags(event: Event) -> list[str]:
    return list(dict.fromkeys(tag for tag in _source(event, "tags") or [] if tag))


OWN: dict[str, Callable[[Event], str | None]] = {
    "pass_type": lambda event: event.get("passType"),
    "store": store_named,
    "medium": _medium,
    "origin": _origin,
}


class Dimensions:
    """The values of a tenant's events in each dimension."""

    def __init__(self, tenant: Tenant) -> None:
        self.of_pass: dict[str, dict[str, object]] = {}
        registrations = [event for event in tenant.events if event.kind in ("installed", "uninstalled")]
        self.platforms = sorted({event.device for event in registrations}) or ["(unknown)"]
        events = [event for event in tenant.events if event.kind in OF_PASSES and event.pass_id is not None]
        for event in sorted(events, key=order_of_life):
            known = self.of_pass.setdefault(event.pass_id, {})
            if event.get("passType"):
                known["pass_type"] = event.get("passType")
            if event.kind in ("created", "installed") and store_named(event):
                known.setdefault("store", store_named(event))
        for name, value_of in (("medium", _medium), ("origin", _origin), ("tag", _tags)):
            # Of installations at the same step, the value that comes first in the alphabet.
            named = [event for event in events if event.kind == "installed" and value_of(event)]
            for event in sorted(named, key=lambda event: (*order_of_unit(event)[:3], value_of(event))):  # noqa: B023
                self.of_pass[event.pass_id].setdefault(name, value_of(event))

    def values(self, event: Event, name: str) -> list[str]:
        if name == "campaign":
            return [event.get("campaign") or NONE]
        if name == "platform":
            return [event.device] if event.kind in ("installed", "uninstalled") else self.platforms
        known = self.of_pass.get(event.pass_id) if event.pass_id is not None else None
        if name == "tag":
            return list((_tags(event) if known is None else known.get("tag")) or [NONE])
        value = OWN[name](event) if known is None else known.get(name)
        return [str(value or NONE)]


def reckon_split(name: str, tenant: Tenant, options: Options, reckoned: Callable[[str, Tenant, Options], list[Row]] = reckon) -> list[Row]:
    """The rows of every combination that has a figure other than 0 anywhere."""
    dimensions = Dimensions(tenant)
    segments: dict[tuple[str, ...], list[Event]] = {}
    for event in tenant.events:
        for combination in product(*(dimensions.values(event, name) for name in options.split)):
            segments.setdefault(combination, []).append(event)
    rows: list[Row] = []
    for combination, events in segments.items():
        part = Tenant(World(events, [], []), events[0].tenant, tenant.states)
        found = reckoned(name, part, options)
        if any(figures[column] for _, figures in found for column in figures if column not in ("is_cut", "coverage", "verified_share", "partial_share", "open_share")):
            rows += [({"period": keys.pop("period"), **dict(zip(options.split, combination, strict=True)), **keys}, figures) for keys, figures in found]
    return rows
