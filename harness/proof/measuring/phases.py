"""The phases of the calendar in which a rule behaves alike, and where on the time line they lie.

The parts of a rule that hang on the time alone are evaluated over years of ticks, without any samples. Ticks at which
they all say the same, and which the contract's `when:` takes the same way, are one phase: what the rule does at one of
them it does at all. So one slot a phase is measured, instead of one an hour.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from harness.contracts.when import ALWAYS, Moment, When
from harness.engines.base import Engine
from harness.errors import UnsupportedError
from harness.replay import Plan, SlotWriter
from harness.rules.clocks import ClockPart, clock_parts
from harness.rules.spans import one_line
from harness.units import DAY_MS, HOUR_MS, MINUTE_MS, format_duration

_WEEKS_DAYS, _YEAR_DAYS = 56, 400
_LEAP_DAYS = 4 * 365 + 1
"""A leap year is among them, and every weekday on nearly every date."""
_MOST_PHASES = 400
_EARLY_DAYS = 8
"""promtool evaluates every tick from 1970 on, so only its first days are in reach: all weekdays, from a Thursday on."""
ANY_BEGIN = [(0, _EARLY_DAYS * DAY_MS)]
"""All of them, for a rule that is the same at any time."""
Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class CalendarPhases:
    """Every tick of a grid over some years, and the phase that it belongs to."""

    when: When
    ticks_ms: Sequence[int]
    """Ascending Unix times."""
    moments: Sequence[Moment]
    """The same on the clock of the contract's zone."""
    phase_of: Sequence[int]
    """The number of each one's phase."""
    inside: Sequence[bool]
    """By phase: whether the contract applies there."""
    parts: Sequence[ClockPart]
    early_phases: Callable[[], list[tuple[int, int]]]
    """Makes (tick, phase) of promtool's first days; -1 for a phase that is none of these."""

    def stretches(self, wanted: Callable[[int], bool]) -> list[tuple[int, int]]:
        """(first tick, last tick) of every unbroken run of phases that are `wanted`."""
        return _runs(zip(self.ticks_ms, self.phase_of, strict=True), wanted)

    def early(self, wanted: Callable[[int], bool]) -> list[tuple[int, int]]:
        """The same in promtool's first days."""
        return _runs(self.early_phases(), lambda phase: phase >= 0 and wanted(phase))


