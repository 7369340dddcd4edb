"""The course of an objective: its events bucket by bucket, and which of that time was measured. Counts are exact."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

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


@dataclass(frozen=True, slots=True)
class Tally:
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


@dataclass(frozen=True, slots=True)
class Course:
    """Events and measured time per bucket of a grid. Sums over any stretch of whole buckets take constant time."""

    grid: Grid
    total: Sequence[Count]
    bad: Sequence[Count]
    measured_ms: Sequence[int]
    _sums: tuple[list[Count], list[Count], list[int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        sums = tuple([0, *itertools.accumulate(counts)] for counts in (self.total, self.bad, self.measured_ms))
        object.__setattr__(self, "_sums", sums)

    @property
    def sums(self) -> tuple[Sequence[Count], Sequence[Count], Sequence[int]]:
        """All events, bad events and measured time before each bucket, and after the last."""
        return self._sums

    def buckets(self, first: int, last: int) -> Tally:
        """The buckets from `first` up to, not including, `last`; those outside of the grid are empty."""
        size = len(self.total)
        low, high = min(max(first, 0), size), min(max(last, 0), size)
        if high <= low:
            return Tally()
        total, bad, measured = self._sums
        return Tally(total[high] - total[low], bad[high] - bad[low], measured[high] - measured[low])

    def between(self, start_ms: int, end_ms: int) -> Tally:
        """(start, end], cut to whole buckets: those that end in it."""
        return self.buckets(self._ended(start_ms), self._ended(end_ms))

    def whole(self) -> Tally:
        return self.buckets(0, len(self.total))

    def _ended(self, at_ms: int) -> int:
        """How many buckets have ended by a moment."""
        if at_ms >= self.grid.end_ms:
            return len(self.total)
        return (at_ms - self.grid.start_ms) // self.grid.step_ms

    def first_measured_ms(self) -> int | None:
        """The start of the first bucket of which anything was measured."""
        first = bisect_right(self._sums[2], 0) - 1
        return self.grid.begin_of(first) if first < len(self.total) else None

    def last_measured_ms(self) -> int | None:
        """The end of the last bucket of which anything was measured."""
        for i in range(len(self.measured_ms) - 1, -1, -1):
            if self.measured_ms[i]:
                return self.grid.end_of(i)
        return None


def sliced(course: Course, target: Fraction | None) -> Course:
    """Time slices as events: each bucket with events counts 1; bad if less than `target` of its events were good.

    Without a target (ratio slices) a slice is as bad as the share of its bad events.
    """
    total: list[Count] = []
    bad: list[Count] = []
    for count, wrong in zip(course.total, course.bad, strict=True):
        if count <= 0:
            total.append(0)
            bad.append(0)
            continue
        total.append(1)
        if target is None:
            bad.append(Fraction(wrong) / Fraction(count))
        else:
            bad.append(int(count - wrong < target * count))
    return Course(course.grid, total, bad, course.measured_ms)
