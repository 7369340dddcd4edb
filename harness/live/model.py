"""What a live run finds: per alert its ticks, its notification and a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction

from harness.alertmanager.unused import UnusedPart
from harness.contracts import Contract
from harness.errors import HarnessError
from harness.proof.model import LocatedAlert


class LiveVerdict(Enum):
    """Contract against the running system. One alert has one verdict: the first that applies in this order."""

    ERROR = "error"
    """Prometheus cannot evaluate the rule over the contract's world."""
    MISSING = "missing"
    """The contract's alert is in no rule file, or there more than once."""
    REFUSED = "refused"
    """Prometheus does not load the rule, nor any other of its file while it stands there."""
    NOT_LIVE = "not_live"
    """The contract's world, or the rule, has no equal on a running system with a faster clock; the reason says why."""
    TOO_BUSY = "too_busy"
    """Even on the slowest clock that was tried the machine missed ticks or scrapes, so nothing is said of the rule."""
    FIRES_AT_THRESHOLD = "fires_at_threshold"
    """Not quiet while the knob stands at the last value that should be."""
    NEVER_FIRES = "never_fires"
    """Does not fire while the knob stands past the threshold."""
    WRONG_HOLD = "wrong_hold"
    """Waits longer or shorter than the contract's `for`, or keeps firing longer or shorter than it says."""
    WRONG_TICK = "wrong_tick"
    """Another tick than the one on which the same world fires on the world's clock."""
    WRONG_LABELS = "wrong_labels"
    """The notification's severity or identifying labels are not the contract's, or several alerts fire for one."""
    WRONG_ANNOTATIONS = "wrong_annotations"
    """An annotation that the contract asks for is missing, or one did not render."""
    NOT_DELIVERED = "not_delivered"
    """Fired, but no notification reached a receiver."""
    WRONG_RECEIVER = "wrong_receiver"
    """Delivered to another receiver than the one to which Alertmanager routes what the contract describes."""
    NOT_RESOLVED = "not_resolved"
    """The receiver was not told that it is over."""
    NOT_INHIBITED = "not_inhibited"
    """Notified although another alert that was firing inhibits it by the configuration."""
    WRONG_SILENCE = "wrong_silence"
    """Who silences it by the inhibition rules, and who does not, is not what the contract says."""
    DRAFT = "draft"
    """Nobody has confirmed the contract, so that nothing is proved, whatever was seen."""
    EXACT = "exact"
    """Fired on the very tick, delivered where it should be, and resolved."""


@dataclass(frozen=True, slots=True)
class LiveFinding:
    """One way in which an alert is not as meant, and why we say so."""

    verdict: LiveVerdict
    reason: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notification about one alert, as a receiver got it."""

    receiver: str
    status: str
    """``firing`` or ``resolved``."""
    at_ms: int
    """When it arrived, Unix milliseconds."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    group_labels: Mapping[str, str]


@dataclass(slots=True)
class LiveResult:
    """The outcome for one contract. Times are Unix milliseconds of the run; durations are the world's."""

    alert: str
    contract: Contract
    located: LocatedAlert | None
    quiet_at: Fraction | None = None
    """Where the knob stands before and after; must be quiet."""
    fires_at: Fraction | None = None
    at_threshold: bool = False
    """Whether `quiet_at` is the last quiet value itself; else rates would round there on this clock."""
    interval_ms: int = 0
    """The group's interval on the world's clock."""
    moved_ms: int | None = None
    """The tick at which the knob went past the threshold."""
    pending_ms: int | None = None
    firing_ms: int | None = None
    resolved_ms: int | None = None
    """The first tick in each state."""
    hold_ticks: int | None = None
    hold_ticks_meant: int = 0
    quiet_ticks: int = 0
    """How many ticks were seen with the knob at `quiet_at`."""
    delivered: Delivery | None = None
    resolved: Delivery | None = None
    receivers: Sequence[str] = ()
    """All receivers that were told."""
    inhibited_by: Sequence[str] = ()
    """Alerts that were seen to silence this one while they fired, as the configuration says."""
    findings: list[LiveFinding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def find(self, verdict: LiveVerdict, reason: str) -> None:
        self.findings.append(LiveFinding(verdict, reason))
        order = list(LiveVerdict)
        self.findings.sort(key=lambda finding: order.index(finding.verdict))

    @property
    def verdict(self) -> LiveVerdict:
        """That of the worst finding, but a draft is a draft."""
        if self.contract.draft:
            return LiveVerdict.DRAFT
        return self.findings[0].verdict if self.findings else LiveVerdict.EXACT

    @property
    def exact(self) -> bool:
        return self.verdict is LiveVerdict.EXACT

    @property
    def good(self) -> bool:
        """Exact, or set aside with a reason."""
        return self.exact or self.contract.allowed is not None


@dataclass(frozen=True, slots=True)
class BusyRun:
    """A run that was not believed because the machine was too busy."""

    factor: int
    reason: str


@dataclass(frozen=True, slots=True)
class LiveReport:
    """One live run over all contracts."""

    results: Sequence[LiveResult]
    factor: int
    engine: str
    """``process`` or ``docker``."""
    prometheus: str
    alertmanager: str
    """Versions."""
    configuration: str
    """The Alertmanager configuration's file, or what stands for it."""
    attempts: Sequence[BusyRun] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Where the time went, by phase, in order."""
    set_aside: int = 0
    """How many alerts are only set aside, so that there was nothing to run."""
    warnings: Sequence[UnusedPart] = ()
    """Parts of the configuration that do nothing for these alerts."""
    faults: Sequence[HarnessError] = ()
    """Rules that are wrong, and why; all others ran."""

    @property
    def exact(self) -> bool:
        """Whether every alert is, or is set aside."""
        return bool(self.results or self.set_aside) and all(result.good for result in self.results)

    @property
    def failed(self) -> bool:
        """Whether some alert could not be evaluated."""
        return any(result.verdict is LiveVerdict.ERROR for result in self.results)

    @property
    def total_s(self) -> float:
        return sum(self.seconds.values())
