"""The check by promtool: what replay measured, said again as promtool unit tests on the unmodified rule files.

First the tests expect nothing; promtool's own account of what it got then holds every alert with its labels and
annotations as rendered. It is compared with the replay, and becomes the expectation of the files that are written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from harness.engines.private import folder_error, private_folder
from harness.engines.promtool import Promtool
from harness.engines.promtool_failures import Alert, AlertFailure
from harness.prometheus import DEFAULTS, ServerSettings
from harness.proof.model import Case
from harness.proof.pairing import fixed_labels
from harness.proof.promtool.unit_test import CheckRequest, begins_ms, promtool_test, telling_ticks, told_apart
from harness.replay import AlertState
from harness.replay.labels import told_apart_by
from harness.rules.expr import leaves_a_step_out
from harness.series import carries, format_labels
from harness.units import format_duration

_OVER_LIMIT = "exceeded limit of "
"""What Prometheus says of a rule that returns more than its group's `limit` (rules/alerting.go, rules/recording.go)."""
_TOO_MANY = "would load too many samples into memory"
_RULE_FAILS = re.compile(r"rule: (.*?), time: ")
_PENDING = re.compile(
    r'expr: "(?P<expr>.*) # (?P<case>\d+)", time:.*?exp: (?P<ours>.*?)\s+got: (?P<theirs>.*)', re.DOTALL
)

Rendered = Mapping[tuple[int, int], tuple[Alert, ...]]
"""(case number, tick) → the alerts that fired, labels and annotations as rendered."""


@dataclass(frozen=True, slots=True)
class AlertDifference:
    """One moment of a case in which promtool's alerts are not replay's."""

    case: int
    """The number of the case in the request."""
    text: str
    missing: tuple[Mapping[str, str], ...] = ()
    """Alerts that fire in replay only, as far as replay knows their labels."""
    extra: tuple[Mapping[str, str], ...] = ()
    """Alerts that fire in promtool only."""
    pending: tuple[int, int] = (0, 0)
    """How many are pending in replay and in promtool, where that is what differs."""


@dataclass(frozen=True, slots=True)
class CheckAnswer:
    """What promtool saw for one alert."""

    disagreements: tuple[AlertDifference, ...] = ()
    """What it says against replay; nothing where it cannot judge."""
    own_labels: Mapping[str, str] = field(default_factory=dict)
    """What tells the rule's alerts from those of another rule of the same name; empty if there is none …"""
    foreign: Sequence[Mapping[str, str]] = ()
    """… and the fixed labels of such rules, where they have one that this rule does not set."""
    rendered: Rendered = field(default_factory=dict)
    refused: str = ""
    """Why promtool could not run the tests at all (the rule file does not load)."""
    cannot: str = ""
    """Why promtool cannot judge this rule, or not all of it."""

    def first_alert(self) -> Alert | None:
        """A rendered alert of the main signal just past the threshold, if it fires there."""
        for key in sorted(self.rendered):
            if own := self.own(self.rendered[key]):
                return own[0]
        return None

    def own(self, alerts: Sequence[Alert]) -> list[Alert]:
        """Those of the alerts that are the rule's own: promtool knows alerts by name only."""
        return [
            alert
            for alert in alerts
            if carries(alert[0], self.own_labels) and not any(carries(alert[0], labels) for labels in self.foreign)
        ]


class PromtoolCheck:
    """Checks alerts while others are still being measured: promtool runs beside us, at most one process per core.

    Use it as a context manager; its temporary test files go with it.
    """

    def __init__(self, promtool: Promtool, timeout_s: float | None = None) -> None:
        self._promtool = promtool
        self._timeout_s = timeout_s
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1)
        self._stack = ExitStack()
        self._folder = self._stack.enter_context(private_folder())
        self._submitted = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._stack.close()

    def submit(self, request: CheckRequest) -> Future[CheckAnswer]:
        """Have promtool run every case of a request; the answer comes later, or the EngineError that it ended in.

        Raises InputError if the disk is full.
        """
        self._submitted += 1
        name = str(self._submitted)
        file = self._folder / f"{name}.test.yml"
        try:
            file.write_text(promtool_test(request, self._folder, name), encoding="utf-8")
            for copy, text in request.rules.copies(self._folder, name):
                copy.write_text(text, encoding="utf-8")
        except OSError as err:
            raise folder_error(err) from err
        return self._pool.submit(_checked, self._promtool, request, file, self._timeout_s)


def _checked(promtool: Promtool, request: CheckRequest, file: Path, timeout_s: float | None) -> CheckAnswer:
    """Run one request's file, in which nothing is expected, and read from what failed what promtool got instead."""
    failures = promtool.failures(promtool.test_rules([file], timeout_s=timeout_s))
    own, foreign = told_apart(request)
    answer = CheckAnswer(own_labels=own, foreign=foreign)
    pending = [text for text in failures.other if text.lstrip().startswith(("name:", "expr:"))]
    refusals = [text.strip() for text in failures.other if text not in pending]
    for text in refusals:
        if promtool.misses(text):
            return replace(answer, cannot=f"promtool {promtool.version} does not know {', '.join(promtool.lacks)}")
        failed = _RULE_FAILS.match(text)
        if _TOO_MANY in text:
            cannot = "promtool loads at most 10,000 samples in a query, and the rule's windows hold more"
            return replace(answer, cannot=cannot)
        if failed is None or (failed[1] in request.rules.needed and _OVER_LIMIT not in text):
            return replace(answer, refused=text)
    rendered = _rendered(request, failures.alerts)
    differ = [
        found
        for (number, tick), alerts in rendered.items()
        if (found := compare(request, number, tick, answer.own(alerts))) is not None
    ]
    differ += map(_pending_differs, pending)
    cannot = other_lookback(request.server)
    if not cannot and (refusals or differ):
        cannot = _cannot_judge(request, refusals, promtool.lacks)
    return replace(answer, rendered=rendered, cannot=cannot, disagreements=() if cannot else tuple(differ))


