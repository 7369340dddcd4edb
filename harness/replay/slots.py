"""Time-multiplexing: many cases on one Prometheus, each in a stretch of time of its own.

One query_range whose step is the slot length then evaluates an unmodified expression for every case at once; no label
tells the cases apart, so `sum()`, `absent()` and `scalar()` keep their meaning.
"""

from __future__ import annotations

import bisect
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.contracts.world import Trace
from harness.engines import Engine, Samples
from harness.errors import UnsupportedError
from harness.series import Labels
from harness.units import DAY_MS

FIRST_SLOT_MS = 11_574 * DAY_MS
"""2001-09-09, a midnight: every interval and subquery step up to a day divides it, and decades of slots follow
before today, after which Prometheus refuses samples."""


_LONG_SERIES = 60_000
"""Samples of one series, each with another value, before an engine is made empty, where that is possible. Prometheus
cuts a series in chunks of 1 KB, about a hundred samples, and keeps them in a list; each query walks the list once per
chunk until they are mapped to disk, once a minute (tsdb/head_read.go: appendSeriesChunks). So the time of a query grows
with the square of what was written: with 400,000 samples a case takes 60 ms, with 40,000 less than one."""
_STILL = 32
"""So many samples of one value take the room of one that differs from the one before (XOR: 2 bits, about 64)."""

Place = Callable[[int, int], int]
"""(case, earliest beginning) → its beginning, aligned and no earlier."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Cases of equal length that are to be evaluated by the same rule."""

    cases: Sequence[Sequence[Trace]]
    length_ms: int
    """How much of a case is evaluated."""
    reach_ms: int
    """How far back the rule sees; so much empty time separates the cases."""
    align_ms: int
    """Slots begin at multiples of this (the group's interval, subquery steps)."""
    lead_ms: int = 0
    """How much history a case has before it begins, at negative times: what its rules look back on."""
    place: Place | None = None
    """Where each case may begin; None: anywhere."""
    asked_from_ms: int = 0
    """From when on a case is asked about; what its rules record before matters only to who looks back on it."""


@dataclass(frozen=True, slots=True)
class SlotRange:
    """Where the cases of a batch stand: case i begins at start_ms + i × slot_ms, or where `begins_ms` says."""

    start_ms: int
    slot_ms: int
    count: int
    length_ms: int
    lead_ms: int = 0
    era: int = 0
    """How often the writer had begun anew before: what stands where is another thing each time."""
    begins_ms: tuple[int, ...] = ()
    """Where cases do not follow each other: the beginning of each, slot_ms apart at least."""
    asked_from_ms: int = 0
    """From when on each case is asked about."""

    def begin_ms(self, case: int) -> int:
        return self.begins_ms[case] if self.begins_ms else self.start_ms + case * self.slot_ms

    @property
    def end_ms(self) -> int:
        """The end of the last slot."""
        return (self.begins_ms[-1] if self.begins_ms else self.begin_ms(self.count - 1)) + self.slot_ms

    def case_at(self, at_ms: int) -> tuple[int, int]:
        """(case, time since its beginning) of a moment; the case is -1 before the first."""
        if not self.begins_ms:
            return divmod(at_ms - self.start_ms, self.slot_ms)
        case = bisect.bisect_right(self.begins_ms, at_ms) - 1
        return case, at_ms - self.begins_ms[max(case, 0)]

    def runs(self) -> Iterator[tuple[int, int, int]]:
        """(first case, how many, step in ms) of cases that follow each other in equal steps: a query each."""
        begins, first = self.begins_ms, 0
        if not begins:
            yield 0, self.count, self.slot_ms
            return
        while first < self.count:
            last = min(first + 1, self.count - 1)
            step = begins[last] - begins[first] or self.slot_ms
            while last + 1 < self.count and begins[last + 1] - begins[last] == step:
                last += 1
            yield first, last - first + 1, step
            first = last + 1

    def stretches(self) -> Iterator[tuple[int, int]]:
        """(first case, last case) of those between which no more time lies than their slots take."""
        first = 0
        for case in range(1, self.count if self.begins_ms else 0):
            if self.begins_ms[case] - self.begins_ms[case - 1] >= 2 * self.slot_ms:
                yield first, case - 1
                first = case
        if self.count:
            yield first, self.count - 1


