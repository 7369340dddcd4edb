"""Which stretch of time a report judges: an objective's period, as far as it has gone, or the run itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

from harness.errors import InputError
from harness.numbers import parse_decimal
from harness.slo.calendar import bounds_ms
from harness.slo.model import Calendar, Objective
from harness.slo.stretches import Stretch, length_ms, within
from harness.units import parse_duration_ms

_LATEST_MS = 253_402_300_799_000  # the end of the year 9999, the last that datetime knows


class Window(Enum):
    """What is judged."""

    PERIOD = "period"
    """The objective's own period that holds the end of the range."""
    RUN = "run"
    """The range itself, as if it were a period."""


@dataclass(frozen=True, slots=True)
class JudgedPeriod:
    """The stretch (start, end] that a verdict speaks of, in Unix milliseconds of the world's clock."""

    start_ms: int
    end_ms: int
    read_from_ms: int
    """Where reading begins: the start, or later if the range asked for begins later."""
    closes_ms: int
    """The end of the calendar period, still to come; else the end."""
    zone: str = "UTC"
    left_out: tuple[Stretch, ...] = ()
    """Stretches that count neither way, such as planned maintenance."""

    @property
    def length_ms(self) -> int:
        """The whole period, also what is still to come of it."""
        return self.closes_ms - self.start_ms

    @property
    def elapsed_ms(self) -> int:
        return self.end_ms - self.start_ms

    @property
    def counted_ms(self) -> int:
        """What has passed of it and counts."""
        return self.elapsed_ms - length_ms(within(self.left_out, self.start_ms, self.end_ms))

    @property
    def budget_ms(self) -> int:
        """What counts of the whole period, over which the budget would last at a burn rate of 1."""
        return self.length_ms - length_ms(within(self.left_out, self.start_ms, self.closes_ms))


def judged(objective: Objective, from_ms: int | None, to_ms: int, window: Window) -> JudgedPeriod:
    """The stretch to judge at `to_ms`; `from_ms` is where the range begins (None: as far back as is needed)."""
    zone = objective.period.zone if isinstance(objective.period, Calendar) else "UTC"
    if window is Window.RUN:
        start = to_ms - objective.period.nominal_ms if from_ms is None else from_ms
        slice_ms = objective.slice_ms or 1
        end = start + (to_ms - start) // slice_ms * slice_ms  # a slice that is not over yet is left out
        return JudgedPeriod(start, end, start, end, zone)
    if isinstance(objective.period, Calendar):
        # A report at the first moment of a month is about the month that has ended.
        start, closes = bounds_ms(objective.period, to_ms - 1)
    else:
        start, closes = to_ms - objective.period.nominal_ms, to_ms
    return _whole_slices(objective, JudgedPeriod(start, to_ms, max(start, from_ms or start), closes, zone))


def _whole_slices(objective: Objective, found: JudgedPeriod) -> JudgedPeriod:
    """Time slices begin where the period does; a slice that is not over yet is left out."""
    if (slice_ms := objective.slice_ms) is None:
        return found
    start = found.start_ms
    if not isinstance(objective.period, Calendar) or found.closes_ms == found.end_ms:
        # So that the same slices are judged whenever one asks: on multiples of their length.
        start -= start % slice_ms
    end = start + (found.end_ms - start) // slice_ms * slice_ms
    read = start + max(0, found.read_from_ms - start) // slice_ms * slice_ms
    closes = end if found.closes_ms == found.end_ms else found.closes_ms
    return JudgedPeriod(start, max(end, start), read, max(closes, end), found.zone)


def parse_time_ms(text: str, option: str, now_ms: int) -> int:
    """A moment: RFC 3339 (``2026-03-01T00:00:00Z``; a date is midnight UTC), Unix seconds, ``now``, ``now-7d``."""
    word = text.strip()
    problem = InputError(
        f"{option} `{text}` is no time",
        hint="write 2026-03-01T00:00:00Z, 2026-03-01, Unix seconds, now or now-7d",
    )
    if word == "now":
        return now_ms
    if word.startswith("now-"):
        try:
            return now_ms - parse_duration_ms(word.removeprefix("now-"))
        except ValueError as err:
            raise problem from err
    try:
        if word.replace(".", "", 1).isdecimal() and word.isascii():
            at_ms = round(parse_decimal(word) * 1000)
        else:
            moment = datetime.fromisoformat(word)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            at_ms = round(moment.timestamp() * 1000)
    except (ValueError, OverflowError) as err:
        raise problem from err
    if not 0 <= at_ms <= _LATEST_MS:
        raise problem
    return at_ms


def moment(at_ms: int, zone: str = "UTC") -> str:
    """``2026-03-01 00:00 UTC``: seconds only where there are any."""
    at = (datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at_ms)).astimezone(ZoneInfo(zone))
    seconds = f":{at.second:02d}" if at.second else ""
    return f"{at:%Y-%m-%d %H:%M}{seconds} {at.tzname() or zone}"
