"""A file without test groups, or a group without assertions: there is nothing that could fail."""

from __future__ import annotations

from collections.abc import Iterator

from harness.suites.checks import FileView, Hit


def check(view: FileView) -> Iterator[Hit]:
    if not view.suite.groups:
        yield Hit(
            view.suite.span,
            f"{view.suite.name} has no test groups, so it tests nothing",
            "add groups under `tests:`, or remove the file",
        )
    for group in view.groups:
        if not group.alerts and not group.exprs:
            yield Hit(
                group.span,
                "this test group asserts nothing, so it always passes",
                "add `alert_rule_test` or `promql_expr_test`, or remove the group",
                group.title,
            )
