"""At which times of the calendar a contract applies: `when:`, its loader, and whether a moment lies inside."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from zoneinfo import ZoneInfo

from harness.errors import InputError, Span, near_miss
from harness.source import Fields, Item, Text

WHEN_FIELDS = ("days", "hours", "dates", "months", "zone")
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
"""By their numbers in PromQL: ``day_of_week()`` is 0 on Sunday."""
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
MINUTES = 24 * 60
_HOURS = re.compile(r"\s*(\d{1,2})(?::(\d{2}))?\s*-\s*(\d{1,2})(?::(\d{2}))?\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment on a zone's clock: minute of the day, weekday (0 is Sunday), date and month (1 is January)."""

    minute: int
    day: int
    date: int
    month: int

    @classmethod
    def of(cls, unix_ms: int, zone: tzinfo) -> Moment:
        local = datetime.fromtimestamp(unix_ms / 1000, zone)
        return cls(local.hour * 60 + local.minute, local.isoweekday() % 7, local.day, local.month)


@dataclass(frozen=True)
class When:
    """The times at which a contract applies; outside of them its alert must stay quiet. None is "any"."""

    days: frozenset[int] | None = None
    """0 is Sunday."""
    hours: tuple[tuple[int, int], ...] | None = None
    """Minutes of the day, the end excluded; a stretch whose end is not behind its beginning goes over midnight."""
    dates: frozenset[int] | None = None
    months: frozenset[int] | None = None
    """1 is January."""
    zone: str = "UTC"
    span: Span | None = field(default=None, compare=False)

    @cached_property
    def tz(self) -> tzinfo:
        return UTC if self.zone == "UTC" else ZoneInfo(self.zone)

    def holds(self, moment: Moment) -> bool:
        """Whether it applies at a moment of its own zone."""
        return (
            (self.days is None or moment.day in self.days)
            and (self.dates is None or moment.date in self.dates)
            and (self.months is None or moment.month in self.months)
            and (self.hours is None or any(_within(moment.minute, *stretch) for stretch in self.hours))
        )


ALWAYS = When()
"""What a contract without `when:` means."""


def _within(minute: int, start: int, end: int) -> bool:
    return start <= minute < end if start < end else minute >= start or minute < end


def load_when(fields: Fields) -> When:
    """The `when:` of a contract; raises InputError with the place of what is wrong."""
    fields.only(*WHEN_FIELDS)
    if not any(name in fields for name in WHEN_FIELDS[:-1]):
        raise InputError(
            "`when` says neither days nor hours, dates or months",
            span=fields.span,
            hint='write when: {days: [mon..fri], hours: "08-18"}, or leave it out for "at any time"',
        )
    return When(
        days=_numbers(fields, "days", lambda text: _named(text, DAYS, 0), range(7)),
        hours=tuple(_hours(item.text()) for item in _list(fields, "hours")) if "hours" in fields else None,
        dates=_numbers(fields, "dates", lambda text: _numbered(text, 31), range(1, 32)),
        months=_numbers(fields, "months", lambda text: _named(text, MONTHS, 1), range(1, 13)),
        zone=_zone(fields.text("zone")) if "zone" in fields else "UTC",
        span=fields.span,
    )


def _list(fields: Fields, name: str) -> list[Item]:
    item = fields.item(name, f"`{name}`")
    items = item.items() if item.is_list else [item]
    if not items:
        raise InputError(f"`{name}` is empty", span=fields.key_span(name), hint="leave it out for any")
    return items


def _numbers(fields: Fields, name: str, read: Callable[[Text], int], all_of: Sequence[int]) -> frozenset[int] | None:
    """Single ones and ranges (``mon..fri``); a range whose end stands before its beginning goes over the end."""
    if name not in fields:
        return None
    found: set[int] = set()
    for item in _list(fields, name):
        text = item.text()
        first, dots, last = text.value.partition("..")
        start = read(Text(first.strip(), text.span))
        end = read(Text(last.strip(), text.span)) if dots else start
        found |= set(range(start, end + 1)) if start <= end else set(all_of) - set(range(end + 1, start))
    return frozenset(found)


def _named(text: Text, names: Sequence[str], first: int) -> int:
    short = {name[:3].lower(): number for number, name in enumerate(names, first)}
    whole = {name.lower(): number for number, name in enumerate(names, first)}
    wanted = text.value.lower()
    if wanted in short or wanted in whole:
        return {**short, **whole}[wanted]
    raise InputError(
        f"`{text.value}` is none of {', '.join(short)}{near_miss(wanted, [*short, *whole])}",
        span=text.span,
        hint=f"write {names[0][:3].lower()}, or a range: {names[1][:3].lower()}..{names[5][:3].lower()}",
    )


def _numbered(text: Text, last: int) -> int:
    if text.value.isascii() and text.value.isdecimal() and 1 <= int(text.value[:9]) <= last:
        return int(text.value)
    raise InputError(
        f"`{text.value}` is no day of a month", span=text.span, hint=f"write 1 to {last}, or a range: 1..7"
    )


def _hours(text: Text) -> tuple[int, int]:
    match = _HOURS.fullmatch(text.value)
    if match:
        start, end = (int(match[i]) * 60 + int(match[i + 1] or 0) for i in (1, 3))
        minutes = all(int(match[i] or 0) < 60 for i in (2, 4))
        if minutes and start < MINUTES and end <= MINUTES and start != end:
            return start, end % MINUTES
    raise InputError(
        f"`{text.value}` is no stretch of hours",
        span=text.span,
        hint='write "08-18": from 08:00 up to but not including 18:00; "22-06" goes over midnight',
    )


def _zone(text: Text) -> str:
    try:
        if text.value != "UTC":
            ZoneInfo(text.value)
    except (KeyError, ValueError, OSError) as err:
        raise InputError(
            f"there is no time zone `{text.value}` here", span=text.span, hint="write one such as Europe/Berlin, or UTC"
        ) from err
    return text.value
