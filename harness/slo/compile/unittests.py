"""promtool unit tests for compiled rules, from the formulas and not from running them.

Alerts are driven by the series that they read, one double above a pair's threshold and at it, so the whole of every
window is told whatever its length (promtool could not load three days of samples). Where the queries are plain enough
to make up raw series for them, a second kind of group drives everything from those.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

from harness.rules.selectors import quote
from harness.slo.compile import expressions, series
from harness.slo.compile.examples import Example, example_of
from harness.slo.compile.rules import CompiledGroup, CompiledRule
from harness.slo.compile.write import MARK
from harness.slo.model import BurnPair, Calendar, Objective, RawRatio, ThresholdIndicator
from harness.slo.queries import answers_without_data, tree
from harness.units import format_duration, format_number
from harness.yamltext import scalar

_STEADY_TICKS = 10
_UNTESTED = (
    "# The query answers without any series too, so that nobody but the rules can write what the alerts read:",
    "# their thresholds are not tested here.",
)


def unit_tests_yaml(group: CompiledGroup, rule_file: str) -> str:
    """The unit-test file of one objective's rules; `rule_file` is relative to the test file."""
    lines = [
        MARK,
        *(_UNTESTED if _speaks_without_data(group.objective) else ()),
        "rule_files:",
        f"  - {scalar(rule_file)}",
        "",
        f"evaluation_interval: {format_duration(group.interval_ms)}",
        "",
        "tests:",
    ]
    for test in _groups(group):
        lines += ["", *test]
    return "\n".join(lines) + "\n"


def _groups(group: CompiledGroup) -> Iterator[list[str]]:
    yield _constants(group)
    if not _speaks_without_data(group.objective):
        yield _no_data(group)
        for rule in group.burn_alerts:
            for pair in rule.pairs:
                yield from _pair(group, rule, pair)
        if expressions.is_sliced(group.objective):
            yield from _from_slices(group)
    for rule in group.no_data_alerts:
        yield from _absence(group, rule)
    example = example_of(group)
    if example is not None:
        yield from _from_raw(group, example)


def _speaks_without_data(objective: Objective) -> bool:
    """Whether a query may return something although no series is there; of events the ratio hangs on the total's."""
    indicator = objective.indicator
    query = indicator.query if isinstance(indicator, RawRatio | ThresholdIndicator) else indicator.total
    return answers_without_data(tree(query))


# -- groups --------------------------------------------------------------------------------------------------------


def _constants(group: CompiledGroup) -> list[str]:
    objective = group.objective
    labels = _labels(objective)
    checks = [
        (series.OBJECTIVE, format_number(objective.target), labels),
        (series.ERROR_BUDGET, format_number(objective.budget), labels),
        (series.INFO, "1", _labels_of(group, series.INFO)),
    ]
    days = format_number(Fraction(objective.period.nominal_ms, 86_400_000))
    if isinstance(objective.period, Calendar) and objective.period.months == 1:
        days = "31"  # promtool begins on 1970-01-01, in a January
    checks.append((series.PERIOD_DAYS, days, labels))
    return _test(
        f"{objective.id}: what the objective says, whatever the data",
        group,
        [],
        [line for name, value, text in checks for line in _expect(name, objective, "0s", [(text, value)])],
    )


def _no_data(group: CompiledGroup) -> list[str]:
    objective = group.objective
    names = [
        *(series.error_ratio(ms) for ms in group.windows_ms),
        series.error_ratio(objective.period.label),
        series.CURRENT_BURN_RATE,
        series.PERIOD_BURN_RATE,
        series.BUDGET_REMAINING,
    ]
    lines = [line for name in names for line in _expect(name, objective, "0s", [])]
    for rule in {rule.name: rule for rule in group.burn_alerts}.values():
        lines += _alerts(rule, objective, "0s", [])
    return _test(f"{objective.id}: without data there is no ratio and no alert", group, [], lines)


