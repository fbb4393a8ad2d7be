"""Every report, computed from the rows with loops and dictionaries, from docs/analyst.md."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from urllib.parse import urlsplit

from kpi_clock import HOUR, Options, Period, before_end, coverage_of, in_range, names_between, period_of, periods_of, states_between
from kpi_lives import Change, State, Tenant

DAY = timedelta(days=1)
NONE = "(none)"
# A row: what it is about, and its figures.
Row = tuple[dict[str, object], dict[str, object]]
Isin = Callable[[datetime], bool]


def ratio(part: int, whole: int) -> Fraction | None:
    return None if whole == 0 else Fraction(part, whole)


def state_at_end(changes: list[Change], period: Period, options: Options) -> State:
    state = State()
    for change in changes:
        if before_end(change.at, options) and period_of(change.at, options) <= period.name:
            state.apply(change)
    return state


def _by(items: Iterable, key: Callable[[object], object]) -> dict:
    groups: dict = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(groups)


def _distinct(items: Iterable[str | None]) -> int:
    return len({item for item in items if item is not None})


def passes_created(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    created = tenant.chosen((event for event in tenant.pass_events if event.kind == "created"), options)
    return [({}, {"passes_created": _distinct(event.pass_id for event in created if isin(event.at))})]


def gross_installs(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    count = lambda kind: sum(isin(each.event.at) for each in tenant.installs(options, kind))  # noqa: E731
    return [({}, {"installs": count("installed"), "uninstalls": count("uninstalled")})]


def installs(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    found = _by((each for each in tenant.installs(options) if isin(each.event.at)), lambda each: each.event.device)
    return [({"platform": name}, {"installs": len(each), "first_installs": sum(one.is_first for one in each)}) for name, each in found.items()]


def first_installs(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    count = lambda kind: sum(each.is_first and isin(each.event.at) for each in tenant.installs(options, kind))  # noqa: E731
    return [({}, {"first_installs": count("installed"), "first_uninstalls": count("uninstalled")})]


def net_growth(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    found = [change for change in tenant.chosen(tenant.changes, options) if isin(change.at)]
    first = sum(change.is_active and change.is_first for change in found)
    again = sum(change.is_active and not change.is_first for change in found)
    removed = sum(not change.is_active for change in found)
    return [({}, {"installed": first, "reinstalled": again, "removed": removed, "net_growth": first + again - removed})]


def active_passes(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    state = state_at_end(tenant.chosen(tenant.changes, options), period, options)
    last: dict[tuple[str, str], tuple[datetime, int]] = {}
    known: set[tuple[str, str]] = set()
    for metric in tenant.metrics:
        if metric.kind != "passes.installed" or options.pass_type not in (None, metric.pass_type):
            continue
        for platform, value in metric.value.items():
            if options.platform not in (None, platform):
                continue
            series = (metric.pass_type, platform)
            if isin(metric.at):
                last[series] = max(last.get(series, (metric.at, value)), (metric.at, value))
            if isin(metric.at) or period.starts_at - 30 * DAY <= metric.at < period.starts_at:
                known.add(series)
    is_whole = len(last) == len(known) > 0
    snapshot = sum(value for _, value in last.values()) if is_whole else None
    return [({}, {
        "active_passes": len(state.passes()), "active_units": len(state.units),
        "snapshot_units": snapshot, "snapshot_series": len(last), "known_series": len(known),
    })]  # fmt: skip


def retention(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    state = state_at_end(tenant.chosen(tenant.changes, options), period, options)
    active, ever = len(state.passes()), len(state.ever)
    return [({}, {"ever_installed": ever, "active_passes": active, "retention": ratio(active, ever)})]


def churn(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    state, gone, at_start = State(), set(), None
    for change in tenant.chosen(tenant.changes, options):
        if not before_end(change.at, options) or period_of(change.at, options) > period.name:
            continue
        if isin(change.at) and at_start is None:
            at_start = len(state.passes())
        state.apply(change)
        if isin(change.at) and not change.is_active and change.pass_id not in state.passes():
            gone.add(change.pass_id)
    at_start = len(state.passes()) if at_start is None else at_start
    return [({}, {"active_at_start": at_start, "churned_passes": len(gone), "churn_rate": ratio(len(gone), at_start)})]


def wallet_status(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    past = lambda at: before_end(at, options) and period_of(at, options) <= period.name  # noqa: E731
    state = state_at_end(tenant.chosen(tenant.changes, options, with_platform=False), period, options)
    passes = {event.pass_id for event in tenant.chosen(tenant.pass_events, options, with_platform=False) if past(event.at)}
    counts = dict.fromkeys(("apple", "both", "google", "none", "unknown"), 0)
    for pass_id in passes:
        held = {platform for owner, platform in state.units if owner == pass_id}
        wallets = held & {"apple", "google"}
        counts["both" if len(wallets) == 2 else wallets.pop() if wallets else "unknown" if held else "none"] += 1
    return [
        ({"wallet_status": name}, {"passes_in_status": count, "share": ratio(count, len(passes))})
        for name, count in counts.items()
        if name != "unknown" or count > 0
    ]


def installation_rate(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    created: dict[str, datetime] = {}
    for event in tenant.pass_events:
        if event.kind == "created" and isin(event.at) and tenant.chosen([event], options, with_platform=False):
            created.setdefault(event.pass_id, event.at)
    later = {each.event.pass_id for each in tenant.installs(options) if each.event.at >= created.get(each.event.pass_id, datetime.max.replace(tzinfo=each.event.at.tzinfo))}
    return [({}, {"created": len(created), "installed_later": len(later), "installation_rate": ratio(len(later), len(created))})]


def installation_rate_period(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    created = _distinct(event.pass_id for event in tenant.chosen(tenant.pass_events, options, with_platform=False) if event.kind == "created" and isin(event.at))
    installed = _distinct(each.event.pass_id for each in tenant.installs(options) if isin(each.event.at))
    return [({}, {"created": created, "installed": installed, "installed_per_created": ratio(installed, created)})]


def known_until(tenant: Tenant) -> datetime:
    return max(hour if state == "open" else hour + HOUR for hour, state in tenant.states["events"].items())


SURVIVAL_AGES = (1, 7, 30, 90, 180, 365)


def survival(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    changes = _by(tenant.chosen(tenant.changes, options), lambda change: change.pass_id)
    cohort = {pass_id: each for pass_id, each in changes.items() if isin(each[0].at)}
    figures: dict[str, object] = {"cohort": len(cohort)}
    counts: dict[int, int | None] = {}
    for days in SURVIVAL_AGES:
        alive = 0
        for each in cohort.values():
            state = State()
            for change in each:
                if change.at <= each[0].at + days * DAY:
                    state.apply(change)
            alive += len(state.units) > 0
        is_old = known_until(tenant) >= period.ends_at + days * DAY
        counts[days] = alive if is_old else None
    for days in (7, 30, 90):
        alive = counts[days]
        figures[f"survival_d{days}"] = None if alive is None else ratio(alive, len(cohort))
    figures |= {f"alive_d{days}": alive for days, alive in counts.items()}
    return [({}, figures)]


def view_to_install(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    views = sum(event.kind == "viewed" and isin(event.at) for event in tenant.events)
    found = sum(isin(each.event.at) for each in tenant.installs(Options()))
    return [({}, {"page_views": views, "installs": found, "installs_per_view": ratio(found, views)})]


def redirect_to_install(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    by_store = options.by in (None, "store")
    redirects = _by(
        (event for event in tenant.events if event.kind == "redirected" and isin(event.at)),
        lambda event: event.get("storeId" if by_store else "redirectId") or NONE,
    )
    found = _by(
        (each for each in tenant.installs(Options()) if isin(each.event.at)),
        lambda each: (each.event.get("storeId") or each.pass_store if by_store else each.event.get("redirectId")) or NONE,
    )
    return [
        ({"place": place}, {"redirects": len(redirects.get(place, [])), "installs": len(found.get(place, [])),
         "installs_per_redirect": ratio(len(found.get(place, [])), len(redirects.get(place, [])))})
        for place in {*redirects, *found}
    ]  # fmt: skip


def attribution(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    found = [each.event for each in tenant.installs(options) if each.is_first and isin(each.event.at)]
    counts: dict[str, int] = defaultdict(int)
    for event in found:
        source = event.get("registrationSource") or {}
        if options.by in (None, "medium"):
            names = [source.get("medium")]
        elif options.by == "origin":
            names = [urlsplit(source["origin"]).hostname if source.get("origin") else None]
        else:
            names = source.get("tags") or [None]
        for name in set(names):
            counts[name or NONE] += 1
    return [({"source": name}, {"first_installs": count, "share": ratio(count, len(found))}) for name, count in counts.items()]


def platform_split(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    state = state_at_end(tenant.chosen(tenant.changes, options, with_platform=False), period, options)
    counts = {name: sum(platform == name for _, platform in state.units) for name in state.platforms}
    return [({"platform": name}, {"active_units": count, "share": ratio(count, len(state.units))}) for name, count in counts.items()]


def scans(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    found = [event for event in tenant.chosen(tenant.pass_events, options, with_platform=False) if event.kind == "scanned" and isin(event.at)]
    active = len(state_at_end(tenant.chosen(tenant.changes, options, with_platform=False), period, options).passes())
    passes = _distinct(event.pass_id for event in found)
    return [({}, {"scans": len(found), "scanning_passes": passes, "active_passes": active, "scan_rate": ratio(passes, active)})]


def notifications(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    found = [event for event in tenant.events if event.kind == "notified" and isin(event.at)]
    return [({}, {"notifications": len(found), "notified_passes": _distinct(event.pass_id for event in found)})]


def campaigns(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    sent = [event for event in tenant.events if event.kind == "notified" and isin(event.at) and options.pass_type in (None, tenant.type_of.get(event.pass_id))]
    reactions = {
        "scanned": [event for event in tenant.pass_events if event.kind == "scanned"],
        "removed": [change for change in tenant.changes if not change.is_active],
        "reinstalled": [change for change in tenant.changes if change.is_active and not change.is_first],
    }
    rows: list[Row] = []
    for campaign, events in _by(sent, lambda event: event.get("campaign") or NONE).items():
        passes = {event.pass_id for event in events} - {None}
        figures: dict[str, object] = {"notifications": len(events), "notified_passes": len(passes)}
        for name, happened in reactions.items():
            for days in (1, 7):
                figures[f"{name}_d{days}"] = len({
                    event.pass_id for event in events for each in happened
                    if each.pass_id == event.pass_id and event.at < each.at <= event.at + days * DAY
                })  # fmt: skip
        figures["scan_rate_d7"] = ratio(figures["scanned_d7"], len(passes))
        figures["removal_rate_d7"] = ratio(figures["removed_d7"], len(passes))
        rows.append(({"campaign": campaign}, figures))
    return rows


def api_error_rate(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    statuses = [str(event.get("statusCode")) for event in tenant.events if event.kind == "requested" and isin(event.at)]
    errors = sum(status.isdigit() and int(status) >= 400 for status in statuses)
    without = sum(not status.isdigit() for status in statuses)
    return [({}, {"requests": len(statuses), "errors": errors, "without_status": without, "error_rate": ratio(errors, len(statuses))})]


def log_volume(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    found = _by((log for log in tenant.logs if isin(log.at)), lambda log: log.kind)
    return [({"log_type": kind}, {"entries": len(logs)}) for kind, logs in found.items()]


def log_errors(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    found = [log.kind for log in tenant.logs if isin(log.at)]
    errors = found.count("Error")
    return [({}, {"errors": errors, "entries": len(found), "error_share": ratio(errors, len(found))})]


def metric_completeness(tenant: Tenant, options: Options, isin: Isin, period: Period) -> list[Row]:
    rows: list[Row] = []
    for kind, metrics in _by(tenant.metrics, lambda metric: metric.kind).items():
        present = {metric.at.replace(minute=0, second=0, microsecond=0) for metric in metrics}
        expected = [hour for hour, state in tenant.states["metrics"].items() if state == "verified" and hour >= min(present) and isin(hour)]
        missing = sum(hour not in present for hour in expected)
        if expected:
            rows.append(({"metric_type": kind}, {"expected_hours": len(expected), "missing_hours": missing, "completeness": ratio(len(expected) - missing, len(expected))}))
    return rows


PAST = {"installs", "first_installs", "net_growth", "active_passes", "retention", "churn", "wallet_status", "redirect_to_install", "attribution", "platform_split", "scans", "metric_completeness"}
TABLE = {"log_volume": "logs", "log_errors": "logs", "metric_completeness": "metrics"}
REPORTS = {
    report.__name__: report
    for report in (
        passes_created, gross_installs, installs, first_installs, net_growth, active_passes, retention, churn, wallet_status, installation_rate,
        installation_rate_period, survival, view_to_install, redirect_to_install, attribution, platform_split, scans, notifications, campaigns,
        api_error_rate, log_volume, log_errors, metric_completeness,
    )
}  # fmt: skip


def reckon(name: str, tenant: Tenant, options: Options) -> list[Row]:
    """The rows of a report for one tenant, with period, figures and coverage."""
    states = tenant.states[TABLE.get(name, "events")]
    rows: list[Row] = []
    for period in periods_of(states, options):
        isin = lambda at, label=period.name: in_range(at, options) and period_of(at, options) == label  # noqa: E731
        start, end, on_past = min(period.starts_at, min(states)), period.ends_at, True
        if name == "campaigns":
            end += 7 * DAY
        elif name == "survival":
            end += max((days for days in SURVIVAL_AGES if known_until(tenant) >= end + days * DAY), default=0) * DAY
        elif name == "installation_rate":
            start, end = period.starts_at, max(end, known_until(tenant))
        elif name not in PAST:
            on_past = False
        depends = states_between(states, start, end) if on_past else period.states
        for keys, figures in REPORTS[name](tenant, options, isin, period):
            rows.append(({"period": period.name, **keys}, {**figures, "is_cut": period.is_cut, **coverage_of(depends, on_past)}))
    return rows


def reckon_compared(name: str, tenant: Tenant, options: Options, earlier_start: date) -> list[Row]:
    """The rows of a report with one row per period, compared with as many periods directly before, which begin with a day."""
    assert options.start is not None and options.end is not None
    earlier = replace(options, start=earlier_start, end=options.start, periods={}, inside={})
    before = {keys["period"]: figures for keys, figures in reckon(name, tenant, earlier)}
    matching = dict(zip(names_between(options.start, options.end, options), names_between(earlier_start, options.start, options), strict=True))
    rows: list[Row] = []
    for keys, figures in reckon(name, tenant, options):
        old = before.get(matching[keys["period"]], {})
        compared: dict[str, object] = {}
        for column, value in figures.items():
            if column in ("is_cut", "coverage") or column.endswith("_share"):
                continue
            was = old.get(column)
            difference = None if value is None or was is None else value - was
            compared |= {column: value, f"{column}_before": was, f"{column}_difference": difference}
            # A share of a rounded ratio is not exact.
            if isinstance(value, int):
                compared[f"{column}_change"] = None if difference is None or was == 0 else Fraction(difference, abs(was))
        rows.append((keys, compared))
    return rows
