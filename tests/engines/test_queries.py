"""Write and query, on a real Prometheus."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.engines import STALE, Engine, QueryError, Samples, Series, make_labels
from harness.engines.base import MAX_POINTS
from harness.errors import EXIT_INPUT, EngineError, UnsupportedError

T0 = 200_000_000_000
MINUTE = 60_000
_count = [0]


def fresh(word: str) -> str:
    """A metric name that no other test of the shared engine uses."""
    _count[0] += 1
    return f"{word}_{_count[0]}"


def store(engine: Engine, values: list[float], step_ms: int = MINUTE, **labels: str) -> str:
    name = fresh("metric")
    times = [T0 + step_ms * i for i in range(len(values))]
    engine.write([Samples(make_labels(name, **labels), times, values)])
    return name


def same(a: list[float], b: list[float]) -> bool:
    return repr(a) == repr(b)  # tells -0 from 0, and NaN equals itself


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(), min_size=1, max_size=100))
def test_doubles_come_back_exactly(shared_engine: Engine, values: list[float]) -> None:
    name = store(shared_engine, values, a="1")
    end = T0 + MINUTE * (len(values) - 1)
    (series,) = shared_engine.query_range(name, T0, end, MINUTE)
    assert series.labels == make_labels(name, a="1")
    assert series.metric == {"__name__": name, "a": "1"}
    assert series.timestamps_ms == list(range(T0, end + 1, MINUTE))
    assert same(series.values, values)


def test_milliseconds_are_exact(shared_engine: Engine) -> None:
    name = fresh("metric")
    times = [T0 + 1, T0 + 1002, T0 + 2003, T0 + 3004]
    shared_engine.write([Samples(make_labels(name), times, [1.0, 2.0, 3.0, 4.0])])
    # A step of 1.001 s, which Prometheus would cut to 1000 ms if it were sent as a number.
    assert shared_engine.query_range(name, T0 + 1, T0 + 3004, 1001) == [Series(make_labels(name), times, [1, 2, 3, 4])]
    assert shared_engine.query(f"{name}[10s]", T0 + 3004) == [Series(make_labels(name), times, [1, 2, 3, 4])]
    assert shared_engine.query(name, T0) == []


def test_a_stale_marker_ends_a_series(shared_engine: Engine) -> None:
    name = store(shared_engine, [1.0, STALE, math.nan, 2.0])
    (series,) = shared_engine.query_range(name, T0, T0 + 3 * MINUTE, MINUTE)
    assert series.timestamps_ms == [T0, T0 + 2 * MINUTE, T0 + 3 * MINUTE]
    assert math.isnan(series.values[1])


def test_lookback_is_five_minutes(shared_engine: Engine) -> None:
    name = store(shared_engine, [1.0])
    assert len(shared_engine.query(name, T0 + 5 * MINUTE - 1)) == 1
    # 2.x still sees a sample of exactly this age.
    assert len(shared_engine.query(name, T0 + 5 * MINUTE)) == shared_engine.version.startswith("2.")
    assert shared_engine.query(name, T0 + 5 * MINUTE + 1) == []


@pytest.mark.parametrize("points", [MAX_POINTS - 1, MAX_POINTS, MAX_POINTS + 1, 2 * MAX_POINTS + 7])
def test_more_points_than_one_answer_holds_are_joined(shared_engine: Engine, points: int) -> None:
    name = fresh("metric")
    times = range(T0, T0 + 1000 * points, 1000)
    # One of the two series begins in the last answer only.
    shared_engine.write(
        [
            Samples(make_labels(name, i="b"), times, [float(i) for i in range(points)]),
            Samples(make_labels(name, i="a"), [times[-1]], [7.0]),
        ]
    )
    late, long = shared_engine.query_range(name, T0, times[-1] + 500, 1000)
    assert (late.timestamps_ms, late.values) == ([times[-1]], [7.0])
    assert long.timestamps_ms == list(times)
    assert long.values == [float(i) for i in range(points)]


def test_a_thousand_slots_in_a_moment(engine: Engine) -> None:
    """41 samples per slot: with Prometheus' default chunks this query takes 6 s."""
    slot, slots = 60 * MINUTE, 1000
    times = [T0 + i * slot + k * 15_000 for i in range(slots) for k in range(41)]
    # Series 1 of slot i rises by i per 15 s: rate is i / 15 exactly where that is a double.
    values = [float(15 * i * k) for i in range(slots) for k in range(41)]
    engine.write([Samples(make_labels("slots", i=str(i)), times, values) for i in range(3)])
    began = time.monotonic()
    found = engine.query_range("rate(slots[5m])", T0 + 10 * MINUTE, T0 + 10 * MINUTE + (slots - 1) * slot, slot)
    took = time.monotonic() - began
    assert [series.metric for series in found] == [{"i": "0"}, {"i": "1"}, {"i": "2"}]
    for series in found:
        assert series.values == pytest.approx([float(i) for i in range(slots)], rel=1e-12)
    assert took < 2.0