class SlotWriter:
    """The time line of an engine, on which cases are recorded one after the other, always forward."""

    def __init__(self, engine: Engine, start_ms: int = FIRST_SLOT_MS) -> None:
        self.engine = engine
        self._start_ms = self._next_ms = start_ms
        self._era = 0
        self._longest = 0
        """How many samples were written of the series that has most."""

    def free_ms(self, span_ms: int) -> int:
        """Where the next slot may begin, with so much time left before now as far as that can be had."""
        return self._next_ms

    @property
    def room_ms(self) -> int:
        """How long it is from its beginning to its end, which is now: Prometheus takes no samples of the future."""
        return round(time.time() * 1000) - self._start_ms

    def holds(self, slots: SlotRange) -> bool:
        """Whether the cases of these slots are still recorded."""
        return slots.era == self._era

    def record(self, batches: Iterable[Batch]) -> list[SlotRange]:
        """Write the cases of all batches in one go and tell where they stand."""
        batches = list(batches)
        ranges = self._lay(batches)
        series: dict[Labels, list[tuple[int, Trace]]] = {}
        for batch, slots in zip(batches, ranges, strict=True):
            for i, case in enumerate(batch.cases):
                begin = slots.begin_ms(i)
                for trace in case:
                    series.setdefault(trace.labels, []).append((begin, trace.beginning_at(begin)))
        self._next_ms = ranges[-1].end_ms if ranges else self._next_ms
        self._longest += _longest(batches)
        self.engine.write(_merged(series))
        return ranges

    def _lay(self, batches: Sequence[Batch]) -> list[SlotRange]:
        """Where the cases of these batches would stand."""
        ranges: list[SlotRange] = []
        next_ms = self._next_ms
        for batch in batches:
            last_ms = max((trace.times_ms[-1] for case in batch.cases for trace in case if trace.times_ms), default=0)
            # A millisecond more than the reach: 2.x still sees a sample that is exactly as old as the lookback.
            apart_ms = batch.reach_ms + batch.lead_ms
            slot_ms = _round_up(max(batch.length_ms, last_ms) + apart_ms + 1, batch.align_ms)
            start_ms = _round_up(next_ms + apart_ms, batch.align_ms)
            begins: list[int] = []
            if batch.place is not None:
                for i in range(len(batch.cases)):
                    begins.append(batch.place(i, begins[-1] + slot_ms if begins else start_ms))
            start_ms = begins[0] if begins else start_ms
            ranges.append(
                SlotRange(
                    start_ms,
                    slot_ms,
                    len(batch.cases),
                    batch.length_ms,
                    batch.lead_ms,
                    self._era,
                    tuple(begins),
                    batch.asked_from_ms,
                )
            )
            next_ms = ranges[-1].end_ms
        return ranges


class EndlessSlotWriter(SlotWriter):
    """A time line for any number of recordings, each of which is evaluated before the next.

    Before its end, which is now, and where its series grow long, it makes the engine empty and begins anew; so time and
    memory do not add up.
    """

    latest: SlotRange | None = None
    """The slots written last. Earlier ones may be gone, and recording rules can no longer be written there."""
    _is_lost = False

    def lose(self) -> None:
        """Somebody else uses the engine: begin anew at the next recording."""
        self.latest, self._is_lost = None, True

    def free_ms(self, span_ms: int) -> int:
        if self._is_lost or self._next_ms + span_ms > time.time() * 1000:
            self._begin_anew()
        return self._next_ms

    def _begin_anew(self) -> None:
        self.engine.reset()
        self._next_ms, self._longest, self._is_lost = self._start_ms, 0, False
        self._era += 1

    def record(self, batches: Iterable[Batch]) -> list[SlotRange]:
        batches = list(batches)
        ends_ms = max((slots.end_ms for slots in self._lay(batches)), default=0)
        is_full = ends_ms > time.time() * 1000 or self._longest + _longest(batches) > _LONG_SERIES
        if self._is_lost or (is_full and self._next_ms > self._start_ms):
            self._begin_anew()
        if max((slots.end_ms for slots in self._lay(batches)), default=0) > time.time() * 1000:
            raise UnsupportedError(
                "the rule looks back so far that its worlds do not fit between 2001 and now",
                hint="prove it with a shorter window or hold, which means the same",
            )
        ranges = super().record(batches)
        self.latest = ranges[-1] if ranges else self.latest
        return ranges


def _merged(series: dict[Labels, list[tuple[int, Trace]]]) -> Iterable[Samples]:
    """One Samples per label set. Series that were sampled alike share one list of time stamps, which the writer then
    encodes only once."""
    stamps: dict[tuple[tuple[int, int], ...], list[int]] = {}
    for labels, pieces in series.items():
        pattern = tuple((begin, id(trace.times_ms)) for begin, trace in pieces)
        times = stamps.get(pattern)
        if times is None:
            times = stamps[pattern] = [begin + at for begin, trace in pieces for at in trace.times_ms]
        yield Samples(labels, times, [value for _, trace in pieces for value in trace.values])


def _longest(batches: Sequence[Batch]) -> int:
    """How many samples these batches have of the series that has most, or a little more."""
    return sum(max(map(_weight, case), default=0) for batch in batches for case in batch.cases)


def _weight(trace: Trace) -> int:
    """How many samples of values that differ take as much room as these do."""
    values = trace.values
    stands_still = len(values) > 0 and values[0] == values[len(values) // 2] == values[-1]
    return len(values) // _STILL if stands_still else len(values)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def common_multiple_ms(*values: int) -> int:
    """The least common multiple; raises UnsupportedError past a day, where slots could no longer be aligned."""
    result = math.lcm(*values)
    if result > DAY_MS:
        raise UnsupportedError(
            f"the intervals {', '.join(f'{v} ms' for v in values)} meet only every {result} ms",
            hint="use intervals and subquery steps that divide a day together",
        )
    return result
