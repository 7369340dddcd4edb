"""The metric and label names that an expression relies on, from its syntax tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser as promql

from harness.rules.expr import parse_expr, walk
from harness.rules.selectors import NAME, Selector, made_labels, selector_text, selectors
from harness.source import Text

_ABSENT = frozenset({"absent", "absent_over_time"})


@dataclass(frozen=True, slots=True)
class LabelsRead:
    """Labels that an operator reads, and the selectors one of which must carry each."""

    operator: str
    labels: tuple[str, ...]
    selectors: tuple[Selector, ...]


def name_of(selector: Selector) -> str:
    """The metric's name, or the matchers of names as text, or nothing."""
    return selector.metric or (selector_text(*selector.names) if selector.names else "")


def selected(expr: Text) -> dict[Selector, bool]:
    """Every selector of an expression, once, in order, and whether the expression asks for its absence."""
    tree = parse_expr(expr)
    absent = {
        selector
        for node in walk(tree)
        if isinstance(node, promql.Call) and node.func.name in _ABSENT
        for selector in selectors(node)
    }
    return {selector: selector in absent for selector in selectors(tree)}


def readings(expr: Text) -> Iterator[LabelsRead]:
    """Every `by`, `without`, `on`, `ignoring`, `group_left`, `label_replace` of an expression that reads labels."""
    for node in walk(parse_expr(expr)):
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            by = node.modifier.type == promql.AggModifierType.By
            yield from _reading("by" if by else "without", node.modifier.labels, node.expr)
        elif isinstance(node, promql.BinaryExpr) and node.modifier is not None:
            yield from _matching(node)
        elif isinstance(node, promql.Call) and node.func.name in ("label_replace", "label_join"):
            read = node.args[3:4] if node.func.name == "label_replace" else node.args[3:]
            yield from _reading(node.func.name, [arg.val for arg in read], node.args[0])


def _matching(node: Any) -> Iterator[LabelsRead]:
    matching, card = node.modifier.matching, node.modifier.card
    if matching is not None and matching.type == promql.LabelModifierType.Include:
        for side in (node.lhs, node.rhs):  # each by itself: series without the label never meet those with it
            yield from _reading("on", matching.labels, side)
    elif matching is not None:
        yield from _reading("ignoring", matching.labels, node)
    added = list(node.modifier.group_labels or ())
    if added and card == promql.VectorMatchCardinality.ManyToOne:
        yield from _reading("group_left", added, node.rhs)
    elif added:
        yield from _reading("group_right", added, node.lhs)


def _reading(operator: str, labels: list[str], node: Any) -> Iterator[LabelsRead]:
    made = made_labels(node)
    read = tuple(label for label in labels if label not in made and label != NAME)
    below = tuple(dict.fromkeys(selectors(node)))
    if read and below:
        yield LabelsRead(operator, read, below)