def test_scalars_vectors_strings(shared_engine: Engine) -> None:
    assert shared_engine.query("1 + 1", T0) == [Series((), [T0], [2.0])]
    assert shared_engine.query_range("2", T0, T0 + 1000, 1000) == [Series((), [T0, T0 + 1000], [2.0, 2.0])]
    assert shared_engine.query("vector(-0)", T0 + 1)[0].timestamps_ms == [T0 + 1]
    with pytest.raises(UnsupportedError, match='`"x"` returns a string, expected numbers'):
        shared_engine.query('"x"', T0)
    with pytest.raises(ValueError, match="step must be positive"):
        shared_engine.query_range("1", T0, T0, 0)


def test_an_expression_that_does_not_parse(shared_engine: Engine) -> None:
    for instant in (True, False):
        with pytest.raises(QueryError) as caught:
            _ = shared_engine.query("sum(", T0) if instant else shared_engine.query_range("sum(", T0, T0, 1000)
        assert caught.value.error_type == "bad_data"
        assert caught.value.expr == "sum("
        assert "1:5: parse error: unclosed left parenthesis" in caught.value.message
        assert caught.value.exit_code == EXIT_INPUT


def test_an_expression_that_fails_on_the_data(shared_engine: Engine) -> None:
    name = fresh("metric")
    shared_engine.write([Samples(make_labels(name, i=i), [T0], [1.0]) for i in "ab"])
    with pytest.raises(QueryError) as caught:
        shared_engine.query_range(f"{name} + on() {name}", T0, T0, 1000)
    assert caught.value.error_type == "execution"
    assert "duplicate series" in caught.value.message


def test_a_long_expression(shared_engine: Engine) -> None:
    assert shared_engine.query(f'absent(nothing{{a="{"x" * 200_000}"}})', T0)[0].values == [1.0]


def test_warnings_are_kept_and_are_no_errors(shared_engine: Engine) -> None:
    name = store(shared_engine, [1.0, 2.0])
    shared_engine.query(f"quantile(2, {name})", T0)
    assert len(shared_engine.last_warnings) == 1
    assert "quantile value should be between 0 and 1" in shared_engine.last_warnings[0]
    shared_engine.query_range(f"rate({name}[5m])", T0, T0 + MINUTE, MINUTE)
    # 2.x has no `infos` in its answers and puts them among the warnings.
    old = shared_engine.version.startswith("2.")
    assert ["might not be a counter" in note for note in shared_engine.last_warnings] == ([True] if old else [])


def test_other_series_may_go_back_as_far_as_they_like(engine: Engine) -> None:
    now = int(time.time()) * 1000
    for at in (now, 100_000_000_000, now - MINUTE, 1_000_000_000_000):
        engine.write([Samples(make_labels("back", at=str(at)), [at], [1.0])])
        assert len(engine.query("back", at)) >= 1
    if not engine.version.startswith("2."):
        with pytest.raises(EngineError, match="refuses samples"):
            engine.write([Samples(make_labels("ahead"), [now + 60 * MINUTE], [1.0])])


def test_samples_that_go_back_in_time_are_refused(shared_engine: Engine) -> None:
    name = store(shared_engine, [1.0, 2.0])
    with pytest.raises(EngineError, match="refuses samples") as caught:
        shared_engine.write([Samples(make_labels(name), [T0], [3.0])])
    assert "forward in time" in (caught.value.hint or "")


def test_reset_empties_it(engine: Engine) -> None:
    name = store(engine, [1.0])
    version = engine.version
    engine.reset()
    assert engine.query(name, T0) == []
    assert engine.version == version
    engine.write([Samples(make_labels(name), [T0 - MINUTE], [1.0])])  # earlier than before: nothing is left
    assert len(engine.query(name, T0)) == 1


def test_version_is_bare(shared_engine: Engine) -> None:
    major, minor, patch = shared_engine.version.split(".")
    assert (int(major), int(minor)) >= (2, 53)
    assert patch.split("-")[0].isdigit()
