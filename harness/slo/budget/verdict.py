"""Met, at risk, exhausted or no data: the rules, and the one that decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from harness.slo.budget.buckets import EventBuckets, EventTally
from harness.slo.budget.budget import Burning, burn_rate, runs_out_after_ms
from harness.slo.model import Calendar, Objective
from harness.slo.periods import JudgedPeriod, Window
from harness.units import format_duration

_HOUR = 3_600_000
PACE_MS = 6 * _HOUR
"""The pace that is projected: that of the last six hours, long enough to be past what a short spike does."""
HORIZON = 10
"""A rolling budget is at risk if it would be gone within a tenth of its period."""


class BudgetVerdict(Enum):
    """How an objective stands."""

    MET = "met"
    """The objective is kept, and nothing says that it soon will not be."""
    AT_RISK = "at risk"
    """Still kept, but little budget is left or it is burning too fast."""
    EXHAUSTED = "exhausted"
    """More was bad than the budget holds: the objective is missed over what was measured."""
    NO_DATA = "no data"
    """Too little was measured, or what was measured cannot be right."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Where verdicts change; shares of the whole."""

    coverage_floor: Fraction = Fraction(1, 2)
    """Less measured than this share of the period (of its part that has passed): no data."""
    at_risk: Fraction = Fraction(1, 4)
    """Less budget left than this: at risk."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """A verdict with the rule that led to it, in words."""

    verdict: BudgetVerdict
    reason: str


def ruling(
    objective: Objective,
    counted: EventBuckets,
    judged: JudgedPeriod,
    window: Window,
    alerts: Sequence[Burning],
    rules: Rules,
    broken: str | None,
) -> Ruling:
    """The first rule that applies, from the worst; `broken` says why the numbers cannot be right, if they cannot."""
    whole = counted.whole()
    if broken is not None:
        return Ruling(BudgetVerdict.NO_DATA, broken)
    if judged.counted_ms <= 0:
        return Ruling(BudgetVerdict.NO_DATA, "all of the time was planned maintenance")
    if whole.measured_ms <= 0:
        return Ruling(BudgetVerdict.NO_DATA, "nothing was measured")
    coverage = Fraction(whole.measured_ms, judged.counted_ms)
    if coverage < rules.coverage_floor:
        return Ruling(
            BudgetVerdict.NO_DATA,
            f"{percent(coverage)} of the time was measured, less than the {percent(rules.coverage_floor)} that a "
            "verdict takes",
        )
    if whole.total <= 0:
        return Ruling(BudgetVerdict.NO_DATA, "there were no events: 0 of 0 is neither good nor bad")
    left = 1 - (burn_rate(whole, objective.budget) or Fraction(0))
    if left < 0:
        if left < -1:  # 3,109 % would be read as 3.1
            return Ruling(BudgetVerdict.EXHAUSTED, f"{times(1 - left)} the error budget is spent")
        return Ruling(BudgetVerdict.EXHAUSTED, f"{percent(1 - left)} of the error budget is spent")
    if left < rules.at_risk:
        return Ruling(
            BudgetVerdict.AT_RISK, f"{percent(left)} of the error budget is left, less than {percent(rules.at_risk)}"
        )
    if window is Window.PERIOD and (reason := _soon_gone(objective, counted, judged, left)):
        return Ruling(BudgetVerdict.AT_RISK, reason)
    firing = [burning for burning in alerts if burning.firing]
    if firing:
        named = ", ".join(f"{one.pair.severity} {one.pair.label}" for one in firing)
        return Ruling(BudgetVerdict.AT_RISK, f"the budget is burning fast enough for an alert: {named}")
    return Ruling(BudgetVerdict.MET, f"{percent(left)} of the error budget is left")


def pace(counted: EventBuckets) -> tuple[int, EventTally]:
    """The last six hours, or all of a shorter time: (length, what happened)."""
    length = min(PACE_MS, counted.grid.end_ms - counted.grid.start_ms)
    return length, counted.between(counted.grid.end_ms - length, counted.grid.end_ms)


def _soon_gone(objective: Objective, counted: EventBuckets, judged: JudgedPeriod, left: Fraction) -> str | None:
    length, tally = pace(counted)
    burn = burn_rate(tally, objective.budget)
    if burn is None:
        return None
    after = runs_out_after_ms(left, burn, judged.budget_ms)
    calendar = isinstance(objective.period, Calendar)
    horizon = judged.closes_ms - judged.end_ms if calendar else judged.length_ms // HORIZON
    if after is None or after >= horizon:
        return None
    until = "before the period ends" if calendar else f"within {lasting(horizon)}"
    return (
        f"at the pace of the last {lasting(length)} ({factor(burn)} the even one) the budget is gone in "
        f"{lasting(after)}, {until}"
    )


# -- words -------------------------------------------------------------------------------------------------------------


def percent(ratio: Fraction, digits: int = 3) -> str:
    """``99.9 %``, in `digits` significant ones of what is missing to 100 where that is little; never rounded to 100."""
    if ratio in (0, 1):
        return f"{100 * int(ratio)} %"
    if Fraction(9, 10) < ratio < 1:
        missing = 100 * (1 - ratio)
        places = digits - 1
        while places < 12 and missing < Fraction(1, 10 ** (places - digits + 2)):
            places += 1
        text = f"{float(100 - missing):.{places}f}"
        if text.startswith("100"):
            return "just under 100 %"
        return f"{text.rstrip('0').rstrip('.')} %"
    value = float(100 * ratio)
    if abs(value) >= 100:
        return f"{value:,.0f} %"
    if abs(value) < 1e-6:
        return f"{value:.0e} %"
    places = digits - 1
    size = abs(value)
    while size < 1 and places < 12:
        size *= 10
        places += 1
    places -= 1 if abs(value) >= 10 else 0
    return f"{value:.{places}f}".rstrip("0").rstrip(".") + " %"


def factor(burn: Fraction) -> str:
    """``14.4 ×``."""
    value = float(burn)
    return f"{value:,.0f} ×" if value >= 100 else f"{value:.3g} ×"


def times(number: Fraction) -> str:
    """``31.1 times``."""
    return f"{float(number):,.0f} times" if number >= 100 else f"{float(number):.3g} times"


def lasting(ms: int) -> str:
    """A duration in its two largest units: ``2d 3h``, ``41m``, ``12s``."""
    parts: list[str] = []
    for unit, size in (("d", 86_400_000), ("h", _HOUR), ("m", 60_000), ("s", 1000)):
        count, ms = divmod(ms, size)
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if part) or format_duration(ms)
