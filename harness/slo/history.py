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

from harness.engines.base import Engine, QueryError, Series
from harness.errors import UnsupportedError
from harness.rules.selectors import selectors_of
from harness.slo.course import Count, Course, Grid, sliced
from harness.slo.model import Events, Objective, Occurrences, Query, RawRatio, Reading, Threshold, Timeslices
from harness.slo.periods import Judged
from harness.slo.queries import or_zero, per_second, terms, tree, windowed
from harness.slo.sli import LONGEST_GAP_MS, Counter, Oddities, Part, Raw
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
class Clock:
    """From the server's time to the world's: a run on a clock `factor` times as fast ends at `end_ms` on both."""

    end_ms: int
    factor: int = 1

    def world(self, real_ms: int) -> int:
        return self.end_ms - (self.end_ms - real_ms) * self.factor

    def real(self, world_ms: int) -> int:
        """The last whole millisecond up to that moment, so that it lies in the same bucket."""
        return self.end_ms - -(-(self.end_ms - world_ms) // self.factor)


@dataclass(frozen=True, slots=True)
class How:
    """How an objective was read, and what was met on the way."""

    counting: Counting
    step_ms: int
    """The length of a bucket; of thresholds and ratios the distance of their ticks."""
    oddities: Oddities
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


@dataclass(frozen=True, slots=True)
class Observed:
    """What was read of one objective."""

    course: Course
    """What the budget is made of: events, or slices where the objective counts those."""
    events: Course
    """The events beneath slices; the same where events count."""
    how: How


@dataclass(slots=True)
class History:
    """Reads objectives' courses from `engine`.

    `gap_ms` overrides the longest distance of samples that is no gap; `step_ms` the length of a bucket. Times are the
    world's; `clock` knows the server's.
    """

    engine: Engine
    clock: Clock
    gap_ms: int | None = None
    step_ms: int | None = None
    most_raw_samples: int = _MOST_RAW_SAMPLES
    _warnings: dict[str, None] = field(default_factory=dict)
    _strays: int = 0

    def read(self, objective: Objective, judged: Judged, progress: Progress = lambda _: None) -> Observed:
        """Raises QueryError where the server refuses a query, EngineError where it does not answer."""
        self._warnings, self._strays = {}, 0
        match objective.indicator:
            case Events() as events:
                found, how = self._events(objective, events, judged, progress)
            case Threshold() | RawRatio() as indicator:
                found, how = self._ticks(objective, indicator, judged, progress)
        course = found
        if not isinstance(objective.budgeting, Occurrences):
            target = objective.budgeting.target if isinstance(objective.budgeting, Timeslices) else None
            course = sliced(course, target)
        return Observed(course, found, replace(how, warnings=tuple(self._warnings), strays=self._strays))

    # -- events ----------------------------------------------------------------------------------------------------

    def _events(self, objective: Objective, events: Events, judged: Judged, progress: Progress) -> tuple[Course, How]:
        part = events.bad or events.good
        if part is None:
            raise ValueError("an indicator of events needs good or bad ones")
        is_bad = events.bad is not None
        selected = [_selectors(events.total), _selectors(part)]
        if selected[0] is None or selected[1] is None:
            return self._estimated(objective, events.total, part, is_bad, judged, progress)
        both = (selected[0], selected[1])
        of_samples = events.total.reading is Reading.GAUGE
        try:
            return self._raw(objective, both, of_samples, is_bad, judged, progress)
        except _TooManySamples:
            return self._grid(objective, both, of_samples, is_bad, judged, progress)

    def _raw(
        self,
        objective: Objective,
        both: tuple[_Terms, _Terms],
        of_samples: bool,
        is_bad: bool,
        judged: Judged,
        progress: Progress,
    ) -> tuple[Course, How]:
        grid = self._grid_of(objective, judged)
        counter = Counter(grid, self.gap_ms, of_samples, judged.read_from_ms)
        reach = LONGEST_GAP_MS if self.gap_ms is None else self.gap_ms
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
        course, some = counter.course()
        missing = _missing(counter.seen, is_bad)
        how = How(Counting.RAW, grid.step_ms, counter.oddities, missing, scrape_ms=counter.scrape_ms)
        return _with_bad(course, some, is_bad), how

    def _grid(
        self,
        objective: Objective,
        both: tuple[_Terms, _Terms],
        of_samples: bool,
        is_bad: bool,
        judged: Judged,
        progress: Progress,
    ) -> tuple[Course, How]:
        grid = self._grid_of(objective, judged)
        step = grid.step_ms // self.clock.factor
        return self._stepwise(
            grid, Counting.GRID, is_bad, judged, progress,
            [[(sign, _difference(selector, step, of_samples), Fraction(1)) for sign, selector in each]
             for each in both],
        )  # fmt: skip

    def _estimated(
        self, objective: Objective, total: Query, part: Query, is_bad: bool, judged: Judged, progress: Progress
    ) -> tuple[Course, How]:
        grid = self._grid_of(objective, judged, _ESTIMATE_STEP_MS)
        step = grid.step_ms // self.clock.factor
        asked = []
        for query in (total, part):
            # A rate is events per second; what says neither is compared as it is.
            weight = Fraction(step, 1000) if per_second(query) else Fraction(1)
            asked.append([(1, f"sum({windowed(query, format_duration(step))})", weight)])
        return self._stepwise(grid, Counting.ESTIMATED, is_bad, judged, progress, asked)

    def _stepwise(
        self,
        grid: Grid,
        counting: Counting,
        is_bad: bool,
        judged: Judged,
        progress: Progress,
        asked: Sequence[Sequence[tuple[int, str, Fraction]]],
    ) -> tuple[Course, How]:
        """Sums that the server made, one per bucket: of all events, and of good or bad ones."""
        counts: tuple[list[Count], list[Count]] = ([0] * len(grid), [0] * len(grid))
        measured, seen, oddities = [0] * len(grid), [False, False], Oddities()
        for which, queries in enumerate(asked):
            for sign, expr, weight in queries:
                for series in self._ask_range(expr, grid, grid.step_ms, judged, progress):
                    for at, value in zip(series.timestamps_ms, series.values, strict=True):
                        index = grid.index(self.clock.world(at))
                        if not math.isfinite(value):
                            oddities.not_numbers += value == value  # NaN is 0/0
                            continue
                        seen[which] = True
                        exact = Fraction(value) * weight
                        counts[which][index] += sign * (int(exact) if exact.denominator == 1 else exact)
                        if which == 0 and sign > 0:
                            measured[index] = _bucket_ms(grid, index)
        course = _with_bad(Course(grid, counts[0], [0] * len(grid), measured), counts[1], is_bad)
        return course, How(counting, grid.step_ms, oddities, _missing(seen, is_bad))

    # -- ticks -----------------------------------------------------------------------------------------------------

    def _ticks(
        self, objective: Objective, indicator: Threshold | RawRatio, judged: Judged, progress: Progress
    ) -> tuple[Course, How]:
        query = indicator.query
        windows_itself = query.reading is Reading.WINDOWED
        grid = self._grid_of(objective, judged, _ESTIMATE_STEP_MS if windows_itself else _MINUTE)
        tick = grid.step_ms
        if tick > _MINUTE and tick % _MINUTE == 0 and not windows_itself and _MINUTE % self.clock.factor == 0:
            tick = _MINUTE  # a long slice is looked at every minute
        expr = windowed(query, format_duration(tick // self.clock.factor)) if windows_itself else query.expr
        total: list[Count] = [0] * len(grid)
        bad: list[Count] = [0] * len(grid)
        measured = [0] * len(grid)
        oddities, out_of_range, at_once = Oddities(), 0, 0
        for piece in self._pieces(expr, grid, tick, judged, progress):
            at_once = max(at_once, len(piece))
            for series in piece:
                for at, value in zip(series.timestamps_ms, series.values, strict=True):
                    index = grid.index(self.clock.world(at))
                    wrong = _judged_value(indicator, value)
                    if wrong is None:
                        oddities.not_numbers += 1
                        continue
                    if not 0 <= wrong <= 1:
                        out_of_range += 1
                        continue
                    total[index] += 1
                    bad[index] += wrong
                    measured[index] += tick
        measured = [min(ms, _bucket_ms(grid, i)) for i, ms in enumerate(measured)]
        missing = () if at_once else ("value",)
        how = How(Counting.TICKS, tick, oddities, missing, out_of_range, at_once)
        return Course(grid, total, bad, measured), how

    # -- the server ------------------------------------------------------------------------------------------------

    def _grid_of(self, objective: Objective, judged: Judged, coarsest_ms: int = _MINUTE) -> Grid:
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

    def _ask_range(self, expr: str, grid: Grid, tick_ms: int, judged: Judged, progress: Progress) -> Iterator[Series]:
        for piece in self._pieces(expr, grid, tick_ms, judged, progress):
            yield from piece

    def _pieces(
        self, expr: str, grid: Grid, tick_ms: int, judged: Judged, progress: Progress
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


class _TooManySamples(Exception):
    """The samples of an objective would take too long to read."""


_Terms = Sequence[tuple[int, str]]
"""Selectors with the sign with which their events are added."""


def _selectors(query: Query) -> list[tuple[int, str]] | None:
    """The query as a sum and difference of selectors of counters (or of events per sample); None if it is none."""
    if query.reading is not Reading.WINDOWED:
        return [(term.sign, str(term.selector)) for term in terms(query, "the query")]
    return _summed(tree(query), 1)


def _summed(node: object, sign: int) -> list[tuple[int, str]] | None:
    """A windowed query's selectors with their signs, if it is a sum and difference of rates or of increases.

    ``… or vector(0)`` adds nothing: without a series there are no events.
    """
    match node:
        case promql.ParenExpr():
            return _summed(node.expr, sign)
        case promql.BinaryExpr() if (kept := or_zero(node)) is not None:
            return _summed(kept, sign)
        case promql.AggregateExpr() if str(node.op) == "sum" and node.modifier is None:
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
            left = _summed(node.lhs, sign)
            right = _summed(node.rhs, sign if str(node.op) == "+" else -sign)
            return None if left is None or right is None else [*left, *right]
    return None


def _difference(selector: str, step_ms: int, of_samples: bool) -> str:
    """What was counted since the step before, over all series; a value below the one before is a reset."""
    if of_samples:
        return f"sum(sum_over_time({selector}[{step_ms}ms]))"
    before = f"{selector} offset {step_ms}ms"
    return f"sum((({selector} - {before}) >= 0) or ({selector} < {before}))"


def _next_piece(piece: int, per_ms: float) -> int:
    """The longest piece whose samples fit in an answer; at most four times as long as the last one."""
    fitting = [ms for ms in _PIECES_MS if ms * per_ms <= _PIECE_SAMPLES and ms <= 4 * piece]
    return fitting[-1] if fitting else _PIECES_MS[0]


def _with_bad(course: Course, some: list[Count], is_bad: bool) -> Course:
    bad = some if is_bad else [total - good for total, good in zip(course.total, some, strict=True)]
    return Course(course.grid, course.total, bad, course.measured_ms)


def _missing(seen: Sequence[bool], is_bad: bool) -> tuple[str, ...]:
    names = ("all", "bad" if is_bad else "good")
    return tuple(name for name, was_seen in zip(names, seen, strict=True) if not was_seen)


def _judged_value(indicator: Threshold | RawRatio, value: float) -> int | Fraction | None:
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
