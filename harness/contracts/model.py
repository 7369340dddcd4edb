"""Contracts: what an alert is meant to do, written down apart from its rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction

from harness.contracts.formula import Formula
from harness.contracts.when import When
from harness.errors import Span
from harness.series import carries
from harness.source import Text
from harness.units import format_with_unit


class ContractKind(Enum):
    """What a contract says of its alert."""

    THRESHOLD = "threshold"
    """It fires on one side of a threshold of the knob."""
    ABSENCE = "absent"
    """It fires while the signal's series are gone."""
    PRESENCE = "present"
    """It fires while the signal's series are there."""
    ALWAYS = "always"
    """It always fires, and is meant to."""
    SET_ASIDE = "set aside"
    """Nothing: the alert is allowed without a proof, for the reason in `allowed`."""


class Op(Enum):
    """How the knob is compared with the threshold."""

    GT = ">"
    GE = ">="
    LT = "<"
    LE = "<="
    EQ = "=="

    @property
    def fires_at_threshold(self) -> bool:
        return self in (Op.GE, Op.LE, Op.EQ)

    @property
    def fires_above(self) -> bool:
        """Whether the alert fires on the side of larger knob values (`==` fires on neither)."""
        return self in (Op.GT, Op.GE)

    def holds(self, x: Fraction, threshold: Fraction) -> bool:
        return {
            Op.GT: x > threshold,
            Op.GE: x >= threshold,
            Op.LT: x < threshold,
            Op.LE: x <= threshold,
            Op.EQ: x == threshold,
        }[self]


@dataclass(frozen=True, slots=True)
class Knob:
    """The physical quantity of a contract.

    With a `step` the knob counts things and stands only at low, low + step, …; without, at every double in its range.
    """

    name: str
    unit: str
    low: Fraction
    high: Fraction
    step: Fraction | None
    counts: str
    """What one step is, in words ("cameras"); empty on a continuous knob."""


class Shape(Enum):
    """How a formula becomes samples."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    NATIVE = "native_histogram"


@dataclass(frozen=True, slots=True)
class Quantile:
    """The share `q` of all observations lies at or below `at`, with an even density inside its bucket."""

    q: Fraction
    at: Formula


@dataclass(frozen=True, slots=True)
class SeriesSpec:
    """One line of a signal: a family of series as a formula of the knob."""

    shape: Shape
    metric: str
    labels: tuple[tuple[str, str], ...]
    """Label values may hold ``$name`` for a name of `each`."""
    each: tuple[Mapping[str, str], ...]
    """One mapping per series; values are text for labels and, where they are numbers, names for formulas."""
    formula: Formula
    """The gauge's value, the counter's increase per second, or the histogram's observations per second."""
    present: Formula | None
    """The series exists where this is not 0."""
    buckets: tuple[Fraction, ...] = ()
    quantile: Quantile | None = None

    @property
    def names(self) -> frozenset[str]:
        """The names that its formulas use."""
        formulas = (self.formula, self.present, self.quantile.at if self.quantile else None)
        return frozenset().union(*(formula.names for formula in formulas if formula is not None))


@dataclass(frozen=True, slots=True)
class Signal:
    """The world as a function of the knob."""

    given: Mapping[str, Fraction]
    series: tuple[SeriesSpec, ...]

    @property
    def follows_clock(self) -> bool:
        """Whether any formula of it names `now`, so that its series are others at another time."""
        return any("now" in spec.names for spec in self.series)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A range of time within a case, in milliseconds since it began; the end is excluded."""

    start_ms: int
    end_ms: int

    def __contains__(self, at_ms: int) -> bool:
        return self.start_ms <= at_ms < self.end_ms


@dataclass(frozen=True, slots=True)
class Situation:
    """A named world in which the alert must fire, naming exactly `alerts`, or stay quiet (`alerts` empty)."""

    name: str
    span: Span
    alerts: tuple[Mapping[str, str], ...] | None
    """None: it must fire, with whatever labels and as often as it may."""
    signal: Signal
    knob: tuple[tuple[int, Fraction], ...]
    """Where the knob stands from which millisecond on."""
    lasts_ms: int
    scrape_ms: int
    failed_scrapes: TimeRange | None
    """Scrapes that fail: Prometheus ends every series of the target with a stale marker."""
    gap: TimeRange | None
    """Time in which nothing is written at all, as when Prometheus itself was down."""
    restarts_ms: tuple[int, ...]
    """When the exporter restarts and its counters begin again at zero."""

    @property
    def expected(self) -> str:
        return "quiet" if self.alerts == () else "fires"


@dataclass(frozen=True, slots=True)
class Contract:
    """What one alert is meant to do."""

    alert: Text
    means: str
    knob: Knob
    op: Op
    threshold: Fraction
    hold_ms: int
    keep_firing_ms: int
    severity: str | None
    """The alert's severity, "" for a rule that must set none; None: not checked."""
    identifies: Mapping[str, str] | None
    """Labels that the alert must carry in the main signal, for a person to find the culprit; None: neither these nor
    the number of alerts is checked."""
    annotations: tuple[str, ...]
    """Annotations that must be there and render without error."""
    signal: Signal
    scrape_ms: int
    situations: tuple[Situation, ...]
    kind: ContractKind = ContractKind.THRESHOLD
    """Where it is no threshold, the knob has the two positions 0 (the series are gone) and 1 (they are there), or, for
    an alert that always fires, just one unless the contract has a knob of its own."""
    draft: bool = False
    """Whether nobody has confirmed it yet."""
    allowed: str | None = None
    """Why it is all right if the alert is not as meant, or (set aside) is not proved at all."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Fixed labels of the rule that is meant, where several rules have the alert's name."""
    silenced_by: tuple[Text, ...] = ()
    """Alerts whose firing must silence this one, by the project's inhibition rules."""
    never_silenced_by: tuple[Text, ...] = ()
    """Alerts whose firing must not."""
    when: When | None = None
    """When it applies: outside of that the alert must stay quiet. None: at any time."""

    @property
    def limit(self) -> str:
        """When it fires, in a few words: ``> 80 %``, ``absent``, ``present``, ``always``."""
        if self.kind is ContractKind.THRESHOLD:
            return f"{self.op.value} {self.at(self.threshold)}"
        return str(self.kind.value)

    def at(self, x: Fraction) -> str:
        """A position of the knob in words: ``80 %``, or of series that come and go ``there`` or ``gone``."""
        if self.kind in (ContractKind.ABSENCE, ContractKind.PRESENCE):
            return "there" if x else "gone"
        return format_with_unit(x, self.knob.unit)

    @property
    def meant_labels(self) -> dict[str, str]:
        """The labels that the alert must carry in the main signal; "" for one that it must not have."""
        severity = {} if self.severity is None else {"severity": self.severity}
        return {**severity, **(self.identifies or {})}

    def names(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert with these labels names the culprit as `identifies` says."""
        return carries(labels, self.identifies or {})

    @property
    def file(self) -> str:
        return self.alert.span.file
