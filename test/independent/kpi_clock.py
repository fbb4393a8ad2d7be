"""Wall clocks, periods and their coverage, with the zone data of Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from zoneinfo import ZoneInfo

HOUR = timedelta(hours=1)
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True)
class Options:
    zone: str = "UTC"
    grain: str = "day"
    week_start: str = "monday"
    start: date | None = None
    end: date | None = None
    tenant: str | None = None
    pass_type: str | None = None
    platform: str | None = None
    by: str | None = None
    compare: str | None = None
    # Dimensions, besides the word in `by` that a report itself knows.
    split: tuple[str, ...] = ()
    # Of each instant that was asked for.
    periods: dict[datetime, datetime] = field(default_factory=dict, compare=False, repr=False)
    inside: dict[datetime, bool] = field(default_factory=dict, compare=False, repr=False)

    def words(self) -> list[str]:
        given = {
            "zone": self.zone, "grain": self.grain, "week_start": self.week_start, "from": self.start, "to": self.end,
            "tenant": self.tenant, "pass_type": self.pass_type, "platform": self.platform, "by": ",".join([*([self.by] if self.by else []), *self.split]) or None,
            "compare": self.compare,
        }  # fmt: skip
        return [f"{name}={value}" for name, value in given.items() if value is not None]


@lru_cache(maxsize=None)
def wall(at: datetime, zone: str) -> datetime:
    """What a clock on the wall shows."""
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def _floor(shown: datetime, grain: str, week_start: str) -> datetime:
    if grain == "hour":
        return shown.replace(minute=0, second=0, microsecond=0)
    day = shown.replace(hour=0, minute=0, second=0, microsecond=0)
    if grain == "week":
        return day - timedelta(days=(day.weekday() - DAYS.index(week_start)) % 7)
    if grain == "month":
        return day.replace(day=1)
    if grain == "quarter":
        return day.replace(day=1, month=day.month - (day.month - 1) % 3)
    if grain == "year":
        return day.replace(day=1, month=1)
    return day


def _next(period: datetime, grain: str) -> datetime:
    if grain in ("hour", "day", "week"):
        return period + {"hour": HOUR, "day": timedelta(days=1), "week": timedelta(days=7)}[grain]
    months = period.month - 1 + {"month": 1, "quarter": 3, "year": 12}[grain]
    return period.replace(year=period.year + months // 12, month=months % 12 + 1)


def period_of(at: datetime, options: Options) -> datetime:
    if at not in options.periods:
        options.periods[at] = _floor(wall(at, options.zone), options.grain, options.week_start)
    return options.periods[at]


@lru_cache(maxsize=None)
def day_start(day: date, zone: str) -> datetime:
    """The first instant at which the calendar on the wall shows the day or a later one."""
    low = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=30)
    high = low + timedelta(hours=60)
    while high - low > timedelta(microseconds=1):
        middle = low + (high - low) / 2
        middle = middle.replace(microsecond=middle.microsecond)
        if wall(middle, zone).date() >= day:
            high = middle
        else:
            low = middle
    return high


def in_range(at: datetime, options: Options) -> bool:
    if at not in options.inside:
        is_late = options.start is None or wall(at, options.zone).date() >= options.start
        options.inside[at] = is_late and before_end(at, options)
    return options.inside[at]


def before_end(at: datetime, options: Options) -> bool:
    return options.end is None or wall(at, options.zone).date() < options.end


@dataclass(frozen=True)
class Period:
    name: datetime
    starts_at: datetime
    ends_at: datetime
    hours: int
    states: tuple[str, ...]
    is_cut: bool


def periods_of(states: dict[datetime, str], options: Options) -> list[Period]:
    """The periods from the first known hour to the last one, as far as they lie in the range. An hour belongs to the period in which it begins."""
    first, last = min(states), max(states)
    if options.grain == "hour":
        lower, upper = first, last + HOUR
    else:
        lower = day_start(period_of(first, options).date(), options.zone)
        upper = day_start(_next(period_of(last, options), options.grain).date(), options.zone)
    if options.start is not None:
        lower = max(lower, day_start(options.start, options.zone))
    if options.end is not None:
        upper = min(upper, day_start(options.end, options.zone))
    hour = lower.replace(minute=0, second=0, microsecond=0)
    hour = hour if hour == lower else hour + HOUR
    hours: dict[datetime, list[datetime]] = {}
    while hour < upper:
        hours.setdefault(period_of(hour, options), []).append(hour)
        hour += HOUR
    return [
        Period(
            name, inside[0], inside[-1] + HOUR, len(inside),
            tuple(states.get(each, "open" if each > last else "unread") for each in inside), _is_cut(name, options),
        )
        for name, inside in sorted(hours.items())
    ]  # fmt: skip


def names_between(start: date, end: date, options: Options) -> list[datetime]:
    """The names of the periods of a range of whole periods."""
    names = [datetime(start.year, start.month, start.day)]
    while (following := _next(names[-1], options.grain)).date() < end:
        names.append(following)
    return names


def _is_cut(period: datetime, options: Options) -> bool:
    if options.grain == "hour":
        return False
    starts, ends = period.date(), _next(period, options.grain).date()
    return (options.start is not None and options.start > starts) or (options.end is not None and options.end < ends)


def states_between(states: dict[datetime, str], start: datetime, end: datetime) -> tuple[str, ...]:
    last = max(states)
    found = []
    hour = start
    while hour < end:
        found.append(states.get(hour, "open" if hour > last else "unread"))
        hour += HOUR
    return tuple(found)


def coverage_of(states: tuple[str, ...], on_past: bool) -> dict[str, object]:
    """The columns at the end of each row. Of hours in the past, one that is missing outweighs those that are open."""
    verified, open_hours, partial = (sum(state in names for state in states) for names in (("verified",), ("open",), ("partial", "unchecked")))
    if verified == len(states):
        word = "verified"
    elif (verified + open_hours == len(states)) if on_past else open_hours > 0:
        word = "open"
    else:
        word = "unverified"
    shares = {"verified_share": verified, "partial_share": partial, "open_share": open_hours}
    return {"coverage": word, **{name: Fraction(part, len(states)) for name, part in shares.items()}}
