"""Budgets, burn rates, alerts and incidents against the formulas of the SRE Workbook, reckoned naively."""

from __future__ import annotations

import itertools
import tracemalloc
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from harness.slo.budget.buckets import Bins, EventBuckets, EventTally, Grid
from harness.slo.budget.budget import (
    budget_left,
    burn_rate,
    burning,
    cost,
    gaps,
    incidents,
    points,
    runs_out_after_ms,
    trend,
    worst_hours,
)
from harness.slo.budget.verdict import lasting, percent
from harness.slo.model import BurnPair, Calendar, Objective
from harness.slo.periods import Window, judged, parse_time_ms
from tests.slo.report_world import objectives

M = 60_000
H = 60 * M
DAY = 24 * H
BUDGET = Fraction(1, 1000)


def counted(total: list[int], bad: list[int], measured: list[int] | None = None, step: int = M) -> EventBuckets:
    return EventBuckets(Grid(0, len(total) * step, step), total, bad, measured or [step] * len(total))


def test_the_workbooks_numbers() -> None:
    """Chapter 5: at 99.9 %, 10 % errors burn 100 times as fast as the budget allows."""
    assert burn_rate(EventTally(1000, 100), BUDGET) == 100
    assert budget_left(EventTally(1_000_000, 400), BUDGET) == Fraction(6, 10)
    assert runs_out_after_ms(Fraction(1), Fraction(1000), 30 * DAY) == 43_200_000 // 1000 * 60  # 43.2 minutes
    assert burn_rate(EventTally(0, 0), BUDGET) is None
    assert runs_out_after_ms(Fraction(-1), Fraction(1), DAY) == 0
    assert runs_out_after_ms(Fraction(1), Fraction(0), DAY) is None


buckets = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 40), st.booleans()).map(lambda b: (b[0], min(b[0], b[1]), b[2])),
    min_size=1,
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(buckets, st.integers(1, 12), st.integers(1, 30), st.integers(0, 4), st.sampled_from([1, 2, 10]))
def test_alerts_fire_where_both_windows_burn(made, short: int, longer: int, hold: int, factor: int) -> None:
    total, bad = [b[0] for b in made], [b[1] for b in made]
    pair = BurnPair("page", (short + longer) * M, short * M, Fraction(factor), hold * M)
    target = Fraction(9, 10)
    found = burning(counted(total, bad), pair, target, Fraction(1), 30 * DAY)
    fires, held = [], 0
    for end in range(1, len(total) + 1):
        ratios = []
        for width in (short, short + longer):
            begin = max(0, end - width)
            events = sum(total[begin:end])
            ratios.append(Fraction(sum(bad[begin:end]), events) if events else Fraction(0))
        held = held + 1 if min(ratios) > factor * (1 - target) else 0
        fires.append(held > hold)
    assert found.firing is fires[-1]
    assert found.firing_ms == sum(fires) * M
    assert found.times == sum(now and not before for before, now in zip([False, *fires], fires, strict=False))


@settings(max_examples=150, deadline=None)
@given(buckets)
def test_parts_add_up_to_the_whole(made) -> None:
    total, bad = [b[0] for b in made], [b[1] for b in made]
    measured = [M if b[2] else 0 for b in made]
    one = counted(total, bad, measured)
    whole = one.whole()
    assert (whole.total, whole.bad, whole.measured_ms) == (sum(total), sum(bad), sum(measured))
    if whole.total and any(measured):
        drawn = points(one, BUDGET, most=7)
        assert sum(point.tally.bad for point in drawn) == sum(bad)
        assert drawn[-1].left == budget_left(whole, BUDGET)
    stretches = list(gaps(one))
    assert sum(end - begin for begin, end in stretches) == measured.count(0) * M
    spent = sum((hour.cost for hour in worst_hours(one, BUDGET, most=99)), Fraction(0))
    assert spent == (cost(whole, whole, BUDGET) if whole.total else 0)
    found = incidents(one, BUDGET, most=99)
    assert sum(i.cost for i in found.listed) + found.small_cost <= cost(whole, whole, BUDGET)


