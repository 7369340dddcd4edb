"""In which period of a calendar a moment lies, in the calendar's own time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from harness.slo.model import Calendar


def bounds_ms(calendar: Calendar, at_ms: int) -> tuple[int, int]:
    """The period that holds `at_ms`, from its first millisecond to the first of the next (Unix milliseconds).

    Periods go on before `start` as they do after it. Days and months are those of the zone's clock, so a day on which
    the clock is put back has 25 hours.
    """
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(calendar.zone)).replace(tzinfo=None)
    index = _index(calendar, local)
    # An hour that the clock repeats or skips may put the boundary on the other side of the moment.
    for guess in (index - 1, index, index + 1):
        begin, end = _unix_ms(calendar, guess), _unix_ms(calendar, guess + 1)
        if begin <= at_ms < end:
            return begin, end
    raise AssertionError(f"{at_ms} lies in no period of {calendar}")


def _index(calendar: Calendar, local: datetime) -> int:
    start = calendar.start
    if calendar.days:
        return (local - start) // timedelta(days=calendar.days)
    months = (local.year - start.year) * 12 + local.month - start.month
    begun = (local.day, local.time()) >= (start.day, start.time())
    return (months - (not begun)) // calendar.months


def _unix_ms(calendar: Calendar, index: int) -> int:
    start = calendar.start
    if calendar.days:
        local = start + timedelta(days=index * calendar.days)
    else:
        years, month = divmod(start.year * 12 + start.month - 1 + index * calendar.months, 12)
        local = start.replace(year=years, month=month + 1)
    return round(local.replace(tzinfo=ZoneInfo(calendar.zone)).timestamp() * 1000)


def fixed_offset_s(calendar: Calendar) -> int | None:
    """The zone's distance from UTC if its clock is never changed; None where it has summer time or was moved.

    Judged over the years from the calendar's start to 2037, the end of what time zone files spell out.
    """
    zone = ZoneInfo(calendar.zone)
    offsets = {
        datetime(year, month, 1, tzinfo=UTC).astimezone(zone).utcoffset()
        for year in range(min(calendar.start.year, 2037), 2038)
        for month in range(1, 13)
    }
    if len(offsets) != 1:
        return None
    offset = offsets.pop()
    return round(offset.total_seconds()) if offset is not None else None
