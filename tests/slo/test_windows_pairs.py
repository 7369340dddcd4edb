"""Window pairs against the literature's tables, and pairs that must not be."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.slo import Objective, closedform
from harness.slo.model import DAY_MS
from harness.slo.spec.windows import windows_of
from harness.slo.windows import catalogues, choose, pairs_of, recorded_windows_ms
from harness.units import format_duration
from tests.slo.slo_bench import document, ratio, read


def _objective(tmp_path: Path, period: str = "30d", goal: str = "{target: 0.999}", **more: object) -> Objective:
    window = f"{{duration: {period}, isRolling: true}}"
    (objective,) = read(tmp_path, document(window=window, goal=goal, **more))
    return objective


def _table(objective: Objective, windows: str) -> list[tuple[str, str, float, str]]:
    return [
        (pair.severity, pair.label, float(pair.factor), format_duration(pair.hold_ms))
        for pair in pairs_of(objective, windows_of(windows))
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
    ("period", "windows", "table"),
    [
        # Longer periods: the workbook's burn rates and shares of the budget, over windows that grow with the period.
        ("90d", "workbook", ["3h/15m × 14.4", "18h/1h30m × 6", "3d/6h × 3", "9d/18h × 1"]),
        ("1Q", "workbook", ["3h/15m × 14.4", "18h/1h30m × 6", "3d/6h × 3", "9d/18h × 1"]),
        ("15d", "workbook", ["30m/3m × 14.4", "3h/15m × 6", "12h/1h × 3", "1d12h/3h × 1"]),
        # Twelve days and less: no window becomes shorter than two minutes, in which a rate has its samples.
        ("7d", "workbook", ["24m/2m × 14.4", "2h24m/12m × 6", "9h36m/48m × 3", "1d4h48m/2h24m × 1"]),
        ("7d", "pyrra", ["24m/2m × 14", "2h24m/12m × 7", "9h36m/48m × 2", "1d14h24m/2h24m × 1"]),
        ("90d", "pyrra", ["3h13m/16m × 14", "19h17m/1h36m × 7", "3d5h9m/6h26m × 2", "12d20h34m/19h17m × 1"]),
    ],
)
def test_any_period_has_windows_of_the_same_burn_rates(
    tmp_path: Path, period: str, windows: str, table: list[str]
) -> None:
    calendar = ", calendar: {startTime: 2026-01-01 00:00:00, timeZone: UTC}"
    window = f"{{duration: {period}, isRolling: {'false' + calendar if period == '1Q' else 'true'}}}"
    (objective,) = read(tmp_path, document(window=window))
    chosen = choose(objective, windows_of(windows))
    assert [f"{pair.label} × {float(pair.factor):g}" for pair in chosen.pairs] == table
    assert chosen.notices == ()


@pytest.mark.parametrize("days", range(1, 91))
@pytest.mark.parametrize("windows", ["workbook", "pyrra"])
def test_windows_of_any_period_keep_their_meaning(tmp_path: Path, days: int, windows: str) -> None:
    """1 to 90 days: factors as published (28 days of the workbook apart, which are sloth's), in order, and in time.

    A pair that is left out would have fired after the budget's end; two days are enough for all.
    """
    objective = _objective(tmp_path, f"{days}d")
    chosen = choose(objective, windows_of(windows))
    period_ms = days * DAY_MS
    shares = [float(closedform.budget_fraction(pair, period_ms)) for pair in chosen.pairs]
    assert len(chosen.pairs) + len(chosen.notices) == 4
    assert not chosen.notices or days == 1
    published = {"workbook": [14.4, 6, 3, 1], "pyrra": [14, 7, 2, 1]}[windows]
    if (days, windows) != (28, "workbook"):
        assert [float(pair.factor) for pair in chosen.pairs] == published[: len(chosen.pairs)]
    assert all(0.015 < share < 1 for share in shares)
    assert shares[0] < shares[1], "the fast page comes first"
    for pair in chosen.pairs:
        assert pair.short_ms is not None
        assert 120_000 <= pair.short_ms < pair.long_ms < period_ms
    if days >= 12:  # the shares of the budget are the catalogue's, to what rounding to minutes does
        meant = {"workbook": [0.02, 0.05, 0.1, 0.1], "pyrra": [1 / 48, 1 / 16, 1 / 14, 1 / 7]}[windows]
        assert shares == pytest.approx(meant, rel=0.05)


def test_a_day_is_too_short_for_tickets(tmp_path: Path) -> None:
    chosen = choose(_objective(tmp_path, "1d"))
    assert [pair.label for pair in chosen.pairs] == ["24m/2m", "2h24m/12m"]
    assert [notice.message for notice in chosen.notices] == [
        f"left out: the ticket alert {pair} of `answers` would fire only after 120 % of the budget of 1d is spent"
        for pair in ("9h36m/48m × 3", "1d4h48m/2h24m × 1")
    ]


@pytest.mark.parametrize(
    ("period", "windows", "goal", "message", "hint"),
    [
        ("4h", "pyrra", "{target: 0.999}", "fire only after 140 % of the budget of 4h is spent", "--windows FILE"),
        ("1h", "workbook", "{target: 0.999}", "the page alert 24m/2m × 14.4 of `answers`", "a longer period"),
    ],
)  # fmt: skip
def test_pairs_that_must_not_be(tmp_path: Path, period: str, windows: str, goal: str, message: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        choose(_objective(tmp_path, period, goal), windows_of(windows))
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    assert caught.value.exit_code == 2
    assert caught.value.span is not None


def test_one_pair_that_can_never_fire_is_left_out_and_told(tmp_path: Path) -> None:
    """90 % × 14.4; of 50 % with pyrra's factors only the last is below 100 %, and no page is left."""
    chosen = choose(_objective(tmp_path, goal="{target: 0.9}"))
    assert [pair.label for pair in chosen.pairs] == ["6h/30m", "1d/2h", "3d/6h"]
    (notice,) = chosen.notices
    assert notice.message == (
        "left out: the page alert 1h/5m can never fire: 14.4 × (100 % − 90 %) is an error ratio of 1.44, and no ratio "
        "is above 1; alerts of this severity go on 6h/30m"
    )
    assert notice.span is not None
    chosen = choose(_objective(tmp_path, "28d", "{target: 0.5}"), windows_of("pyrra"))
    assert [pair.label for pair in chosen.pairs] == ["4d/6h"]
    assert [notice.message.rpartition("; ")[2] for notice in chosen.notices] == [
        "no alert of this severity is left", "no alert of this severity is left", "alerts of this severity go on 4d/6h",
    ]  # fmt: skip
    assert len(pairs_of(_objective(tmp_path, goal="{target: 0.9}"), unreachable=True)) == 4


# -- catalogues of one's own -------------------------------------------------------------------------------------------

WINDOWS = """\
apiVersion: sloth.slok.dev/v1
kind: AlertWindows
spec:
  sloPeriod: 10d
  page:
    quick: {errorBudgetPercent: 5, shortWindow: 5m, longWindow: 1h}
    slow: {errorBudgetPercent: 12.5, shortWindow: 30m, longWindow: 5h}
  ticket:
    quick: {errorBudgetPercent: 20, shortWindow: 2h, longWindow: 1d}
    slow: {errorBudgetPercent: 40, shortWindow: 6h, longWindow: 4d}
"""


def _own(tmp_path: Path, text: str = WINDOWS) -> str:
    file = tmp_path / "windows.yml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_windows_of_ones_own(tmp_path: Path) -> None:
    """sloth's file: the factor is the share × period / long window; for half the period the windows are half."""
    assert _table(_objective(tmp_path, "10d"), _own(tmp_path)) == [
        ("page", "1h/5m", 12.0, "0s"),
        ("page", "5h/30m", 6.0, "0s"),
        ("ticket", "1d/2h", 2.0, "0s"),
        ("ticket", "4d/6h", 1.0, "0s"),
    ]
    assert [row[1:3] for row in _table(_objective(tmp_path, "5d"), _own(tmp_path))] == [
        ("30m/3m", 12.0), ("2h30m/15m", 6.0), ("12h/1h", 2.0), ("2d/3h", 1.0),
    ]  # fmt: skip
    # Of several documents the one of the period, else the nearest.
    both = _own(tmp_path, f"{WINDOWS}---\n{WINDOWS.replace('sloPeriod: 10d', 'sloPeriod: 40d')}")
    assert [row[2] for row in _table(_objective(tmp_path, "40d"), both)] == [48.0, 24.0, 8.0, 4.0]
    assert _table(_objective(tmp_path, "80d"), both)[0] == ("page", "2h/10m", 48.0, "0s")


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("Percent: 5,", "Percent: 500,", "`errorBudgetPercent` is 500, not above 0 and at most 100", "within the long"),
        ("Percent: 5,", "Percent: 0,", "`errorBudgetPercent` is 0, not above 0", "2"),
        ("errorBudgetPercent: 5,", "errorBudgetPercnt: 5,", "(did you mean `errorBudgetPercent`?)", "expected one of"),
        ("    slow: {errorBudgetPercent: 40, shortWindow: 6h, longWindow: 4d}\n", "", "has no `slow`", "add a line"),
        ("longWindow: 5h", "longWindow: 0s", "`longWindow` of `page.slow` is 0", "such as 1h"),
        ("longWindow: 5h", "longWindow: 30m", "the long window of 30m/30m is not longer", "really spent"),
        ("kind: AlertWindows", "kind: AlertWindow", "(did you mean `AlertWindows`?)", "AlertWindows"),
        (WINDOWS, "", "is empty", "AlertWindows"),
    ],
)
def test_windows_of_ones_own_that_are_wrong(tmp_path: Path, old: str, new: str, message: str, hint: str) -> None:
    file = _own(tmp_path, WINDOWS.replace(old, new))
    with pytest.raises(InputError) as caught:
        choose(_objective(tmp_path, "10d"), windows_of(file))
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    assert caught.value.span is not None or not new
    if caught.value.span is not None:
        assert caught.value.span.file.endswith("windows.yml")


def test_no_such_catalogue() -> None:
    with pytest.raises(InputError, match="did you mean `workbook`") as caught:
        windows_of("worbook")
    assert "pyrra, workbook" in (caught.value.hint or "")


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
