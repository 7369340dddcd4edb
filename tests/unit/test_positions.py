"""A knob's positions: whole numbers that differ by one exactly where values are adjacent."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.contracts import Knob
from harness.proof.positions import KnobPositions, double_ordinal, ordinal_double, spread, ulps_between

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def axis(low: str, high: str, threshold: str, step: str | None = None) -> KnobPositions:
    knob = Knob("n", "u", Fraction(low), Fraction(high), Fraction(step) if step else None, "things" if step else "")
    return KnobPositions(knob, Fraction(threshold))


@given(FINITE)
def test_ordinals_come_back(value: float) -> None:
    assert ordinal_double(double_ordinal(value)) == value


@given(FINITE)
def test_neighbours_differ_by_one(value: float) -> None:
    above = math.nextafter(value, math.inf)
    if math.isfinite(above):
        assert double_ordinal(above) - double_ordinal(value) == 1
        assert ulps_between(value, above) == 1


@given(FINITE, FINITE)
def test_ordinals_rise_with_their_doubles(a: float, b: float) -> None:
    assert (double_ordinal(a) < double_ordinal(b)) == (a < b)
    assert ulps_between(a, b) == ulps_between(b, a)


def test_the_two_zeros_are_one() -> None:
    assert double_ordinal(-0.0) == double_ordinal(0.0) == 0
    assert double_ordinal(5e-324) == 1 == -double_ordinal(-5e-324)


KNOBS = [
    axis("0", "100", "80"), axis("0", "10", "1/10"), axis("-50", "-10", "-30"), axis("-5", "5", "0"),
    axis("200", "300", "250"), axis("0", "1", "1"), axis("0", "1", "0"),
    axis("0", "500", "0", "1"), axis("0", "100", "20", "1/10"), axis("10", "20", "12", "2"),
    axis("-3", "3", "-1", "1/2"),
    axis("0", "100", "85", "1/160000000"), axis("0", "3", "1", "1"), axis("0", "1", "1", "1"),
]  # fmt: skip


@pytest.mark.parametrize("it", KNOBS, ids=str)
def test_the_survey(it: KnobPositions) -> None:
    found = it.survey()
    here = it.at_threshold
    assert found == sorted(set(found))
    assert {it.lowest, it.highest, here} <= set(found)
    assert (found[0], found[-1]) == (it.lowest, it.highest)
    for off in (-3, -2, -1, 1, 2, 3):
        if it.lowest <= here + off <= it.highest:
            assert here + off in found
    values = [it.value(p) for p in found]
    assert all(a < b for a, b in itertools.pairwise(values))
    assert it.knob.low <= values[0]
    assert values[-1] <= it.knob.high
    assert it.value(here) == it.threshold
    if it.knob.step is not None:
        assert all((value - it.knob.low) % it.knob.step == 0 for value in values)
    assert all(it.position(value) == p for p, value in zip(found, values, strict=True))


def test_a_threshold_that_is_no_double_stands_for_itself() -> None:
    tenth = axis("0", "10", "1/10")
    assert tenth.value(tenth.at_threshold) == Fraction(1, 10) != Fraction(0.1)
    assert tenth.value(tenth.at_threshold + 1) == Fraction(math.nextafter(0.1, 1))
    assert tenth.value(tenth.at_threshold - 1) == Fraction(math.nextafter(0.1, 0))


def test_a_counting_knob_that_does_not_begin_at_zero() -> None:
    it = axis("10", "20", "12", "2")
    assert [it.value(p) for p in range(it.lowest, it.highest + 1)] == [10, 12, 14, 16, 18, 20]
    assert it.survey() == [0, 1, 2, 3, 4, 5]


@given(st.integers(-(10**6), 10**6), st.integers(2, 10**7), st.integers(1, 64))
def test_spread_lies_strictly_between(low: int, gap: int, most: int) -> None:
    found = spread(low, low + gap, most)
    assert 1 <= len(found) <= most
    assert all(low < p < low + gap for p in found)
    widest = max(b - a for a, b in itertools.pairwise([low, *found, low + gap]))
    assert widest <= gap // (min(most, gap - 1) + 1) + 1


def test_between_is_by_value() -> None:
    it = axis("0", "100", "80")
    assert it.value(it.between(it.lowest, it.highest, Fraction(1, 2))) == 50
