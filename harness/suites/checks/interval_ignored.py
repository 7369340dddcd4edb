"""A rule group tested at another interval than its own: promtool looks at the test's `evaluation_interval` only.

A group that sets none has that of Prometheus, and is judged where the project's settings tell it; so are subqueries
without a step.

Where the two make an alert's `for` end at another time the test is wrong about the rule; elsewhere it is a matter of
taste, for a test of the same ticks may still be right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.errors import InputError
from harness.rules.expr import leaves_a_step_out
from harness.suites.checks import FileView, Hit
from harness.suites.coverage import alerts_selected
from harness.units import format_duration


def check(view: FileView) -> Iterator[Hit]:
    evaluation_ms = view.suite.evaluation_ms
    asserted = {a.alertname.value for group in view.groups for a in group.alerts}
    names = view.rules.alert_names()
    for tests in view.groups:
        for expr in tests.exprs:
            asserted |= alerts_selected(expr, names)
    told = view.rules.evaluation_ms
    if told is not None and told != evaluation_ms:
        yield from _steps(view, sorted(asserted), told)
    for file, group in view.rules.groups():
        tested = [rule for rule in group.alerts() if rule.alert in asserted]
        if not tested or group.interval_ms == evaluation_ms or (told is None and not group.own_interval):
            continue
        wrong = [
            (rule.alert, rule.hold_ms)
            for rule in tested
            if _ticks(rule.hold_ms, group.interval_ms) != _ticks(rule.hold_ms, evaluation_ms)
            or _ticks(rule.keep_firing_ms, group.interval_ms) != _ticks(rule.keep_firing_ms, evaluation_ms)
        ]
        message = (
            f"group `{group.name}` ({file.name}:{group.span.line}) is evaluated every "
            f"{format_duration(group.interval_ms)}, the test evaluates it every {format_duration(evaluation_ms)}"
        )
        if wrong:
            name, hold_ms = wrong[0]
            message += (
                f": `{name}` (for: {format_duration(hold_ms)}) fires after "
                f"{format_duration(_ticks(hold_ms, evaluation_ms))} in the test and after "
                f"{format_duration(_ticks(hold_ms, group.interval_ms))} in production"
            )
        yield Hit(
            view.suite.evaluation_span,
            message,
            f"set `evaluation_interval: {format_duration(group.interval_ms)}`; test groups of rules with other "
            "intervals in files of their own",
            taste=not wrong,
        )


def _steps(view: FileView, alerts: Sequence[str], told_ms: int) -> Iterator[Hit]:
    """Subqueries without a step: promtool gives them that of the test, Prometheus its own, whatever the group's is."""
    evaluation_ms = view.suite.evaluation_ms
    for alert in alerts:
        try:
            found = any(map(leaves_a_step_out, view.reads.exprs_of_alert(alert)))
        except InputError:  # an expression that we cannot read
            continue
        if found:
            yield Hit(
                view.suite.evaluation_span,
                f"`{alert}` has a subquery without a step, which is {format_duration(evaluation_ms)} in the test and "
                f"{format_duration(told_ms)} in production (global.evaluation_interval)",
                f"write the step into the rule, such as `[1h:{format_duration(told_ms)}]`",
                taste=True,
            )


def _ticks(duration_ms: int, interval_ms: int) -> int:
    """When a duration has passed, as seen by evaluations that far apart."""
    return -(-duration_ms // interval_ms) * interval_ms
