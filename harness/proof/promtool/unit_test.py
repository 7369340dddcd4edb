"""Cases of an alert written as promtool unit tests, on the unmodified rule files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.engines.promtool_failures import Alert
from harness.prometheus import ServerSettings
from harness.proof.model import Case, LocatedAlert
from harness.proof.pairing import fixed_labels
from harness.proof.promtool.ordered import OrderedRules
from harness.replay import AlertState, AlertTimeline
from harness.rules.selectors import quote
from harness.series import NativeHistogram, format_labels, is_stale
from harness.units import format_duration, format_number
from harness.yamltext import double_quoted

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


def told_apart(request: CheckRequest) -> tuple[dict[str, str], list[dict[str, str]]]:
    """The rule's fixed labels if what promtool loads holds another rule of its name, and those of such rules that it
    does not have."""
    own = fixed_labels(request.located)
    namesakes = [fixed_labels(namesake) for namesake in request.rules.others_named(request.located)]
    return (own if namesakes else {}), [namesake for namesake in namesakes if not namesake.items() <= own.items()]


def selector(request: CheckRequest, **more: str) -> str:
    """What selects the rule's own alerts in `ALERTS`, whose `alertstate` is its own whatever label the rule sets."""
    own, foreign = told_apart(request)
    own, *foreign = ({n: v for n, v in labels.items() if n != "alertstate"} for labels in (own, *foreign))
    asked = [
        f"{name}={quote(value)}" for name, value in {"alertname": request.located.rule.alert, **own, **more}.items()
    ]
    unset = [
        next((n, v) for n, v in labels.items() if n not in own) for labels in foreign if labels.keys() - own.keys()
    ]
    return ", ".join([*asked, *(f"{name}!={quote(value)}" for name, value in dict.fromkeys(unset))])


def telling_ticks(case: Case) -> list[int]:
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


def pinned(request: CheckRequest, rendered: Mapping[tuple[int, int], tuple[Alert, ...]]) -> str:
    """The test group of the first case (just past the threshold) for people to read: most series and samples cut."""
    lines = list(test_group(request, request.cases[0], request.cases[0].name))
    head, series = lines[:3], lines[3:]
    shown = [line if len(line) <= _WIDEST else f'{line[:_WIDEST]} …"' for line in series[: 2 * _MOST_SERIES]]
    if len(series) > len(shown):
        shown.append(f"      # … {(len(series) - len(shown)) // 2} more series: alert-harness prove --emit DIR")
    assertions = ["    alert_rule_test:"]
    for tick in telling_ticks(request.cases[0]):
        assertions += _alert_assertion(request, request.cases[0], tick, rendered.get((0, tick), ()))
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
        for tick in telling_ticks(case):
            alerts = rendered.get((f, tick), ()) if rendered is not None else ()
            lines += _alert_assertion(request, case, tick, alerts)
        exprs = _pending_assertions(request, case, f if rendered is None else None)
        if rendered is not None:
            exprs += co_firing(request, case, telling_ticks(case)[-1])
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
        f"      - expr: {double_quoted(f'count({_ACTIVE}{{{own}}}) > bool 0 or vector(0)')}",
        f"        eval_time: {format_duration(at_ms)}",
        f"        exp_samples: [{{labels: '{{}}', value: {int(active)}}}]",
    ]
    return "\n".join(lines) + "\n"


def says_activity(failure: str) -> bool:
    """Whether a failure of a run (`Failures.other`) is that of an :func:`activity_test`."""
    return f'expr: "count({_ACTIVE}' in failure and "got:" in failure


def head(request: CheckRequest, folder: Path, prefix: str = "") -> Iterable[str]:
    yield "rule_files:"
    yield from (f"  - {double_quoted(path)}" for path in request.rules.listed(folder, prefix))
    yield f"evaluation_interval: {format_duration(request.interval_ms)}"
    yield f"group_eval_order: [{', '.join(map(double_quoted, request.rules.order))}]"
    yield "tests:"


def test_group(request: CheckRequest, case: Case, name: str) -> Iterable[str]:
    patterns = {id(trace.times_ms): trace.times_ms for trace in case.traces}  # most series share one
    times = (at for times in patterns.values() for at in times)
    begins = begins_ms(case)
    step = math.gcd(case.scrape_ms, case.phase_ms, begins, *times)
    yield f"  - name: {double_quoted(name)}"
    yield f"    interval: {format_duration(step)}"
    if request.server.external_labels:
        yield f"    external_labels: {flow(request.server.external_labels)}"
    yield "    input_series:"
    if not case.traces:
        # promtool wants at least the key; a world without any series is an empty list.
        yield "      []"
    end_ms = begins + (case.ticks - 1) * request.located.group.interval_ms
    for trace in (trace.beginning_at(begins) for trace in case.traces):
        yield f"      - series: {double_quoted(format_labels(trace.labels))}"
        values = _values([begins + at for at in trace.times_ms], trace.values, step, end_ms)
        yield f"        values: {double_quoted(values)}"


def begins_ms(case: Case) -> int:
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
    return format_duration(begins_ms(case) + tick * request.interval_ms)


def _alert_assertion(request: CheckRequest, case: Case, tick: int, alerts: Sequence[Alert]) -> Iterable[str]:
    yield f"      - eval_time: {eval_time(request, case, tick)}"
    yield f"        alertname: {double_quoted(request.located.rule.alert)}"
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
                yield f"              {double_quoted(name)}: {double_quoted(value)}"


def _pending_assertions(request: CheckRequest, case: Case, number: int | None) -> list[str]:
    """The tick on which an alert becomes pending can only be asserted through ALERTS. A number is written behind the
    expression, for promtool does not say to which test group one belongs."""
    expr = f"count(ALERTS{{{selector(request, alertstate='pending')}}})"
    expr += "" if number is None else f" # {number}"
    lines: list[str] = []
    for tick in _pending_ticks(case.timelines):
        pending = sum(t.states[tick] is AlertState.PENDING for t in case.timelines)
        lines.append(f"      - expr: {double_quoted(expr)}")
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
        f"      - expr: {double_quoted(f'0 * count(ALERTS{{alertname!={quote(own)}}}) or vector(0)')}",
        f"        eval_time: {eval_time(request, case, tick)}",
        "        exp_samples: [{labels: '{}', value: 0}]",
    ]


def _pending_ticks(timelines: Sequence[AlertTimeline]) -> list[int]:
    firsts = {t.first(AlertState.PENDING) for t in timelines}
    return sorted(tick for tick in firsts if tick is not None)[:2]


def flow(pairs: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{double_quoted(k)}: {double_quoted(v)}" for k, v in pairs.items()) + "}"
