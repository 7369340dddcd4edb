"""How good burn-rate alerts are: what was measured of each incident, and what follows for a severity.

The words, exactly (docs/slo-prove.md has them too). An incident *needs* an alert of a severity if at some moment the
long window of one of the objective's pairs holds more of the period's budget than that pair allows: 2 % in 1h, 5 % in
6h, 10 % in 3d. It is *missed* if it needs one and none fires while it is watched. An alert is *false* if in none of its
ticks a window was overspent. Budget is counted in exact events of the period; the rule under test has no say in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction

from harness.slo.model import BurnPair, Objective
from harness.slo.quality.incidents import Incident


class QualityVerdict(Enum):
    """What the measurement says of one severity's alerts."""

    AS_MEANT = "as meant"
    """They do on every tick what the objective's pairs say, give or take one tick."""
    NO_ALERT = "no alert"
    """The rule set has none of this severity."""
    NEVER_FIRES = "never fires"
    """In no incident, though some need it."""
    OFF_THRESHOLD = "off threshold"
    """A pair fires at another error ratio than its θ."""
    MISSED = "missed"
    """An incident that the pairs see is not seen."""
    FALSE_ALERT = "false alert"
    """Fires where no pair does."""
    OFF_TIME = "off time"
    """Fires or resets earlier or later than the pairs."""
    UNREACHABLE = "unreachable pair"
    """A pair that no error ratio can make fire."""


@dataclass(frozen=True, slots=True)
class IncidentOutcome:
    """One incident and the alerts of one severity. Times are milliseconds from the incident's onset."""

    incident: Incident
    detected_ms: int | None
    """The first tick that fires."""
    policy_ms: int | None
    """The first tick on which the objective's pairs, counted exactly, fire."""
    theory_ms: Fraction | None
    """The closed form, for an error ratio that stands still."""
    first_pair: str
    """Which pair fired first, where the rule's labels tell it."""
    reset_ms: int | None
    """From the last error to the first quiet tick; None if it was not firing then."""
    policy_reset_ms: int | None
    theory_reset_ms: Fraction | None
    budget_at_detection: Fraction | None
    """The share of the period's budget that the incident had spent."""
    budget_spent: Fraction
    """The share that it spends altogether."""
    needed: bool
    alerts: int
    """Unbroken stretches of firing."""
    false_alerts: int
    """Those of them that never saw an overspent window."""
    policy_false_alerts: int
    """How many such stretches the objective's own pairs have, counted exactly."""
    extra_ticks: int
    """Ticks that fire although the pairs do not, one tick beside them forgiven."""
    lost_ticks: int
    """Ticks that do not fire although the pairs do."""

    @property
    def missed(self) -> bool:
        return self.needed and self.detected_ms is None

    @property
    def as_the_policy(self) -> bool:
        return self.extra_ticks == 0 and self.lost_ticks == 0


@dataclass(frozen=True, slots=True)
class PairThreshold:
    """Where one pair begins to fire in a world that had one error ratio for its long window, and none before.

    For slices: how many bad ones in a row, as a share of the long window.
    """

    pair: BurnPair
    wanted: Fraction
    """θ; of slices the smallest share of whole slices above it."""
    quiet_at: Fraction | None
    """The highest error ratio that is quiet."""
    fires_at: Fraction | None
    """The next double (or the next slice), which fires; None where nothing does."""
    ulps: int | None
    """How many doubles lie between θ and the boundary; None where slices are counted."""
    exact: bool
    note: str = ""
    slices: int | None = None
    """How many slices the long window holds, where they are counted."""


@dataclass(frozen=True, slots=True)
class SeverityQuality:
    """The alerts of one severity of one objective."""

    severity: str
    pairs: tuple[BurnPair, ...]
    rules: tuple[str, ...]
    """The names of the alerts, each once."""
    outcomes: tuple[IncidentOutcome, ...]
    thresholds: tuple[PairThreshold, ...]
    findings: tuple[tuple[QualityVerdict, str], ...] = ()
    """What is wrong and why, the worst first."""

    @property
    def verdict(self) -> QualityVerdict:
        return self.findings[0][0] if self.findings else QualityVerdict.AS_MEANT

    @property
    def needed(self) -> int:
        return sum(o.needed for o in self.outcomes)

    @property
    def missed(self) -> int:
        return sum(o.missed for o in self.outcomes)

    @property
    def alerts(self) -> int:
        return sum(o.alerts for o in self.outcomes)

    @property
    def false_alerts(self) -> int:
        return sum(o.false_alerts for o in self.outcomes)

    @property
    def policy_false_alerts(self) -> int:
        return sum(o.policy_false_alerts for o in self.outcomes)

    @property
    def precision(self) -> Fraction | None:
        """Alerts that were not false, of all alerts; None without any."""
        return Fraction(self.alerts - self.false_alerts, self.alerts) if self.alerts else None

    @property
    def recall(self) -> Fraction | None:
        """Incidents detected, of those that need it; None if none does."""
        return Fraction(self.needed - self.missed, self.needed) if self.needed else None

    def constant(self) -> list[IncidentOutcome]:
        """The incidents whose error ratio stands still, by ratio."""
        return sorted(
            (o for o in self.outcomes if o.incident.ratio is not None), key=lambda o: o.incident.ratio or Fraction(0)
        )


@dataclass(frozen=True, slots=True)
class ObjectiveQuality:
    """One objective with its severities."""

    objective: Objective
    budget_unit: str
    """What the budget counts: ``events`` or ``slices``."""
    severities: tuple[SeverityQuality, ...]
    notes: tuple[str, ...] = ()
    series: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The synthetic series by what moves them: ``good``, ``bad``."""
    interval_ms: int = 60_000
    seconds: float = 0.0
    simulated_ms: int = 0
    """How much time was played, history included."""

    @property
    def as_meant(self) -> bool:
        return all(severity.verdict is QualityVerdict.AS_MEANT for severity in self.severities)
