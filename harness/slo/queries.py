"""How a window gets into an objective's queries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import promql_parser as promql

from harness.errors import InputError, Span, UnsupportedError
from harness.rules.expr import parse_expr, walk
from harness.rules.selectors import Selector, selectors, selectors_of
from harness.rules.spans import node_span, node_text, one_line
from harness.slo.annotations import GROUP_BY
from harness.slo.model import (
    WINDOW_PLACEHOLDER,
    Events,
    Grouping,
    Indicator,
    IndicatorQuery,
    RawRatio,
    ThresholdIndicator,
    WindowPlacement,
)
from harness.source import Text

_PLACEHOLDER = re.compile(r"\{\{-?\s*\.window\s*-?\}\}")
_TEMPLATE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_OVER = {WindowPlacement.COUNTER: "rate", WindowPlacement.GAUGE: "sum_over_time"}
_ALWAYS_THERE = frozenset({"absent", "absent_over_time", "vector", "scalar", "time"})
_PICKING = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
"""Aggregations that keep the labels of what they pick."""
_PER_SECOND = frozenset({"rate", "irate"})
_PER_WINDOW = frozenset({"increase", "count_over_time", "sum_over_time"})
_ANY_WINDOW = "5m"


@dataclass(frozen=True, slots=True)
class Term:
    """A selector that is added or taken away."""

    sign: int
    selector: Selector


def normal_placeholder(text: str) -> str:
    """The text with Go's spellings of the window's place (``{{ .window }}``) made one."""
    return _PLACEHOLDER.sub(WINDOW_PLACEHOLDER, text)


def check_query(query: IndicatorQuery, what: str) -> None:
    """Raise InputError or UnsupportedError, at its place, for a query that cannot be read or windowed."""
    text = normal_placeholder(query.text.value)
    for template in _TEMPLATE.finditer(text):
        if template[0] != WINDOW_PLACEHOLDER:
            raise UnsupportedError(
                f"{what} holds the template `{template[0]}`",
                span=query.text.span_at(query.text.value.find(template[0]), len(template[0])),
                hint=f"only {WINDOW_PLACEHOLDER} is filled in; write the value itself",
            )
    if not query.expr:
        raise InputError(f"{what} is empty", span=query.text.span, hint="write a PromQL query")
    tree(query)
    if query.reading in _OVER:
        terms(query, what)


def tree(query: IndicatorQuery) -> Any:
    """The AST of a query, with some window in its place; raises InputError where it is no PromQL."""
    return parse_expr(_filled(query))


def _filled(query: IndicatorQuery) -> Text:
    if WINDOW_PLACEHOLDER not in normal_placeholder(query.expr):
        return query.text
    filled = normal_placeholder(query.expr).replace(WINDOW_PLACEHOLDER, _ANY_WINDOW)
    return Text(filled, query.text.span)


def queries_of(indicator: Indicator) -> list[IndicatorQuery]:
    """The indicator's queries; of events, all events first."""
    match indicator:
        case Events(total, good, bad):
            return [query for query in (total, good, bad) if query is not None]
        case RawRatio(query, _) | ThresholdIndicator(query, _, _):
            return [query]


def selected(query: IndicatorQuery) -> list[Selector]:
    """Every selector of the query, from left to right."""
    return list(selectors(tree(query)))


def terms(query: IndicatorQuery, what: str) -> tuple[Term, ...]:
    """A query of counters as sums and differences of selectors, which is all that a window can be put into.

    Raises UnsupportedError, with the way out, for any other query.
    """
    return tuple(_terms(tree(query), 1, query, what))


