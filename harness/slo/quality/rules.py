"""Which alerts of a rule set speak of which objective, and with what severity."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import promql_parser as promql

from harness.errors import InputError
from harness.replay import Replay
from harness.rules import AlertRule, Group, RuleFile
from harness.rules.expr import parse_expr
from harness.rules.selectors import Selector, selectors
from harness.slo.model import Objective
from harness.slo.quality.series import labels_grouped_by
from harness.slo.queries import queries_of, selected

_SEVERITIES = {"page": "page", "critical": "page", "ticket": "ticket", "warning": "ticket"}
_ABSENT = re.compile(r"\babsent(_over_time)?\b")


@dataclass(frozen=True, slots=True)
class AlertInGroup:
    """An alert in its group."""

    group: Group
    rule: AlertRule


@dataclass(frozen=True, slots=True)
class BurnRateRules:
    """Rule files, and the alerts of one objective in them by severity."""

    files: Sequence[RuleFile]
    alerts: Mapping[str, tuple[AlertInGroup, ...]]
    selectors: tuple[Selector, ...]
    """The raw series that these alerts read, through recording rules."""
    grouped_by: tuple[str, ...] = ()
    """The labels by which these alerts, or the recording rules before them, group."""


def alerts_of(
    objective: Objective, others: Sequence[Objective], files: Sequence[RuleFile], replay: Replay
) -> BurnRateRules:
    """The burn-rate alerts of an objective: by sloth's or pyrra's labels, else by the series that they read.

    Raises InputError if an alert could belong to several objectives or does not tell its severity.
    """
    found: dict[str, list[AlertInGroup]] = {}
    raw: dict[Selector, None] = {}
    by: dict[str, None] = {}
    for group, rule in ((g, r) for file in files for g in file.groups for r in g.alerts()):
        if not _speaks_of(objective, others, group, rule, replay):
            continue
        found.setdefault(_severity(group, rule), []).append(AlertInGroup(group, rule))
        raw |= dict.fromkeys(_raw_selectors(replay, group, rule))
        by |= dict.fromkeys(_grouped_by(replay, group, rule))
    return BurnRateRules(files, {severity: tuple(rules) for severity, rules in found.items()}, tuple(raw), tuple(by))


def _speaks_of(
    objective: Objective, others: Sequence[Objective], group: Group, rule: AlertRule, replay: Replay
) -> bool:
    if tells_absence(parse_expr(rule.expr)):
        return False
    labels = {**group.labels, **rule.labels}
    for name, value in (("sloth_id", objective.id), ("sloth_slo", objective.name), ("slo", objective.name)):
        if name in labels and "{{" not in labels[name].value:
            return labels[name].value == value
    # sloth sets its labels on what it records, so they are in the alert's selectors.
    asked = {
        matcher.value
        for selector in selectors(parse_expr(rule.expr))
        for matcher in selector.matchers
        if matcher.label == "sloth_id" and matcher.op == "="
    }
    if asked:
        return objective.id in asked
    if _ABSENT.search(rule.expr.value):
        return False
    reads = {selector.metric for selector in _raw_selectors(replay, group, rule)}
    mine = [o for o in (objective, *(o for o in others if o is not objective)) if _metrics(o) <= reads]
    if objective not in mine:
        return False
    if len(mine) > 1:
        raise InputError(
            f"the alert `{rule.alert}` could speak of {', '.join(f'`{o.name}`' for o in mine)}: it reads their series",
            span=rule.span,
            hint="give it the label `sloth_id: SERVICE-NAME` of its objective, or prove one with --objective NAME",
        )
    return True


def tells_absence(node: Any) -> bool:
    """Whether an expression asks for absent data, as `absent(…) == 1` does, and not how fast a budget burns."""
    match node:
        case promql.ParenExpr() | promql.AggregateExpr():
            return tells_absence(node.expr)
        case promql.Call():
            return node.func.name in ("absent", "absent_over_time")
        case promql.BinaryExpr() if str(node.op) == "or":
            return tells_absence(node.lhs) and tells_absence(node.rhs)
        case promql.BinaryExpr():
            return tells_absence(node.lhs)
    return False


def _metrics(objective: Objective) -> set[str]:
    return {selector.metric for query in queries_of(objective.indicator) for selector in selected(query)}


def _raw_selectors(replay: Replay, group: Group, rule: AlertRule) -> list[Selector]:
    """The selectors of an alert and of the recording rules before it, without those of recorded series."""
    plan = replay.plan(group, rule)
    recorded = {r.record for _, r in plan.recordings}
    expressions = [rule.expr, *(r.expr for _, r in plan.recordings)]
    return [s for expr in expressions for s in selectors(parse_expr(expr)) if s.metric not in recorded]


def _grouped_by(replay: Replay, group: Group, rule: AlertRule) -> Iterator[str]:
    """The labels of every `by (…)` of an alert and of the recording rules before it, but for those that rules set."""
    plan = replay.plan(group, rule)
    own = {label for g, r in plan.recordings for label in (*g.labels, *r.labels)}
    for expr in (rule.expr, *(r.expr for _, r in plan.recordings)):
        yield from (label for label in labels_grouped_by(parse_expr(expr)) if label not in own)


def _severity(group: Group, rule: AlertRule) -> str:
    labels = {**group.labels, **rule.labels}
    for name in ("sloth_severity", "severity"):
        if name in labels:
            value = labels[name].value
            if value in _SEVERITIES:
                return _SEVERITIES[value]
            raise InputError(
                f"`{rule.alert}` has the severity `{value}`",
                span=labels[name].span,
                hint=f"burn-rate alerts are one of: {', '.join(_SEVERITIES)}",
            )
    raise InputError(
        f"`{rule.alert}` does not tell its severity",
        span=rule.span,
        hint="give it the label `severity`: page or critical, ticket or warning",
    )
