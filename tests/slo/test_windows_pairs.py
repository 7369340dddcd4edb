"""Window pairs against the literature's tables, and pairs that must not be."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from slo_bench import document, ratio, read

from harness.errors import InputError
from harness.slo import Objective
from harness.slo.windows import catalogues, pairs_of, recorded_windows_ms
from harness.units import format_duration


def _objective(tmp_path: Path, period: str = "30d", goal: str = "{target: 0.999}", **more: object) -> Objective:
    window = f"{{duration: {period}, isRolling: true}}"
    (objective,) = read(tmp_path, document(window=window, goal=goal, **more))  # type: ignore[arg-type]
    return objective


def _table(objective: Objective, windows: str) -> list[tuple[str, str, float, str]]:
    return [
        (pair.severity, pair.label, float(pair.factor), format_duration(pair.hold_ms))
        for pair in pairs_of(objective, windows)
    ]


def test_the_workbooks_table_5_8(tmp_path: Path) -> None:
    assert _table(_objective(tmp_path), "workbook") == [
        ("page", "1h/5m", 14.4, "0s"),
        ("page", "6h/30m", 6.0, "0s"),
        ("ticket", "1d/2h", 3.0, "0s"),
        ("ticket", "3d/6h", 1.0, "0s"),
    ]


def test_sloths_28_days(tmp_path: Path) -> None:
    """Their factors, to the digits that sloth prints: 13.44, 5.6, 2.8 and 0.9333."""
    pairs = pairs_of(_objective(tmp_path, "28d"))
    assert [pair.factor for pair in pairs] == [
        Fraction(1344, 100),
        Fraction(56, 10),
        Fraction(28, 10),
        Fraction(14, 15),
    ]


def test_pyrras_28_days(tmp_path: Path) -> None:
    assert _table(_objective(tmp_path, "28d"), "pyrra") == [
        ("page", "1h/5m", 14.0, "2m"),
        ("page", "6h/30m", 7.0, "15m"),
        ("ticket", "1d/2h", 2.0, "1h"),
        ("ticket", "4d/6h", 1.0, "3h"),
    ]


def test_pyrra_scales_the_windows_and_not_the_factors(tmp_path: Path) -> None:
    """14 days are half of 28; the half of 5m is 2m30s, which Go rounds to 3m."""
    assert _table(_objective(tmp_path, "14d"), "pyrra") == [
        ("page", "30m/3m", 14.0, "1m"),
        ("page", "3h/15m", 7.0, "8m"),
        ("ticket", "12h/1h", 2.0, "30m"),
        ("ticket", "2d/3h", 1.0, "1h30m"),
    ]


def test_every_catalogue_names_its_source() -> None:
    assert all(catalogue.source for group in catalogues().values() for catalogue in group)


@pytest.mark.parametrize(
    ("period", "windows", "goal", "message", "hint"),
    [
        ("90d", "workbook", "{target: 0.999}", "a period of 90d, for which `workbook` has no windows", "30d, 28d"),
        ("7d", "pyrra", "{target: 0.999}", "the windows 1h/5m become 15m/1m, too short for a rate", "longer period"),
        ("30d", "workbook", "{target: 0.9}", "the page alert 1h/5m can never fire: 14.4 × (100 % − 90 %) is an error "
         "ratio of 1.44", "burns at most 10 × its budget"),
        ("28d", "pyrra", "{target: 0.5}", "the page alert 1h/5m can never fire: 14 × (100 % − 50 %) is an error ratio "
         "of 7", "at most 2 ×"),
    ],
)  # fmt: skip
def test_pairs_that_must_not_be(tmp_path: Path, period: str, windows: str, goal: str, message: str, hint: str) -> None:
    objective = _objective(tmp_path, period, goal)
    with pytest.raises(InputError) as caught:
        pairs_of(objective, windows)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    assert caught.value.exit_code == 2
    assert caught.value.span is not None


def test_a_threshold_of_exactly_1_is_never_exceeded(tmp_path: Path) -> None:
    """θ = 1 is unreachable too, for the comparison is `>`; the next lower burn rate is fine."""
    with pytest.raises(InputError, match="can never fire: 10 ×"):
        pairs_of(_objective(tmp_path, goal="{target: 0.9}", policies=[("10", "1h")]))
    assert len(pairs_of(_objective(tmp_path, goal="{target: 0.9}", policies=[("9.99", "1h")]))) == 1


def test_a_window_longer_than_the_period(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the window 3d is longer than the period 2d"):
        pairs_of(_objective(tmp_path, "2d", policies=[("2", "3d")]))


@pytest.mark.parametrize("longer_ms", [0, 1])
def test_a_long_window_that_is_not_longer(tmp_path: Path, longer_ms: int) -> None:
    """A catalogue could say it; an objective's own pairs here stand for one."""
    objective = _objective(tmp_path, policies=[("2", "1h")])
    (pair,) = pairs_of(objective)
    wrong = replace(pair, short_ms=pair.long_ms + longer_ms)
    with pytest.raises(InputError, match="is not longer than the short one"):
        pairs_of(replace(objective, alerting=replace(objective.alerting, pairs=(wrong,))))


def test_disabled_severities_have_no_alerts_but_windows(tmp_path: Path) -> None:
    text = document().replace(
        "  name: answers",
        "  name: answers\n  annotations:\n    alert-harness/alerting: '{page_alert: {disable: true}, "
        "ticket_alert: {for: 10m}}'",
    )
    (objective,) = read(tmp_path, text)
    assert _table(objective, "workbook") == [("ticket", "1d/2h", 3.0, "10m"), ("ticket", "3d/6h", 1.0, "10m")]
    assert [format_duration(ms) for ms in recorded_windows_ms(objective)] == ["5m", "30m", "1h", "2h", "6h", "1d", "3d"]


def test_the_ratio_of_five_minutes_is_always_recorded(tmp_path: Path) -> None:
    objective = _objective(tmp_path, policies=[("2", "1h")], indicator=ratio())
    assert [format_duration(ms) for ms in recorded_windows_ms(objective)] == ["5m", "1h"]
