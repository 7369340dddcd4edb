"""The check by promtool: what replay measured, said again as promtool unit tests on the unmodified rule files.

First the tests expect nothing; promtool's own account of what it got then holds every alert with its labels and
annotations as rendered. It is compared with the replay, and becomes the expectation of the files that are written.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from harness.engines.private import folder_error, private_folder
from harness.engines.promtool import Promtool
from harness.engines.promtool_failures import Alert
from harness.prometheus import DEFAULTS, ServerSettings
from harness.proof.model import Case, LocatedAlert
from harness.proof.pairing import fixed_labels
from harness.proof.promtool.ordered import OrderedRules
from harness.replay import AlertState, AlertTimeline
from harness.rules.expr import leaves_a_step_out
from harness.series import NativeHistogram, carries, format_labels, is_stale
from harness.units import format_duration, format_number

_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_OVER_LIMIT = "exceeded limit of "
"""What Prometheus says of a rule that returns more than its group's `limit` (rules/alerting.go, rules/recording.go)."""
_TOO_MANY = "would load too many samples into memory"
_RULE_FAILS = re.compile(r"rule: (.*?), time: ")
_MOST_SERIES, _WIDEST = 4, 160
_ACTIVE = "ALERTS"
_MOST_TICKS = 14
"""Assertions per case: the ticks around every change of state, so few suffice."""


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """The cases of one alert, to be confirmed against its rule files."""

    located: LocatedAlert
    rules: OrderedRules
    cases: tuple[Case, ...]
    server: ServerSettings
    """What the rules are evaluated with."""

    @property
    def interval_ms(self) -> int:
        """How long a tick is, in all of the cases."""
        return next((case.tick_ms for case in self.cases if case.tick_ms), self.located.group.interval_ms)


