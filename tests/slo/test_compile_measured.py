"""Compiled rules on a real Prometheus against exact arithmetic on the raw samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.engines.base import Engine
from harness.slo import Objective
from harness.slo.compile.rules import CompiledGroup, compile_objectives
from harness.slo.compile.series import (
    BUDGET_REMAINING,
    CURRENT_BURN_RATE,
    PERIOD_BURN_RATE,
    SLICE_ERROR,
    bad_events,
    error_ratio,
    total_events,
)
from tests.slo.slo_bench import MINUTE_MS, START_MS, THRESHOLD, document, play, ratio, read, ticks, unique, write_series

HOUR = 60
RUNNING = 10**6
"""Where the counters of a service stand that has been running. rate() extrapolates no counter below zero, so the first
events of a new one weigh up to a scrape interval less."""


def _compiled(tmp_path: Path, text: str, service: str) -> CompiledGroup:
    (objective,) = read(tmp_path, text.replace("service: shop", f"service: {service}"))
    (group,) = compile_objectives([objective])
    return group


def _at(engine: Engine, name: str, objective: Objective, minutes: int) -> dict[int, float]:
    return ticks(engine, f'{name}{{sloth_id="{objective.id}"}}', minutes)


# -- uneven traffic ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad_hour", "expected"),
    # One day, 16 h at 100/s and 8 h at 1/s; half of one hour's requests fail.
    [(10, Fraction(50, 16 * 100 + 8 * 1)), (20, Fraction(1, 2) / (16 * 100 + 8 * 1))],
    ids=["a busy hour", "an idle hour"],
)
def test_the_uneven_day(tmp_path: Path, shared_engine: Engine, bad_hour: int, expected: Fraction) -> None:
    """3.11 % and 0.031 % of the events; the mean of ratios says 2.08 % for either."""
    name = unique()
    requests, errors = {}, {}
    total = failed = RUNNING
    for minute in range(24 * HOUR + 1):
        requests[minute * MINUTE_MS], errors[minute * MINUTE_MS] = float(total), float(failed)
        hour = minute // HOUR
        events = 6000 if hour < 16 else 60
        total += events
        failed += events // 2 if hour == bad_hour else 0
    write_series(shared_engine, f"{name}_total", {"job": "shop"}, requests)
    write_series(shared_engine, f"{name}_bad_total", {"job": "shop"}, errors)
    text = document(
        indicator=ratio("bad", f"{name}_bad_total", f"{name}_total"),
        window="{duration: 1d, isRolling: true}",
        policies=[("2", "1h")],
    )
    group = _compiled(tmp_path, text, name)
    play(shared_engine, group, 24 * HOUR)
    measured = _at(shared_engine, error_ratio("1d"), group.objective, 24 * HOUR)[24 * HOUR]
    assert (f"{measured:.2%}" if bad_hour == 10 else f"{measured:.3%}") == {10: "3.11%", 20: "0.031%"}[bad_hour]
    assert measured == pytest.approx(float(expected), rel=0.002)  # five minutes at the edges of the day weigh less
    means = f'avg_over_time({error_ratio("5m")}{{sloth_id="{group.objective.id}"}}[1d])'
    assert ticks(shared_engine, means, 24 * HOUR)[24 * HOUR] == pytest.approx(0.0208, rel=0.01)
    remaining = _at(shared_engine, BUDGET_REMAINING, group.objective, 24 * HOUR)[24 * HOUR]
    assert remaining == pytest.approx(1 - measured / 0.001)


# -- exact arithmetic ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Raw:
    """One instance's counters, scrape by scrape; a missing scrape is None, a restart begins at 0."""

    good: tuple[int | None, ...]
    bad: tuple[int | None, ...]