def _rendered(request: CheckRequest, failures: Sequence[AlertFailure]) -> Rendered:
    """What fired at each tick that was asked about: nothing where nothing failed, for nothing was expected."""
    begins = [begins_ms(case) for case in request.cases]
    got = {}
    for failure in failures:
        number = int(failure.group.partition(":")[0])
        got[number, (failure.time_ms - begins[number]) // request.interval_ms] = failure.got
    asked = ((number, tick) for number, case in enumerate(request.cases) for tick in telling_ticks(case))
    return {key: got.get(key, ()) for key in asked}


def _pending_differs(failure: str) -> AlertDifference:
    """From promtool's words about a failed assertion on pending alerts."""
    text = f"pending alerts differ in promtool: {' '.join(failure.split())}"
    found = _PENDING.search(failure)
    if found is None:
        return AlertDifference(-1, text)
    counts = (_count(found["ours"]), _count(found["theirs"]))
    return AlertDifference(int(found["case"]), text.replace(f' # {found["case"]}"', '"'), pending=counts)


def _count(samples: str) -> int:
    """From ``{} 2E+00``, or ``nil``."""
    value = samples.split()[-1] if samples.strip() else "nil"
    return 0 if value == "nil" else round(float(value))


def other_lookback(server: ServerSettings) -> str:
    """Why promtool cannot confirm anything; empty where it looks back as far as Prometheus."""
    if server.lookback_ms == DEFAULTS.lookback_ms:
        return ""
    here, there = format_duration(DEFAULTS.lookback_ms), format_duration(server.lookback_ms)
    return f"promtool always looks back {here} (--query.lookback-delta), and this Prometheus {there}"


def _cannot_judge(request: CheckRequest, failures: Sequence[str], lacks: Sequence[str]) -> str:
    """Why promtool rightly shows something else than replay; empty if it does not."""
    located, interval, server = request.located, request.interval_ms, request.server
    if lacks:
        return f"this promtool does not know {', '.join(lacks)}"
    if failures:
        return f"promtool ends a test where any rule of its files fails: {failures[0]}"
    for name, other in request.rules.intervals_ms.items():
        if other != interval:
            each = f"`{name}`, which Prometheus runs every {format_duration(other)}"
            return f"promtool runs all groups every {format_duration(interval)}, so {each}"
    if interval != server.evaluation_ms and any(map(leaves_a_step_out, request.rules.expressions())):
        return (
            f"promtool gives a subquery without a step that of the test, {format_duration(interval)}, and Prometheus "
            f"its global.evaluation_interval, {format_duration(server.evaluation_ms)}"
        )
    if server.query_offset_ms and located.group.query_offset_ms == server.query_offset_ms:
        return "promtool knows no global.rule_query_offset"
    if told_apart_by(located.rule, located.group).value:
        return "a label holds the value as a template makes it, and replay takes every value for another alert"
    own = fixed_labels(located)
    for namesake in request.rules.others_named(located):
        if not any(own.get(label, value) != value for label, value in fixed_labels(namesake).items()):
            return f"promtool tells alerts apart by name and labels only, and {namesake.rule.span} has the same"
    return ""


def compare(request: CheckRequest, number: int, tick: int, alerts: Sequence[Alert]) -> AlertDifference | None:
    """How promtool's firing alerts are not replay's at a tick of a case; None where they are."""
    case = request.cases[number]
    ours = [dict(t.labels) for t in case.timelines if t.states[tick] is AlertState.FIRING]
    theirs = [labels for labels, _ in alerts]
    missing = tuple(mine for mine in ours if not any(carries(other, mine) for other in theirs))
    if len(ours) == len(theirs) and not missing:
        return None
    when = format_duration(tick * request.interval_ms)
    text = (
        f"replay and promtool differ in `{case.name}` at {when}: replay has {_list(ours)} firing, "
        f"promtool {_list(theirs)}"
    )
    extra = tuple(other for other in theirs if not any(carries(other, mine) for mine in ours))
    return AlertDifference(number, text, missing, extra)


def confirmed_cases(
    request: CheckRequest, answer: CheckAnswer
) -> tuple[list[Case], dict[tuple[int, int], tuple[Alert, ...]]]:
    """The cases in which promtool saw what replay did, and what it rendered there, by their new numbers."""
    cases: list[Case] = []
    rendered: dict[tuple[int, int], tuple[Alert, ...]] = {}
    for number, case in enumerate(request.cases):
        seen = {tick: answer.rendered.get((number, tick), ()) for tick in telling_ticks(case)}
        if answer.cannot and any(compare(request, number, tick, answer.own(alerts)) for tick, alerts in seen.items()):
            continue
        rendered |= {(len(cases), tick): alerts for tick, alerts in seen.items()}
        cases.append(case)
    return cases, rendered


def _list(alerts: Sequence[Mapping[str, str]]) -> str:
    return ", ".join(format_labels(a) for a in alerts[:3]) or "nothing"
