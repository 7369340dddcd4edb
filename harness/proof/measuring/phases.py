"""The phases of the calendar in which a rule behaves alike, and where on the time line they lie.

The parts of a rule that hang on the time alone are evaluated over years of ticks, without any samples. Ticks at which
they all say the same, and which the contract's `when:` takes the same way, are one phase: what the rule does at one of
them it does at all. So one slot a phase is measured, instead of one an hour.
"""

from __future__ import annotations

import bisect
import datetime
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, partial

from harness.contracts import Contract, ContractKind, Op
from harness.contracts.when import ALWAYS, Moment, When
from harness.contracts.world import Scrapes, traces
from harness.engines.base import Engine
from harness.errors import UnsupportedError
from harness.proof.judging import calendar
from harness.proof.model import AlertFinding, Verdict
from harness.proof.positions import KnobPositions
from harness.replay import Batch, Plan, Replay, SlotRange, SlotWriter
from harness.rules.clocks import ClockPart, clock_parts
from harness.rules.spans import one_line
from harness.units import format_duration

_MINUTE, _HOUR, _DAY = 60_000, 3_600_000, 86_400_000
_WEEKS_DAYS, _YEAR_DAYS = 56, 400
_LEAP_DAYS = 4 * 365 + 1
"""A leap year is among them, and every weekday on nearly every date."""
_MOST_PHASES = 400
_EARLY_DAYS = 8
"""promtool evaluates every tick from 1970 on, so only its first days are in reach: all weekdays, from a Thursday on."""
ANY_BEGIN = [(0, _EARLY_DAYS * _DAY)]
"""All of them, for a rule that is the same at any time."""
_BESIDE = 64
"""How far beside the threshold of a continuous knob, in its positions, no rounding is left."""

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