def _terms(node: Any, sign: int, query: IndicatorQuery, what: str) -> Iterator[Term]:
    is_sum = isinstance(node, promql.AggregateExpr) and str(node.op) == "sum" and node.modifier is None
    if (counted := or_zero(node)) is not None:
        yield from _terms(counted, sign, query, what)
    elif is_sum or isinstance(node, promql.ParenExpr):
        yield from _terms(node.expr, sign, query, what)
    elif isinstance(node, promql.BinaryExpr) and str(node.op) in ("+", "-") and node.modifier is None:
        yield from _terms(node.lhs, sign, query, what)
        yield from _terms(node.rhs, sign if str(node.op) == "+" else -sign, query, what)
    elif isinstance(node, promql.VectorSelector):
        if node.offset is not None or node.at is not None or node.matchers.or_matchers:
            raise UnsupportedError(
                f"{what}: `offset`, `@` and `or` between matchers cannot be windowed",
                span=query.text.span_at(0),
                hint=f"write the whole query with [{WINDOW_PLACEHOLDER}] as its range",
            )
        yield Term(sign, selectors_of(node)[0])
    else:
        text = _filled(query)
        raise UnsupportedError(
            f"{what} is no sum or difference of selectors, so a window cannot be put into it: "
            f"`{one_line(node_text(text, node))}`",
            span=node_span(text, node),
            hint='name the raw series alone, such as `requests_total{job="api"}` (they are summed, for each group of '
            f"the annotation `{GROUP_BY}`), or write the whole query with its range as [{WINDOW_PLACEHOLDER}]",
        )


def windowed(query: IndicatorQuery, window: str) -> str:
    """The query over a window (a Prometheus duration): a rate, or a count, of events."""
    if query.reading not in _OVER:
        return normal_placeholder(query.expr).replace(WINDOW_PLACEHOLDER, window)
    return " ".join(
        part
        for i, term in enumerate(terms(query, "the query"))
        for part in (("-" if term.sign < 0 else "+",) if i or term.sign < 0 else ()) + (_over(query, term, window),)
    )


def windowed_terms(query: IndicatorQuery, window: str) -> list[tuple[int, str]]:
    """The summands of the windowed query with their signs; a query that windows itself is one."""
    if query.reading not in _OVER:
        return [(1, windowed(query, window))]
    return [(term.sign, _over(query, term, window)) for term in terms(query, "the query")]


def without_zero(expr: str) -> str:
    """A query without a last ``or vector(0)``, so that it answers nothing where there is nothing."""
    text = Text(expr, Span("", 1, 1))
    node = parse_expr(text)
    while isinstance(node, promql.ParenExpr):
        node = node.expr
    kept = or_zero(node)
    return expr if kept is None else node_text(text, kept)


def grouped(indicator: Indicator, labels: tuple[str, ...]) -> Indicator:
    """The indicator with all its queries grouped by these labels, as its document says."""
    if not labels:
        return indicator
    if isinstance(indicator, Events):
        every = {
            name: None if query is None else replace(query, group_by=labels)
            for name, query in (("good", indicator.good), ("bad", indicator.bad))
        }
        return replace(indicator, total=replace(indicator.total, group_by=labels), **every)
    return replace(indicator, query=replace(indicator.query, group_by=labels))


def grouping_of(indicator: Indicator) -> Grouping | None:
    """How an indicator tells groups apart; of events all queries do it alike."""
    return grouping(indicator.total if isinstance(indicator, Events) else indicator.query)


def check_grouping(query: IndicatorQuery) -> None:
    """Raise InputError for a query that cannot be grouped as its document says."""
    if not query.group_by or query.reading in _OVER:
        return
    root = tree(query)
    own, wanted = own_grouping(root), Grouping(query.group_by)
    if own is None and not any(isinstance(node, promql.AggregateExpr) for node in walk(root)):
        return  # its series have all their labels
    exact = query.reading is WindowPlacement.WINDOWED
    if own == wanted or (own is not None and not own.without and not exact and {*own.labels} >= {*wanted.labels}):
        return
    raise InputError(
        f"`{GROUP_BY}: {', '.join(query.group_by)}`, but this query "
        + ("adds all groups up" if own is None else f"groups {own.clause}"),
        span=query.text.span_at(0),
        hint=f"write `sum {wanted.clause} (…)` in it",
    )


