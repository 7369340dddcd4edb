"""What is checked, and what is found. A use is an expression that somebody relies on, with its place."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from harness.errors import Span
from harness.source import Text


class Wants(Enum):
    """What must hold of an expression besides its names being real."""

    NAMES = "names"  # nothing: it is never evaluated as it stands
    RUNS = "runs"  # Prometheus evaluates it without an error; no result is a result
    DATA = "data"  # it returns data, for somebody looks at it


@dataclass(frozen=True, slots=True)
class Use:
    """An expression and who relies on it."""

    name: str
    """For people: ``alert HighErrorRate``, ``panel `CPU` (A)``."""
    expr: Text
    """As it is evaluated: template variables are replaced."""
    wants: Wants = Wants.RUNS
    instant: bool = False
    """Whether one moment is asked for and not a range of time."""
    may_be_empty: str = ""
    """Why it may return nothing, in its author's words."""
    labels: tuple[str, ...] = ()
    """Labels that the result must carry, for a legend or a text shows them."""
    made_of: tuple[str, ...] = ()
    """Labels that something around the expression reads from what it selects (``$labels.job`` in an annotation)."""


class ProblemKind(Enum):
    """In what a use and the server differ."""

    METRIC = "metric"  # no series of this name
    LABEL = "label"  # no series of the metric carries this label
    VALUE = "value"  # the label has no such value
    QUERY = "query"  # Prometheus does not evaluate the expression
    EMPTY = "empty"  # it returns nothing to show
    LEGEND = "legend"  # a label of the legend that the result does not have
    VARIABLE = "variable"  # a template variable without a value


class Weight(Enum):
    """Whether a finding fails the check."""

    FINDING = "finding"  # it can't be meant: exit 1
    NOTE = "note"  # it may become true (the first 5xx is still to come), or was declared


@dataclass(frozen=True, slots=True)
class UseFinding:
    """One thing in which a use and the server differ."""

    kind: ProblemKind
    weight: Weight
    use: str
    where: Span
    what: str
    """The name in question: a metric, a label, a matcher."""
    message: str


@dataclass(frozen=True, slots=True)
class SkippedUse:
    """A query or panel that was not checked, and why."""

    name: str
    where: Span
    reason: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found, and where it looked."""

    url: str
    version: str
    since_ms: int
    findings: tuple[UseFinding, ...]
    skipped: tuple[SkippedUse, ...]
    uses: int
    panels: int
    """Queries of panels that were asked for data."""

    @property
    def passed(self) -> bool:
        return not any(finding.weight is Weight.FINDING for finding in self.findings)
