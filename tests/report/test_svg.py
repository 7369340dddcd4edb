"""Scales, axes and paths of charts, by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest

from harness.report.svg import (
    Band,
    Frame,
    Scale,
    filled,
    lane,
    linear,
    logarithmic,
    runs,
    short_number,
    staircase,
    time_axis,
    time_scale,
    x_axis,
    y_axis,
)

FRAME = Frame(height=100, left=10, right=110, top=10, bottom=90)


def test_a_scale_keeps_what_is_beyond_its_ends_inside() -> None:
    x_of = FRAME.x(linear(Fraction(1), Fraction(4)))
    assert [x_of(value) for value in (0, 1, Fraction(2), 4, 9)] == [10.0, 10.0, 43.3, 110.0, 110.0]
    y_of = FRAME.y(logarithmic(0.001, 1))
    assert [y_of(value) for value in (0.0001, 0.001, 0.1, 1, 2)] == [90.0, 90.0, 36.7, 10.0, 10.0]
    assert FRAME.x(linear(3, 3))(3) == 10.0
    assert Scale(linear(0, 3), 0, 10, digits=0)(1) == 3


def test_labels_at_the_ends_stay_inside_and_every_other_is_minor() -> None:
    marks = x_axis(FRAME.x(linear(0, 2)), [(0, "a"), (1, "b"), (2, "c")])
    assert [(m.at, m.text, m.minor, m.anchor) for m in marks] == [
        (10.0, "a", False, "start"), (60.0, "b", True, ""), (110.0, "c", False, "end"),
    ]  # fmt: skip


def test_labels_above_one_another_do_not_touch() -> None:
    y_of = FRAME.y(linear(0, 80))
    labels = [(0, "0"), (5, "5"), (20, "20"), (80, "80")]
    assert [(m.text, m.minor) for m in y_axis(y_of, labels)] == [("80", False), ("20", True), ("0", False)]
    assert not any(m.minor for m in y_axis(y_of, labels, thin=False))


@pytest.mark.parametrize(
    ("length_ms", "texts"),
    [
        (8_000, ["0s", "1s", "2s", "3s", "4s", "5s", "6s", "7s"]),
        (15 * 60_000, ["0s", "2m", "4m", "6m", "8m", "10m", "12m", "14m"]),
        (21 * 60_000, ["0s", "5m", "10m", "15m"]),  # 20m would reach beyond the end
        (86_400_000 * 3, ["0s", "1d", "2d"]),
    ],
)
def test_times_are_round(length_ms: int, texts: list[str]) -> None:
    assert [mark.text for mark in time_axis(time_scale(length_ms), length_ms)] == texts


def test_a_line_of_steps_is_broken_where_nothing_is_known() -> None:
    steps = [(0.0, 10.0, 5.0), (10.0, 20.0, 5.0), (20.0, 30.0, 7.5), (30.0, 40.0, None), (40.0, 50.0, 1.0)]
    assert staircase(steps) == "M0 5H20V7.5H30M40 1H50"
    assert filled(steps, 9) == "M0 9V5H20V7.5H30V9zM40 9V1H50V9z"
    assert staircase([]) == staircase([(0.0, 1.0, None)]) == ""


def test_runs_and_bands() -> None:
    assert list(runs("aabc")) == [(0, 2, "a"), (2, 3, "b"), (3, 4, "c")]
    assert Band.between(10.0, 10.4, least=3) == Band(10.0, 3)
    assert Band(10.0, 3).middle == 11.5


def test_a_long_name_is_cut_for_its_lane() -> None:
    assert lane(2, "x" * 50, []).name == "x" * 43 + "…"
    assert lane(2, "x" * 44, []).name == "x" * 44


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (12.5, "12.5"),
        (1464, "1464"),
        (32_500, "32.5k"),
        (1.2e9, "1.2G"),
        (1e-6, "1.0e-06"),
        (-25_000, "-25k"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert short_number(value) == text
