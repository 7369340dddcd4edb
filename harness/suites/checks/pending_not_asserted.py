"""A test group that says an alert is quiet, while its condition is true and only `for` has not passed yet.

promtool compares firing alerts only. "Not firing yet" and "not firing" look the same, so a threshold that moved goes
unnoticed. Silent where the group also asserts that the alert fires (a test of `for`) or asserts on ALERTS.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.suites.checks import FileView, Hit
from harness.suites.coverage import alerts_selected
from harness.units import format_duration

TASTE = True


def check(view: FileView) -> Iterator[Hit]:
    names = view.rules.alert_names()
    for group in view.groups:
        fires = {a.alertname.value for a in group.alerts if a.expected}
        for expr in group.exprs:
            fires |= alerts_selected(expr, names)
        told: set[str] = set()
        for assertion in group.alerts:
            name = assertion.alertname.value
            observed = view.observed(group, assertion.eval_time_ms)
            if assertion.expected or name in fires or name in told or observed is None:
                continue
            if observed.pending.get(name):
                told.add(name)
                yield Hit(
                    assertion.span,
                    f"`{name}` is pending at {format_duration(assertion.eval_time_ms)}: its condition is true, only "
                    "its `for` has not passed; the empty `exp_alerts` does not see the difference",
                    f'if that is meant, add a promql_expr_test on ALERTS{{alertname="{name}", alertstate="pending"}}; '
                    "else assert later",
                    group.title,
                )