def find_phases(contract: Contract, plan: Plan, writer: SlotWriter) -> CalendarPhases | None:
    """The phases of a rule and its contract from here on; None where both mean the same at any time.

    Raises UnsupportedError for a rule that hangs on the time in a way that no slots can show.
    """
    parts = clock_parts(plan.rule.expr, [rule for _, rule in plan.recordings])
    if contract.when is None and not parts:
        return None
    engine, from_ms = writer.engine, writer.free_ms((_LEAP_DAYS + _YEAR_DAYS) * _DAY)
    for part in parts:
        if part.forever:
            _refuse_change(part, plan, engine, from_ms)
    when = contract.when or ALWAYS
    if plan.align_ms > _HOUR:
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
        days = range(0, _EARLY_DAYS * _DAY, -(-_MINUTE // plan.align_ms) * plan.align_ms)
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
    points = engine.query_range(part.text, from_ms, until, 7 * _DAY)
    counts = {len(series.timestamps_ms) for series in points}
    if len(points) <= 1 and counts in (set(), {len(range(from_ms, until + 1, 7 * _DAY))}) and not part.by_value:
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
    start = -(-from_ms // _DAY) * _DAY + _DAY
    start = -(-start // align) * align
    days = _WEEKS_DAYS
    if dates or months or when.zone != "UTC":
        leap = "days_in_month" in names or (when.dates is not None and months)
        days = _LEAP_DAYS if leap else _YEAR_DAYS
    minutely = "minute" in names or any(part.cycles for part in parts)
    offsets = {0}
    if _HOUR % align == 0:
        turns = {minute for stretch in when.hours or ((0, 0),) for minute in stretch}
        turns = {turn - shift for turn in turns for shift in _shifts(when, start)}
        turns |= {0, 30} if "time" in names and not minutely else {0}
        offsets = {(turn * _MINUTE + off) % _HOUR // align * align for turn in turns for off in (0, -align)}
    step = _HOUR // align * align
    ticks = {start + offset + i * step for offset in offsets for i in range(days * _DAY // step)}
    if minutely:
        ticks |= set(range(start, start + _WEEKS_DAYS * _DAY, -(-_MINUTE // align) * align))
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
        yield ticks[0], ticks[-1], steps[0] if steps else _HOUR
        return
    by_phase: dict[int, list[int]] = {}
    for at in ticks:
        by_phase.setdefault(at % _HOUR, []).append(at)
    for members in by_phase.values():
        # Minute by minute in the beginning, hour by hour to the end: one step serves both.
        yield members[0], members[-1], _HOUR


# -- what the rule does in each of them --------------------------------------------------------------------------

Pattern = tuple[bool | None, ...]
"""Whether it fires at each of the probed positions of the knob; None where it was not measured."""


@dataclass(frozen=True, slots=True)
class ProbePositions:
    """Where the knob is probed: as the contract means it, the alert fires at the first ones and not at the others."""

    values: Sequence[Fraction]
    firing: int
    """How many of them must fire."""


@dataclass(frozen=True, slots=True)
class PhaseReport:
    """What the rule does in each phase, and in which of them everything else is measured."""

    phases: CalendarPhases
    positions: ProbePositions
    patterns: Sequence[Pattern]
    home: Pattern
    """What it does where the contract applies, in most of the time in which it does that best."""
    parted: bool
    """Whether the rule itself hangs on the calendar, and not only the contract."""

    def is_home(self, phase: int) -> bool:
        return self.phases.inside[phase] and _alike(self.patterns[phase], self.home)

    def writer(self, writer: SlotWriter, plan: Plan) -> PhasedSlotWriter:
        """A writer that lays all cases where the rule does what it does at home."""
        return PhasedSlotWriter(writer, self.phases.stretches(self.is_home), plan)

    def promtool_begins(self, plan: Plan) -> list[tuple[int, int]]:
        """(first aligned tick, last tick) of the runs of promtool's first days in which it is so."""
        if not self.parted:
            return ANY_BEGIN
        runs = self.phases.early(self.is_home)
        return [(-(-start // plan.align_ms) * plan.align_ms, end) for start, end in runs]


def probed_positions(contract: Contract, axis: KnobPositions) -> ProbePositions:
    """Far on either side of the threshold and near to it; where it must fire, also the knob's end."""
    here, op = axis.at_threshold, contract.op
    if contract.kind is ContractKind.ALWAYS:
        return ProbePositions((axis.threshold,), 1)
    if op is Op.EQ:
        other = axis.lowest if here != axis.lowest else axis.highest
        return ProbePositions((axis.threshold, axis.value(other)), 1)
    up = 1 if op.fires_above else -1
    first = here if op.holds(axis.value(here), axis.threshold) else here + up
    beside = 0 if axis.knob.step is not None else _BESIDE * up
    ends = (axis.lowest, axis.highest)[::up]

    def on_axis(position: int) -> int:
        return min(max(position, axis.lowest), axis.highest)

    near_on, near_off = on_axis(first + beside), on_axis(first - up - beside)
    on, off = axis.between(near_on, ends[1], Fraction(1, 2)), axis.between(near_off, ends[0], Fraction(1, 2))
    return ProbePositions(tuple(axis.value(p) for p in (on, near_on, ends[1], near_off, off)), 3)


def probe(
    contract: Contract, plan: Plan, axis: KnobPositions, phases: CalendarPhases, writer: SlotWriter, replay: Replay
) -> PhaseReport:
    """Measure the rule once in every phase, with the knob at a few positions.

    Raises UnsupportedError if the contract applies at none of the ticks, or a phase is too short to be measured.
    """
    span = contract.when.span if contract.when is not None else plan.rule.expr.span_at(0)
    if not any(phases.inside):
        raise UnsupportedError("the contract's `when` applies at no time of four years", span=span, hint="widen it")
    positions = probed_positions(contract, axis)
    needed = plan.window_ms + 2 * contract.scrape_ms
    length = -(-needed // plan.align_ms) * plan.align_ms
    gap = length + plan.reach_ms + plan.align_ms + contract.scrape_ms
    chosen = _schedule(phases, len(positions.values), writer.free_ms(0) + gap, gap)
    scrapes = Scrapes.regular(contract.scrape_ms, length, plan.tick_ms)
    cases = [traces(contract.signal, ((0, positions.values[number]),), scrapes) for _, _, number in chosen]
    begins = [at - length for at, _, _ in chosen]
    batch = Batch(cases, length, plan.reach_ms, plan.align_ms, place=lambda case, _: begins[case])
    (slots,) = writer.record([batch])
    found = replay.instants(plan, plan.rule.expr.value, slots, length)
    patterns: list[list[bool | None]] = [[None] * len(positions.values) for _ in phases.inside]
    for (_, phase, number), elements in zip(chosen, found, strict=True):
        patterns[phase][number] = bool(elements)
    sealed = [tuple(pattern) for pattern in patterns]
    if any(pattern[0] is None for pattern in sealed):
        raise UnsupportedError(
            "some of the times at which the rule or its contract changes are too rare to be measured",
            span=span,
            hint="write a plainer `when`, or test this rule with promtool",
        )
    meant = tuple(i < positions.firing for i in range(len(positions.values)))
    weights: dict[Pattern, int] = {}
    for phase in phases.phase_of:
        if phases.inside[phase]:
            weights[sealed[phase]] = weights.get(sealed[phase], 0) + 1
    home = max(weights, key=lambda p: (_alike(p, meant), any(p[: positions.firing]) and not all(p), weights[p]))
    return PhaseReport(phases, positions, sealed, home, bool(phases.parts))


def _schedule(phases: CalendarPhases, positions: int, from_ms: int, gap_ms: int) -> list[tuple[int, int, int]]:
    """(tick, phase, position) of every phase with every position, as early as can be and `gap_ms` apart."""
    wanted = {phase: list(range(positions)) for phase in range(len(phases.inside))}
    chosen: list[tuple[int, int, int]] = []
    free_ms = from_ms
    for at, phase in zip(phases.ticks_ms, phases.phase_of, strict=True):
        if at < free_ms or not wanted.get(phase):
            continue
        chosen.append((at, phase, wanted[phase].pop(0)))
        free_ms = at + gap_ms
        if not wanted[phase]:
            del wanted[phase]
            if not wanted:
                break
    return chosen


def _alike(one: Pattern, other: Pattern) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))


def judge_phases(report: PhaseReport, contract: Contract) -> list[AlertFinding]:
    """Findings about phases in which the alert does not do what it does elsewhere, or fires where it must not."""
    phases, firing = report.phases, report.positions.firing
    meant = "the contract has no `when`, so it means at any time"
    outside = "outside of the contract's `when` it must stay quiet"
    home = report.home

    def found(words: str, wanted: Callable[[int, Pattern], bool], says: str) -> list[AlertFinding]:
        these = [i for i, p in enumerate(phases.phase_of) if wanted(p, report.patterns[p])]
        if not these:
            return []
        inside = phases.inside[phases.phase_of[these[0]]]
        of = [m for m, p in zip(phases.moments, phases.phase_of, strict=True) if not inside or phases.inside[p]]
        when = calendar.in_words([phases.moments[i] for i in these], of)
        zone = f" ({phases.when.zone})" if phases.when.zone != "UTC" else ""
        example = f"for example on {calendar.at(phases.ticks_ms[these[0]], phases.when)}"
        message = words.format(f" {when}{zone}" if when else "")
        return [AlertFinding(Verdict.WRONG_SITUATION, message, (says, example))]

    inside_says = "the contract applies then" if contract.when is not None else meant
    inside = phases.inside
    return [
        *found("fires{}", lambda p, pattern: not inside[p] and any(pattern), outside),
        *found(
            "stays quiet{}",
            lambda p, pattern: inside[p] and any(home[:firing]) and not any(pattern[:firing]),
            inside_says,
        ),
        *found(
            "fires{} wherever the knob stands",
            lambda p, pattern: inside[p] and any(pattern[firing:]) and all(pattern) and not all(home),
            inside_says,
        ),
        *found(
            "has another threshold{}",
            lambda p, pattern: inside[p] and any(pattern[:firing]) and not all(pattern) and not _alike(pattern, home),
            inside_says,
        ),
    ]


class PhasedSlotWriter(SlotWriter):
    """A writer that lays every case, from its beginning to its end, in one of the given stretches of time."""

    def __init__(self, writer: SlotWriter, stretches: Sequence[tuple[int, int]], plan: Plan) -> None:
        super().__init__(writer.engine, writer.free_ms(0))
        self._writer = writer
        self._stretches = stretches
        self._ends = [end for _, end in stretches]
        self._plan = plan

    def record(self, batches: Iterable[Batch]) -> list[SlotRange]:
        return self._writer.record([replace(batch, place=partial(self._place, batch)) for batch in batches])

    def _place(self, batch: Batch, _: int, earliest_ms: int) -> int:
        for i in range(bisect.bisect_left(self._ends, earliest_ms), len(self._ends)):
            start, end = self._stretches[i]
            begin = -(-max(start, earliest_ms) // batch.align_ms) * batch.align_ms
            if begin + batch.length_ms <= end:
                return begin
        longest = max((end - start for start, end in self._stretches), default=0)
        raise UnsupportedError(
            f"the alert and its contract go together for {format_duration(longest)} at most, and what is measured "
            f"takes {format_duration(batch.length_ms)}"
            if batch.length_ms > longest
            else "the times at which the alert and its contract go together are too few for all that is measured",
            span=self._plan.rule.expr.span_at(0),
            hint="widen `when`, or test this rule with promtool",
        )
