"""Which rules the tests speak of, and which alerts they have seen firing and quiet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.errors import InputError
from harness.rules.expr import parse_expr
from harness.rules.model import AlertRule
from harness.rules.selectors import Matcher, selectors
from harness.source import Text, display_path
from harness.suites.model import ExprAssertion, FileResult, RuleCoverage
from harness.suites.reads import Reads
from harness.suites.rulefiles import TestedRules

_ALERT_METRICS = ("ALERTS", "ALERTS_FOR_STATE")


def alerts_selected(expr: ExprAssertion, names: set[str]) -> set[str]:
    """The alerts, among `names`, of which an assertion on an expression speaks: all that its `ALERTS{…}` can return."""
    return {
        name
        for matchers in alert_selectors(expr.expr)
        for name in names
        if all(matcher.accepts(name) for matcher in matchers)
    }


def alerts_named(expr: ExprAssertion, names: set[str]) -> set[str]:
    """Those that it names itself: by a matcher on `alertname`, or in the labels of an expected sample."""
    narrow = all(matchers for matchers in alert_selectors(expr.expr))
    return alerts_selected(expr, names) if narrow else _in_samples(expr, names)


def _in_samples(expr: ExprAssertion, names: set[str]) -> set[str]:
    found = {
        match[1]
        for s in expr.samples
        if s.labels
        for match in re.finditer(r'alertname\s*=\s*"([^"]*)"', s.labels.value)
    }
    return found & names


def alert_selectors(expr: Text) -> Iterator[list[Matcher]]:
    """For each selector of `ALERTS` its matchers on `alertname`."""
    try:
        tree = parse_expr(expr)
    except InputError:
        return
    for selector in selectors(tree):
        if selector.metric in _ALERT_METRICS:
            yield [matcher for matcher in selector.matchers if matcher.label == "alertname"]


def coverage(files: Sequence[FileResult], rule_sets: Sequence[TestedRules]) -> tuple[RuleCoverage, ...]:
    """Of every rule that the test files read, once, in the order in which it is met."""
    found: dict[tuple[Path, int, int], RuleCoverage] = {}
    for result, rules in zip(files, rule_sets, strict=True):
        reads = Reads(rules)
        names = rules.alert_names()
        asserted, firing, quiet = _asserted(result, names)
        recorded: set[str | None] = set()
        for name in asserted:
            recorded |= reads.of_alert(name)[0]
        for expr in _exprs(result):
            recorded |= reads.of_expr(expr.expr)[0]
        for file, group in rules.groups():
            for rule in group.rules:
                key = (file.path.resolve(), rule.span.line, rule.span.column)
                old = found.get(key)
                if isinstance(rule, AlertRule):
                    new = RuleCoverage(
                        rule.alert, "alert", display_path(file.path), rule.span,
                        rule.alert in asserted, rule.alert in firing, rule.alert in quiet,
                    )  # fmt: skip
                else:
                    new = RuleCoverage(
                        rule.record, "record", display_path(file.path), rule.span, rule.record in recorded
                    )
                found[key] = new if old is None else _either(old, new)
    return tuple(found.values())


def _either(a: RuleCoverage, b: RuleCoverage) -> RuleCoverage:
    return RuleCoverage(
        a.name, a.kind, a.file, a.span, a.asserted or b.asserted, a.firing or b.firing, a.quiet or b.quiet
    )


def _exprs(result: FileResult) -> Iterator[ExprAssertion]:
    for group in result.suite.groups if result.suite else ():
        if group.index in result.ran:
            yield from group.exprs


def _asserted(result: FileResult, names: set[str]) -> tuple[set[str], set[str], set[str]]:
    """The alerts that some assertion names, expects to fire, expects to be quiet."""
    asserted: set[str] = set()
    firing: set[str] = set()
    quiet: set[str] = set()
    for group in result.suite.groups if result.suite else ():
        if group.index not in result.ran:
            continue
        for assertion in group.alerts:
            asserted.add(assertion.alertname.value)
            (firing if assertion.expected else quiet).add(assertion.alertname.value)
    for expr in _exprs(result):
        named = alerts_named(expr, names)
        asserted |= named
        if not expr.samples:
            quiet |= named
        elif any("pending" not in (s.labels.value if s.labels else "") for s in expr.samples):
            firing |= _in_samples(expr, names) or named
    return asserted, firing, quiet