@st.composite
def raws(draw: st.DrawFn) -> Raw:
    good, bad = [], []
    counts = [draw(st.integers(0, 10**6)), draw(st.integers(0, 10**4))]
    for _ in range(90):
        match draw(st.integers(0, 40)):
            case 0:
                counts = [0, 0]
            case 1:
                good.append(None)
                bad.append(None)
                continue
        busy = draw(st.sampled_from([0, 0, 5, 500]))
        counts = [counts[0] + busy, counts[1] + draw(st.integers(0, busy // 5 + 1))]
        good.append(counts[0])
        bad.append(counts[1])
    return Raw(tuple(good), tuple(bad))


def _rate(values: tuple[int | None, ...], end: int, window: int, *, left_open: bool) -> Fraction | None:
    """promql/functions.go, extrapolatedRate, over scrapes one minute apart and 15 s before the ticks; per minute."""
    points = [(4 * i - 1, v) for i, v in enumerate(values) if v is not None]  # in quarters of a minute
    start, stop = 4 * (end - window), 4 * end
    inside = [(at, v) for at, v in points if (start < at if left_open else start <= at) and at <= stop]
    if len(inside) < 2:
        return None
    increase = Fraction(inside[-1][1] - inside[0][1])
    for (_, before), (_, after) in pairwise(inside):
        increase += before if after < before else 0
    sampled = Fraction(inside[-1][0] - inside[0][0])
    mean = sampled / (len(inside) - 1)
    to_start, to_end = Fraction(inside[0][0] - start), Fraction(stop - inside[-1][0])
    to_zero = sampled * inside[0][1] / increase if increase > 0 else to_start
    if not left_open:  # Prometheus 2 looks at the counter's zero first
        to_start = min(to_start, to_zero)
    to_start = to_start if to_start < mean * Fraction(11, 10) else mean / 2
    to_start = min(to_start, to_zero)
    to_end = to_end if to_end < mean * Fraction(11, 10) else mean / 2
    return increase * (sampled + to_start + to_end) / sampled / window


def _sum(parts: list[Fraction | None]) -> Fraction | None:
    known = [part for part in parts if part is not None]
    return sum(known, Fraction(0)) if known else None


@given(st.lists(raws(), min_size=1, max_size=2), st.sampled_from(["good", "bad"]))
@settings(
    deadline=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
def test_recorded_ratios_are_exact_arithmetic_on_the_samples(
    tmp_path: Path, shared_engine: Engine, instances: list[Raw], part: str
) -> None:
    """Resets, gaps, uneven traffic, no traffic, window edges: every tick of every window, and the period."""
    left_open = not shared_engine.version.startswith("2.")
    name, minutes = unique(), 89
    for i, raw in enumerate(instances):
        for status, values in (("200", raw.good), ("500", raw.bad)):
            points = {n * MINUTE_MS - 15_000: float(v) for n, v in enumerate(values) if v is not None}
            if points:
                labels = {"job": "shop", "instance": str(i), "status": status}
                write_series(shared_engine, f"{name}_total", labels, points)
    chosen = 'status!~"5.."' if part == "good" else 'status=~"5.."'
    text = document(
        indicator=ratio(part, f"{name}_total{{{chosen}}}", f"{name}_total"),
        window="{duration: 1h, isRolling: true}",
        policies=[("1.5", "30m")],
    )
    group = _compiled(tmp_path, text, name)
    play(shared_engine, group, minutes)
    rates: dict[int, list[tuple[Fraction | None, Fraction | None]]] = {}
    for window in (5, 30):
        rates[window] = []
        for end in range(minutes + 1):
            bad = _sum([_rate(raw.bad, end, window, left_open=left_open) for raw in instances])
            good = _sum([_rate(raw.good, end, window, left_open=left_open) for raw in instances])
            rates[window].append((bad, _sum([bad, good])))
        expected = {end: b / t for end, (b, t) in enumerate(rates[window]) if b is not None and t}
        _equal(_at(shared_engine, error_ratio(f"{window}m"), group.objective, minutes), expected)
    period = {}
    for end in range(minutes + 1):
        first = end - 59 if left_open else end - 60
        seen = [(b, t) for b, t in rates[5][max(0, first) : end + 1] if b is not None and t is not None]
        if every := sum((t for _, t in seen), Fraction(0)):
            period[end] = sum((b for b, _ in seen), Fraction(0)) / every
    _equal(_at(shared_engine, error_ratio("1h"), group.objective, minutes), period)
    burn = {end: value * 1000 for end, value in period.items()}
    _equal(_at(shared_engine, PERIOD_BURN_RATE, group.objective, minutes), burn)


def _equal(measured: dict[int, float], expected: dict[int, Fraction]) -> None:
    """On the same ticks, and there equal but for the rounding of doubles."""
    assert measured.keys() == expected.keys()
    for end, value in expected.items():
        assert math.isclose(measured[end], float(value), rel_tol=1e-9, abs_tol=1e-12), (end, measured[end], value)


# -- no data, no errors --------------------------------------------------------------------------------------------


def test_an_hour_without_traffic_leaves_no_nan_in_the_period(tmp_path: Path, shared_engine: Engine) -> None:
    """0/0: the hour is no data; before it and after it the ratio is that of the events."""
    name = unique()
    total, points, errors = 0, {}, {}
    for minute in range(4 * HOUR + 1):
        points[minute * MINUTE_MS], errors[minute * MINUTE_MS] = float(total), float(total // 100)
        total += 0 if HOUR <= minute < 2 * HOUR else 1000
    write_series(shared_engine, f"{name}_total", {}, points)
    write_series(shared_engine, f"{name}_bad_total", {}, errors)
    indicator = ratio("bad", f"{name}_bad_total", f"{name}_total")
    window = "{duration: 1d, isRolling: true}"
    group = _compiled(tmp_path, document(indicator=indicator, window=window, policies=[("2", "1h")]), name)
    play(shared_engine, group, 4 * HOUR)
    now = _at(shared_engine, error_ratio("5m"), group.objective, 4 * HOUR)
    assert set(range(HOUR + 5, 2 * HOUR)) & now.keys() == set()
    assert all(value == value for value in now.values())
    period = _at(shared_engine, error_ratio("1d"), group.objective, 4 * HOUR)
    assert period.keys() == set(range(1, 4 * HOUR + 1))
    assert all(math.isclose(value, 0.01, rel_tol=1e-9) for value in period.values())


def test_a_query_that_divides_zero_by_zero_leaves_no_nan_either(tmp_path: Path, shared_engine: Engine) -> None:
    name = unique()
    steps = [0, 1000, 2000, 2000, 2000, 2000, 2000, 2000, 2000, 2000, 3000, 4000, 5000]
    write_series(shared_engine, f"{name}_total", {}, {i * MINUTE_MS: float(v) for i, v in enumerate(steps)})
    write_series(shared_engine, f"{name}_good_total", {}, {i * MINUTE_MS: v * 0.9 for i, v in enumerate(steps)})
    total = f"sum(rate({name}_total[{{{{.window}}}}]))"
    indicator = ratio("bad", f"(1 - sum(rate({name}_good_total[{{{{.window}}}}])) / {total}) * {total}", total)
    window = "{duration: 1d, isRolling: true}"
    group = _compiled(tmp_path, document(indicator=indicator, window=window, policies=[("2", "1h")]), name)
    play(shared_engine, group, 12)
    period = _at(shared_engine, error_ratio("1d"), group.objective, 12)
    assert period[12] == pytest.approx(0.1)
    assert all(value == value for value in period.values())


def test_no_series_of_errors_yet_is_no_error_and_no_series_at_all_is_no_data(
    tmp_path: Path, shared_engine: Engine
) -> None:
    name = unique()
    write_series(shared_engine, f"{name}_total", {}, {i * MINUTE_MS: i * 100.0 for i in range(10, 31)})
    group = _compiled(tmp_path, document(indicator=ratio("bad", f"{name}_bad_total", f"{name}_total")), name)
    play(shared_engine, group, 30)
    for window in ("5m", "3d", "30d"):
        found = _at(shared_engine, error_ratio(window), group.objective, 30)
        assert found == dict.fromkeys(range(11, 31), 0.0)
    assert _at(shared_engine, CURRENT_BURN_RATE, group.objective, 30)[30] == 0
    assert _at(shared_engine, BUDGET_REMAINING, group.objective, 30)[30] == 1


def test_no_series_of_good_events_is_all_bad(tmp_path: Path, shared_engine: Engine) -> None:
    name = unique()
    write_series(shared_engine, f"{name}_total", {}, {i * MINUTE_MS: i * 100.0 for i in range(11)})
    group = _compiled(tmp_path, document(indicator=ratio("good", f"{name}_good_total", f"{name}_total")), name)
    play(shared_engine, group, 10)
    assert _at(shared_engine, error_ratio("1h"), group.objective, 10)[10] == 1


def test_a_difference_of_counters_counts_a_missing_one_as_zero(tmp_path: Path, shared_engine: Engine) -> None:
    """Slow ones are all minus the fast ones: without any fast one, all are slow."""
    name = unique()
    write_series(shared_engine, f"{name}_count", {}, {i * MINUTE_MS: i * 100.0 for i in range(11)})
    indicator = ratio("bad", f'{name}_count - {name}_bucket{{le="1.0"}}', f"{name}_count")
    group = _compiled(tmp_path, document(indicator=indicator), name)
    play(shared_engine, group, 10)
    assert _at(shared_engine, error_ratio("1h"), group.objective, 10)[10] == 1


def test_numbers_of_events_per_sample(tmp_path: Path, shared_engine: Engine) -> None:
    """`counter: false`: a batch reports how many it did and how many of them failed."""
    name = unique()
    write_series(shared_engine, f"{name}_done", {}, {i * MINUTE_MS: 10.0 * (i % 2) for i in range(31)})
    write_series(shared_engine, f"{name}_failed", {}, {i * MINUTE_MS: 1.0 * (i % 2) for i in range(31)})
    indicator = ratio("bad", f"{name}_failed", f"{name}_done").replace("counter: true", "counter: false")
    group = _compiled(tmp_path, document(indicator=indicator), name)
    play(shared_engine, group, 30)
    assert _at(shared_engine, error_ratio("30d"), group.objective, 30)[30] == pytest.approx(0.1)
    base = group.windows_ms[0]
    assert _at(shared_engine, total_events(base), group.objective, 30)[30] == pytest.approx(20 / 300, rel=0.51)
    assert _at(shared_engine, bad_events(base), group.objective, 30)[30] > 0


# -- slices --------------------------------------------------------------------------------------------------------

SLICED = "{op: lte, value: 0.2, target: 0.9, timeSliceTarget: 1, timeSliceWindow: 1m}"


def test_slices_of_a_threshold(tmp_path: Path, shared_engine: Engine) -> None:
    """Exactly at the threshold is good; NaN (no cameras) and a missing series are no slice at all."""
    name = unique()
    offline = [1, 1, 2, 2, 1, 0, 0, 0, 3, 5]
    cameras = [5, 5, 5, 5, 5, 0, 0, 5, 5, 5]
    write_series(shared_engine, f"{name}_offline", {}, {i * MINUTE_MS: float(v) for i, v in enumerate(offline)})
    write_series(shared_engine, f"{name}_cameras", {}, {i * MINUTE_MS: float(v) for i, v in enumerate(cameras)})
    indicator = THRESHOLD.format(query=f"sum({name}_offline) / sum({name}_cameras)")
    text = document(indicator=indicator, method="Timeslices", goal=SLICED, policies=[("5", "1h")])
    group = _compiled(tmp_path, text, name)
    play(shared_engine, group, 9)
    assert _at(shared_engine, SLICE_ERROR, group.objective, 9) == {0: 0, 1: 0, 2: 1, 3: 1, 4: 0, 7: 0, 8: 1, 9: 1}
    assert _at(shared_engine, error_ratio("30d"), group.objective, 9)[9] == 0.5
    assert _at(shared_engine, BUDGET_REMAINING, group.objective, 9)[9] == pytest.approx(1 - 0.5 / 0.1)


@pytest.mark.parametrize(
    ("method", "goal", "expected"),
    [
        # Minutes with 0 %, 10 % and 50 % errors, six times over.
        ("Timeslices", "{target: 0.99, timeSliceTarget: 0.9, timeSliceWindow: 2m}", Fraction(1, 3)),
        ("RatioTimeslices", "{target: 0.99, timeSliceWindow: 2m}", Fraction(0 + 10 + 50, 3 * 100)),
        ("Occurrences", "{target: 0.99}", None),
    ],
)
def test_slices_of_ratios(
    tmp_path: Path, shared_engine: Engine, method: str, goal: str, expected: Fraction | None
) -> None:
    """Slices count alike, whatever their traffic; only Occurrences weighs them by their events."""
    name = unique()
    total = failed = RUNNING
    requests, errors = {}, {}
    for step in range(2 * 36 + 1):  # two scrapes a minute; a slice of two minutes holds four
        requests[step * 30_000 - 15_000], errors[step * 30_000 - 15_000] = float(total), float(failed)
        kind = step // 4 % 3
        total += (1000, 1000, 10)[kind]
        failed += (0, 90, 5)[kind]
    write_series(shared_engine, f"{name}_total", {}, requests)
    write_series(shared_engine, f"{name}_bad_total", {}, errors)
    indicator = ratio("bad", f"{name}_bad_total", f"{name}_total")
    group = _compiled(tmp_path, document(indicator=indicator, method=method, goal=goal, policies=[("5", "1h")]), name)
    play(shared_engine, group, 36)
    measured = _at(shared_engine, error_ratio("30d"), group.objective, 36)[36]
    if expected is None:
        assert measured == pytest.approx(95 / 2010, rel=0.05)
    else:
        every = _at(shared_engine, SLICE_ERROR, group.objective, 36)
        slices = {minute: value for minute, value in every.items() if minute % 2 == 0}  # the rest is lookback
        assert len(slices) == 18
        assert measured == pytest.approx(sum(slices.values()) / len(slices))
        assert measured == pytest.approx(float(expected), abs=0.06)


# -- calendar ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "start", "boundary"),
    [
        ("UTC", "2020-01-01 00:00:00", datetime(2020, 10, 1, tzinfo=UTC)),
        ("UTC", "2020-01-15 12:00:00", datetime(2020, 10, 15, 12, tzinfo=UTC)),
        ("Asia/Kolkata", "2020-01-01 00:00:00", datetime(2020, 9, 30, 18, 30, tzinfo=UTC)),
    ],
)
def test_a_calendar_month_begins_with_a_full_budget(
    tmp_path: Path, shared_engine: Engine, zone: str, start: str, boundary: datetime
) -> None:
    """Everything fails before the boundary and nothing after it: the new month starts from its own events."""
    name = unique()
    begin_ms = round(boundary.timestamp() * 1000) - 30 * MINUTE_MS
    shift = begin_ms - START_MS
    total = failed = RUNNING
    requests, errors = {}, {}
    for minute in range(61):
        requests[shift + minute * MINUTE_MS], errors[shift + minute * MINUTE_MS] = float(total), float(failed)
        total += 100
        failed += 100 if minute < 30 else 0
    write_series(shared_engine, f"{name}_total", {}, requests)
    write_series(shared_engine, f"{name}_bad_total", {}, errors)
    window = f"{{duration: 1M, calendar: {{startTime: {start}, timeZone: {zone}}}}}"
    indicator = ratio("bad", f"{name}_bad_total", f"{name}_total")
    group = _compiled(tmp_path, document(indicator=indicator, window=window, policies=[("2", "1h")]), name)
    play(shared_engine, group, 60, begin_ms)
    found = ticks(shared_engine, f'{error_ratio("1M")}{{sloth_id="{group.objective.id}"}}', 60, begin_ms)
    assert all(found[minute] == pytest.approx(1) for minute in range(2, 30))
    assert found[30] <= 1
    # The five-minute rates of its first minutes still hold what failed before: 10 of 150 minutes' worth.
    assert 0 < found[60] < 0.1
    assert list(found) == list(range(1, 61))
