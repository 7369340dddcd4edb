"""What labels an alert has: the element's, the group's and the rule's over them, its own name over all.

As in Prometheus' rules/alerting.go, Eval: templates see the labels of the query's result only (its name among them, and
what the rule overrides as it was before), and an empty label is an absent one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from harness.engines import QueryError
from harness.rules import AlertRule, Group, RecordingRule, Rule
from harness.series import Labels, format_labels

_PLAIN_LABEL = re.compile(r"\{\{-?\s*\$labels\.(\w+)\s*-?\}\}")
_HIDDEN = "\0"
"""Begins the name of a pair that tells alerts apart by what only Prometheus can expand."""


def alert_labels(rule: AlertRule, group: Group, element: Mapping[str, str]) -> Labels:
    """The alert's labels as far as they can be told without Prometheus' templates: one that is more than plain
    `{{ $labels.x }}` stays out."""
    labels = {name: value for name, value in element.items() if name != "__name__"}
    for name, text in group.labels_of(rule).items():
        expanded = _PLAIN_LABEL.sub(lambda m: element.get(m[1], ""), text.value)
        labels[name] = "" if "{{" in expanded else expanded
    labels["alertname"] = rule.alert
    return _sorted(labels)


def recorded_labels(rule: RecordingRule, group: Group, element: Mapping[str, str]) -> Labels:
    """The labels under which a recording rule writes an element."""
    labels = {name: text.value for name, text in group.labels_of(rule).items()}
    return _sorted({**element, **labels, "__name__": rule.record})


@dataclass(frozen=True, slots=True)
class ToldApart:
    """By what, beside the labels that we know, the alerts of a rule differ: what its opaque templates look at."""

    value: bool
    """Another value is another alert, and `for` begins again."""
    element: bool


def opaque_labels(rule: AlertRule, group: Group) -> dict[str, str]:
    """The labels that only Prometheus can tell, with their templates: more than plain `{{ $labels.x }}`."""
    templates = ((name, _PLAIN_LABEL.sub("", text.value)) for name, text in group.labels_of(rule).items())
    return {name: text for name, text in templates if "{{" in text}


def told_apart_by(rule: AlertRule, group: Group) -> ToldApart:
    """What those label templates of a rule look at that only Prometheus can expand."""
    opaque = opaque_labels(rule, group).values()
    return ToldApart(
        any("$value" in text or ".Value" in text for text in opaque),
        any("$labels" in text or ".Labels" in text for text in opaque),
    )


def identity(labels: Labels, by: ToldApart, element: Labels, value: float) -> Labels:
    """What tells an alert from the rule's others."""
    if by.value:
        labels = (*labels, (f"{_HIDDEN}value", repr(value)))
    if by.element:
        labels = (*labels, (f"{_HIDDEN}element", repr(element)))
    return labels


def shown(identity: Labels) -> Labels:
    """An alert's labels from its identity."""
    return tuple(pair for pair in identity if not pair[0].startswith(_HIDDEN))


def equal_labels(rule: Rule, labels: Labels, *elements: Labels) -> QueryError:
    """What Prometheus says where two elements end up with the same labels: it fails the whole evaluation."""
    kind = "alert" if isinstance(rule, AlertRule) else "rule"
    of = f" from {' and '.join(map(format_labels, elements))}" if elements else ""
    error = QueryError(
        "execution",
        f"vector contains metrics with the same labelset after applying {kind} labels: {format_labels(labels)}{of}",
        rule.expr.value,
    )
    error.span, error.hint = rule.expr.span_at(0), "keep a distinguishing label, or aggregate"
    return error


def _sorted(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted((name, value) for name, value in labels.items() if value))
