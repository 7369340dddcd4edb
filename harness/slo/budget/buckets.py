"""An objective's events bucket by bucket, and which of that time was measured. Counts are exact."""

from __future__ import annotations

import itertools
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, overload

from harness.slo.stretches import merged

Count = int | Fraction
"""A number of events: whole wherever the samples are."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Buckets of `step_ms` from `start_ms`, the last cut off at `end_ms`; i is (start + i·step, start + (i + 1)·step].

    Left-open, as Prometheus' range selectors are, so an event belongs to the bucket in which its sample was taken.
    """

    start_ms: int
    end_ms: int
    step_ms: int

    def __len__(self) -> int:
        return max(0, -(-(self.end_ms - self.start_ms) // self.step_ms))

    def index(self, at_ms: int) -> int:
        """The bucket of a moment; outside of the grid, one that does not exist."""
        return (at_ms - self.start_ms - 1) // self.step_ms

    def begin_of(self, index: int) -> int:
        return self.start_ms + index * self.step_ms

    def end_of(self, index: int) -> int:
        """The last moment of a bucket."""
        return min(self.end_ms, self.start_ms + (index + 1) * self.step_ms)

    def length_of(self, index: int) -> int:
        """How long a bucket is: `step_ms`, or less of the last one."""
        return self.end_of(index) - self.begin_of(index)


@dataclass(frozen=True, slots=True)
class EventTally:
    """What happened in a stretch of time."""

    total: Count = 0
    bad: Count = 0
    measured_ms: int = 0

    @property
    def good(self) -> Count:
        return self.total - self.bad

    @property
    def error_ratio(self) -> Fraction | None:
        """None where nothing happened: 0/0 is neither good nor bad."""
        return Fraction(self.bad) / Fraction(self.total) if self.total > 0 else None

    @property
    def sli(self) -> Fraction | None:
        ratio = self.error_ratio
        return None if ratio is None else 1 - ratio


_BLOCK = 1024


class Bins(Sequence[Count]):
    """A number for each bucket of a grid, 0 at first. Takes memory only where there are others, a block at a time."""

    __slots__ = ("_blocks", "_size")

    def __init__(self, size: int, values: Iterable[Count] = ()) -> None:
        self._size = size
        self._blocks: dict[int, Any] = {}
        for index, value in enumerate(values):
            if value:
                self.add(index, value)

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> Count: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Count]: ...
    def __getitem__(self, index: int | slice) -> Count | Sequence[Count]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._size))]
        if not -self._size <= index < self._size:
            raise IndexError(index)
        number, place = divmod(index % self._size, _BLOCK)
        return self._blocks[number][place] if number in self._blocks else 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def add(self, index: int, count: Count) -> None:
        """Add to one bucket."""
        number, place = divmod(index, _BLOCK)
        block: Any = self._blocks.get(number)  # whole numbers of 64 bits, as long as they are
        if block is None:
            block = self._blocks[number] = array("q", bytes(8 * _BLOCK))
        try:
            block[place] += count
        except (TypeError, OverflowError):
            block = self._blocks[number] = list(block)
            block[place] += count

    def fill(self, first: int, last: int, number: int) -> None:
        """Add a whole number to each bucket from `first` up to, not including, `last`."""
        while first < last:
            block, place = divmod(first, _BLOCK)
            upto = min(last, (block + 1) * _BLOCK)
            if block in self._blocks:
                for index in range(first, upto):
                    self.add(index, number)
            else:
                fresh = array("q", bytes(8 * _BLOCK))
                fresh[place : place + upto - first] = array("q", [number]) * (upto - first)
                self._blocks[block] = fresh
            first = upto

    def some(self) -> Iterator[int]:
        """The buckets with another number than 0, in order."""
        for number in sorted(self._blocks):
            start = number * _BLOCK
            yield from (start + place for place, value in enumerate(self._blocks[number]) if value)

    def occupied(self) -> Iterator[int]:
        """The buckets of the blocks that hold anything, in order."""
        for number in sorted(self._blocks):
            yield from range(number * _BLOCK, min((number + 1) * _BLOCK, self._size))

    def blocks(self) -> set[int]:
        """The numbers of the blocks that hold anything."""
        return set(self._blocks)

    def block(self, number: int) -> Sequence[Count]:
        """The buckets of one block."""
        return self._blocks.get(number) or (0,) * _BLOCK


