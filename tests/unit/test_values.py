"""Durations, numbers and label sets, as Prometheus writes them."""

from __future__ import annotations

import struct
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.series import STALE, format_labels, is_stale, labels_of
from harness.units import format_duration, format_number, format_with_unit, parse_duration_ms


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0", 0), ("0s", 0), ("5m", 300_000), ("1h30m", 5_400_000), ("90s", 90_000), ("1m30s", 90_000), ("1ms", 1),
        ("5m30ms", 300_030), ("1d", 86_400_000), ("1w", 604_800_000), ("1y", 31_536_000_000), ("2h0m", 7_200_000),
        ("1y2w3d4h5m6s7ms", 31_536_000_000 + 1_209_600_000 + 259_200_000 + 14_400_000 + 300_000 + 6_000 + 7),
    ],
)  # fmt: skip
def test_durations(text: str, ms: int) -> None:
    assert parse_duration_ms(text) == ms


@pytest.mark.parametrize(
    "text", ["", "5", "m", "1.5h", "-5m", "5 m", "30m1h", "5m5m", "5M", "1h 30m", "\uff15m", "5mm"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; expected something like 30s, 5m or 1h30m"):
        parse_duration_ms(text)


@given(st.integers(0, 10**12))
def test_durations_come_back(ms: int) -> None:
    assert parse_duration_ms(format_duration(ms)) == ms


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "0s"), (300_000, "5m"), (90_000, "1m30s"), (604_800_000, "7d"), (-60_000, "-1m"), (1_500, "1s500ms")],
)
def test_the_shortest_spelling(ms: int, text: str) -> None:
    assert format_duration(ms) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_keeps_every_digit(value: float) -> None:
    assert float(format_number(value)) == value
    assert not format_number(value).endswith(".0")


def test_numbers_with_units() -> None:
    assert format_with_unit(Fraction(85), "%") == "85 %"
    assert format_with_unit(Fraction(1, 10), "") == "0.1"
    assert format_with_unit(1.0000000000000002, "s") == "1.0000000000000002 s"
    assert [format_number(v) for v in (float("inf"), float("-inf"), float("nan"))] == ["inf", "-inf", "nan"]


def test_the_stale_marker_to_its_bits() -> None:
    assert struct.pack("<d", STALE) == struct.pack("<Q", 0x7FF0000000000002)
    assert is_stale(STALE)
    ordinary = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000001))[0]
    assert not any(is_stale(value) for value in (float("nan"), ordinary, 0.0, float("inf")))


def test_label_sets() -> None:
    assert labels_of("up", {"job": "a", "empty": "", "instance": "b"}) == (
        ("__name__", "up"), ("instance", "b"), ("job", "a"),
    )  # fmt: skip
    assert format_labels(labels_of("up", {})) == "up"
    assert format_labels({}) == "{}"
    assert format_labels({"a": 'q"b\\s\nn'}) == r'{a="q\"b\\s\nn"}'
    assert format_labels({"__name__": "m", "b": "2", "a": "1"}) == 'm{a="1", b="2"}'
    assert format_labels({"__name__": "http.status", "a.b": "2", "c": "1"}) == '{"http.status", "a.b"="2", c="1"}'
    assert format_labels({"__name__": "http.status"}) == '{"http.status"}'
