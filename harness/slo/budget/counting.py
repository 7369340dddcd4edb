"""From raw samples to counted events: exact increases of counters, and which time they cover.

An event is counted where its sample was taken: the increase between two consecutive samples of a series belongs to the
later one; a value below the one before is a reset, and all of it is new. `increase()` extrapolates to the edges of its
window and would give 0.97 or 1.1 of what was counted; here a count is a count.

The first sample of a series is what it counts from, as in Prometheus. It counts in full if the scrape that brought it
also brought a series of the same target that was there before: then the series began between two scrapes, from 0. So
the first error of a process is not lost.
"""

from __future__ import annotations

import itertools
import math
import operator
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from statistics import median_low

from harness.prometheus import DEFAULTS
from harness.series import Labels
from harness.slo.budget.buckets import Bins, Count, EventBuckets, Grid
from harness.slo.model import Grouping
from harness.slo.stretches import Stretch, merged, touches, within, without

SCRAPES_IN_A_GAP = 3
"""Samples further apart than this many times their usual distance leave a gap."""

_Target = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Raw:
    """Samples of one series, ascending in time; NaN, infinities and negative counts are left out, and told."""

    labels: Labels
    times_ms: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Part:
    """One selector's series in one stretch of time; `sign` is -1 where the query takes them away."""

    sign: int
    series: Sequence[Raw]


@dataclass(slots=True)
class CountingCaveats:
    """What was met while counting and bears on how far the numbers can be trusted."""

    resets: int = 0
    not_numbers: int = 0
    """Samples that are NaN, infinite or, for counts, negative."""
    born_unseen: int = 0
    """Series that began within the time with nothing to show that they began at 0: their first value is not counted."""
    after_gaps: Count = 0
    """Events that are known only from the samples before and after a gap."""


@dataclass(slots=True)
class _LastSample:
    at_ms: int
    value: Count


@dataclass(slots=True)
class Counted:
    """What was counted of one group."""

    all_events: Bins
    some_events: Bins
    """Of the second query: good or bad ones."""
    covered: list[tuple[int, int]] = field(default_factory=list)
    caveats: CountingCaveats = field(default_factory=CountingCaveats)
    seen: list[bool] = field(default_factory=lambda: [False, False])
    """Whether the first, the second query returned any series."""


