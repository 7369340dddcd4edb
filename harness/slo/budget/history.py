"""An objective's course, read from a Prometheus-compatible API in pieces that fit in memory.

Three ways to count, the first that the query and its width allow:

- raw: the samples themselves, by range selectors (``requests_total[6h]``). Exact.
- grid: differences of neighbouring steps, added up by the server; for selectors of so many series that their samples
  could not be read. Exact but for what a counter gained between its last step and a reset.
- estimated: the query's own window, step by step, for queries that are no sum of selectors. As exact as ``rate()`` is.

Thresholds and ready-made ratios are looked at tick by tick, as an alerting rule would.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from fractions import Fraction
from typing import Any

import promql_parser as promql

from harness.engines import Engine, QueryError, Series
from harness.errors import UnsupportedError
from harness.prometheus import DEFAULTS
from harness.rules.selectors import selectors_of
from harness.series import Labels
from harness.slo.budget.buckets import Bins, EventBuckets, Grid, sliced
from harness.slo.budget.sli import Counter, CountingCaveats, Part, Raw
from harness.slo.model import (
    Events,
    Grouping,
    IndicatorQuery,
    Objective,
    Occurrences,
    RawRatio,
    ThresholdIndicator,
    Timeslices,
    WindowPlacement,
)
from harness.slo.periods import JudgedPeriod
from harness.slo.queries import grouping as grouping_of
from harness.slo.queries import or_zero, own_grouping, per_second, terms, tree, windowed
from harness.slo.stretches import touches
from harness.units import format_duration

_MINUTE = 60_000
_PIECES_MS = tuple(minutes * _MINUTE for minutes in (1, 5, 15, 60, 120, 360, 720, 1440, 2880))
"""No longer than two days: what is dense after a sparse stretch must still fit in memory."""
_PIECE_SAMPLES = 150_000
"""Samples of one answer; they cost about 30 MB while they are read."""
_MOST_RAW_SAMPLES = 12_000_000
"""Samples of one objective beyond which the server adds up; about a quarter of a minute of reading."""
_ESTIMATE_STEP_MS = 5 * _MINUTE
_FINE_STEPS_MS = (30_000, 15_000, 10_000, 5_000, 1_000)
_FEWEST_BUCKETS = 120

Progress = Callable[[float], None]
"""Told which share of an objective has been read."""


class Counting(Enum):
    """How an objective's events were counted."""

    RAW = "raw"
    """From the samples themselves: exact."""
    GRID = "grid"
    """By the server, from step to step: exact but for what was lost at resets."""
    ESTIMATED = "estimated"
    """By the query's own rate(), which extrapolates."""
    TICKS = "ticks"
    """Each tick at which there is a value is one event."""


