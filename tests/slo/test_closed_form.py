"""The closed forms against the book's own figures, and against a window that is slid over the incident by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.slo import closedform
from harness.slo.model import BurnPair

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
PERIOD_MS = 30 * DAY_MS
THREE_NINES = Fraction(999, 1000)
FIRST = BurnPair("page", HOUR_MS, 300_000, Fraction("14.4"))
SECOND = BurnPair("page", 6 * HOUR_MS, 1_800_000, Fraction(6))
THIRD = BurnPair("ticket", DAY_MS, 2 * HOUR_MS, Fraction(3))
LAST = BurnPair("ticket", 3 * DAY_MS, 6 * HOUR_MS, Fraction(1))


@pytest.mark.parametrize(
    ("ratio", "rate"),
    [
        # SRE Workbook, table 5-4, without its slip: 10 % errors burn at 100 ×, not at 1,000 ×.
        (Fraction(1, 1000), 1), (Fraction(2, 1000), 2), (Fraction(1, 10), 100), (Fraction(1), 1000),
    ],
)  # fmt: skip
def test_burn_rates_of_the_workbook(ratio: Fraction, rate: int) -> None:
    assert BurnPair("page", HOUR_MS, None, Fraction(rate)).threshold(THREE_NINES) == ratio


@pytest.mark.parametrize(
    ("pair", "percent"), [(FIRST, 2), (SECOND, 5), (THIRD, 10), (LAST, 10)], ids=lambda value: str(value)[:8]
)
def test_shares_of_the_budget_in_table_5_8(pair: BurnPair, percent: int) -> None:
    assert closedform.budget_fraction(pair, PERIOD_MS) == Fraction(percent, 100)


def test_detection_of_a_total_outage() -> None:
    assert closedform.detection_ms(FIRST, THREE_NINES, Fraction(1)) == Fraction("51840")  # 0.0144 × 1 h
    held = BurnPair("page", HOUR_MS, 300_000, Fraction("14.4"), hold_ms=120_000)
    assert closedform.detection_ms(held, THREE_NINES, Fraction(1)) == Fraction("171840")


def test_detection_is_not_what_copies_print() -> None:
    """`1 − SLO / error ratio` would say that 0.1 % errors at 99.9 % take minus 998 hours."""
    assert (
        closedform.detection_ms(BurnPair("page", HOUR_MS, None, Fraction(1)), THREE_NINES, Fraction(1, 100)) == 360_000
    )


def test_the_books_58_minutes_until_a_single_window_resets() -> None:
    alone = BurnPair("page", HOUR_MS, None, Fraction(36))
    reset = closedform.reset_ms(alone, THREE_NINES, Fraction(1))
    assert reset is not None
    assert round(reset / 60_000) == 58


def test_on_the_threshold_nothing_fires() -> None:
    theta = FIRST.threshold(THREE_NINES)
    assert closedform.detection_ms(FIRST, THREE_NINES, theta) is None
    assert closedform.detection_ms(FIRST, THREE_NINES, theta + Fraction(1, 10**12)) is not None


def test_a_pair_that_can_never_fire() -> None:
    assert not closedform.can_fire(FIRST, Fraction(9, 10))  # 14.4 × 10 % is 144 %
    assert closedform.can_fire(FIRST, Fraction("0.94"))
    assert closedform.detection_ms(FIRST, Fraction(9, 10), Fraction(1)) is None


@given(
    ratio=st.fractions(Fraction(1, 200), 1),
    factor=st.fractions(Fraction(1, 2), 15),
    lasts_min=st.integers(1, 4000),
    at_min=st.integers(0, 8000),
)
def test_a_window_slid_over_an_incident_says_the_same(
    ratio: Fraction, factor: Fraction, lasts_min: int, at_min: int
) -> None:
    """Errors from 0 to `lasts`: the share of a window that ends at `at` is plain geometry."""
    pair = BurnPair("page", 6 * HOUR_MS, 1_800_000, factor)
    target = Fraction(99, 100)
    lasts, at = lasts_min * 60_000, at_min * 60_000

    def seen(window_ms: int) -> Fraction:
        inside = max(0, min(at, lasts) - max(0, at - window_ms))
        return ratio * inside / window_ms

    burns = all(seen(window) > pair.threshold(target) for window in pair.windows_ms)
    crossing, reset = closedform.crossing_ms(pair, target, ratio), closedform.reset_ms(pair, target, ratio)
    wanted = crossing is not None and reset is not None and lasts > crossing and crossing < at < lasts + reset
    assert burns is wanted


@given(ratio=st.fractions(Fraction(1, 1000), 1))
def test_the_earliest_pair_is_the_severitys(ratio: Fraction) -> None:
    each = [closedform.detection_ms(pair, THREE_NINES, ratio) for pair in (FIRST, SECOND)]
    known = [at for at in each if at is not None]
    assert closedform.first_detection_ms((FIRST, SECOND), THREE_NINES, ratio) == (min(known) if known else None)
