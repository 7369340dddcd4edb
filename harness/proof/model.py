"""What a proof finds: boundary, timings, situations, and the verdict over them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction

from harness.contracts import Contract
from harness.contracts.world import Trace
from harness.errors import Span
from harness.replay import AlertTimeline
from harness.rules import AlertRule, Group, RuleFile


class Verdict(Enum):
    """Contract against measurement, the gravest first: one alert has one verdict, the first of these that applies."""

    ERROR = "error"
    """The tool or its engine could not, or Prometheus or promtool refuses to evaluate the rule."""
    NEVER_FIRES = "never_fires"
    """Quiet at every position of the knob."""
    ALWAYS_FIRES = "always_fires"
    """Fires at every position of the knob."""
    WRONG_COMPARISON = "wrong_comparison"
    """The threshold is right but the comparison is not: `>=` for `>`, the other direction, `!=`."""
    OFF_THRESHOLD = "off_threshold"
    """Fires from another value on."""
    WRONG_HOLD = "wrong_hold"
    """Waits longer or shorter than the contract's `for` (or keeps firing longer)."""
    WRONG_SITUATION = "wrong_situation"
    """A named situation ends otherwise than the contract says."""
    WRONG_LABELS = "wrong_labels"
    """Severity or identifying labels are not as meant, or several alerts fire where one is meant."""
    WRONG_ANNOTATIONS = "wrong_annotations"
    """An annotation that the contract asks for is missing, or one does not render."""
    MISSING = "missing"
    """The contract's alert is in no rule file."""
    UNEXPECTED = "unexpected"
    """An alert that no contract speaks of."""
    UNSUPPORTED = "unsupported"
    """Legal for Prometheus, but this tool cannot measure it, and says what."""
    DRAFT = "draft"
    """The contract was guessed and nobody has confirmed it, so it proves nothing."""
    EXACT = "exact"
    """As meant, to the adjacent value and the tick."""


_COMPARED: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip

GRAVITY = {verdict: rank for rank, verdict in enumerate(Verdict)}
"""0 is the gravest."""


@dataclass(frozen=True, slots=True)
class AlertFinding:
    """One way in which an alert is not as meant, and why we say so."""

    verdict: Verdict
    message: str
    """One sentence."""
    parts: tuple[str, ...] = ()
    """What belongs to it, a sentence each: what the contract says, what was measured."""
    evidence: tuple[str, ...] = ()
    """What the rule compared there and which series matched; the page has tables for it."""
    expr: str | None = None
    """The part of the rule's expression that it is about, as the user wrote it."""
    span: Span | None = None
    """Where that is (or the rule, or its contract)."""
    situation: str = ""
    """The name of the situation that it is about."""
    recovery: bool = False
    """A wrong hold in the alert's end, not in its beginning."""

    @property
    def details(self) -> tuple[str, ...]:
        return self.parts + self.evidence

    @property
    def text(self) -> str:
        """All of it in one line, to be read and never to be taken apart again."""
        return "; ".join((self.message, *self.details))


@dataclass(frozen=True, slots=True)
class Boundary:
    """Two adjacent positions of the knob, one quiet and one firing."""

    quiet_at: Fraction
    fires_at: Fraction
    ulps: int
    """How many doubles lie between the measured firing value and the contract's."""
    steps: int
    """The same in the knob's own positions; negative where the rule fires too early."""


@dataclass(frozen=True, slots=True)
class Sides:
    """One comparison of the rule at one position: its left and right values per series."""

    text: str
    """As the user wrote it, on one line."""
    op: str
    left: Mapping[str, float]
    right: Mapping[str, float]
    span: Span | None = None
    """Where it stands in the rule file."""

    def holds(self, left: float, right: float) -> bool:
        return _COMPARED[self.op](left, right)

    def pairs(self) -> Iterator[tuple[float, float]]:
        """The values that are compared with each other: those of equal labels, or, where none has them, all."""
        for labels, left in self.left.items():
            for right in [self.right[labels]] if labels in self.right else self.right.values():
                yield left, right


@dataclass(frozen=True, slots=True)
class RoundingRange:
    """What rounding alone may change of a rule's alerts, from one engine to another."""

    lost: bool = False
    """One that fires may not: what it compares is so near to its limit."""
    gained: bool = False
    """One that does not may."""

    def __or__(self, other: RoundingRange) -> RoundingRange:
        return RoundingRange(self.lost or other.lost, self.gained or other.gained)


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The rule at one position of the knob: what it compares with its limit (None: nothing), and whether it fires."""

    x: float
    value: float | None
    fires: bool


@dataclass(frozen=True, slots=True)
class Case:
    """One world with one course of the knob, and what replay saw in it; promtool must see the same."""

    name: str
    traces: Sequence[Trace]
    scrape_ms: int
    phase_ms: int
    ticks: int
    timelines: tuple[AlertTimeline, ...]
    """From the beginning of the case on; the rule was evaluated in its lead too."""
    lead_ms: int = 0
    """How long the world had stood still when the case began; the traces begin at minus this. Whole ticks."""
    promtool_ms: int | None = 0
    """When the lead begins in promtool's time; None: at no time in its reach does the calendar say the same."""
    tick_ms: int = 0
    """How long a tick is, where that is not the group's interval."""