@dataclass(frozen=True, slots=True)
class ServerClock:
    """From the server's time to the world's: a run on a clock `factor` times as fast ends at `end_ms` on both."""

    end_ms: int
    factor: int = 1

    def world(self, real_ms: int) -> int:
        return self.end_ms - (self.end_ms - real_ms) * self.factor

    def real(self, world_ms: int) -> int:
        """The last whole millisecond up to that moment, so that it lies in the same bucket."""
        return self.end_ms - -(-(self.end_ms - world_ms) // self.factor)


@dataclass(frozen=True, slots=True)
class Provenance:
    """How an objective was read, and what was met on the way."""

    counting: Counting
    step_ms: int
    """The length of a bucket; of thresholds and ratios the distance of their ticks."""
    oddities: CountingCaveats
    missing: tuple[str, ...] = ()
    """Which queries returned nothing at all: ``all``, ``good``, ``bad``, ``value``."""
    out_of_range: int = 0
    """Ratios that were not between 0 and 1."""
    series: int = 1
    """The most series that a threshold's or ratio's query returned at once."""
    scrape_ms: int | None = None
    """The usual distance of a series' samples; None where they were not read."""
    warnings: tuple[str, ...] = ()
    """What the server said beside its answers."""
    strays: int = 0
    """Samples from outside of the time that was asked for; left out."""
    lookback_ms: int = DEFAULTS.lookback_ms
    """How old a sample may be that the server still sees."""


@dataclass(frozen=True, slots=True)
class ObservedObjective:
    """What was read of one objective."""

    course: EventBuckets
    """What the budget is made of: events, or slices where the objective counts those."""
    events: EventBuckets
    """The events beneath slices; the same where events count."""
    how: Provenance
    group: Labels = ()
    """The labels of the group of which it was read; of all groups together none."""


_Found = tuple[Labels, EventBuckets, Provenance]
"""A group, its course and how it was read."""


@dataclass(slots=True)
class History:
    """Reads objectives' courses from `engine`.

    `gap_ms` overrides the longest distance of samples that is no gap, which is `lookback_ms` at most; `step_ms` the
    length of a bucket. Times are the world's; `clock` knows the server's.
    """

    engine: Engine
    clock: ServerClock
    gap_ms: int | None = None
    step_ms: int | None = None
    lookback_ms: int = DEFAULTS.lookback_ms
    most_raw_samples: int = _MOST_RAW_SAMPLES
    _warnings: dict[str, None] = field(default_factory=dict)
    _strays: int = 0

    def read(
        self, objective: Objective, judged: JudgedPeriod, progress: Progress = lambda _: None
    ) -> ObservedObjective:
        """The objective over all its groups.

        Raises QueryError where the server refuses a query, EngineError where it does not answer.
        """
        (found,) = self._read(objective, judged, None, progress)
        return found

    def read_groups(
        self, objective: Objective, judged: JudgedPeriod, grouping: Grouping, progress: Progress = lambda _: None
    ) -> Iterator[ObservedObjective]:
        """Each group for itself, one after the other; none where no series was met. Raises as :meth:`read` does."""
        return self._read(objective, judged, grouping, progress)

    def _read(
        self, objective: Objective, judged: JudgedPeriod, grouping: Grouping | None, progress: Progress
    ) -> Iterator[ObservedObjective]:
        self._warnings, self._strays = {}, 0
        match objective.indicator:
            case Events() as events:
                every = self._events(objective, events, judged, grouping, progress)
            case ThresholdIndicator() | RawRatio() as indicator:
                every = self._ticks(objective, indicator, judged, grouping, progress)
        for group, found, how in every:
            course = found
            if not isinstance(objective.budgeting, Occurrences):
                target = objective.budgeting.target if isinstance(objective.budgeting, Timeslices) else None
                course = sliced(course, target)
            told = tuple(self._warnings)
            how = replace(how, warnings=told, strays=self._strays, lookback_ms=self.lookback_ms)
            yield ObservedObjective(course, found, how, group)

    # -- events ----------------------------------------------------------------------------------------------------

    def _events(
        self, objective: Objective, events: Events, judged: JudgedPeriod, grouping: Grouping | None, progress: Progress
    ) -> Iterator[_Found]:
        part = events.bad or events.good
        if part is None:
            raise ValueError("an indicator of events needs good or bad ones")
        is_bad = events.bad is not None
        selected = [_selectors(events.total), _selectors(part)]
        if selected[0] is None or selected[1] is None:
            return self._estimated(objective, events.total, part, is_bad, judged, grouping, progress)
        both = (selected[0], selected[1])
        of_samples = events.total.reading is WindowPlacement.GAUGE
        try:
            counter = self._raw(objective, both, of_samples, judged, grouping, progress)
        except _TooManySamples:
            return self._grid(objective, both, of_samples, is_bad, judged, grouping, progress)
        return self._counted(counter, is_bad)

    def _raw(
        self,
        objective: Objective,
        both: tuple[_Terms, _Terms],
        of_samples: bool,
        judged: JudgedPeriod,
        grouping: Grouping | None,
        progress: Progress,
    ) -> Counter:
        grid = self._grid_of(objective, judged)
        counter = Counter(
            grid, self.gap_ms, of_samples, judged.read_from_ms, grouping, judged.left_out, self.lookback_ms
        )
        reach = self.lookback_ms if self.gap_ms is None else self.gap_ms
        begin, end = self.clock.real(judged.read_from_ms - reach), self.clock.real(judged.end_ms)
        piece, at, read = _PIECES_MS[3], begin, 0
        while at < end:
            until = min(end, at - at % piece + piece)
            try:
                answers = [
                    [
                        (sign, self._within(self._ask(f"{selector}[{until - at}ms]", until), at, until))
                        for sign, selector in terms_
                    ]
                    for terms_ in both
                ]
            except QueryError as err:
                if "too many samples" not in err.message or piece == _PIECES_MS[0]:
                    raise
                piece = _PIECES_MS[_PIECES_MS.index(piece) - 1]
                continue
            size = sum(len(series.values) for answer in answers for _, found in answer for series in found)
            read += size
            if read + size / (until - at) * (end - until) > self.most_raw_samples:
                raise _TooManySamples
            counter.add(*([Part(sign, [self._world(s) for s in found]) for sign, found in each] for each in answers))
            piece = _next_piece(piece, size / (until - at))
            at = until
            progress((at - begin) / (end - begin))
        return counter

    @staticmethod
    def _counted(counter: Counter, is_bad: bool) -> Iterator[_Found]:
        for group, found in counter.groups.items():
            course, some = counter.course(group)
            missing = _missing(found.seen, is_bad)
            how = Provenance(Counting.RAW, counter.grid.step_ms, found.oddities, missing, scrape_ms=counter.scrape_ms)
            yield group, _with_bad(course, some, is_bad), how

    def _grid(
        self,
        objective: Objective,
        both: tuple[_Terms, _Terms],
        of_samples: bool,
        is_bad: bool,
        judged: JudgedPeriod,
        grouping: Grouping | None,
        progress: Progress,
    ) -> Iterator[_Found]:
        grid = self._grid_of(objective, judged)
        step = grid.step_ms // self.clock.factor
        return self._stepwise(
            grid, Counting.GRID, is_bad, judged, grouping, progress,
            [[(sign, _sum(_difference(selector, step, of_samples), grouping), Fraction(1)) for sign, selector in each]
             for each in both],
        )  # fmt: skip

    def _estimated(
        self,
        objective: Objective,
        total: IndicatorQuery,
        part: IndicatorQuery,
        is_bad: bool,
        judged: JudgedPeriod,
        grouping: Grouping | None,
        progress: Progress,
    ) -> Iterator[_Found]:
        grid = self._grid_of(objective, judged, _ESTIMATE_STEP_MS)
        step = grid.step_ms // self.clock.factor
        asked = []
        for query in (total, part):
            # A rate is events per second; what says neither is compared as it is.
            weight = Fraction(step, 1000) if per_second(query) else Fraction(1)
            asked.append([(1, _sum(windowed(query, format_duration(step)), grouping), weight)])
        return self._stepwise(grid, Counting.ESTIMATED, is_bad, judged, grouping, progress, asked)

    def _stepwise(
        self,
        grid: Grid,
        counting: Counting,
        is_bad: bool,
        judged: JudgedPeriod,
        grouping: Grouping | None,
        progress: Progress,
        asked: Sequence[Sequence[tuple[int, str, Fraction]]],
    ) -> Iterator[_Found]:
        """Sums that the server made, one per bucket: of all events, and of good or bad ones."""
        groups = _Groups(grid, grouping)
        for which, queries in enumerate(asked):
            for sign, expr, weight in queries:
                for series in self._ask_range(expr, grid, grid.step_ms, judged, progress):
                    found = groups.of(series.labels)
                    for at, value in zip(series.timestamps_ms, series.values, strict=True):
                        index = grid.index(self.clock.world(at))
                        if touches(judged.left_out, grid.begin_of(index), grid.end_of(index)):
                            continue
                        if not math.isfinite(value):
                            found.oddities.not_numbers += value == value  # NaN is 0/0
                            continue
                        found.seen[which] = True
                        exact = Fraction(value) * weight
                        found.counts[which].add(index, sign * (int(exact) if exact.denominator == 1 else exact))
                        if which == 0 and sign > 0 and not found.measured[index]:
                            found.measured.add(index, _bucket_ms(grid, index))
        for group, found in groups.found.items():
            total, some = found.counts
            course = _with_bad(EventBuckets(grid, total, Bins(len(grid)), found.measured), some, is_bad)
            yield group, course, Provenance(counting, grid.step_ms, found.oddities, _missing(found.seen, is_bad))

    # -- ticks -----------------------------------------------------------------------------------------------------

    def _ticks(
        self,
        objective: Objective,
        indicator: ThresholdIndicator | RawRatio,
        judged: JudgedPeriod,
        grouping: Grouping | None,
        progress: Progress,
    ) -> Iterator[_Found]:
        query = indicator.query
        windows_itself = query.reading is WindowPlacement.WINDOWED
        grid = self._grid_of(objective, judged, _ESTIMATE_STEP_MS if windows_itself else _MINUTE)
        tick = grid.step_ms
        if tick > _MINUTE and tick % _MINUTE == 0 and not windows_itself and _MINUTE % self.clock.factor == 0:
            tick = _MINUTE  # a long slice is looked at every minute
        expr = windowed(query, format_duration(tick // self.clock.factor)) if windows_itself else query.expr
        groups = _Groups(grid, grouping)
        for piece in self._pieces(expr, grid, tick, judged, progress):
            for found in groups.found.values():
                found.now = 0
            for series in piece:
                found = groups.of(series.labels)
                found.now += 1
                found.at_once = max(found.at_once, found.now)
                total, bad = found.counts
                for at, value in zip(series.timestamps_ms, series.values, strict=True):
                    moment = self.clock.world(at)
                    index = grid.index(moment)
                    if touches(judged.left_out, moment - tick if windows_itself else moment, moment):
                        continue
                    wrong = _judged_value(indicator, value)
                    if wrong is None:
                        found.oddities.not_numbers += 1
                        continue
                    if not 0 <= wrong <= 1:
                        found.out_of_range += 1
                        continue
                    total.add(index, 1)
                    bad.add(index, wrong)
                    found.measured.add(index, min(tick, _bucket_ms(grid, index) - int(found.measured[index])))
        for group, found in groups.found.items():
            missing = () if found.at_once else ("value",)
            how = Provenance(Counting.TICKS, tick, found.oddities, missing, found.out_of_range, found.at_once)
            yield group, EventBuckets(grid, *found.counts, found.measured), how

    # -- the server ------------------------------------------------------------------------------------------------

    def _grid_of(self, objective: Objective, judged: JudgedPeriod, coarsest_ms: int = _MINUTE) -> Grid:
        factor, slice_ms = self.clock.factor, objective.slice_ms
        if slice_ms is not None:
            if slice_ms % factor:
                raise UnsupportedError(
                    f"a slice of {format_duration(slice_ms)} is no whole number of milliseconds on a clock {factor} "
                    "times as fast",
                    span=objective.span,
                    hint="compress less",
                )
            return Grid(judged.start_ms, judged.end_ms, slice_ms)
        step = self.step_ms
        if step is None:
            seen = judged.end_ms - judged.read_from_ms
            fitting = (ms for ms in (coarsest_ms, *_FINE_STEPS_MS) if seen >= ms * _FEWEST_BUCKETS)
            step = next(fitting, _FINE_STEPS_MS[-1])
            if coarsest_ms == _ESTIMATE_STEP_MS:
                step = max(step, min(coarsest_ms, _MINUTE))
        step = -(-step // factor) * factor
        # Buckets are cut from the end backwards in the server's time, which may be coarser than the world's.
        start = judged.end_ms - -(-(judged.end_ms - judged.start_ms) // factor) * factor
        return Grid(start, judged.end_ms, step)

    def _ask(self, expr: str, at_ms: int) -> list[Series]:
        found = self.engine.query(expr, at_ms)
        self._warnings.update(dict.fromkeys(self.engine.last_warnings))
        return found

    def _ask_range(
        self, expr: str, grid: Grid, tick_ms: int, judged: JudgedPeriod, progress: Progress
    ) -> Iterator[Series]:
        for piece in self._pieces(expr, grid, tick_ms, judged, progress):
            yield from piece

    def _pieces(
        self, expr: str, grid: Grid, tick_ms: int, judged: JudgedPeriod, progress: Progress
    ) -> Iterator[list[Series]]:
        """The query at the ends of ticks, in pieces of a week or so."""
        factor = self.clock.factor
        skipped = max(0, (judged.read_from_ms - grid.start_ms) // tick_ms)
        first = self.clock.real(grid.start_ms + (skipped + 1) * tick_ms)
        end, step = self.clock.real(grid.end_ms), tick_ms // factor
        per_piece = step * 10_000
        for at in range(first, end + 1, per_piece):
            found = self.engine.query_range(expr, at, min(end, at + per_piece - step), step)
            self._warnings.update(dict.fromkeys(self.engine.last_warnings))
            yield self._within(found, at, end)
            progress(min(1.0, (at + per_piece - first) / max(1, end - first)))

    def _within(self, found: list[Series], begin_ms: int, end_ms: int) -> list[Series]:
        """Without samples that were not asked for: somebody between us and the server may answer from another time."""
        if all(not s.timestamps_ms or begin_ms <= s.timestamps_ms[0] <= s.timestamps_ms[-1] <= end_ms for s in found):
            return found
        cut = []
        for series in found:
            kept = [
                (at, value)
                for at, value in zip(series.timestamps_ms, series.values, strict=True)
                if begin_ms <= at <= end_ms
            ]
            self._strays += len(series.values) - len(kept)
            cut.append(Series(series.labels, [at for at, _ in kept], [value for _, value in kept]))
        return cut

    def _world(self, series: Series) -> Raw:
        if self.clock.factor == 1:
            return Raw(series.labels, series.timestamps_ms, series.values)
        return Raw(series.labels, [self.clock.world(at) for at in series.timestamps_ms], series.values)


@dataclass(slots=True)
class _Group:
    """What was read of one group, step by step or tick by tick."""

    counts: tuple[Bins, Bins]
    """All events, and good or bad ones."""
    measured: Bins
    oddities: CountingCaveats = field(default_factory=CountingCaveats)
    seen: list[bool] = field(default_factory=lambda: [False, False])
    out_of_range: int = 0
    at_once: int = 0
    """The most series in one answer."""
    now: int = 0
    """Those of the present one."""


class _Groups:
    """Groups as they are met; of what is not grouped there is one from the start."""

    def __init__(self, grid: Grid, grouping: Grouping | None) -> None:
        self._size, self._grouping = len(grid), grouping
        self.found: dict[Labels, _Group] = {}
        if grouping is None:
            self.of(())

    def of(self, labels: Labels) -> _Group:
        group = () if self._grouping is None else self._grouping.of(labels)
        found = self.found.get(group)
        if found is None:
            found = self.found[group] = _Group((Bins(self._size), Bins(self._size)), Bins(self._size))
        return found


class _TooManySamples(Exception):
    """The samples of an objective would take too long to read."""


_Terms = Sequence[tuple[int, str]]
"""Selectors with the sign with which their events are added."""


def _selectors(query: IndicatorQuery) -> list[tuple[int, str]] | None:
    """The query as a sum and difference of selectors of counters (or of events per sample); None if it is none."""
    if query.reading is not WindowPlacement.WINDOWED:
        return [(term.sign, str(term.selector)) for term in terms(query, "the query")]
    return _summed(tree(query), 1, grouping_of(query))


def _summed(node: object, sign: int, grouping: Grouping | None) -> list[tuple[int, str]] | None:
    """A windowed query's selectors with their signs, if it is a sum and difference of rates or of increases.

    Each sum must group as the whole query does.

    ``… or vector(0)`` adds nothing: without a series there are no events.
    """
    match node:
        case promql.ParenExpr():
            return _summed(node.expr, sign, grouping)
        case promql.BinaryExpr() if (kept := or_zero(node)) is not None:
            return _summed(kept, sign, grouping)
        case promql.AggregateExpr() if str(node.op) == "sum" and own_grouping(node) == grouping:
            inner: Any = node.expr
            while isinstance(inner, promql.ParenExpr) or or_zero(inner) is not None:
                inner = inner.expr if isinstance(inner, promql.ParenExpr) else or_zero(inner)
            if isinstance(inner, promql.Call) and inner.func.name in ("rate", "increase"):
                (ranged,) = inner.args
                if isinstance(ranged, promql.MatrixSelector):
                    selected = ranged.vector_selector
                    plain = selected.offset is None and selected.at is None and not selected.matchers.or_matchers
                    return [(sign, str(selectors_of(selected)[0]))] if plain else None
        case promql.BinaryExpr() if str(node.op) in ("+", "-") and node.modifier is None:
            left = _summed(node.lhs, sign, grouping)
            right = _summed(node.rhs, sign if str(node.op) == "+" else -sign, grouping)
            return None if left is None or right is None else [*left, *right]
    return None


def _difference(selector: str, step_ms: int, of_samples: bool) -> str:
    """What was counted since the step before, series by series; a value below the one before is a reset."""
    if of_samples:
        return f"sum_over_time({selector}[{step_ms}ms])"
    before = f"{selector} offset {step_ms}ms"
    return f"(({selector} - {before}) >= 0) or ({selector} < {before})"


def _sum(expr: str, grouping: Grouping | None) -> str:
    return f"sum({expr})" if grouping is None else f"sum {grouping.clause} ({expr})"


def _next_piece(piece: int, per_ms: float) -> int:
    """The longest piece whose samples fit in an answer; at most four times as long as the last one."""
    fitting = [ms for ms in _PIECES_MS if ms * per_ms <= _PIECE_SAMPLES and ms <= 4 * piece]
    return fitting[-1] if fitting else _PIECES_MS[0]


def _with_bad(course: EventBuckets, some: Bins, is_bad: bool) -> EventBuckets:
    if is_bad:
        return replace(course, bad=some)
    bad = Bins(len(course.grid))
    for index in {*course.occupied(), *some.occupied()}:
        bad.add(index, course.total[index] - some[index])
    return replace(course, bad=bad)


def _missing(seen: Sequence[bool], is_bad: bool) -> tuple[str, ...]:
    names = ("all", "bad" if is_bad else "good")
    return tuple(name for name, was_seen in zip(names, seen, strict=True) if not was_seen)


def _judged_value(indicator: ThresholdIndicator | RawRatio, value: float) -> int | Fraction | None:
    """How bad a value is, from 0 to 1; None where it says nothing (NaN)."""
    if math.isnan(value):
        return None
    if isinstance(indicator, RawRatio):
        if math.isinf(value):
            return 2  # no ratio
        return Fraction(value) if indicator.is_error else 1 - Fraction(value)
    # As Prometheus compares: two doubles.
    limit = float(indicator.threshold)
    good = {"lte": value <= limit, "lt": value < limit, "gte": value >= limit, "gt": value > limit}
    return int(not good[indicator.op.value])


def _bucket_ms(grid: Grid, index: int) -> int:
    begin = grid.start_ms + index * grid.step_ms
    return min(grid.end_ms, begin + grid.step_ms) - begin