def _absence(group: CompiledGroup, rule: CompiledRule) -> Iterator[list[str]]:
    """Without data the alert fires once its `for` has passed; with data, of no traffic too, it is quiet."""
    objective, ticks = group.objective, _ticks(group, rule)
    severity = rule.labels[series.SEVERITY_LABEL]
    stages = sorted({tick for tick in (0, ticks - 1, ticks) if tick >= 0})
    yield _test(
        f"{objective.id}, {severity}: without data the alert on absent data fires",
        group,
        [],
        [line for tick in stages for line in _without_data(group, [rule], tick)],
    )
    base_ms = group.windows_ms[0]
    if series.total_events(base_ms) in rule.expr:
        name = _series(series.total_events(base_ms), objective, format_duration(base_ms))
        yield _test(
            f"{objective.id}, {severity}: no traffic is not absent data",
            group,
            [(name, f"0x{ticks}")],
            _of_rule(group, rule, format_duration(ticks * group.interval_ms), []),
        )


def _without_data(group: CompiledGroup, rules: Sequence[CompiledRule], tick: int) -> list[str]:
    """What alerts on absent data do at a tick if there never were any."""
    lines: list[str] = []
    for rule in rules:
        state = "firing" if tick >= _ticks(group, rule) else "pending"
        labels = _text({**rule.labels, "alertname": rule.name, "alertstate": state})
        lines += _of_rule(group, rule, format_duration(tick * group.interval_ms), [(labels, "1")])
    return lines


