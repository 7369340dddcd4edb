"""What an objective is. Ratios are exact fractions, durations whole milliseconds, whatever format they came from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from fractions import Fraction

from harness.errors import Notice, Span
from harness.series import Labels
from harness.source import Text
from harness.units import format_duration

DAY_MS = 86_400_000
_MONTH_DAYS = 30
_YEAR_DAYS = 365

SEVERITIES = ("page", "ticket")
"""Those that window catalogues have pairs for, in sloth's words."""
WINDOW_PLACEHOLDER = "{{.window}}"
"""Where sloth's queries take their window; OpenSLO has none of its own, so its queries may use it too."""


@dataclass(frozen=True, slots=True)
class Rolling:
    """The last `duration_ms` before now, at any time."""

    duration_ms: int

    @property
    def nominal_ms(self) -> int:
        return self.duration_ms

    @property
    def label(self) -> str:
        """As in recorded names and `sloth_window`: ``30d``."""
        return format_duration(self.duration_ms)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Periods of `months` or of `days` (the other is 0) that follow one another from `start`, local time in `zone`.

    `harness.slo.calendar` says in which one a moment lies. A `start` in months lies on the 1st to the 28th.
    """

    months: int
    days: int
    start: datetime
    zone: str

    @property
    def nominal_ms(self) -> int:
        """The length with which burn rates are reckoned: months of 30 days, years of 365."""
        years, months = divmod(self.months, 12)
        return (years * _YEAR_DAYS + months * _MONTH_DAYS + self.days) * DAY_MS

    @property
    def label(self) -> str:
        """``1M``, ``1Q``, ``1Y``, ``1w`` or ``1d``, as OpenSLO writes it."""
        for count, size, unit in ((self.months, 12, "Y"), (self.months, 3, "Q"), (self.months, 1, "M")):
            if count and count % size == 0:
                return f"{count // size}{unit}"
        return f"{self.days // 7}w" if self.days % 7 == 0 else f"{self.days}d"


Period = Rolling | Calendar


class WindowPlacement(Enum):
    """How a window gets into a query."""

    COUNTER = "counter"
    """Raw counters (OpenSLO `counter: true`): ``rate(selector[window])``, then the sum."""
    GAUGE = "gauge"
    """Numbers of events per sample (`counter: false`): ``sum_over_time(selector[window])``, then the sum."""
    WINDOWED = "windowed"
    """The query says it itself, by ``{{.window}}``."""
    INSTANT = "instant"
    """A value as it is at a tick, without any window: thresholds and ratios that were computed elsewhere."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """By which labels an indicator's query tells groups apart, each of which has a budget of its own."""

    labels: tuple[str, ...]
    """In order of the alphabet."""
    without: bool = False
    """By all labels but these."""

    @property
    def clause(self) -> str:
        """As in PromQL: ``by (instance)``."""
        return f"{'without' if self.without else 'by'} ({', '.join(self.labels)})"

    def of(self, labels: Labels) -> Labels:
        """The group of a series."""
        if self.without:
            return tuple(pair for pair in labels if pair[0] not in self.labels and pair[0] != "__name__")
        return tuple(pair for pair in labels if pair[0] in self.labels)


@dataclass(frozen=True, slots=True)
class IndicatorQuery:
    """One PromQL query, where it stands, and where its data live."""

    expr: str
    reading: WindowPlacement
    text: Text = field(compare=False)
    """`expr` as the file has it, for messages."""
    source_type: str = "Prometheus"
    source_ref: str | None = None
    """The DataSource that the document names; what it holds (addresses, secrets) is not ours to read."""
    group_by: tuple[str, ...] = ()
    """The labels by which the document groups it (annotation), in order of the alphabet."""

    @classmethod
    def of(
        cls, text: Text, reading: WindowPlacement, source_type: str = "Prometheus", source_ref: str | None = None
    ) -> IndicatorQuery:
        return cls(text.value.strip(), reading, text, source_type, source_ref)


@dataclass(frozen=True, slots=True)
class Events:
    """Good or bad events (exactly one of them is given) of all events."""

    total: IndicatorQuery
    good: IndicatorQuery | None = None
    bad: IndicatorQuery | None = None


@dataclass(frozen=True, slots=True)
class RawRatio:
    """A ratio between 0 and 1 that somebody else computed: of errors, or of successes."""

    query: IndicatorQuery
    is_error: bool


class ThresholdOp(Enum):
    """Which side of a threshold is good: OpenSLO's words and PromQL's operators."""

    LTE = "lte"
    LT = "lt"
    GTE = "gte"
    GT = "gt"

    @property
    def promql(self) -> str:
        return {"lte": "<=", "lt": "<", "gte": ">=", "gt": ">"}[self.value]

    @property
    def promql_of_bad(self) -> str:
        """The operator that holds where this one does not (NaN apart, which is no data)."""
        return {"lte": ">", "lt": ">=", "gte": "<", "gt": "<="}[self.value]


