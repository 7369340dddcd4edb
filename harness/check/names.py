"""The metric and label names that an expression relies on, from its syntax tree."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import promql_parser as promql

from harness.rules.expr import parse_expr, walk
from harness.source import Text

NAME = "__name__"
_OPS = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}
_PLAIN_NAME = re.compile(r"[a-zA-Z_]\w*", re.ASCII)
_ABSENT = frozenset({"absent", "absent_over_time"})


@dataclass(frozen=True, slots=True)
class Matcher:
    """``status=~"5.."``."""

    label: str
    op: str
    value: str

    def __str__(self) -> str:
        return f"{name_text(self.label)}{self.op}{json.dumps(self.value, ensure_ascii=False)}"


@dataclass(frozen=True, slots=True)
class Selector:
    """What an expression selects, without range and offset."""

    names: tuple[Matcher, ...]
    """What is asked of the metric's name; empty if nothing is."""
    matchers: tuple[Matcher, ...]
    """What is asked of the labels."""
    may_be_absent: bool = False
    """Whether the expression asks for its absence."""

    @property
    def metric(self) -> str:
        """The metric's name, or the matchers of names as text, or nothing."""
        if len(self.names) == 1 and self.names[0].op == "=":
            return self.names[0].value
        return selector_text(*self.names) if self.names else ""


@dataclass(frozen=True, slots=True)
class Reading:
    """Labels that an operator reads, and the selectors one of which must carry each."""

    operator: str
    labels: tuple[str, ...]
    selectors: tuple[Selector, ...]


def name_text(label: str) -> str:
    """A label's name as PromQL writes it: in quotes where it is not of the old kind (Prometheus 3)."""
    return label if _PLAIN_NAME.fullmatch(label) else json.dumps(label, ensure_ascii=False)


def selector_text(*matchers: Matcher) -> str:
    """PromQL that both Prometheus 2 and 3 read, whatever the name: ``{__name__="up", job="api"}``."""
    return "{" + ", ".join(map(str, matchers)) + "}"


def selectors(expr: Text) -> tuple[Selector, ...]:
    """Every selector of an expression, each once, in order."""
    return _selectors(parse_expr(expr))


def readings(expr: Text) -> Iterator[Reading]:
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


def _matching(node: Any) -> Iterator[Reading]:
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


def _reading(operator: str, labels: list[str], node: Any) -> Iterator[Reading]:
    made = _made(node)
    read = tuple(label for label in labels if label not in made and label != NAME)
    below = _selectors(node)
    if read and below:
        yield Reading(operator, read, below)


def made_labels(expr: Text) -> set[str]:
    """Labels that an expression makes itself."""
    return _made(parse_expr(expr))


def _made(root: Any) -> set[str]:
    made = set()
    for node in walk(root):
        if isinstance(node, promql.Call) and node.func.name in ("label_replace", "label_join"):
            made.add(node.args[1].val)
        elif isinstance(node, promql.AggregateExpr) and isinstance(node.param, promql.StringLiteral):
            made.add(node.param.val)  # count_values
    return made


def _selectors(root: Any) -> tuple[Selector, ...]:
    absent = {
        selector
        for node in walk(root)
        if isinstance(node, promql.Call) and node.func.name in _ABSENT
        for selector in _plain_selectors(node)
    }
    return tuple(
        replace(selector, may_be_absent=True) if selector in absent else selector for selector in _plain_selectors(root)
    )


def _plain_selectors(root: Any) -> dict[Selector, None]:
    return {
        _selector(node, matchers): None
        for node in walk(root)
        if isinstance(node, promql.VectorSelector)
        for matchers in node.matchers.or_matchers or [node.matchers.matchers]
    }


def _selector(node: Any, matchers: list[Any]) -> Selector:
    read = [Matcher(matcher.name, _OPS[str(matcher.op)], matcher.value) for matcher in matchers]
    names = [Matcher(NAME, "=", node.name)] if node.name else []
    names += [matcher for matcher in read if matcher.label == NAME]
    return Selector(tuple(names), tuple(m for m in read if m.label != NAME))