@dataclass(frozen=True, slots=True)
class EventBuckets:
    """Events and measured time per bucket of a grid. Sums over any stretch of whole buckets take constant time.

    What it takes in memory grows with the time of which there are data, not with that of the grid.
    """

    grid: Grid
    total: Sequence[Count]
    bad: Sequence[Count]
    measured_ms: Sequence[Count]
    _numbers: list[int] = field(init=False, repr=False, compare=False)
    """The blocks of which there are data, in order."""
    _sums: dict[int, tuple[list[Count], list[Count], list[Count]]] = field(init=False, repr=False, compare=False)
    """Per block what was before each of its buckets, and after its last: of all events, bad ones, measured time."""

    def __post_init__(self) -> None:
        bins = []
        for name in ("total", "bad", "measured_ms"):
            given = getattr(self, name)
            bins.append(given if isinstance(given, Bins) else Bins(len(self.grid), given))
            object.__setattr__(self, name, bins[-1])
        numbers = sorted(set().union(*(one.blocks() for one in bins)))
        sums: dict[int, tuple[list[Count], list[Count], list[Count]]] = {}
        before: tuple[Count, ...] = (0, 0, 0)
        for number in numbers:
            total, bad, measured = (
                list(itertools.accumulate(one.block(number), initial=start))
                for one, start in zip(bins, before, strict=True)
            )
            sums[number] = total, bad, measured
            before = total[-1], bad[-1], measured[-1]
        object.__setattr__(self, "_numbers", numbers)
        object.__setattr__(self, "_sums", sums)

    def before(self, index: int) -> tuple[Count, Count, Count]:
        """All events, bad events and measured time in the buckets before one."""
        number, place = divmod(index, _BLOCK)
        found = self._sums.get(number)
        if found is None:
            earlier = bisect_left(self._numbers, number)
            if not earlier:
                return 0, 0, 0
            found, place = self._sums[self._numbers[earlier - 1]], _BLOCK
        return found[0][place], found[1][place], found[2][place]

    def stretches(self, reach: int = 0) -> Iterator[tuple[int, int]]:
        """Buckets from one up to, not including, another that hold all data, and the `reach` buckets after these."""
        size = len(self.grid)
        for first, last in merged((n * _BLOCK, (n + 1) * _BLOCK + reach) for n in self._numbers):
            yield first, min(last, size)

    def steps(self, width: int) -> Iterator[int]:
        """The first buckets of the steps of `width` buckets in which there are data."""
        todo = 0
        for first, last in self.stretches():
            for step in range(max(todo, first - first % width), last, width):
                yield step
                todo = step + width

    def occupied(self) -> Iterator[int]:
        """The buckets that hold all data, in order."""
        return (i for first, last in self.stretches() for i in range(first, last))

    def sums(self, first: int, last: int) -> tuple[list[Count], list[Count]]:
        """All events and bad events before each bucket from `first` to `last`, both included."""
        totals: list[Count] = []
        bads: list[Count] = []
        at = first
        while at <= last:
            number, place = divmod(at, _BLOCK)
            upto = min(last + 1, (number + 1) * _BLOCK)
            if number in self._sums:
                total, bad, _ = self._sums[number]
                totals += total[place : place + upto - at]
                bads += bad[place : place + upto - at]
            else:
                every, wrong, _ = self.before(at)
                totals += [every] * (upto - at)
                bads += [wrong] * (upto - at)
            at = upto
        return totals, bads

    def tally(self, first: int, last: int) -> EventTally:
        """The buckets from `first` up to, not including, `last`; those outside of the grid are empty."""
        size = len(self.grid)
        low, high = min(max(first, 0), size), min(max(last, 0), size)
        if high <= low:
            return EventTally()
        old, new = self.before(low), self.before(high)
        return EventTally(new[0] - old[0], new[1] - old[1], int(new[2] - old[2]))

    def between(self, start_ms: int, end_ms: int) -> EventTally:
        """(start, end], cut to whole buckets: those that end in it."""
        return self.tally(self._ended(start_ms), self._ended(end_ms))

    def whole(self) -> EventTally:
        return self.tally(0, len(self.grid))

    def _ended(self, at_ms: int) -> int:
        """How many buckets have ended by a moment."""
        if at_ms >= self.grid.end_ms:
            return len(self.grid)
        return (at_ms - self.grid.start_ms) // self.grid.step_ms

    def measured_buckets(self) -> Iterator[int]:
        """The buckets of which anything was measured, in order."""
        assert isinstance(self.measured_ms, Bins)
        return self.measured_ms.some()

    def first_measured_ms(self) -> int | None:
        """The start of the first bucket of which anything was measured."""
        first = next(self.measured_buckets(), None)
        return None if first is None else self.grid.begin_of(first)

    def last_measured_ms(self) -> int | None:
        """The end of the last bucket of which anything was measured."""
        for first, last in reversed(list(self.stretches())):
            for i in range(last - 1, first - 1, -1):
                if self.measured_ms[i]:
                    return self.grid.end_of(i)
        return None


def sliced(counted: EventBuckets, target: Fraction | None) -> EventBuckets:
    """Time slices as events: each bucket with events counts 1; bad if less than `target` of its events were good.

    Without a target (ratio slices) a slice is as bad as the share of its bad events.
    """
    total, bad = Bins(len(counted.grid)), Bins(len(counted.grid))
    for i in counted.occupied():
        count, wrong = counted.total[i], counted.bad[i]
        if count <= 0:
            continue
        total.add(i, 1)
        bad.add(i, Fraction(wrong) / Fraction(count) if target is None else int(count - wrong < target * count))
    return EventBuckets(counted.grid, total, bad, counted.measured_ms)