def test_incidents_join_over_short_pauses_and_tell_their_cost() -> None:
    total = [100] * 800
    bad = [0] * 800
    bad[50:60] = [50] * 10
    bad[75:80] = [50] * 5  # a quarter of an hour later: the same incident
    bad[200:205] = [100] * 5
    found = incidents(counted(total, bad), Fraction(1, 100))
    assert [(i.start_ms // M, i.end_ms // M, i.bad.bad) for i in found.listed] == [(50, 80, 750), (200, 205, 500)]
    assert found.listed[0].cost == Fraction(750, 800)
    assert found.listed[1].worst == 1


def test_memory_grows_with_the_data_and_not_with_the_range() -> None:
    """A day at either end of a decade, each with an hour in which all fails."""
    grid = Grid(0, 3650 * DAY, M)
    tracemalloc.start()
    total, bad, measured = Bins(len(grid)), Bins(len(grid)), Bins(len(grid))
    for first in (0, len(grid) - 1440):
        for i in range(first, first + 1440):
            total.add(i, 100)
            measured.add(i, M)
            if first + 600 <= i < first + 660:
                bad.add(i, 100)
    far = EventBuckets(grid, total, bad, measured)
    found = incidents(far, BUDGET)
    page = burning(far, BurnPair("page", H, 5 * M, Fraction(144, 10)), 1 - BUDGET, None, DAY)
    empty = list(gaps(far))
    drawn = points(far, BUDGET)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000
    assert [(one.start_ms, one.end_ms - one.start_ms, one.bad.bad) for one in found.listed] == [
        (600 * M, H, 6000), (grid.end_ms - DAY + 600 * M, H, 6000)
    ]  # fmt: skip
    assert (page.times, page.firing_ms) == (2, 2 * (60 - 1 + 5) * M)  # above from the first minute, until 5m forget it
    assert empty == [(DAY, grid.end_ms - DAY)]
    assert sum(point.tally.bad for point in drawn) == 12_000


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.integers(0, 5000), st.tuples(st.integers(1, 40), st.integers(0, 40)), max_size=30),
    st.integers(1, 900),
    st.sampled_from([10_000, M]),
)
def test_a_pair_over_sparse_data_is_what_each_end_says(data: dict[int, tuple[int, int]], width: int, step: int) -> None:
    grid = Grid(0, 5001 * step, step)
    total, bad = Bins(len(grid)), Bins(len(grid))
    for i, (count, wrong) in data.items():
        total.add(i, count)
        bad.add(i, min(count, wrong))
    sparse = EventBuckets(grid, total, bad, Bins(len(grid)))
    pair = BurnPair("page", 2 * width * step, width * step, Fraction(2))
    per_step = M // step
    flags = [
        all(
            (tally := sparse.tally(end - w, end)).total > 0 and tally.bad * 10 > 2 * tally.total
            for w in (width, 2 * width)
        )
        for end in range(len(grid) % per_step or per_step, len(grid) + 1, per_step)
    ]
    found = burning(sparse, pair, Fraction(9, 10), None, DAY)
    assert found.firing_ms == sum(flags) * per_step * step
    assert found.times == sum(1 for before, now in itertools.pairwise([False, *flags]) if now and not before)
    assert found.firing == flags[-1]


def test_a_week_is_compared_with_the_week_before() -> None:
    days = 21
    total, bad = [100] * (days * 24), [0] * (days * 24)
    bad[-24:] = [1] * 24
    found = trend(counted(total, bad, step=H), Fraction(1, 100))
    assert found is not None
    assert (found.length_ms, found.before) == (7 * DAY, 0)
    assert found.last == Fraction(24, days * 24)


# -- periods -----------------------------------------------------------------------------------------------------------


