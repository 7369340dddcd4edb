"""What a promtool unit-test file says, and what came of it. Times are milliseconds from the start of a test group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

import yaml

from harness.errors import InputError, Span
from harness.source import SourceFile, Text
from harness.suites.notation import SeriesItem

DEFAULT_EVALUATION_MS = 60_000


# -- what the file says ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InputSeries:
    """A series of a test group; `items` is None where its notation is wrong (then `problem` says why)."""

    series: Text
    values: Text
    metric: str | None
    items: tuple[SeriesItem, ...] | None
    problem: InputError | None = None

    @property
    def count(self) -> int:
        """How many scrape intervals the notation covers."""
        return sum(item.count for item in self.items or ())


@dataclass(frozen=True, slots=True)
class Labelled:
    """Labels and annotations of an alert, expected or received."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AlertAssertion:
    """One item of `alert_rule_test`."""

    alertname: Text
    eval_time_ms: int
    expected: tuple[Labelled, ...]
    span: Span
    """Where the item begins."""
    time_span: Span


@dataclass(frozen=True, slots=True)
class ExpectedSample:
    """One item of `exp_samples`."""

    labels: Text | None
    value: Text | None
    histogram: Text | None
    span: Span


@dataclass(frozen=True, slots=True)
class ExprAssertion:
    """One item of `promql_expr_test`."""

    expr: Text
    eval_time_ms: int
    samples: tuple[ExpectedSample, ...]
    span: Span
    time_span: Span


@dataclass(frozen=True, slots=True)
class TestGroup:
    """One item of `tests`: series, and what is asserted of them."""

    __test__ = False  # not one of pytest's

    index: int
    name: str
    """Empty if it has none."""
    interval_ms: int
    series: tuple[InputSeries, ...]
    alerts: tuple[AlertAssertion, ...]
    exprs: tuple[ExprAssertion, ...]
    external_url: str
    span: Span
    node: yaml.Node = field(repr=False, compare=False)

    @property
    def title(self) -> str:
        return self.name or f"group {self.index + 1} (line {self.span.line})"

    @property
    def times_ms(self) -> list[int]:
        """Every asserted time, sorted, once."""
        return sorted({a.eval_time_ms for a in self.alerts} | {e.eval_time_ms for e in self.exprs})


@dataclass(frozen=True, slots=True)
class SuiteFile:
    """A unit-test file."""

    path: Path
    name: str
    source: SourceFile = field(repr=False, compare=False)
    root: yaml.MappingNode = field(repr=False, compare=False)
    patterns: tuple[Text, ...]
    """`rule_files` as written."""
    evaluation_ms: int
    evaluation_span: Span
    groups: tuple[TestGroup, ...]
    span: Span
    order: tuple[Text, ...] = ()
    """`group_eval_order` as written."""

    def tick_ms(self, time_ms: int) -> int:
        """The evaluation whose result promtool compares at a time: the last one at or before it."""
        return time_ms - time_ms % self.evaluation_ms


# -- what came of it ---------------------------------------------------------------------------------------------------


class Status(Enum):
    """What became of an assertion or a file."""

    PASSED = "passed"
    FAILED = "failed"  # promtool evaluated it and got something else
    ERROR = "error"  # promtool could not evaluate it


class Severity(Enum):
    """Whether a finding fails the run."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class SuiteFinding:
    """A way in which promtool's SUCCESS says less than it seems to; `id` is its check, its page and its fixture."""

    id: str
    severity: Severity
    span: Span | None
    message: str
    hint: str
    group: str = ""

    @property
    def page(self) -> str:
        """Its page of the documentation, from the repository's root."""
        return f"docs/false-greens/{self.id}.md"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one assertion."""

    file: str
    group: str
    """The group's name, or its number and line if it has none."""
    group_index: int
    kind: str
    """``alert`` or ``expr``."""
    subject: str
    """The alert's name, or the expression."""
    eval_time_ms: int
    span: Span
    status: Status
    expected: tuple[Labelled, ...] = ()
    got: tuple[Labelled, ...] | None = None
    """The alerts that fired; for a passed assertion those that were expected, None where promtool did not tell."""
    message: str = ""
    """What promtool said, for expressions and errors."""
    inputs: tuple[str, ...] = ()
    """For a failed assertion, the input series that its expression reads, directly or through recording rules."""


@dataclass(frozen=True, slots=True)
class ObservedStates:
    """What promtool saw at one evaluation of a group: how many alerts of a name were in a state."""

    firing: Mapping[str, int]
    pending: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class FileResult:
    """Everything about one unit-test file."""

    path: Path
    name: str
    suite: SuiteFile | None
    """None if it could not be read as a unit-test file."""
    promtool_passed: bool
    """promtool's own verdict on the file, without ours."""
    results: tuple[Result, ...]
    errors: tuple[str, ...]
    """What promtool said against the file or a group as a whole."""
    problem: InputError | None = None
    """What is wrong with the file, with its place."""
    findings: tuple[SuiteFinding, ...] = ()
    observed: Mapping[tuple[int, int], ObservedStates] = field(default_factory=dict)
    """By group index and tick; a pair is missing where promtool did not get that far."""
    ran: tuple[int, ...] = ()
    """Indexes of the groups that `--run` left."""
    seconds: float = 0.0

    def with_findings(self, findings: tuple[SuiteFinding, ...]) -> FileResult:
        return replace(self, findings=(*self.findings, *findings))

    @property
    def status(self) -> Status:
        """FAILED also where promtool passes and a finding does not."""
        if self.problem is not None:
            return Status.ERROR
        if not self.promtool_passed or any(f.severity is Severity.ERROR for f in self.findings):
            return Status.FAILED
        return Status.PASSED

    @property
    def false_green(self) -> bool:
        return self.promtool_passed and self.status is not Status.PASSED


@dataclass(frozen=True, slots=True)
class RuleCoverage:
    """What the tests say of one rule."""

    name: str
    kind: str
    """``alert`` or ``record``."""
    file: str
    span: Span
    asserted: bool
    """Some assertion speaks of it (of a recording rule also: of something that reads it)."""
    firing: bool = False
    """Alerts: some assertion expects it to fire."""
    quiet: bool = False
    """Alerts: some assertion expects it not to fire."""


@dataclass(frozen=True, slots=True)
class SuiteReport:
    """The results of one run over unit-test files."""

    files: tuple[FileResult, ...]
    findings: tuple[SuiteFinding, ...]
    """Those of the run as a whole."""
    coverage: tuple[RuleCoverage, ...]
    promtool: str
    """promtool's version."""
    strict: bool
    seconds: float = 0.0
    complete: bool = True
    """False after an interrupt: files are missing."""

    @property
    def passed(self) -> bool:
        wrong = any(f.severity is Severity.ERROR for f in self.findings)
        return self.complete and not wrong and all(file.status is Status.PASSED for file in self.files)