def _ticks(group: CompiledGroup, rule: CompiledRule) -> int:
    """How many ticks an alert is pending."""
    return -(-rule.hold_ms // group.interval_ms)


def _pair(group: CompiledGroup, rule: CompiledRule, pair: BurnPair) -> Iterator[list[str]]:
    """The lowest ratio that is to fire does once `for` has passed; the double below it, in either window, is quiet.

    For `>` these are the double after the threshold and the threshold itself, for `>=` the threshold and that before.
    """
    objective = group.objective
    theta = float(pair.threshold(objective.target))
    if pair.inclusive:
        quiet, above = math.nextafter(theta, -math.inf), theta
        fires_at, quiet_at = f"exactly {format_number(theta)}", f"one double below {format_number(theta)}"
    else:
        quiet, above = theta, math.nextafter(theta, math.inf)
        fires_at, quiet_at = f"one double above {format_number(theta)}", f"exactly {format_number(theta)}"
    ticks = _ticks(group, rule)
    # The alert on absent data reads what recordings make of raw series, and here there are none: but for the traffic.
    alone = [] if objective.alerting.min_events else _without_data(group, group.no_data_alerts, ticks)
    title = f"{objective.id}, {pair.severity} {pair.label} × {format_number(pair.factor)}"
    firing = [(_alert_labels(group, rule, pair, "firing"), "1")]
    pending = [(_alert_labels(group, rule, pair, "pending"), "1")]
    stages = {0: pending, ticks - 1: pending, ticks: firing}
    lines = [
        line
        for tick, samples in stages.items()
        if 0 <= tick <= ticks
        for line in _of_rule(group, rule, format_duration(tick * group.interval_ms), samples)
    ]
    yield _test(
        f"{title}: {fires_at} fires",
        group,
        _inputs(group, pair, [above] * len(pair.windows_ms), ticks, objective.alerting.min_events),
        [*lines, *alone],
    )
    for low in range(len(pair.windows_ms)):
        values = [quiet if i == low else above for i in range(len(pair.windows_ms))]
        yield _test(
            f"{title}: {quiet_at} over {format_duration(pair.windows_ms[low])} is quiet",
            group,
            _inputs(group, pair, values, ticks, group.objective.alerting.min_events),
            [*_of_rule(group, rule, format_duration(ticks * group.interval_ms), []), *alone],
        )
    if objective.alerting.min_events:
        yield _test(
            f"{title}: no alert without traffic, below the floor of {objective.alerting.min_events} events",
            group,
            _inputs(group, pair, [above] * len(pair.windows_ms), ticks, 0),
            _of_rule(group, rule, format_duration(ticks * group.interval_ms), []),
        )


def _from_slices(group: CompiledGroup) -> Iterator[list[str]]:
    """The mean of slices: of alike ones over every window, of as many bad as good ones over what holds all of them."""
    objective = group.objective
    metric = f"{series.SLICE_ERROR}{{{_labels(objective)}}}"
    ticks, at = _STEADY_TICKS - 1, format_duration((_STEADY_TICKS - 1) * group.interval_ms)
    period = series.error_ratio(objective.period.label)
    every = [series.error_ratio(ms) for ms in group.windows_ms]
    alone = _without_data(group, group.no_data_alerts, ticks)
    lines = [line for name in (*every, period) for line in _near(name, objective, at, Fraction(1, 4))]
    yield _test(
        f"{objective.id}, from slices: a quarter of each is bad",
        group,
        [(metric, f"0.25x{ticks}")],
        lines + _every_alert(group, at, Fraction(1, 4)) + alone,
    )
    # Two bad slices, then eight good ones: short windows no longer see them, long ones see two of ten.
    whole = [ms for ms in group.windows_ms if ms >= _STEADY_TICKS * group.interval_ms]
    ended = [ms for ms in group.windows_ms if ms < (_STEADY_TICKS - 2) * group.interval_ms]
    if len(whole) + len(ended) < len(group.windows_ms):
        return
    share = Fraction(2, _STEADY_TICKS)
    lines = [line for ms in whole for line in _near(series.error_ratio(ms), objective, at, share)]
    lines += [line for ms in ended for line in _near(series.error_ratio(ms), objective, at, Fraction(0))]
    lines += _near(period, objective, at, share)
    lines += _near(series.BUDGET_REMAINING, objective, at, 1 - share / objective.budget)
    yield _test(
        f"{objective.id}, from slices: two of ten were bad",
        group,
        [(metric, f"1x1 0x{ticks - 2}")],
        lines + _every_alert(group, at, share, ended) + alone,
    )


def _from_raw(group: CompiledGroup, example: Example) -> Iterator[list[str]]:
    objective = group.objective
    ticks = _STEADY_TICKS
    at = format_duration(ticks * group.interval_ms)
    names = [*(series.error_ratio(ms) for ms in group.windows_ms), series.error_ratio(objective.period.label)]
    for share, what in ((example.share, f"{format_number(example.share)} of all fail"), (Fraction(0), "nothing fails")):
        lines = []
        for name in names:
            lines += _near(name, objective, at, share)
        lines += _near(series.BUDGET_REMAINING, objective, at, 1 - share / objective.budget)
        lines += _every_alert(group, at, share)
        lines += [line for rule in group.no_data_alerts for line in _alerts(rule, objective, at, [])]
        yield _test(f"{objective.id}, from raw series: {what}", group, example.steady(share, ticks), lines)
    if example.without_errors is not None:
        lines = [line for name in names for line in _near(name, objective, at, Fraction(0))]
        yield _test(
            f"{objective.id}, from raw series: no series of errors yet is no error",
            group,
            example.without_errors(ticks),
            lines + _every_alert(group, at, Fraction(0)),
        )
    if example.idle is not None:
        lines = [line for name in names for line in _expect(name, objective, at, [])]
        yield _test(
            f"{objective.id}, from raw series: no traffic is no data",
            group,
            example.idle(ticks),
            lines + _every_alert(group, at, Fraction(0)),
        )


def _every_alert(group: CompiledGroup, at: str, share: Fraction, clean_ms: Sequence[int] = ()) -> list[str]:
    """With one error ratio from the first sample on, exactly the pairs whose threshold is below it are true.

    Of `clean_ms` the windows see no error.
    """
    objective = group.objective
    lines: list[str] = []
    for rule in group.burn_alerts:
        above = [pair for pair in rule.pairs if pair.burns(share, objective.target)]
        if objective.alerting.min_events and above:
            continue  # how much traffic there is, the example does not say
        true = [pair for pair in above if not set(pair.windows_ms) & set(clean_ms)]
        # True since the second sample at the latest, so `for` has been running for all ticks but one.
        state = "firing" if rule.hold_ms <= (_STEADY_TICKS - 1) * group.interval_ms else "pending"
        lines += _of_rule(group, rule, at, [(_alert_labels(group, rule, true[0], state), "1")] if true else [])
    return lines


# -- parts of a test -----------------------------------------------------------------------------------------------


def _inputs(
    group: CompiledGroup, pair: BurnPair, values: Sequence[float], ticks: int, events: int
) -> list[tuple[str, str]]:
    objective = group.objective
    found = [
        (_series(series.error_ratio(ms), objective, format_duration(ms)), f"{value!r}x{ticks}")
        for ms, value in zip(pair.windows_ms, values, strict=True)
    ]
    if objective.alerting.min_events:
        base_ms = group.windows_ms[0]
        name = _series(series.total_events(base_ms), objective, format_duration(base_ms))
        found.append((name, f"{events}x{ticks}"))
    return found


def _series(name: str, objective: Objective, window: str) -> str:
    return f"{name}{{{_text({**series.labels_of(objective), series.WINDOW_LABEL: window})}}}"


def _text(labels: dict[str, str]) -> str:
    return ", ".join(f"{name}={quote(value)}" for name, value in sorted(labels.items()) if value)


def _labels(objective: Objective) -> str:
    return _text(series.labels_of(objective))


def _labels_of(group: CompiledGroup, name: str) -> str:
    return next(_text(dict(rule.labels)) for rule in group.rules if rule.name == name)


def _alert_labels(group: CompiledGroup, rule: CompiledRule, pair: BurnPair, state: str) -> str:
    # The alert for all pairs of a severity has no label of windows.
    window = {series.WINDOW_LABEL: format_duration(pair.windows_ms[0])} if series.PAIR_LABEL in rule.labels else {}
    return _text({
        **series.labels_of(group.objective), **window, **rule.labels, "alertname": rule.name, "alertstate": state,
    })  # fmt: skip


def _test(name: str, group: CompiledGroup, inputs: Sequence[tuple[str, str]], assertions: Sequence[str]) -> list[str]:
    lines = [f"  - name: {scalar(name)}", f"    interval: {format_duration(group.interval_ms)}"]
    if inputs:
        lines.append("    input_series:")
        for metric, values in inputs:
            lines += [f"      - series: {scalar(metric)}", f"        values: {scalar(values)}"]
    return [*lines, "    promql_expr_test:", *assertions]


def _expect(name: str, objective: Objective, at: str, samples: Sequence[tuple[str, str]]) -> list[str]:
    return _assertion(series.select(name, objective), at, [(f"{name}{{{labels}}}", v) for labels, v in samples])


def _near(name: str, objective: Objective, at: str, value: Fraction) -> list[str]:
    """Equal but for rounding: rates are made of divisions, and promtool compares bit by bit."""
    expr = f"count(abs({series.select(name, objective)} - {format_number(value)}) < 1e-9)"
    return _assertion(expr.replace("- -", "+ "), at, [("{}", "1")])


def _of_rule(group: CompiledGroup, rule: CompiledRule, at: str, samples: Sequence[tuple[str, str]]) -> list[str]:
    """What an alert does, apart from the objective's others; `samples` are its label sets, with their values."""
    labels = rule.labels
    pair, severity = labels.get(series.PAIR_LABEL), labels[series.SEVERITY_LABEL]
    return _alerts(rule, group.objective, at, samples, pair, severity)


def _alerts(
    rule: CompiledRule,
    objective: Objective,
    at: str,
    samples: Sequence[tuple[str, str]],
    pair: str | None = None,
    severity: str | None = None,
) -> list[str]:
    matchers = [f"alertname={quote(rule.name)}", f"sloth_id={quote(objective.id)}"]
    for name, value in ((series.PAIR_LABEL, pair), (series.SEVERITY_LABEL, severity)):
        if value is not None:
            matchers.append(f"{name}={quote(value)}")
    metric = f"ALERTS{{{', '.join(matchers)}}}"
    if samples and any("{{" in value for value in rule.labels.values()):
        # What a template makes of the labels is Prometheus' affair: only the alert itself is expected.
        states = [
            state for state in ("pending", "firing") for labels, _ in samples if f'alertstate="{state}"' in labels
        ]
        return _assertion(f"count by (alertstate) ({metric})", at, [(f'{{alertstate="{s}"}}', "1") for s in states])
    return _assertion(metric, at, [(f"ALERTS{{{labels}}}", v) for labels, v in samples])


def _assertion(expr: str, at: str, samples: Sequence[tuple[str, str]]) -> list[str]:
    lines = [f"      - expr: {scalar(expr)}", f"        eval_time: {at}"]
    if not samples:
        return [*lines, "        exp_samples: []"]
    lines.append("        exp_samples:")
    return lines + [f"          - {{labels: {scalar(labels)}, value: {value}}}" for labels, value in samples]
