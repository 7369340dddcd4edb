"""Counted events against rational arithmetic on the same samples, written down a second time and naively."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.series import labels_of
from harness.slo.budget.buckets import EventBuckets, Grid, sliced
from harness.slo.budget.counting import Counter, Part, Raw
from harness.slo.stretches import merged

S = 1000
SCRAPE = 15 * S
LIMIT = 45 * S

Samples = list[tuple[int, float]]


def labels(name: str, instance: str = "a"):
    return labels_of("requests_total", {"job": "api", "instance": instance, "path": name})


def increments(samples: Samples) -> list[tuple[int, Fraction]]:
    """(when it was seen, how much) between consecutive samples."""
    found = []
    for (_, before), (at, value) in itertools.pairwise(samples):
        old, new = Fraction(before), Fraction(value)
        found.append((at, new if new < old else new - old))
    return found


def expected(
    counted: Sequence[tuple[str, Samples]], all_series: Sequence[tuple[str, Samples]], start: int, end: int
) -> dict[int, Fraction]:
    """Events by the moment at which they were seen, in (start, end]."""
    by_time: dict[int, Fraction] = {}
    for name, samples in counted:
        if not samples:
            continue
        found = increments(samples)
        born, value = samples[0]
        if born > start:
            for peer, others in all_series:
                times = [at for at, _ in others]
                if peer != name and born in times:
                    before = [at for at in times if at < born]
                    if before and born - before[-1] <= LIMIT:
                        found.append((born, Fraction(value)))
                        break
        for at, more in found:
            if start < at <= end:
                by_time[at] = by_time.get(at, Fraction(0)) + more
    return by_time


def covered_seconds(all_series: Sequence[tuple[str, Samples]], start: int, end: int) -> int:
    """Whole seconds of (start, end] that lie between two samples of a series that leave no gap, second by second."""
    stretches = []
    for _, samples in all_series:
        times = [at for at, _ in samples]
        stretches += [(a, b) for a, b in itertools.pairwise(times) if b - a <= LIMIT]
    last = max((b for _, b in stretches), default=None)
    if last is not None and 0 < end - last <= LIMIT:
        stretches.append((last, end))
    return sum(any(a <= at and at + S <= b for a, b in stretches) for at in range(start, end, S))


@st.composite
def series(draw: st.DrawFn) -> Samples:
    """A counter that is scraped every 15 s, with missed scrapes, long gaps, resets, and now and then a fraction."""
    at, value, found = draw(st.integers(0, 20)) * SCRAPE, 0.0, []
    unit = draw(st.sampled_from([1.0, 1.0, 0.25, 0.1]))
    for _ in range(draw(st.integers(0, 25))):
        what = draw(st.sampled_from(["up", "up", "up", "same", "reset", "missed", "gap"]))
        if what in ("missed", "gap"):
            at += SCRAPE * (1 if what == "missed" else draw(st.integers(4, 30)))
            continue
        if what == "up":
            value += unit * draw(st.integers(1, 1000))
        elif what == "reset":
            value = unit * draw(st.integers(0, 20))
        found.append((at, value))
        at += SCRAPE
    return found


@st.composite
def worlds(draw: st.DrawFn):
    names = ["a", "b", "c"][: draw(st.integers(1, 3))]
    every = [(name, draw(series())) for name in names]
    bad = [entry for entry in every if draw(st.booleans())]
    start = draw(st.integers(0, 30)) * 7 * S
    end = start + draw(st.integers(1, 120)) * 5 * S
    cuts = sorted(draw(st.sets(st.integers(0, end // S), max_size=4)))
    return every, bad, Grid(start, end, draw(st.sampled_from([S, 10 * S, 60 * S]))), [cut * S for cut in cuts]


def count(every, bad, grid: Grid, cuts: Sequence[int]) -> tuple[Counter, EventBuckets, list]:
    counter = Counter(grid, gap_ms=LIMIT)
    edges = [-1, *cuts, grid.end_ms]
    for low, high in itertools.pairwise(edges):
        # Closed on the left too, as range selectors are in Prometheus 2: a sample on an edge comes twice.
        parts = [
            [
                Raw(labels(name), [at for at, _ in kept], [value for _, value in kept])
                for name, samples in given_
                if (kept := [(at, value) for at, value in samples if low <= at <= high])
            ]
            for given_ in (every, bad)
        ]
        counter.add([Part(1, parts[0])], [Part(1, parts[1])])
    return counter, *counter.counted()


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_counts_and_coverage_equal_rational_arithmetic(world) -> None:
    every, bad, grid, cuts = world
    every = [(name, [s for s in samples if s[0] <= grid.end_ms]) for name, samples in every]
    bad = [(name, [s for s in samples if s[0] <= grid.end_ms]) for name, samples in bad]
    _, buckets, some = count(every, bad, grid, cuts)
    for got, counted in ((buckets.total, every), (some, bad)):
        wanted = expected(counted, every, grid.start_ms, grid.end_ms)
        by_bucket = [Fraction(0)] * len(grid)
        for at, more in wanted.items():
            by_bucket[next(i for i in range(len(grid)) if grid.begin_of(i) < at <= grid.end_of(i))] += more
        assert [Fraction(number) for number in got] == by_bucket
    assert buckets.whole().measured_ms == covered_seconds(every, grid.start_ms, grid.end_ms) * S
    assert all(0 <= ms <= grid.end_of(i) - grid.begin_of(i) for i, ms in enumerate(buckets.measured_ms))


@settings(max_examples=60, deadline=None)
@given(worlds(), st.data())
def test_where_the_history_is_cut_for_reading_changes_nothing(world, data) -> None:
    every, bad, grid, cuts = world
    other = sorted(data.draw(st.sets(st.integers(0, grid.end_ms // S), max_size=6)))
    one, two = (count(every, bad, grid, c) for c in (cuts, [cut * S for cut in other]))
    assert (one[1].total, one[1].measured_ms, one[2]) == (two[1].total, two[1].measured_ms, two[2])
    assert one[0].groups[()].caveats.resets == two[0].groups[()].caveats.resets


def counted(
    samples: Samples, start: int = 0, end: int = 600 * S, gap_ms: int | None = LIMIT
) -> tuple[Counter, EventBuckets]:
    counter = Counter(Grid(start, end, 60 * S), gap_ms=gap_ms)
    counter.add([Part(1, [Raw(labels("a"), [at for at, _ in samples], [value for _, value in samples])])], [])
    return counter, counter.counted()[0]


def test_a_reset_counts_what_came_after_it() -> None:
    counter, buckets = counted([(0, 100.0), (15 * S, 130.0), (30 * S, 7.0), (45 * S, 9.0)])
    assert buckets.whole().total == 30 + 7 + 2
    assert counter.groups[()].caveats.resets == 1


def test_what_is_no_number_is_left_out_and_told() -> None:
    samples = [(0, 1.0), (15 * S, float("nan")), (30 * S, float("inf")), (45 * S, -4.0), (60 * S, 6.0)]
    counter, buckets = counted(samples, gap_ms=None)
    assert buckets.whole().total == 5
    assert counter.groups[()].caveats.not_numbers == 3


def test_events_of_a_gap_count_at_its_end_and_are_told() -> None:
    counter, buckets = counted([(0, 0.0), (15 * S, 10.0), (315 * S, 1000.0), (330 * S, 1001.0)])
    assert buckets.whole().total == 1001
    assert buckets.total[5] == 991
    assert counter.groups[()].caveats.after_gaps == 990
    assert buckets.whole().measured_ms == 30 * S


def test_a_series_born_beside_a_living_one_counts_from_zero() -> None:
    """The first error of a process: its series did not exist at the scrape before."""
    grid = Grid(0, 60 * S, 60 * S)
    ok = Raw(labels("ok"), [0, 15 * S, 30 * S], [5.0, 6.0, 7.0])
    error = Raw(labels("error"), [30 * S], [3.0])
    counter = Counter(grid, gap_ms=LIMIT)
    counter.add([Part(1, [ok, error])], [Part(1, [error])])
    assert (counter.counted()[0].whole().total, sum(counter.counted()[1])) == (2 + 3, 3)


def test_a_series_of_another_target_counts_from_its_first_sample() -> None:
    """A process that was found late may have counted for months."""
    grid = Grid(0, 120 * S, 60 * S)
    old = Raw(labels("ok", "a"), [0, 15 * S, 60 * S, 75 * S], [5.0, 6.0, 7.0, 8.0])
    found_late = Raw(labels("ok", "b"), [60 * S, 75 * S], [1e9, 1e9 + 2])
    counter = Counter(grid, gap_ms=LIMIT)
    counter.add([Part(1, [old, found_late])], [])
    assert counter.counted()[0].whole().total == 3 + 2
    assert counter.groups[()].caveats.born_unseen == 1


def test_gauges_of_events_are_summed() -> None:
    counter = Counter(Grid(0, 60 * S, 60 * S), gap_ms=LIMIT, of_samples=True)
    counter.add([Part(1, [Raw(labels("a"), [0, 15 * S, 30 * S], [9.0, 4.0, 2.0])])], [])
    assert counter.counted()[0].whole().total == 6


def test_the_usual_distance_of_samples_says_what_a_gap_is() -> None:
    minute = [(i * 60 * S, float(i)) for i in range(10)]
    assert counted(minute[:4] + minute[6:], gap_ms=None)[1].whole().measured_ms == 600 * S  # two scrapes are missing
    assert counted(minute[:3] + minute[6:], gap_ms=None)[1].whole().measured_ms == (600 - 240) * S


def test_samples_ten_minutes_apart_are_all_gap() -> None:
    assert counted([(0, 1.0), (600 * S, 2.0)], gap_ms=None)[1].whole().measured_ms == 0
    assert counted([(0, 1.0), (600 * S, 2.0)], gap_ms=600 * S)[1].whole().measured_ms == 600 * S


def test_negative_terms_take_away() -> None:
    counter = Counter(Grid(0, 60 * S, 60 * S), gap_ms=LIMIT)
    up = Raw(labels("a"), [0, 30 * S], [0.0, 10.0])
    counter.add([Part(1, [up])], [Part(1, [up]), Part(-1, [Raw(labels("b"), [0, 30 * S], [0.0, 4.0])])])
    assert sum(counter.counted()[1]) == 6


@pytest.mark.parametrize(
    ("target", "bad"), [(Fraction(1), [1, 1, 0]), (Fraction(9, 10), [0, 1, 0]), (None, [Fraction(1, 10), 1, 0])]
)
def test_slices_count_alike_and_those_without_events_not_at_all(target: Fraction | None, bad: list[Fraction]) -> None:
    buckets = EventBuckets(Grid(0, 180 * S, 60 * S), [1000, 1, 0], [100, 1, 0], [60 * S] * 3)
    made = sliced(buckets, target)
    assert list(made.total) == [1, 1, 0]
    assert list(made.bad) == bad


def test_stretches_that_overlap_or_touch_are_one() -> None:
    assert merged([(5, 9), (0, 3), (3, 4), (8, 12)]) == [(0, 4), (5, 12)]