@dataclass(slots=True)
class Counter:
    """Counts the events of one objective, stretch by stretch of time, in order.

    `gap_ms` is the longest distance of samples that is no gap; None: thrice the usual one, at most `lookback_ms`, for
    samples further apart than that are no continuous series to Prometheus.
    `of_samples`: each sample is itself a number of events (a gauge), not a counter's reading. `grouping` tells groups
    apart, which are counted each for itself but from the same samples. `left_out`: stretches of time that do not count,
    nor do events of which some may have happened in them.
    """

    grid: Grid
    gap_ms: int | None = None
    of_samples: bool = False
    from_ms: int = 0
    """What was seen up to then is not counted; the grid's start if that is later."""
    grouping: Grouping | None = None
    left_out: Sequence[Stretch] = ()
    lookback_ms: int = DEFAULTS.lookback_ms
    groups: dict[Labels, Counted] = field(default_factory=dict)
    """By group, in the order in which they were met; of what is not grouped, one without labels."""
    scrape_ms: int | None = None
    """The usual distance of a series' samples in the last stretch that had any."""
    _known: dict[tuple[int, int, Labels], _LastSample] = field(default_factory=dict)
    _group_of: dict[Labels, Counted] = field(default_factory=dict)
    _first_ms: int | None = None

    def __post_init__(self) -> None:
        self.from_ms = max(self.grid.start_ms, self.from_ms)
        if self.grouping is None:
            self.of_group(())

    def add(self, all_events: Sequence[Part], some_events: Sequence[Part]) -> None:
        """One stretch of time: the series of the query of all events, and of the query of good or bad ones."""
        parts = [
            (which, number, part.sign, self._fresh(which, number, raw))
            for which, given in enumerate((all_events, some_events))
            for number, part in enumerate(given)
            for raw in part.series
        ]
        parts = [entry for entry in parts if entry[3].times_ms]
        all_series = [raw for which, _, _, raw in parts if which == 0]
        limit = self._limit(all_series)
        if self._first_ms is None and all_series:
            self._first_ms = min(raw.times_ms[0] for raw in all_series)
        targets = _ScrapedTargets(all_series, self._known_times(parts), limit)
        for which, number, sign, raw in parts:
            self._of(raw).seen[which] = True
            self._count(which, number, sign, raw, limit, targets)
            if which == 0 and sign > 0:
                self._cover((which, number, raw.labels), raw, limit)
        for which, number, _, raw in parts:  # last: the targets above are judged by what was known before
            self._known[which, number, raw.labels] = _LastSample(raw.times_ms[-1], _exact(raw.values[-1]))

    def counted(self, group: Labels = ()) -> tuple[EventBuckets, Bins]:
        """All events with 0 bad ones and the measured time; and the events of the second query, bucket by bucket."""
        found = self.groups[group]
        measured = self._measured(found.covered)
        return EventBuckets(self.grid, found.all_events, Bins(len(self.grid)), measured), found.some_events

    def of_group(self, group: Labels) -> Counted:
        """What was counted of a group; nothing yet, if it is met for the first time."""
        found = self.groups.get(group)
        if found is None:
            found = self.groups[group] = Counted(Bins(len(self.grid)), Bins(len(self.grid)))
        return found

    def _of(self, raw: Raw) -> Counted:
        found = self._group_of.get(raw.labels)
        if found is None:
            group = () if self.grouping is None else self.grouping.of(raw.labels)
            found = self._group_of[raw.labels] = self.of_group(group)
        return found

    # -- one series ------------------------------------------------------------------------------------------------

    def _fresh(self, which: int, number: int, raw: Raw) -> Raw:
        """Without samples that were seen already (stretches touch), and without what is no number."""
        times, values = raw.times_ms, raw.values
        known = self._known.get((which, number, raw.labels))
        if known is not None and times and times[0] <= known.at_ms:
            first = next((i for i, at in enumerate(times) if at > known.at_ms), len(times))
            times, values = times[first:], values[first:]
        if all(map(math.isfinite, values)) and (not values or min(values) >= 0):
            return Raw(raw.labels, times, values)
        kept = [(at, value) for at, value in zip(times, values, strict=True) if math.isfinite(value) and value >= 0]
        self._of(raw).caveats.not_numbers += len(times) - len(kept)
        return Raw(raw.labels, [at for at, _ in kept], [value for _, value in kept])

    def _count(self, which: int, number: int, sign: int, raw: Raw, limit: int, targets: _ScrapedTargets) -> None:
        found, zero, step, start = self._of(raw), self.grid.start_ms, self.grid.step_ms, self.from_ms
        add = (found.some_events if which else found.all_events).add
        values: list[Count] = (
            list(map(int, raw.values))
            if all(map(float.is_integer, raw.values))
            else [Fraction(value) for value in raw.values]
        )
        times = raw.times_ms
        known = self._known.get((which, number, raw.labels))
        if self.of_samples:
            for at, value in zip(times, values, strict=True):
                if value and at > start and not touches(self.left_out, at, at):
                    add((at - zero - 1) // step, sign * value)
            return
        if known is not None:
            last, last_at = known.value, known.at_ms
        elif times[0] > start and targets.continued_at(times[0], raw):
            last, last_at = 0, times[0]
        else:
            last, last_at = values[0], times[0]
            if times[0] > start and self._first_ms is not None and times[0] - self._first_ms > limit:
                found.caveats.born_unseen += 1
        left_out = within(self.left_out, last_at - limit, times[-1])
        for at, value in zip(times, values, strict=True):
            more = value - last
            if more:
                if more < 0:
                    more = value
                    found.caveats.resets += at > start
                if at > start and not (left_out and touches(left_out, last_at, at)):
                    add((at - zero - 1) // step, sign * more)
                    if at - last_at > limit and which == 0:
                        found.caveats.after_gaps += more
            last, last_at = value, at

    # -- which time is measured ------------------------------------------------------------------------------------

    def _limit(self, series: Iterable[Raw]) -> int:
        if self.gap_ms is not None:
            return self.gap_ms
        apart = [b - a for raw in series for a, b in itertools.pairwise(raw.times_ms)]
        if apart:
            usual = median_low(apart)
            if usual <= self.lookback_ms:  # else the stretch holds little but a gap
                self.scrape_ms = usual
        return min(self.lookback_ms, SCRAPES_IN_A_GAP * (self.scrape_ms or self.lookback_ms))

    def _known_times(self, parts: Sequence[tuple[int, int, int, Raw]]) -> Mapping[int, int]:
        """The sample before the first one of each series of all events, by the identity of its samples."""
        found = {}
        for which, number, _, raw in parts:
            if which == 0 and (known := self._known.get((which, number, raw.labels))) is not None:
                found[id(raw)] = known.at_ms
        return found

    def _cover(self, key: tuple[int, int, Labels], raw: Raw, limit: int) -> None:
        known = self._known.get(key)
        times = [known.at_ms, *raw.times_ms] if known is not None else list(raw.times_ms)
        found = self._of(raw)
        found.covered.extend(_continuous(times, limit))
        if len(found.covered) > 4096:
            found.covered = merged(found.covered)

    def _measured(self, found: Sequence[tuple[int, int]]) -> Bins:
        grid = self.grid
        measured = Bins(len(grid))
        covered = merged(found)
        if covered:
            limit = self._limit(())
            if 0 < grid.end_ms - covered[-1][1] <= limit:  # the next scrape is still to come
                covered[-1] = (covered[-1][0], grid.end_ms)
        for begin, end in without(covered, self.left_out):
            begin, end = max(begin, self.from_ms), min(end, grid.end_ms)
            if begin >= end:
                continue
            first, last = grid.index(begin + 1), grid.index(end)
            if first == last:
                measured.add(first, end - begin)
                continue
            measured.add(first, grid.end_of(first) - begin)
            measured.fill(first + 1, last, grid.step_ms)
            measured.add(last, end - grid.begin_of(last))
        return measured


class _ScrapedTargets:
    """The series of all events in one stretch of time, asked whether a target was being scraped at a moment."""

    def __init__(self, series: Sequence[Raw], known: Mapping[int, int], limit: int) -> None:
        self._series, self._known, self._limit = series, known, limit
        self._by_target: dict[_Target, list[Raw]] | None = None

    def continued_at(self, at_ms: int, born: Raw) -> bool:
        """Whether the scrape at `at_ms` brought another series of the same target that was there before."""
        if self._by_target is None:
            self._by_target = {}
            for raw in self._series:
                self._by_target.setdefault(_target(raw.labels), []).append(raw)
        for peer in self._by_target.get(_target(born.labels), ()):
            if peer.labels == born.labels:
                continue
            i = bisect_left(peer.times_ms, at_ms)
            if i < len(peer.times_ms) and peer.times_ms[i] == at_ms:
                before = peer.times_ms[i - 1] if i else self._known.get(id(peer))
                if before is not None and at_ms - before <= self._limit:
                    return True
        return False


def _target(labels: Labels) -> _Target:
    by_name = dict(labels)
    return by_name.get("job", ""), by_name.get("instance", "")


def _exact(value: float) -> Count:
    return int(value) if float(value).is_integer() else Fraction(value)


def _continuous(times: Sequence[int], limit: int) -> Iterator[tuple[int, int]]:
    """The stretches in which samples follow one another without a gap."""
    if len(times) < 2:
        return
    apart = list(map(operator.sub, times[1:], times[:-1]))
    if max(apart) <= limit:
        yield times[0], times[-1]
        return
    begin = times[0]
    for i, distance in enumerate(apart):
        if distance > limit:
            if times[i] > begin:
                yield begin, times[i]
            begin = times[i + 1]
    if times[-1] > begin:
        yield begin, times[-1]