def ms(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.fixture
def monthly(tmp_path: Path) -> Objective:
    one = next(o for o in objectives(tmp_path) if o.name == "login")
    assert isinstance(one.period, Calendar)
    return one


@pytest.mark.parametrize(
    ("at", "begins", "closes", "hours"),
    [
        # New York puts its clock forward on 8 March 2026 and back on 1 November 2026.
        ("2026-03-20T12:00", "2026-03-01T00:00", "2026-04-01T00:00", 31 * 24 - 1),
        ("2026-11-20T12:00", "2026-11-01T00:00", "2026-12-01T00:00", 30 * 24 + 1),
        ("2026-02-01T00:00", "2026-01-01T00:00", "2026-02-01T00:00", 31 * 24),  # its first moment: the one that ended
        ("2026-02-01T00:01", "2026-02-01T00:00", "2026-03-01T00:00", 28 * 24),
    ],
)
def test_calendar_months_keep_to_the_zones_clock(
    monthly: Objective, at: str, begins: str, closes: str, hours: int
) -> None:
    zone = "America/New_York"
    found = judged(monthly, None, ms(at, zone), Window.PERIOD)
    assert (found.start_ms, found.closes_ms) == (ms(begins, zone), ms(closes, zone))
    assert found.length_ms == hours * H
    assert found.end_ms == ms(at, zone)


def test_slices_are_whole_and_the_same_whenever_one_asks(tmp_path: Path) -> None:
    queue = next(o for o in objectives(tmp_path) if o.name == "queue")
    at = ms("2026-01-05T10:00:42")
    found = judged(queue, None, at, Window.PERIOD)
    assert found.start_ms % M == found.end_ms % M == 0
    assert 0 <= at - found.end_ms < M
    run = judged(queue, at - 150_000, at, Window.RUN)
    assert (run.start_ms, run.end_ms) == (at - 150_000, at - 30_000)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-03-01T00:00:00Z", "2026-03-01T00:00"),
        ("2026-03-01T02:00:00+02:00", "2026-03-01T00:00"),
        ("2026-03-01", "2026-03-01T00:00"),
        ("1772323200", "2026-03-01T00:00"),
        ("1772323200.5", None),
        ("now-1h", "2026-03-01T00:00"),
    ],
)
def test_times_as_people_write_them(text: str, wanted: str | None) -> None:
    got = parse_time_ms(text, "--to", ms("2026-03-01T01:00"))
    assert got == (1_772_323_200_500 if wanted is None else ms(wanted))


@pytest.mark.parametrize("text", ["", "yesterday", "now+1h", "now-", "2026-13-01", "1e99", "-5", "٣", "99999999999999"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--from .* is no time") as caught:
        parse_time_ms(text, "--from", 0)
    assert "now-7d" in str(caught.value)


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (Fraction(0), "0 %"), (Fraction(1), "100 %"), (Fraction(180_000, 5_788_800), "3.11 %"),
        (Fraction(1_800, 5_788_800), "0.0311 %"), (Fraction(999, 1000), "99.9 %"),
        (1 - Fraction(1, 10**7), "99.99999 %"), (Fraction(1, 3), "33.3 %"), (Fraction(31), "3,100 %"),
        (1 - Fraction(1, 10**30), "just under 100 %"),
    ],
)  # fmt: skip
def test_percentages_never_round_to_a_promise(ratio: Fraction, text: str) -> None:
    assert percent(ratio) == text


@settings(max_examples=300, deadline=None)
@given(st.fractions(0, 1))
def test_only_all_is_a_hundred_percent(ratio: Fraction) -> None:
    assert (percent(ratio) == "100 %") is (ratio == 1)
    assert (percent(ratio) == "0 %") is (ratio == 0)


def test_durations_in_two_units() -> None:
    assert [lasting(n) for n in (90 * M, DAY + 61 * M, 59_000, 250, 26 * H)] == [
        "1h 30m",
        "1d 1h",
        "59s",
        "250ms",
        "1d 2h",
    ]
