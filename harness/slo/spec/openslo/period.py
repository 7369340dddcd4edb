"""Over which time the budget of an OpenSLO `SLO` goes: its `timeWindow`."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo, available_timezones

from harness.errors import InputError, UnsupportedError, near_miss
from harness.slo.model import DAY_MS, Calendar, Period, Rolling
from harness.slo.values import shorthand, truth
from harness.source import Fields, Text

_START = "%Y-%m-%d %H:%M:%S"
_LAST_SAFE_DAY = 28


def period_of(spec: Fields, name: str, usual_ms: int | None) -> Period:
    if "timeWindow" not in spec:
        if usual_ms is not None:
            return Rolling(usual_ms)
        raise InputError(
            f"`{name}` has no `timeWindow`, so its budget has no period",
            span=spec.span,
            hint="add `timeWindow:` with `- duration: 30d` and `isRolling: true`, or name the period of all that have "
            'none: `slo_period = "30d"` in the settings, or --default-slo-period 30d',
        )
    windows = spec.items("timeWindow", "a time window")
    if len(windows) != 1:
        raise InputError(
            f"`timeWindow` of `{name}` has {len(windows)} entries; OpenSLO allows exactly one",
            span=windows[1].span if windows else spec.key_span("timeWindow"),
            hint="write a document of its own for each period",
        )
    window = windows[0].fields()
    window.only("duration", "isRolling", "calendar")
    duration = window.text("duration")
    length_ms, months = shorthand(duration, "`duration` of the time window")
    is_rolling = truth(window, "isRolling", default="calendar" not in window)
    if is_rolling and "calendar" in window:
        raise InputError(
            "a rolling window has no `calendar`", span=window.key_span("calendar"), hint="remove one of the two"
        )
    if is_rolling:
        if months:
            raise UnsupportedError(
                f"a rolling window of `{duration.value}`: months and years have no fixed length",
                span=duration.span,
                hint="write days, such as 30d or 365d, or align it to a calendar",
            )
        return Rolling(length_ms)
    if "calendar" not in window:
        raise InputError(
            "a window that is not rolling needs a `calendar`", span=window.span, hint="add `startTime` and `timeZone`"
        )
    return _calendar(window.fields("calendar", "`calendar`"), duration, length_ms, months)


def _calendar(fields: Fields, duration: Text, length_ms: int, months: int) -> Calendar:
    fields.only("startTime", "timeZone")
    if length_ms % DAY_MS:
        raise UnsupportedError(
            f"a calendar window of `{duration.value}`: only whole days, weeks, months, quarters and years are",
            span=duration.span,
            hint="write 1M for a month (1m is a minute), or 1d, 1w, 1Q, 1Y",
        )
    begin = fields.text("startTime")
    try:
        start = datetime.strptime(begin.value, _START)
    except ValueError as err:
        raise InputError(
            f"`startTime` is `{begin.value}`, no local date and time",
            span=begin.span,
            hint="write it as 2026-01-01 00:00:00, without a zone",
        ) from err
    if months and start.day > _LAST_SAFE_DAY:
        raise UnsupportedError(
            f"months that begin on the {start.day}th: some months have no such day",
            span=begin.span,
            hint=f"start on the 1st to the {_LAST_SAFE_DAY}th",
        )
    zone = fields.text("timeZone")
    try:
        ZoneInfo(zone.value)
    except (ValueError, OSError, LookupError) as err:  # a folder, a path outside, an unknown name
        raise InputError(
            f"`{zone.value}` is no time zone{near_miss(zone.value, sorted(available_timezones()))}",
            span=zone.span,
            hint="write its name in the IANA database, such as Europe/Berlin or UTC",
        ) from err
    return Calendar(months, length_ms // DAY_MS, start, zone.value)
