"""A signal's series, sample by sample, against arithmetic of the test's own."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.contracts import load_contracts
from harness.contracts.model import Signal, TimeRange
from harness.contracts.world import KnobSteps, Scrapes, Trace, bucket_shares, traces
from harness.errors import InputError
from harness.series import format_labels, is_stale

CONTRACT = """\
contracts:
  - alert: A
    means: m
    knob: {{name: n, range: [-1000, 1000]}}
    op: ">"
    threshold: 0
    severity: s
    identifies: {{}}
    signal: [{signal}]
"""
MINUTE = 60_000


def signal(tmp_path: Path, *series: str) -> Signal:
    file = tmp_path / "c.yml"
    file.write_text(CONTRACT.format(signal=", ".join(f"{{{one}}}" for one in series)), encoding="utf-8")
    return load_contracts([file])[0].signal


def made(found: Signal, scrapes: Scrapes, knob: KnobSteps = ((0, Fraction(0)),)) -> dict[str, Trace]:
    found_traces = traces(found, knob, scrapes)
    named = {format_labels(trace.labels): trace for trace in found_traces}
    assert len(named) == len(found_traces)
    return named


def shown(trace: Trace) -> list[tuple[float, float | str]]:
    """(seconds, value) with the stale marker, to its bits, as a word."""
    marker = struct.pack("<Q", 0x7FF0000000000002)
    return [
        (at / 1000, "stale" if struct.pack("<d", value) == marker else value)
        for at, value in zip(trace.times_ms, trace.values, strict=True)
    ]


def nearest(exact: Fraction) -> float:
    """The double nearest to a fraction, ties to even, found by looking at the neighbours of a guess."""
    guess = float(exact.numerator) / float(exact.denominator)
    around = [guess, math.nextafter(guess, -math.inf), math.nextafter(guess, math.inf)]
    return min(around, key=lambda d: (abs(Fraction(d) - exact), struct.unpack("<q", struct.pack("<d", d))[0] & 1))


def test_samples_fall_half_an_interval_beside_the_ticks(tmp_path: Path) -> None:
    (trace,) = traces(signal(tmp_path, "gauge: up, value: x"), ((0, Fraction(1)),), Scrapes.regular(30_000, 120_000))
    assert list(trace.times_ms) == [15_000, 45_000, 75_000, 105_000]
    assert list(trace.values) == [1.0] * 4


RATES = st.fractions(0, 10_000, max_denominator=10_000)


@settings(max_examples=60, deadline=None)
@given(RATES, st.sampled_from([1000, 15_000, 30_000, 45_500]))
@example(Fraction(1, 10), 30_000)
@example(Fraction(1, 3), 30_000)
def test_a_counter_at_scrape_k_is_the_double_nearest_to_k_times_its_increase(
    tmp_path_factory: pytest.TempPathFactory, rate: Fraction, every_ms: int
) -> None:
    found = signal(tmp_path_factory.mktemp("c"), "counter: c, rate: x")
    (trace,) = traces(found, ((0, rate),), Scrapes.regular(every_ms, 50 * every_ms))
    assert list(trace.values) == [nearest(rate * every_ms * k / 1000) for k in range(1, len(trace.values) + 1)]
    assert len(trace.values) == 50


@settings(max_examples=40, deadline=None)
@given(st.lists(RATES, min_size=2, max_size=5), st.lists(st.integers(0, 600_000), max_size=3, unique=True))
def test_a_counter_under_a_moving_knob_and_restarts(
    tmp_path_factory: pytest.TempPathFactory, rates: list[Fraction], restarts: list[int]
) -> None:
    found = signal(tmp_path_factory.mktemp("c"), "counter: c, rate: x")
    scrapes = Scrapes(20_000, 600_000, 10_000, restarts_ms=tuple(sorted(restarts)))
    steps = [(i * 120_000, rate) for i, rate in enumerate(rates)]
    (trace,) = traces(found, steps, scrapes)

    def rate_at(at: int) -> Fraction:
        return max((start, rate) for start, rate in steps if start <= at)[1]

    total, expected = Fraction(0), []
    for at in range(10_000, 600_001, 20_000):
        lately = [r for r in restarts if at - 20_000 < r <= at]
        since = at - max(lately) if lately else 20_000
        total = (Fraction(0) if lately else total) + rate_at(at) * since / 1000
        expected.append(nearest(total))
    assert list(trace.values) == expected


def test_a_restart_begins_again_at_zero(tmp_path: Path) -> None:
    scrapes = Scrapes(30_000, 150_000, 15_000, restarts_ms=(65_000,))
    (trace,) = traces(signal(tmp_path, "counter: c, rate: 2"), ((0, Fraction(0)),), scrapes)
    assert shown(trace) == [(15, 60.0), (45, 120.0), (75, 20.0), (105, 80.0), (135, 140.0)]


def test_the_knob_moves_at_the_scrape_that_reaches_its_time(tmp_path: Path) -> None:
    steps = [(0, Fraction(1)), (45_000, Fraction(2)), (45_001, Fraction(3)), (100_000, Fraction(-4))]
    (trace,) = traces(signal(tmp_path, "gauge: g, value: x * x + t"), steps, Scrapes.regular(30_000, 120_000))
    assert shown(trace) == [(15, 16.0), (45, 49.0), (75, 84.0), (105, 121.0)]


@pytest.mark.parametrize(
    ("series", "scrapes", "expected"),
    [
        # Failed scrapes: one stale marker, then nothing until a scrape succeeds.
        (
            "gauge: g, value: 7",
            Scrapes(30_000, 180_000, 15_000, failed=TimeRange(60_000, 120_000)),
            [(15, 7.0), (45, 7.0), (75, "stale"), (135, 7.0), (165, 7.0)],
        ),
        # A gap: nothing at all, and the counter has counted on.
        (
            "counter: g, rate: 1",
            Scrapes(30_000, 180_000, 15_000, gap=TimeRange(60_000, 120_000)),
            [(15, 30.0), (45, 60.0), (135, 150.0), (165, 180.0)],
        ),
        # The end of a stretch is excluded, its beginning is not.
        (
            "gauge: g, value: 7",
            Scrapes(30_000, 105_000, 15_000, failed=TimeRange(45_000, 75_000)),
            [(15, 7.0), (45, "stale"), (75, 7.0), (105, 7.0)],
        ),
        # present: there, gone with a marker, back.
        (
            "gauge: g, value: t, present: t < 60 or_later",
            Scrapes.regular(30_000, 180_000),
            [(15, 15.0), (45, 45.0), (75, "stale"), (135, 135.0), (165, 165.0)],
        ),
        # Never there before: no marker.
        ("gauge: g, value: 1, present: t >= 60", Scrapes.regular(30_000, 105_000), [(75, 1.0), (105, 1.0)]),
        # Failing from the first scrape on: no marker either.
        (
            "gauge: g, value: 1",
            Scrapes(30_000, 75_000, 15_000, failed=TimeRange(0, 60_000)),
            [(75, 1.0)],
        ),
    ],
    ids=["failed", "gap", "edges", "present", "late", "failed from the start"],
)
def test_absences(tmp_path: Path, series: str, scrapes: Scrapes, expected: list[tuple[float, float | str]]) -> None:
    series = series.replace("t < 60 or_later", '"(t < 60) + (t >= 120)"')
    (trace,) = traces(signal(tmp_path, series), ((0, Fraction(0)),), scrapes)
    assert shown(trace) == expected
    assert [is_stale(value) for value in trace.values] == [value == "stale" for _, value in expected]


def test_a_prometheus_that_was_away_ends_no_series(tmp_path: Path) -> None:
    """It cannot know, after its own absence, which series were there before: no stale marker."""
    scrapes = Scrapes(30_000, 180_000, 15_000, gap=TimeRange(60_000, 120_000))
    (trace,) = traces(signal(tmp_path, "gauge: g, value: 1, present: t < 100"), ((0, Fraction(0)),), scrapes)
    assert shown(trace) == [(15, 1.0), (45, 1.0)]


def test_a_series_without_samples_is_left_out(tmp_path: Path) -> None:
    assert made(signal(tmp_path, "gauge: g, value: 1, present: 0"), Scrapes.regular(30_000, 120_000)) == {}


def test_label_templates(tmp_path: Path) -> None:
    found = signal(
        tmp_path,
        """each: {i: 2, mode: [idle, "12"]}, """
        """gauge: 'g{a="n-$i:9100", b="${i}${mode}", c="$$i", mode="$mode"}', value: i""",
        "each: [{host: h, share: 1/4}, {host: k, share: 3/4}], gauge: 's{host=\"$host\"}', value: x * share",
    )
    named = made(found, Scrapes.regular(30_000, 15_000), ((0, Fraction(10)),))
    assert {labels: list(trace.values) for labels, trace in named.items()} == {
        'g{a="n-0:9100", b="0idle", c="$0", mode="idle"}': [0.0],
        'g{a="n-0:9100", b="012", c="$0", mode="12"}': [0.0],
        'g{a="n-1:9100", b="1idle", c="$1", mode="idle"}': [1.0],
        'g{a="n-1:9100", b="112", c="$1", mode="12"}': [1.0],
        's{host="h"}': [2.5],
        's{host="k"}': [7.5],
    }


def test_a_sample_beyond_every_double(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"(?s)c.yml:9:.*`1e400` is too large for a double.*ends at about 1.8e308"):
        made(signal(tmp_path, "gauge: g, value: 1e400"), Scrapes.regular(30_000, 60_000))


# -- histograms --------------------------------------------------------------------------------------------------

BUCKETS = tuple(
    Fraction(b)
    for b in ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "0.75", "1", "1.25", "1.5", "2.5", "5", "10"]
)


def histogram_quantile(q: Fraction, bounds: tuple[Fraction, ...], counts: list[Fraction]) -> Fraction:
    """bucketQuantile of promql/quantile.go in fractions; `counts` are cumulative, the last one is of +Inf."""
    rank = q * counts[-1]
    b = next(i for i, count in enumerate(counts) if count >= rank)
    if b == len(counts) - 1:
        return bounds[-1]
    start, below = (bounds[b - 1], counts[b - 1]) if b else (Fraction(0), Fraction(0))
    return start + (bounds[b] - start) * (rank - below) / (counts[b] - below)


QUANTILES = st.sampled_from([Fraction(1, 2), Fraction(9, 10), Fraction(95, 100), Fraction(999, 1000), Fraction(1, 100)])


@settings(max_examples=200, deadline=None)
@given(st.fractions(0, 20, max_denominator=100_000) | st.sampled_from(BUCKETS), QUANTILES)
@example(Fraction(1), Fraction(95, 100))
@example(Fraction(math.nextafter(1, 2)), Fraction(95, 100))
@example(Fraction(math.nextafter(1, 0)), Fraction(95, 100))
def test_the_quantile_is_exactly_x(x: Fraction, q: Fraction) -> None:
    shares = bucket_shares(BUCKETS, q, x)
    assert len(shares) == len(BUCKETS) + 1
    assert shares == sorted(shares)
    assert shares[0] > 0
    assert shares[-1] == 1
    # histogram_quantile itself can't say less than q of the first bucket, nor more than the highest bound.
    assert histogram_quantile(q, BUCKETS, shares) == min(max(x, q * BUCKETS[0]), BUCKETS[-1])


def test_a_histogram_is_cumulative_and_counts_all(tmp_path: Path) -> None:
    found = signal(tmp_path, "histogram: 'h{job=\"a\"}', buckets: [1/2, 1, 2], rate: 10, quantile: {q: 9/10, at: x}")
    named = made(found, Scrapes(30_000, 60_000, 15_000), ((0, Fraction(1)),))
    shares = bucket_shares((Fraction(1, 2), Fraction(1), Fraction(2)), Fraction(9, 10), Fraction(1))
    assert {labels: list(trace.values) for labels, trace in named.items() if "sum" not in labels} == {
        f'h_bucket{{job="a", le="{le}"}}': [nearest(300 * share), nearest(600 * share)]
        for le, share in zip(["0.5", "1.0", "2.0", "+Inf"], shares, strict=True)
    } | {'h_count{job="a"}': [300.0, 600.0]}
    total = named['h_sum{job="a"}'].values
    assert 0 < total[0] < 300 * 2
    assert total[1] == pytest.approx(2 * total[0])


BEGIN = Fraction(1_000_000_000)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        # Straight lines in time …
        ("now - x", lambda t: BEGIN + t - Fraction(7, 3)),
        ("(now - x * 60) / 3 - 2 * t", lambda t: (BEGIN + t - 140) / 3 - 2 * t),
        ("5 - -t / 7", lambda t: 5 + t / 7),
        ("x - now", lambda t: Fraction(7, 3) - BEGIN - t),
        ("now * (x + 1) - now", lambda t: (BEGIN + t) * Fraction(7, 3)),
        # … and what bends, or only looks like one.
        ("t * t", lambda t: t * t),
        ("60 / (t + 1)", lambda t: 60 / (t + 1)),
        ("mod(t, 60)", lambda t: t % 60),
        ("floor(now / 60) * 60", lambda t: (BEGIN + t) // 60 * 60),
        ("max(t, 200)", lambda t: max(t, Fraction(200))),
        ("if(t, 1, 2)", lambda t: Fraction(1) if t else Fraction(2)),
        ("if(t == 315, 1, 2)", lambda t: Fraction(1) if t == 315 else Fraction(2)),
        ("x * (t > 300)", lambda t: Fraction(7, 3) * (t > 300)),
    ],
)
def test_a_gauge_that_follows_the_clock(tmp_path: Path, formula: str, expected: Callable[[Fraction], Fraction]) -> None:
    found = signal(tmp_path, f"gauge: m, value: '{formula}'")
    (trace,) = traces(found, [(0, Fraction(7, 3))], Scrapes.regular(30_000, 10 * MINUTE, 30_000))
    dated = trace.beginning_at(int(BEGIN) * 1000)
    assert len(dated.values) > 10
    if "now" not in formula:
        assert dated is trace
    for at, value in zip(dated.times_ms, dated.values, strict=True):
        assert value == nearest(expected(Fraction(at, 1000)))
