"""An objective's events, read from a Prometheus-compatible API in pieces that fit in memory.

Three ways to count, the first that the query and its width allow:

- raw: the samples themselves, by range selectors (``requests_total[6h]``). Exact.
- grid: differences of neighbouring steps, added up by the server; for selectors of so many series that their samples
  could not be read. Exact but for what a counter gained between its last step and a reset.
- estimated: the query's own window, step by step, for queries that are no sum of selectors. As exact as ``rate()`` is.

Thresholds and ready-made ratios are looked at tick by tick, as an alerting rule would.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from harness.engines import Engine, QueryError, Series
from harness.errors import UnsupportedError
from harness.prometheus import DEFAULTS
from harness.series import Labels
from harness.slo.budget.buckets import Bins, EventBuckets, Grid, sliced
from harness.slo.budget.counting import Counter, Part
from harness.slo.budget.groups import GroupTable
from harness.slo.budget.observed import Counting, ObservedObjective, Provenance
from harness.slo.budget.server import HistoryServer, Progress, ServerClock
from harness.slo.budget.summands import Summands, difference, sum_by, summands
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
from harness.slo.queries import per_second, windowed
from harness.slo.stretches import touches
from harness.units import format_duration

_MINUTE = 60_000
_PIECES_MS = tuple(minutes * _MINUTE for minutes in (1, 5, 15, 60, 120, 360, 720, 1440, 2880))
"""No longer than two days: what is dense after a sparse stretch must still fit in memory."""
_FIRST_PIECE_MS = 60 * _MINUTE
_PIECE_SAMPLES = 150_000
"""Samples of one answer; they cost about 30 MB while they are read."""
_MOST_RAW_SAMPLES = 12_000_000
"""Samples of one objective beyond which the server adds up; about a quarter of a minute of reading."""
_ESTIMATE_STEP_MS = 5 * _MINUTE
_FINE_STEPS_MS = (30_000, 15_000, 10_000, 5_000, 1_000)
_FEWEST_BUCKETS = 120

_Found = tuple[Labels, EventBuckets, Provenance]
"""A group, its events and how they were read."""


@dataclass(slots=True)
class History:
    """Reads objectives' events from `engine`.

    `gap_ms` overrides the longest distance of samples that is no gap, which is `lookback_ms` at most; `step_ms` the
    length of a bucket. Times are the world's; `clock` knows the server's.
    """

    engine: Engine
    clock: ServerClock
    gap_ms: int | None = None
    step_ms: int | None = None
    lookback_ms: int = DEFAULTS.lookback_ms
    most_raw_samples: int = _MOST_RAW_SAMPLES

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
        server = HistoryServer(self.engine, self.clock)
        reader = _ObjectiveReader(self, server, objective, judged, grouping, progress)
        for group, events, how in reader.read():
            counted = events
            if not isinstance(objective.budgeting, Occurrences):
                target = objective.budgeting.target if isinstance(objective.budgeting, Timeslices) else None
                counted = sliced(events, target)
            told = tuple(server.warnings)
            how = replace(how, warnings=told, strays=server.strays, lookback_ms=self.lookback_ms)
            yield ObservedObjective(counted, events, how, group)


@dataclass(frozen=True, slots=True)
class _EventQueries:
    """The two queries of an indicator of events."""

    total: IndicatorQuery
    part: IndicatorQuery
    """Of bad events, else of good ones."""
    is_bad: bool

    @classmethod
    def of(cls, events: Events) -> _EventQueries:
        part = events.bad or events.good
        if part is None:
            raise ValueError("an indicator of events needs good or bad ones")
        return cls(events.total, part, events.bad is not None)

    @property
    def of_samples(self) -> bool:
        """Whether each sample is itself a number of events."""
        return self.total.reading is WindowPlacement.GAUGE

    def summands(self) -> tuple[Summands, Summands] | None:
        """Both as sums of selectors; None if one of them is none."""
        total, part = summands(self.total), summands(self.part)
        return None if total is None or part is None else (total, part)


@dataclass(frozen=True, slots=True)
class _ObjectiveReader:
    """One objective over one stretch of time, being read from the server."""

    history: History
    server: HistoryServer
    objective: Objective
    judged: JudgedPeriod
    grouping: Grouping | None
    """None: all groups as one."""
    progress: Progress

    def read(self) -> Iterator[_Found]:
        """Each group with its events and how they were read."""
        match self.objective.indicator:
            case Events() as events:
                return self._events(_EventQueries.of(events))
            case ThresholdIndicator() | RawRatio() as indicator:
                return self._ticks(indicator)

    def _events(self, queries: _EventQueries) -> Iterator[_Found]:
        both = queries.summands()
        if both is None:
            return self._estimated(queries)
        try:
            counter = self._raw(queries, both)
        except _TooManySamples:
            return self._by_the_server(queries, both)
        return _counted(counter, queries.is_bad)

    # -- from the samples themselves -------------------------------------------------------------------------------

    def _raw(self, queries: _EventQueries, both: tuple[Summands, Summands]) -> Counter:
        """Raises _TooManySamples as soon as it is known that there will be too many."""
        history, judged = self.history, self.judged
        counter = Counter(
            self._grid(), history.gap_ms, queries.of_samples, judged.read_from_ms, self.grouping, judged.left_out,
            history.lookback_ms,
        )  # fmt: skip
        reach = history.lookback_ms if history.gap_ms is None else history.gap_ms
        begin, end = history.clock.real(judged.read_from_ms - reach), history.clock.real(judged.end_ms)
        piece, at, read = _FIRST_PIECE_MS, begin, 0
        while at < end:
            until = min(end, at - at % piece + piece)
            try:
                total, part = (self._parts(each, at, until) for each in both)
            except QueryError as err:
                if "too many samples" not in err.message or piece == _PIECES_MS[0]:
                    raise
                piece = _PIECES_MS[_PIECES_MS.index(piece) - 1]
                continue
            size = sum(len(raw.values) for one in (*total, *part) for raw in one.series)
            read += size
            if read + size / (until - at) * (end - until) > history.most_raw_samples:
                raise _TooManySamples
            counter.add(total, part)
            piece = _next_piece(piece, size / (until - at))
            at = until
            self.progress((at - begin) / (end - begin))
        return counter

    def _parts(self, each: Summands, begin_ms: int, end_ms: int) -> list[Part]:
        return [
            Part(sign, [self.server.in_world(series) for series in self.server.samples(selector, begin_ms, end_ms)])
            for sign, selector in each
        ]

    # -- from sums that the server makes ---------------------------------------------------------------------------

    def _by_the_server(self, queries: _EventQueries, both: tuple[Summands, Summands]) -> Iterator[_Found]:
        """By differences from step to step."""
        grid = self._grid()
        step = grid.step_ms // self.history.clock.factor
        asked = [
            [
                _Sum(sign, sum_by(difference(selector, step, queries.of_samples), self.grouping))
                for sign, selector in each
            ]
            for each in both
        ]
        return self._stepwise(grid, Counting.GRID, queries.is_bad, asked)

    def _estimated(self, queries: _EventQueries) -> Iterator[_Found]:
        """By the queries' own windows."""
        grid = self._grid(_ESTIMATE_STEP_MS)
        step = grid.step_ms // self.history.clock.factor
        asked = []
        for query in (queries.total, queries.part):
            # A rate is events per second; what says neither is compared as it is.
            weight = Fraction(step, 1000) if per_second(query) else Fraction(1)
            asked.append([_Sum(1, sum_by(windowed(query, format_duration(step)), self.grouping), weight)])
        return self._stepwise(grid, Counting.ESTIMATED, queries.is_bad, asked)

    def _stepwise(
        self, grid: Grid, counting: Counting, is_bad: bool, asked: Sequence[Sequence[_Sum]]
    ) -> Iterator[_Found]:
        """Sums that the server made, one per bucket: of all events, and of good or bad ones."""
        groups, judged = GroupTable(grid, self.grouping), self.judged
        for which, sums in enumerate(asked):
            for one in sums:
                for series in self._ask(one.expr, grid, grid.step_ms):
                    found = groups.of(series.labels)
                    for at, value in zip(series.timestamps_ms, series.values, strict=True):
                        index = grid.index(self.history.clock.world(at))
                        if touches(judged.left_out, grid.begin_of(index), grid.end_of(index)):
                            continue
                        if not math.isfinite(value):
                            found.caveats.not_numbers += value == value  # NaN is 0/0
                            continue
                        found.seen[which] = True
                        exact = Fraction(value) * one.weight
                        found.counts[which].add(index, one.sign * (int(exact) if exact.denominator == 1 else exact))
                        if which == 0 and one.sign > 0 and not found.measured[index]:
                            found.measured.add(index, grid.length_of(index))
        for group, found in groups.found.items():
            total, some = found.counts
            events = _with_bad(EventBuckets(grid, total, Bins(len(grid)), found.measured), some, is_bad)
            yield group, events, Provenance(counting, grid.step_ms, found.caveats, _missing(found.seen, is_bad))

    # -- ticks -----------------------------------------------------------------------------------------------------

    def _ticks(self, indicator: ThresholdIndicator | RawRatio) -> Iterator[_Found]:
        """Each tick at which there is a value is one event."""
        query, factor = indicator.query, self.history.clock.factor
        windows_itself = query.reading is WindowPlacement.WINDOWED
        grid = self._grid(_ESTIMATE_STEP_MS if windows_itself else _MINUTE)
        tick = grid.step_ms
        if tick > _MINUTE and tick % _MINUTE == 0 and not windows_itself and _MINUTE % factor == 0:
            tick = _MINUTE  # a long slice is looked at every minute
        expr = windowed(query, format_duration(tick // factor)) if windows_itself else query.expr
        groups, left_out = GroupTable(grid, self.grouping), self.judged.left_out
        for piece in self.server.ticks(expr, grid, self.judged.read_from_ms, tick, self.progress):
            for found in groups.found.values():
                found.now = 0
            for series in piece:
                found = groups.of(series.labels)
                found.now += 1
                found.at_once = max(found.at_once, found.now)
                total, bad = found.counts
                for at, value in zip(series.timestamps_ms, series.values, strict=True):
                    moment = self.history.clock.world(at)
                    index = grid.index(moment)
                    if touches(left_out, moment - tick if windows_itself else moment, moment):
                        continue
                    wrong = _judged_value(indicator, value)
                    if wrong is None:
                        found.caveats.not_numbers += 1
                        continue
                    if not 0 <= wrong <= 1:
                        found.out_of_range += 1
                        continue
                    total.add(index, 1)
                    bad.add(index, wrong)
                    found.measured.add(index, min(tick, grid.length_of(index) - int(found.measured[index])))
        for group, found in groups.found.items():
            missing = () if found.at_once else ("value",)
            how = Provenance(Counting.TICKS, tick, found.caveats, missing, found.out_of_range, found.at_once)
            yield group, EventBuckets(grid, *found.counts, found.measured), how

    # -- the grid --------------------------------------------------------------------------------------------------

    def _ask(self, expr: str, grid: Grid, tick_ms: int) -> Iterator[Series]:
        for piece in self.server.ticks(expr, grid, self.judged.read_from_ms, tick_ms, self.progress):
            yield from piece

    def _grid(self, coarsest_ms: int = _MINUTE) -> Grid:
        """Buckets of the stretch that is judged: slices, else steps of `coarsest_ms`, finer where that is short."""
        judged, factor, slice_ms = self.judged, self.history.clock.factor, self.objective.slice_ms
        if slice_ms is not None:
            if slice_ms % factor:
                raise UnsupportedError(
                    f"a slice of {format_duration(slice_ms)} is no whole number of milliseconds on a clock {factor} "
                    "times as fast",
                    span=self.objective.span,
                    hint="compress less",
                )
            return Grid(judged.start_ms, judged.end_ms, slice_ms)
        step = self.history.step_ms
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


@dataclass(frozen=True, slots=True)
class _Sum:
    """A sum that the server makes."""

    sign: int
    expr: str
    weight: Fraction = Fraction(1)
    """Events for each 1 of its value."""


class _TooManySamples(Exception):
    """The samples of an objective would take too long to read."""


def _counted(counter: Counter, is_bad: bool) -> Iterator[_Found]:
    for group, found in counter.groups.items():
        events, some = counter.counted(group)
        missing = _missing(found.seen, is_bad)
        how = Provenance(Counting.RAW, counter.grid.step_ms, found.caveats, missing, scrape_ms=counter.scrape_ms)
        yield group, _with_bad(events, some, is_bad), how


def _next_piece(piece: int, per_ms: float) -> int:
    """The longest piece whose samples fit in an answer; at most four times as long as the last one."""
    fitting = [ms for ms in _PIECES_MS if ms * per_ms <= _PIECE_SAMPLES and ms <= 4 * piece]
    return fitting[-1] if fitting else _PIECES_MS[0]


def _with_bad(counted: EventBuckets, some: Bins, is_bad: bool) -> EventBuckets:
    if is_bad:
        return replace(counted, bad=some)
    bad = Bins(len(counted.grid))
    for index in {*counted.occupied(), *some.occupied()}:
        bad.add(index, counted.total[index] - some[index])
    return replace(counted, bad=bad)


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
