"""What a PromQL expression selects: its selectors, their matchers, and which series they take."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import promql_parser as promql

from harness.errors import Span
from harness.rules.expr import children, parse_expr, walk
from harness.source import Text

NAME = "__name__"
_OPS = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}
_PLAIN_LABEL = re.compile(r"[a-zA-Z_]\w*", re.ASCII)
_PLAIN_METRIC = re.compile(r"[a-zA-Z_:][\w:]*", re.ASCII)


def quote(value: str) -> str:
    """A text between double quotes, as PromQL and Go read it."""
    return json.dumps(value, ensure_ascii=False)


def label_text(label: str) -> str:
    """A label's name as PromQL writes it: in quotes where it is not of the old kind (Prometheus 3)."""
    return label if _PLAIN_LABEL.fullmatch(label) else quote(label)


@dataclass(frozen=True, slots=True)
class Matcher:
    """``status=~"5.."``; `op` is ``=``, ``!=``, ``=~`` or ``!~``."""

    label: str
    op: str
    value: str

    def accepts(self, value: str) -> bool:
        """Whether it selects a series whose label has this value (absent is empty); unreadable patterns do."""
        if self.op in ("=", "!="):
            return (value == self.value) is (self.op == "=")
        try:
            return (re.fullmatch(self.value, value, re.DOTALL) is not None) is (self.op == "=~")
        except re.error:
            return True

    def __str__(self) -> str:
        return f"{label_text(self.label)}{self.op}{quote(self.value)}"


@dataclass(frozen=True, slots=True)
class Selector:
    """What is selected, without range and offset. As text it is PromQL that both Prometheus 2 and 3 read."""

    names: tuple[Matcher, ...]
    """What is asked of the metric's name; empty if nothing is."""
    matchers: tuple[Matcher, ...]
    """What is asked of the labels."""

    @property
    def metric(self) -> str:
        """The metric's name; empty where it is not fixed."""
        return next((matcher.value for matcher in self.names if matcher.op == "="), "")

    def accepts(self, labels: Mapping[str, str]) -> bool:
        """Whether it selects a series of exactly these labels, ``__name__`` among them."""
        return all(matcher.accepts(labels.get(matcher.label, "")) for matcher in self.names + self.matchers)

    def may_accept(self, labels: Mapping[str, str]) -> bool:
        """Whether it may select a series that carries these labels, whatever others it has."""
        asked = (matcher for matcher in self.names + self.matchers if matcher.label in labels)
        return all(matcher.accepts(labels[matcher.label]) for matcher in asked)

    def __str__(self) -> str:
        if len(self.names) != 1 or not _PLAIN_METRIC.fullmatch(self.metric):
            return selector_text(*self.names, *self.matchers)
        return f"{self.metric}{selector_text(*self.matchers)}" if self.matchers else self.metric


def selector_text(*matchers: Matcher) -> str:
    """Matchers as PromQL: ``{__name__="up", job="api"}``."""
    return "{" + ", ".join(map(str, matchers)) + "}"


def selectors_of(node: Any) -> tuple[Selector, ...]:
    """The selector that a node of an AST is; several where `or`, which Prometheus does not know, joins its matchers."""
    return tuple(_selector(node, matchers) for matchers in node.matchers.or_matchers or [node.matchers.matchers])


def _selector(node: Any, matchers: list[Any]) -> Selector:
    read = [Matcher(matcher.name, _OPS[str(matcher.op)], matcher.value) for matcher in matchers]
    names = [Matcher(NAME, "=", node.name)] if node.name else []
    names += [matcher for matcher in read if matcher.label == NAME]
    return Selector(tuple(names), tuple(matcher for matcher in read if matcher.label != NAME))


def selectors(tree: Any) -> Iterator[Selector]:
    """Every selector below a node of an AST, from left to right."""
    for node in walk(tree):
        if isinstance(node, promql.VectorSelector):
            yield from selectors_of(node)


def metric_names(expr: Text) -> set[str | None]:
    """The metrics that the expression selects; None stands for a selector without a fixed name."""
    return {selector.metric or None for selector in selectors(parse_expr(expr))}


@lru_cache(maxsize=4096)
def _selections(text: str) -> tuple[tuple[Selector, bool], ...]:
    found: list[tuple[Selector, bool]] = []
    todo = [(parse_expr(Text(text, Span("", 1, 1))), False)]
    while todo:
        node, ranged = todo.pop()
        if isinstance(node, promql.VectorSelector):
            found += [(one, ranged or node.offset is not None) for one in selectors_of(node)]
            continue
        ranged = ranged or isinstance(node, promql.MatrixSelector | promql.SubqueryExpr)
        todo += [(child, ranged) for child in children(node)]
    return tuple(found)


def selections(expr: Text) -> tuple[tuple[Selector, bool], ...]:
    """Every selector of an expression, and whether more than the newest sample is looked at: through a range, a
    subquery or an offset. Raises InputError if the expression cannot be read."""
    parse_expr(expr)
    return _selections(expr.value)


def made_labels(tree: Any) -> set[str]:
    """The labels that an expression makes itself: by label_replace, label_join and count_values."""
    made = set()
    for node in walk(tree):
        if isinstance(node, promql.Call) and node.func.name in ("label_replace", "label_join"):
            made.add(node.args[1].val)
        elif isinstance(node, promql.AggregateExpr) and isinstance(node.param, promql.StringLiteral):
            made.add(node.param.val)  # count_values
    return made