@dataclass(frozen=True, slots=True)
class ThresholdIndicator:
    """A value that is good while ``value op threshold``."""

    query: IndicatorQuery
    op: ThresholdOp
    threshold: Fraction


Indicator = Events | RawRatio | ThresholdIndicator


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Each event counts alike; of a threshold each tick is one."""


@dataclass(frozen=True, slots=True)
class Timeslices:
    """Time is cut in slices; one is good if at least `target` of its events are. Slices count alike."""

    target: Fraction
    window_ms: int


@dataclass(frozen=True, slots=True)
class RatioTimeslices:
    """The mean of the slices' ratios."""

    window_ms: int


Budgeting = Occurrences | Timeslices | RatioTimeslices


@dataclass(frozen=True, slots=True)
class BurnPair:
    """An alert while the budget burns at more than `factor` times its even pace, over both windows.

    `short_ms` is None for OpenSLO's burn-rate conditions, which know one window.
    """

    severity: str
    long_ms: int
    short_ms: int | None
    factor: Fraction
    hold_ms: int = 0
    inclusive: bool = False
    """Whether it fires at exactly its factor too (OpenSLO's `gte`); the literature's pairs do not."""
    span: Span | None = field(default=None, compare=False)

    @property
    def promql(self) -> str:
        """The operator between an error ratio and θ."""
        return ">=" if self.inclusive else ">"

    @property
    def windows_ms(self) -> tuple[int, ...]:
        """Short first, as in the alert's expression."""
        return (self.long_ms,) if self.short_ms is None else (self.short_ms, self.long_ms)

    @property
    def label(self) -> str:
        """``1h/5m``: long, then short."""
        return "/".join(format_duration(ms) for ms in reversed(self.windows_ms))

    def threshold(self, target: Fraction) -> Fraction:
        """θ, the error ratio above which the pair fires: factor × (1 − objective)."""
        return self.factor * (1 - target)

    def burns(self, ratio: Fraction, target: Fraction) -> bool:
        """Whether an error ratio, in both windows, makes it fire."""
        threshold = self.threshold(target)
        return ratio > threshold or (self.inclusive and ratio == threshold)


@dataclass(frozen=True, slots=True)
class SeverityAlert:
    """What one severity's alerts have beyond the objective's others."""

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    hold_ms: int | None = None
    """Overrides the `for` of the window catalogue."""
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Alerting:
    """How an objective's alerts are named and labelled, and when they fire."""

    name: str | None = None
    """The alerts' name; None: made of the service's and the objective's."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    severities: Mapping[str, SeverityAlert] = field(default_factory=dict)
    """By severity (``page``, ``ticket``)."""
    pairs: tuple[BurnPair, ...] | None = None
    """The document's own alert policy; None: a window catalogue's."""
    min_events: int = 0
    """The traffic floor: no alert while the long window holds fewer events. 0: none."""
    no_data: SeverityAlert = SeverityAlert()
    """What the alert on absent data has beyond the others."""
    no_data_severities: tuple[str, ...] | None = None
    """With which severities policies alert on absent data (`alertWhenNoData`); None: the document does not say."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a document says of a thing besides what it does."""

    name: str = ""
    display_name: str = ""
    description: str = ""
    labels: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    """As the document has them; OpenSLO allows lists as values."""
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Objective:
    """One service level objective. Equal objectives mean the same, wherever they stand."""

    name: str
    service: str
    target: Fraction
    """Between 0 and 1, both excluded."""
    period: Period
    indicator: Indicator
    budgeting: Budgeting = Occurrences()
    alerting: Alerting = Alerting()
    display_name: str = ""
    description: str = ""
    labels: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    goal: str = ""
    """OpenSLO's name of the target itself (`objectives[].displayName`)."""
    indicator_about: Metadata = Metadata()
    service_about: Metadata = Metadata()
    spec: str = "openslo/v1"
    """The format that it was read from: ``openslo/v1`` or ``prometheus/v1`` (sloth)."""
    span: Span = field(default=Span("", 0, 0), compare=False)
    target_span: Span | None = field(default=None, compare=False)
    notices: tuple[Notice, ...] = field(default=(), compare=False)
    """What its document says in vain."""

    @property
    def id(self) -> str:
        """sloth's ``sloth_id``."""
        return f"{self.service}-{self.name}"

    @property
    def file_name(self) -> str:
        """The id as it is safe in the name of a file and of a Kubernetes object (RFC 1123)."""
        return re.sub(r"[^a-z0-9]+", "-", self.id.lower()).strip("-")[:200].strip("-") or "objective"

    @property
    def budget(self) -> Fraction:
        """The share of events that may be bad: 1 − target."""
        return 1 - self.target

    @property
    def title(self) -> str:
        return self.display_name or self.name

    @property
    def slice_ms(self) -> int | None:
        """The length of a time slice; None where events count."""
        return None if isinstance(self.budgeting, Occurrences) else self.budgeting.window_ms
