"""An assertion on an alert that no rule file defines: "nothing fires" is then always true."""

from __future__ import annotations

from collections.abc import Iterator

from harness.errors import near_miss
from harness.suites.checks import FileView, Hit
from harness.suites.coverage import alert_selectors


def check(view: FileView) -> Iterator[Hit]:
    if not view.rules.known:  # the alert may stand in a file that we have not read
        return
    known = view.rules.alert_names()
    for group in view.groups:
        for assertion in group.alerts:
            name = assertion.alertname
            if name.value not in known:
                yield Hit(
                    name.span,
                    f"no rule file of this test defines an alert `{name.value}`{near_miss(name.value, known)}, "
                    "so it can never fire and an empty `exp_alerts` always passes",
                    "correct the name, or add the rule's file to `rule_files`",
                    group.title,
                )
        own = {series.metric for series in group.series}
        if "ALERTS" in own or None in own:
            continue
        for expr in group.exprs:
            if expr.samples:
                continue  # it fails by itself
            for matchers in alert_selectors(expr.expr):
                for value in (matcher.value for matcher in matchers if matcher.op == "="):
                    if value not in known:
                        at = expr.expr.value.find(value)
                        yield Hit(
                            expr.expr.span_at(at, len(value)),
                            f"no rule file of this test defines an alert `{value}`{near_miss(value, known)}, "
                            "so this expression never returns anything",
                            "correct the name, or add the rule's file to `rule_files`",
                            group.title,
                        )
