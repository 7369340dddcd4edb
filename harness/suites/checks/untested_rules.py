"""A rule that the tests load and that no assertion speaks of."""

from __future__ import annotations

from collections.abc import Iterator

from harness.suites.checks import Hit, RunView

TASTE = True


def check_run(view: RunView) -> Iterator[Hit]:
    if view.run or not view.complete:  # a part of the tests says nothing about the rest
        return
    for rule in view.coverage:
        if not rule.asserted:
            what = "alert" if rule.kind == "alert" else "recording rule"
            yield Hit(
                rule.span,
                f"no test speaks of the {what} `{rule.name}`",
                "assert when it fires and when it is quiet"
                if rule.kind == "alert"
                else "add a promql_expr_test, or an assertion on an alert that reads it",
            )
