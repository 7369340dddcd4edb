"""How objectives stand: the results that every writer of the report is fed with, and their numbers in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from harness.series import Labels, format_labels
from harness.slo.annotations import BUDGET_POLICY
from harness.slo.budget.buckets import EventTally
from harness.slo.budget.budget import BurnIncidents, Burning, Hour, Point, Trend
from harness.slo.budget.maintenance import Maintenance
from harness.slo.budget.observed import Provenance
from harness.slo.budget.verdict import BudgetVerdict, Rules, Ruling
from harness.slo.model import Events, Objective
from harness.slo.periods import JudgedPeriod, Window


@dataclass(frozen=True, slots=True)
class BurnPace:
    """How fast the budget burned lately, and how long what is left would last at that."""

    length_ms: int
    burn: Fraction | None
    lasts_ms: int | None
    """None: it is not burning, or nothing happened."""


@dataclass(frozen=True, slots=True)
class ObjectiveReport:
    """One objective over one stretch of time."""

    objective: Objective
    judged: JudgedPeriod
    window: Window
    ruling: Ruling
    provenance: Provenance | None
    """How it was read; None where the server refused the query."""
    whole: EventTally
    """What the budget is made of: events, or slices."""
    events: EventTally
    """The events beneath."""
    left: Fraction | None
    """The share of the error budget that is left."""
    paces: tuple[BurnPace, ...]
    alerts: tuple[Burning, ...]
    incidents: BurnIncidents | None
    hours: tuple[Hour, ...]
    points: tuple[Point, ...]
    gaps: tuple[tuple[int, int], ...]
    trend: Trend | None
    counts_from_ms: int | None
    """When the first data of the stretch begin, if that is later than the stretch itself."""
    defects: tuple[str, ...]
    """What cannot be right about the indicator."""
    caveats: tuple[str, ...]
    """What bears on how the numbers are to be read."""
    group: Labels = ()
    """The labels of the group that it speaks of, where the indicator is grouped; else none."""
    maintenance: tuple[Maintenance, ...] = ()
    """What was planned within its time, and is left out."""
    sum_of: int | None = None
    """Of how many groups it is the sum, if that was asked for."""

    @property
    def title(self) -> str:
        """The objective's, with the labels of the group."""
        if self.sum_of is not None:
            return f"{self.objective.title} (all {self.sum_of} groups)"
        return f"{self.objective.title} {format_labels(self.group)}" if self.group else self.objective.title

    @property
    def coverage(self) -> Fraction:
        """The share of the judged time, as far as it has passed, that was measured."""
        return Fraction(self.whole.measured_ms, self.judged.counted_ms) if self.judged.counted_ms > 0 else Fraction(0)

    @property
    def seen_of_period(self) -> Fraction:
        """The share of the objective's own period that was measured."""
        length = self.judged.budget_ms if self.window is Window.PERIOD else self.objective.period.nominal_ms
        return min(Fraction(1), Fraction(self.whole.measured_ms, length)) if length > 0 else Fraction(0)

    @property
    def trusted(self) -> bool:
        """Whether its ratios may be shown as numbers: there are events, and nothing is broken."""
        return self.whole.total > 0 and self.left is not None and 0 <= self.whole.bad <= self.whole.total

    @property
    def policy(self) -> str | None:
        """What follows from a spent budget, as the objective's document says."""
        return self.objective.annotations.get(BUDGET_POLICY)

    @property
    def policy_is_due(self) -> bool:
        """Whether the policy now speaks: the period's budget is spent or at risk. A run of minutes decides nothing."""
        return self.window is Window.PERIOD and self.ruling.verdict in (BudgetVerdict.EXHAUSTED, BudgetVerdict.AT_RISK)

    @property
    def allowed_bad(self) -> Fraction:
        """How many bad events (or slices) the budget of what was seen holds."""
        return self.objective.budget * Fraction(self.whole.total)


@dataclass(frozen=True, slots=True)
class SloReport:
    """All objectives of a report in the order of their documents, and the groups of each from the worst on."""

    objectives: tuple[ObjectiveReport, ...]
    from_ms: int | None
    to_ms: int
    window: Window
    compress: int = 1
    rules: Rules = field(default_factory=Rules)
    quality: Mapping[str, Any] | None = None
    """The measured quality of the alerts: the document of `slo prove --json`."""

    def count(self, verdict: BudgetVerdict) -> int:
        return sum(one.ruling.verdict is verdict for one in self.objectives)

    @property
    def defective(self) -> int:
        return sum(bool(one.defects) for one in self.objectives)


def unit_of(objective: Objective, number: int = 2) -> str:
    """``events``, ``slices`` or ``ticks``: what the budget is made of."""
    if objective.slice_ms is not None:
        word = "minute" if objective.slice_ms == 60_000 else "slice"
    else:
        word = "event" if isinstance(objective.indicator, Events) else "tick"
    return word if number == 1 else f"{word}s"


def count_text(count: int | Fraction) -> str:
    """``5,788,800``; what is not whole in up to three more digits."""
    return f"{int(count):,}" if Fraction(count).denominator == 1 else number_text(Fraction(count))


def number_text(number: Fraction) -> str:
    """``1,234``, ``0.5``: whole where it is or where it is large, else in three digits."""
    value = float(number)
    return f"{value:,.0f}" if abs(value) >= 1000 or number.denominator == 1 else f"{value:.3g}"