def told(cases: Sequence[Case]) -> list[Case]:
    """Those that promtool is told, in the same order."""
    return [case for case in cases if case.promtool_ms is not None]


@dataclass(frozen=True, slots=True)
class SituationResult:
    """A named situation, what the contract expects and what happened."""

    name: str
    expected: str
    got: str
    reason: str = ""
    parts: tuple[str, ...] = ()
    """What the rule returned at the moment in question, or how near it came."""

    @property
    def ok(self) -> bool:
        return not self.reason


@dataclass(slots=True)
class Measured:
    """Everything that was measured about one alert; None is "not reached"."""

    boundary: Boundary | None = None
    late_ms: int | None = None
    """How long after the series went or came the rule of an absence or presence begins to count; None: at once."""
    fires_after_ms: int | None = None
    phase_ticks: tuple[int, int] | None = None
    """From the first tick at which the condition can hold to firing, the fewest and the most that Prometheus may show,
    because groups whose recordings the rule reads tick at moments of their own; None: these do not matter."""
    held_otherwise: set[int | None] = field(default_factory=set)
    """`fires_after_ms` in other phases of such groups; None among them: it does not fire there."""
    too_short_ms: int | None = None
    resolves_after_ms: int | None = None
    at_quiet: list[Sides] = field(default_factory=list)
    at_fires: list[Sides] = field(default_factory=list)
    matched: list[tuple[str, float]] = field(default_factory=list)
    """The series that the rule returned at the firing value."""
    curve: list[CurvePoint] = field(default_factory=list)
    """The response over the knob's whole range."""
    limit: float | None = None
    """What the rule compares with, where that is one number."""
    cases: list[Case] = field(default_factory=list)
    """The main signal's courses: at the boundary, hold, gap, recovery."""
    situation_cases: list[Case] = field(default_factory=list)
    rounded: Mapping[str, RoundingRange] = field(default_factory=dict)
    """By name of a case in which the knob stands next to the boundary."""
    made: frozenset[str] = frozenset()
    """Labels that the rule's expression makes itself, or recording rules that it reads set."""


@dataclass(frozen=True, slots=True)
class LocatedAlert:
    """An alerting rule and where it stands."""

    file: RuleFile
    group: Group
    rule: AlertRule

    @property
    def fixed_labels(self) -> dict[str, str]:
        """What group and rule set on every alert of the rule, templates left out; "" for a label that they take away.

        The rule's name overrides an `alertname` among them.
        """
        labels = {name: text.value for name, text in self.group.labels_of(self.rule).items() if "{{" not in text.value}
        return {**labels, "alertname": self.rule.alert}


@dataclass(slots=True)
class AlertResult:
    """The outcome for one contract (or for one alert without a contract)."""

    alert: str
    contract: Contract | None
    located: LocatedAlert | None
    measured: Measured
    situations: list[SituationResult]
    findings: list[AlertFinding]
    """The worst first; none means exact."""
    notes: list[str] = field(default_factory=list)
    """What a reader should know although it does not change the verdict."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    pinned: str = ""
    """The promtool test group that pins the boundary, shortened for reading."""
    confirmed: bool | None = None
    """Whether promtool saw the same on the unmodified rule file; None where it was not asked or cannot judge …"""
    confirmed_reason: str = ""
    """… and why."""
    seconds: float = 0.0
    """How long it took to measure, promtool not counted."""

    @property
    def measured_verdict(self) -> Verdict:
        """The gravest of the findings: what the verdict would be of a contract that is no draft."""
        found = (finding.verdict for finding in self.findings if finding.verdict is not Verdict.DRAFT)
        return next(found, Verdict.EXACT)

    @property
    def verdict(self) -> Verdict:
        found = self.measured_verdict
        return Verdict.DRAFT if self.is_draft and found is not Verdict.ERROR else found

    @property
    def would_be(self) -> Verdict | None:
        """Of a draft: what its verdict would be if it were confirmed as it stands."""
        return self.measured_verdict if self.is_draft else None

    @property
    def reasons(self) -> list[str]:
        """Why it is not exact, a line each."""
        return [finding.text for finding in self.findings]

    @property
    def is_draft(self) -> bool:
        return self.contract is not None and self.contract.draft

    @property
    def allowed(self) -> str | None:
        """The reason for which its contract sets it aside: shown and counted, but not held against the run."""
        return self.contract.allowed if self.contract is not None else None

    @property
    def exact(self) -> bool:
        return self.verdict is Verdict.EXACT

    @property
    def accepted(self) -> bool:
        """Exact, or set aside with a reason."""
        return self.exact or self.allowed is not None