def _runs(phases: Iterable[tuple[int, int]], wanted: Callable[[int], bool]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    start = last = -1
    for at, phase in phases:
        if wanted(phase):
            start, last = (at if start < 0 else start), at
        elif start >= 0:
            runs.append((start, last))
            start = -1
    return [*runs, (start, last)] if start >= 0 else runs


def find_phases(applies: When | None, plan: Plan, writer: SlotWriter) -> CalendarPhases | None:
    """The phases of a rule, and of what is meant at some times only, from here on; None where both are the same at any.

    Raises UnsupportedError for a rule that hangs on the time in a way that no slots can show.
    """
    parts = clock_parts(plan.rule.expr, [rule for _, rule in plan.recordings])
    if applies is None and not parts:
        return None
    engine, from_ms = writer.engine, writer.free_ms((_LEAP_DAYS + _YEAR_DAYS) * DAY_MS)
    for part in parts:
        if part.forever:
            _refuse_change(part, plan, engine, from_ms)
    when = applies or ALWAYS
    if plan.align_ms > HOUR_MS:
        raise UnsupportedError(
            f"the rule reads the clock, but its slots begin only every {format_duration(plan.align_ms)}",
            span=plan.rule.expr.span_at(0),
            hint="use intervals and subquery steps that divide an hour together",
        )
    ticks = _grid(when, parts, plan, from_ms)
    moments = [Moment.of(at, when.tz) for at in ticks]
    numbers: dict[Key, int] = {}
    phase_of: list[int] = []
    inside: list[bool] = []
    for key in _keys(when, parts, plan, engine, ticks, moments):
        if key not in numbers:
            numbers[key] = len(numbers)
            inside.append(key[0] is True)
            if len(numbers) > _MOST_PHASES:
                text = one_line(max(parts, key=lambda part: part.by_value).text)
                raise UnsupportedError(
                    f"`{text}` is another number in more than {_MOST_PHASES} phases of the calendar",
                    span=plan.rule.expr.span_at(0),
                    hint="compare it with a number, so that it is true at some times and not at others",
                )
        phase_of.append(numbers[key])

    @cache
    def early() -> list[tuple[int, int]]:
        days = range(0, _EARLY_DAYS * DAY_MS, -(-MINUTE_MS // plan.align_ms) * plan.align_ms)
        then = [Moment.of(at, when.tz) for at in days]
        keys = _keys(when, parts, plan, engine, days, then)
        return [(at, numbers.get(key, -1)) for at, key in zip(days, keys, strict=True)]

    return CalendarPhases(when, ticks, moments, phase_of, inside, parts, early)


def _keys(
    when: When,
    parts: Sequence[ClockPart],
    plan: Plan,
    engine: Engine,
    ticks: Sequence[int],
    moments: Sequence[Moment],
) -> list[Key]:
    """What tells phases apart, at each tick: whether the contract applies, and what the rule's parts say."""
    said = [_said(part, plan, engine, ticks) for part in parts]
    return list(zip([when.holds(moment) for moment in moments], *said, strict=True))


def _refuse_change(part: ClockPart, plan: Plan, engine: Engine, from_ms: int) -> None:
    """Raises UnsupportedError if a part that compares with a moment or a year changes within reach of slots."""
    until = int(datetime.datetime.now(datetime.UTC).timestamp() * 1000)
    points = engine.query_range(part.text, from_ms, until, 7 * DAY_MS)
    counts = {len(series.timestamps_ms) for series in points}
    if len(points) <= 1 and counts in (set(), {len(range(from_ms, until + 1, 7 * DAY_MS))}) and not part.by_value:
        return
    raise UnsupportedError(
        f"`{one_line(part.text)}` changes once and for all, which no slot and no `when` can say",
        span=plan.rule.expr.span_at(0),
        hint="prove the rule without it",
    )


def _grid(when: When, parts: Sequence[ClockPart], plan: Plan, from_ms: int) -> list[int]:
    """Ticks at which the calendar may turn.

    Every hour, one tick before it, and what `when` names, for as long as weekdays, dates, months and summer time take
    to go through; and, where the rule reads minutes, every minute for some weeks.
    """
    align = plan.align_ms
    names = frozenset[str]().union(*(part.names for part in parts))
    dates = bool(names & {"day_of_month", "day_of_year", "days_in_month"}) or when.dates is not None
    months = "month" in names or when.months is not None
    start = -(-from_ms // DAY_MS) * DAY_MS + DAY_MS
    start = -(-start // align) * align
    days = _WEEKS_DAYS
    if dates or months or when.zone != "UTC":
        leap = "days_in_month" in names or (when.dates is not None and months)
        days = _LEAP_DAYS if leap else _YEAR_DAYS
    minutely = "minute" in names or any(part.cycles for part in parts)
    offsets = {0}
    if HOUR_MS % align == 0:
        turns = {minute for stretch in when.hours or ((0, 0),) for minute in stretch}
        turns = {turn - shift for turn in turns for shift in _shifts(when, start)}
        turns |= {0, 30} if "time" in names and not minutely else {0}
        offsets = {(turn * MINUTE_MS + off) % HOUR_MS // align * align for turn in turns for off in (0, -align)}
    step = HOUR_MS // align * align
    ticks = {start + offset + i * step for offset in offsets for i in range(days * DAY_MS // step)}
    if minutely:
        ticks |= set(range(start, start + _WEEKS_DAYS * DAY_MS, -(-MINUTE_MS // align) * align))
    return sorted(ticks)


def _shifts(when: When, from_ms: int) -> set[int]:
    """By how many minutes the zone's clock differs from UTC in the course of a year."""
    days = (datetime.datetime.fromtimestamp(from_ms / 1000 + day * 86_400, when.tz) for day in range(_YEAR_DAYS))
    offsets = (day.utcoffset() or datetime.timedelta() for day in days)
    return {round(offset.total_seconds() / 60) for offset in offsets}


def _said(part: ClockPart, plan: Plan, engine: Engine, ticks: Sequence[int]) -> list[object]:
    """What a part says at each tick: its values, or whether it returns anything."""
    offset = plan.group.query_offset_ms
    found: dict[int, list[tuple[object, float]]] = {}
    for start, end, step in _series_of(ticks):
        for series in engine.query_range(part.text, start - offset, end - offset, step):
            for at, value in zip(series.timestamps_ms, series.values, strict=True):
                found.setdefault(at + offset, []).append((series.labels, value))
    if part.by_value:
        return [tuple(found.get(at, ())) for at in ticks]
    return [at in found for at in ticks]


def _series_of(ticks: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Few (start, end, step) that cover all ticks."""
    steps = [b - a for a, b in itertools.pairwise(ticks)]
    if len(set(steps)) <= 1:
        yield ticks[0], ticks[-1], steps[0] if steps else HOUR_MS
        return
    by_phase: dict[int, list[int]] = {}
    for at in ticks:
        by_phase.setdefault(at % HOUR_MS, []).append(at)
    for members in by_phase.values():
        # Minute by minute in the beginning, hour by hour to the end: one step serves both.
        yield members[0], members[-1], HOUR_MS
