"""Contracts: what an alert is meant to do, written down apart from its rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from harness.contracts.formula import Formula
from harness.errors import Span
from harness.source import Text


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


@dataclass(frozen=True, slots=True)
class Signal:
    """The world as a function of the knob."""

    given: Mapping[str, Fraction]
    series: tuple[SeriesSpec, ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a case, in milliseconds since it began; the end is excluded."""

    start_ms: int
    end_ms: int

    def __contains__(self, at_ms: int) -> bool:
        return self.start_ms <= at_ms < self.end_ms


@dataclass(frozen=True, slots=True)
class Situation:
    """A named world in which the alert must fire, naming exactly `alerts`, or stay quiet (`alerts` empty)."""

    name: str
    span: Span
    alerts: tuple[Mapping[str, str], ...]
    signal: Signal
    knob: tuple[tuple[int, Fraction], ...]
    """Where the knob stands from which millisecond on."""
    lasts_ms: int
    scrape_ms: int
    failed_scrapes: Stretch | None
    """Scrapes that fail: Prometheus ends every series of the target with a stale marker."""
    gap: Stretch | None
    """Time in which nothing is written at all, as when Prometheus itself was down."""
    restarts_ms: tuple[int, ...]
    """When the exporter restarts and its counters begin again at zero."""

    @property
    def expected(self) -> str:
        return "fires" if self.alerts else "quiet"


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
    severity: str
    identifies: Mapping[str, str]
    """Labels that the alert must carry in the main signal, for a person to find the culprit."""
    annotations: tuple[str, ...]
    """Annotations that must be there and render without error."""
    signal: Signal
    scrape_ms: int
    situations: tuple[Situation, ...]
    draft: bool = False
    """Guessed, and confirmed by nobody: what it says proves nothing."""
    allowed: str | None = None
    """Why whatever is measured is not held against the run; None where it is."""

    @property
    def file(self) -> str:
        return self.alert.span.file