def grouping(query: IndicatorQuery) -> Grouping | None:
    """How the query tells groups apart, by its document's annotation or as it says itself; None: it does not."""
    if query.group_by:
        return Grouping(query.group_by)
    return None if query.reading in _OVER else own_grouping(tree(query))


def own_grouping(node: Any) -> Grouping | None:
    """By which labels an expression groups. None for one series, and for one that aggregates nothing."""
    match node:
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return own_grouping(node.expr)
        case promql.AggregateExpr() if str(node.op) in _PICKING:
            return own_grouping(node.expr)
        case promql.AggregateExpr():
            if node.modifier is None or not node.modifier.labels:
                return None
            is_without = node.modifier.type == promql.AggModifierType.Without
            return Grouping(tuple(sorted(node.modifier.labels)), is_without)
        case promql.Call() if node.func.name in _ALWAYS_THERE:
            return None
        case promql.Call():
            found = next((one for one in map(own_grouping, node.args) if one is not None), None)
            if found is None or node.func.name != "histogram_quantile" or found.without:
                return found
            return _by(set(found.labels) - {"le"})
        case promql.BinaryExpr():
            left, right = own_grouping(node.lhs), own_grouping(node.rhs)
            matching = node.modifier.matching if node.modifier is not None else None
            if node.modifier is not None and node.modifier.card == promql.VectorMatchCardinality.OneToMany:
                return right
            one_to_one = node.modifier is None or node.modifier.card == promql.VectorMatchCardinality.OneToOne
            arithmetic = str(node.op) not in ("and", "or", "unless")
            if left and right and matching is not None and one_to_one and arithmetic and not left.without:
                named = set(matching.labels)
                is_on = matching.type == promql.LabelModifierType.Include
                return _by(named if is_on else set(left.labels) - named)
            return left or right
    return None


def _by(labels: set[str]) -> Grouping | None:
    return Grouping(tuple(sorted(labels))) if labels else None


def or_zero(node: Any) -> Any | None:
    """The left side of ``… or vector(0)``, however it is matched: a 0 that stands in where there is no series.

    ``0 * …`` on the right is one too. None for any other expression.
    """
    if not (isinstance(node, promql.BinaryExpr) and str(node.op) == "or"):
        return None
    return node.lhs if _is_zero(node.rhs) else None


def _is_zero(node: Any) -> bool:
    match node:
        case promql.ParenExpr():
            return _is_zero(node.expr)
        case promql.NumberLiteral():
            return bool(node.val == 0)
        case promql.Call():
            return node.func.name == "vector" and _is_zero(node.args[0])
        case promql.BinaryExpr() if str(node.op) == "*":
            return any(isinstance(side, promql.NumberLiteral) and side.val == 0 for side in (node.lhs, node.rhs))
    return False


def answers_without_data(root: Any) -> bool:
    """Whether an expression may return something although no series is there."""
    return isinstance(root, promql.NumberLiteral) or any(
        isinstance(node, promql.Call) and node.func.name in _ALWAYS_THERE for node in walk(root)
    )


def _over(query: IndicatorQuery, term: Term, window: str) -> str:
    by = f" {Grouping(query.group_by).clause} " if query.group_by else ""
    return f"sum{by}({_OVER[query.reading]}({term.selector}[{window}]))"


def per_second(query: IndicatorQuery) -> bool | None:
    """Whether the windowed query gives events per second; False: events per window; None: it does not say."""
    if query.reading in _OVER:
        return query.reading is WindowPlacement.COUNTER
    called = {node.func.name for node in walk(tree(query)) if isinstance(node, promql.Call)}
    if called & _PER_SECOND and not called & _PER_WINDOW:
        return True
    return False if called & _PER_WINDOW and not called & _PER_SECOND else None