@dataclass(slots=True)
class CheckAnswer:
    """What promtool saw for one alert."""

    disagreements: list[str] = field(default_factory=list)
    own_labels: Mapping[str, str] = field(default_factory=dict)
    """What tells the rule's alerts from those of another rule of the same name; empty if there is none …"""
    foreign: Sequence[Mapping[str, str]] = ()
    """… and the fixed labels of such rules, where they have one that this rule does not set."""
    rendered: dict[tuple[int, int], tuple[Alert, ...]] = field(default_factory=dict)
    """(case number, tick) → the alerts that fired, labels and annotations as rendered."""
    refused: str = ""
    """Why promtool could not run the tests at all (the rule file does not load)."""
    cannot: str = ""
    """Why promtool cannot judge this rule, or not all of it; what it says against replay is no disagreement then."""

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
    """Run one request's file, in which nothing is expected, and enter what promtool got instead."""
    failures = promtool.failures(promtool.test_rules([file], timeout_s=timeout_s))
    own, foreign = _told_apart(request)
    answer = CheckAnswer(own_labels=own, foreign=foreign)
    pending = [text for text in failures.other if text.lstrip().startswith(("name:", "expr:"))]
    refusals = [text.strip() for text in failures.other if text not in pending]
    for text in refusals:
        if promtool.misses(text):
            answer.cannot = f"promtool {promtool.version} does not know {', '.join(promtool.lacks)}"
            return answer
        failed = _RULE_FAILS.match(text)
        if _TOO_MANY in text:
            answer.cannot = "promtool loads at most 10,000 samples in a query, and the rule's windows hold more"
            return answer
        if failed is None or (failed[1] in request.rules.needed and _OVER_LIMIT not in text):
            answer.refused = text
            return answer
    interval = request.interval_ms
    leads = [_begins_ms(case) for case in request.cases]
    got = {}
    for failure in failures.alerts:
        number = int(failure.group.partition(":")[0])
        got[number, (failure.time_ms - leads[number]) // interval] = failure.got
    for number, case in enumerate(request.cases):
        for tick in _telling_ticks(case):
            alerts = got.get((number, tick), ())
            answer.rendered[number, tick] = alerts
            if complaint := compare(case, tick, answer.own(alerts), interval):
                answer.disagreements.append(complaint)
    answer.disagreements += [f"pending alerts differ in promtool: {' '.join(text.split())}" for text in pending]
    answer.cannot = other_lookback(request.server)
    if not answer.cannot and (refusals or answer.disagreements):
        answer.cannot = _cannot_judge(request, refusals, promtool.lacks)
    return answer


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
    own = fixed_labels(located)
    for namesake in request.rules.others_named(located):
        if not any(own.get(label, value) != value for label, value in fixed_labels(namesake).items()):
            return f"promtool tells alerts apart by name and labels only, and {namesake.rule.span} has the same"
    return ""


def compare(case: Case, tick: int, alerts: Sequence[Alert], interval_ms: int) -> str:
    """A sentence if promtool's firing alerts are not replay's."""
    ours = [dict(t.labels) for t in case.timelines if t.states[tick] is AlertState.FIRING]
    theirs = [labels for labels, _ in alerts]
    if len(ours) == len(theirs) and all(any(mine.items() <= other.items() for other in theirs) for mine in ours):
        return ""
    when = format_duration(tick * interval_ms)
    return (
        f"replay and promtool differ in `{case.name}` at {when}: replay has {_list(ours)} firing, "
        f"promtool {_list(theirs)}"
    )


def confirmed_cases(
    request: CheckRequest, answer: CheckAnswer
) -> tuple[list[Case], dict[tuple[int, int], tuple[Alert, ...]]]:
    """The cases in which promtool saw what replay did, and what it rendered there, by their new numbers."""
    cases: list[Case] = []
    rendered: dict[tuple[int, int], tuple[Alert, ...]] = {}
    interval = request.located.group.interval_ms
    for number, case in enumerate(request.cases):
        seen = {tick: answer.rendered.get((number, tick), ()) for tick in _telling_ticks(case)}
        if answer.cannot and any(compare(case, t, answer.own(a), interval) for t, a in seen.items()):
            continue
        rendered |= {(len(cases), tick): alerts for tick, alerts in seen.items()}
        cases.append(case)
    return cases, rendered


def _told_apart(request: CheckRequest) -> tuple[dict[str, str], list[dict[str, str]]]:
    """The rule's fixed labels if what promtool loads holds another rule of its name, and those of such rules that it
    does not have."""
    own = fixed_labels(request.located)
    namesakes = [fixed_labels(namesake) for namesake in request.rules.others_named(request.located)]
    return (own if namesakes else {}), [namesake for namesake in namesakes if not namesake.items() <= own.items()]


def selector(request: CheckRequest, **more: str) -> str:
    """What selects the rule's own alerts in `ALERTS`, whose `alertstate` is its own whatever label the rule sets."""
    own, foreign = _told_apart(request)
    own, *foreign = ({n: v for n, v in labels.items() if n != "alertstate"} for labels in (own, *foreign))
    asked = [
        f"{name}={quote(value)}" for name, value in {"alertname": request.located.rule.alert, **own, **more}.items()
    ]
    unset = [
        next((n, v) for n, v in labels.items() if n not in own) for labels in foreign if labels.keys() - own.keys()
    ]
    return ", ".join([*asked, *(f"{name}!={quote(value)}" for name, value in dict.fromkeys(unset))])


def _list(alerts: Sequence[Mapping[str, str]]) -> str:
    return ", ".join(format_labels(a) for a in alerts[:3]) or "nothing"


def _telling_ticks(case: Case) -> list[int]:
    """The ticks on both sides of every change of state, and the last one."""
    ticks: set[int] = {case.ticks - 1}
    for timeline in case.timelines:
        for tick in range(1, case.ticks):
            if timeline.states[tick] is not timeline.states[tick - 1]:
                ticks |= {tick - 1, tick}
    chosen = sorted(ticks)
    if len(chosen) > _MOST_TICKS:
        chosen = [*chosen[: _MOST_TICKS - 1], chosen[-1]]
    return chosen


def pinned(request: CheckRequest, answer: CheckAnswer) -> str:
    """The test group of the first case (just past the threshold) for people to read: most series and samples cut."""
    lines = list(test_group(request, request.cases[0], request.cases[0].name))
    head, series = lines[:3], lines[3:]
    shown = [line if len(line) <= _WIDEST else f'{line[:_WIDEST]} …"' for line in series[: 2 * _MOST_SERIES]]
    if len(series) > len(shown):
        shown.append(f"      # … {(len(series) - len(shown)) // 2} more series: alert-harness prove --emit DIR")
    assertions = ["    alert_rule_test:"]
    for tick in _telling_ticks(request.cases[0]):
        assertions += _alert_assertion(request, request.cases[0], tick, answer.rendered.get((0, tick), ()))
    return "\n".join([*head, *shown, *assertions])


def promtool_test(
    request: CheckRequest,
    folder: Path,
    prefix: str,
    rendered: Mapping[tuple[int, int], tuple[Alert, ...]] | None = None,
    comments: Sequence[str] = (),
) -> str:
    """A promtool unit-test file that expects the `rendered` alerts. Without them it expects nothing, and its groups are
    numbered, for reading back what promtool got. `prefix` begins the names of rule files that stand beside it."""
    lines = [*comments, *head(request, folder, prefix)]
    for f, case in enumerate(request.cases):
        lines += test_group(request, case, f"{f}: {case.name}" if rendered is None else case.name)
        lines.append("    alert_rule_test:")
        for tick in _telling_ticks(case):
            alerts = rendered.get((f, tick), ()) if rendered is not None else ()
            lines += _alert_assertion(request, case, tick, alerts)
        exprs = _pending_assertions(request, case)
        if rendered is not None:
            exprs += co_firing(request, case, _telling_ticks(case)[-1])
        lines += ["    promql_expr_test:", *exprs] if exprs else []
    return "\n".join(lines) + "\n"


def activity_test(request: CheckRequest, folder: Path, at_ms: int, prefix: str = "", *, active: bool) -> str:
    """A promtool unit-test file that expects the alert to be pending or firing at a moment of its one case, or to be
    neither. It says nothing of the hold, of labels and annotations, and needs no samples after that moment."""
    own = selector(request)
    (case,) = request.cases
    lines = [
        *head(request, folder, prefix),
        *test_group(request, case, case.name),
        "    promql_expr_test:",
        f"      - expr: {quote(f'count({_ACTIVE}{{{own}}}) > bool 0 or vector(0)')}",
        f"        eval_time: {format_duration(at_ms)}",
        f"        exp_samples: [{{labels: '{{}}', value: {int(active)}}}]",
    ]
    return "\n".join(lines) + "\n"


def says_activity(failure: str) -> bool:
    """Whether a failure of a run (`Failures.other`) is that of an :func:`activity_test`."""
    return f'expr: "count({_ACTIVE}' in failure and "got:" in failure


def head(request: CheckRequest, folder: Path, prefix: str = "") -> Iterable[str]:
    yield "rule_files:"
    yield from (f"  - {quote(path)}" for path in request.rules.listed(folder, prefix))
    yield f"evaluation_interval: {format_duration(request.interval_ms)}"
    yield f"group_eval_order: [{', '.join(map(quote, request.rules.order))}]"
    yield "tests:"


def test_group(request: CheckRequest, case: Case, name: str) -> Iterable[str]:
    patterns = {id(trace.times_ms): trace.times_ms for trace in case.traces}  # most series share one
    times = (at for times in patterns.values() for at in times)
    begins = _begins_ms(case)
    step = math.gcd(case.scrape_ms, case.phase_ms, begins, *times)
    yield f"  - name: {quote(name)}"
    yield f"    interval: {format_duration(step)}"
    if request.server.external_labels:
        yield f"    external_labels: {flow(request.server.external_labels)}"
    yield "    input_series:"
    if not case.traces:
        # promtool wants at least the key; a world without any series is an empty list.
        yield "      []"
    end_ms = begins + (case.ticks - 1) * request.located.group.interval_ms
    for trace in (trace.beginning_at(begins) for trace in case.traces):
        yield f"      - series: {quote(format_labels(trace.labels))}"
        values = _values([begins + at for at in trace.times_ms], trace.values, step, end_ms)
        yield f"        values: {quote(values)}"


def _begins_ms(case: Case) -> int:
    """When the case begins in promtool's time, in which every other time would be another time of day."""
    if case.promtool_ms is None:
        raise AssertionError(f"`{case.name}` cannot be told to promtool")
    return case.promtool_ms + case.lead_ms


def _values(times_ms: Sequence[int], values: Sequence[float], step: int, end_ms: int) -> str:
    """promtool's series notation: `_` where nothing was scraped, `_xN` for a longer run of that, up to the end."""
    tokens: list[str] = []
    at = 0
    for when, value in zip(times_ms, values, strict=True):
        tokens += _blanks(when // step - at)
        tokens.append(_token(value))
        at = when // step + 1
    tokens += _blanks(end_ms // step + 1 - at)
    return " ".join(tokens)


def _token(value: float) -> str:
    if isinstance(value, NativeHistogram):
        bounds, counts = (" ".join(map(format_number, numbers)) for numbers in (value.bounds, value.counts))
        return (
            f"{{{{schema:-53 count:{format_number(value)} sum:{format_number(value.total)} "
            f"custom_values:[{bounds}] buckets:[{counts}]}}}}"
        )
    return "stale" if is_stale(value) else format_number(value) if math.isfinite(value) else _odd(value)


def _blanks(count: int) -> list[str]:
    if count <= 0:
        return []
    return ["_" if count == 1 else f"_x{count}"]


def _odd(value: float) -> str:
    return "NaN" if math.isnan(value) else "Inf" if value > 0 else "-Inf"


def eval_time(request: CheckRequest, case: Case, tick: int) -> str:
    """promtool's time of a tick of the case: a world begins at promtool's 0, its case when it has stood still."""
    return format_duration(_begins_ms(case) + tick * request.interval_ms)


def _alert_assertion(request: CheckRequest, case: Case, tick: int, alerts: Sequence[Alert]) -> Iterable[str]:
    yield f"      - eval_time: {eval_time(request, case, tick)}"
    yield f"        alertname: {quote(request.located.rule.alert)}"
    if not alerts:
        yield "        exp_alerts: []"
        return
    yield "        exp_alerts:"
    for labels, notes in alerts:
        shown = {name: value for name, value in labels.items() if name != "alertname"}
        yield f"          - exp_labels: {flow(shown)}"
        if notes:
            yield "            exp_annotations:"
            for name, value in notes.items():
                yield f"              {quote(name)}: {quote(value)}"


def _pending_assertions(request: CheckRequest, case: Case) -> list[str]:
    """The tick on which an alert becomes pending can only be asserted through ALERTS."""
    expr = f"count(ALERTS{{{selector(request, alertstate='pending')}}})"
    lines: list[str] = []
    for tick in _pending_ticks(case.timelines):
        pending = sum(t.states[tick] is AlertState.PENDING for t in case.timelines)
        lines.append(f"      - expr: {quote(expr)}")
        lines.append(f"        eval_time: {eval_time(request, case, tick)}")
        lines.append(f"        exp_samples: [{{labels: '{{}}', value: {pending}}}]")
    return lines


def co_firing(request: CheckRequest, case: Case, tick: int) -> list[str]:
    """Names the other alerts of the rule files, of which nothing is claimed: 0 whether they fire or not."""
    own = request.located.rule.alert
    others = {r.alert for file in request.rules.files for group in file.groups for r in group.alerts()} - {own}
    if not others:
        return []
    return [
        "      # Other alerts may fire here or not: what they are meant to do is not for this file to say.",
        f"      - expr: {quote(f'0 * count(ALERTS{{alertname!={quote(own)}}}) or vector(0)')}",
        f"        eval_time: {eval_time(request, case, tick)}",
        "        exp_samples: [{labels: '{}', value: 0}]",
    ]


def _pending_ticks(timelines: Sequence[AlertTimeline]) -> list[int]:
    firsts = {t.first(AlertState.PENDING) for t in timelines}
    return sorted(tick for tick in firsts if tick is not None)[:2]


def flow(pairs: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{quote(k)}: {quote(v)}" for k, v in pairs.items()) + "}"


def quote(text: str) -> str:
    """A double-quoted YAML scalar. JSON's escapes are YAML's too, but YAML wants more characters escaped than JSON."""
    return _UNPRINTABLE.sub(lambda char: f"\\u{ord(char[0]):04x}", json.dumps(text, ensure_ascii=False))
