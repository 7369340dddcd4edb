"""What a PromQL expression says: how far back it looks, what it compares. What it selects: selectors.py.

Parsing is promql-parser's; nothing here evaluates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser as promql

from harness.errors import InputError, Span, UnsupportedError
from harness.prometheus import ServerSettings
from harness.rules.spans import node_span, node_text, one_line, parsed
from harness.source import Text

COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
_CLOCKS = frozenset(
    {"time", "hour", "minute", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year"}
)


_ARITHMETIC = frozenset({"+", "-", "*", "/", "%", "^", "atan2"})
_EXACT_CALLS = frozenset(
    {
        *("abs", "absent", "absent_over_time", "ceil", "changes", "clamp", "clamp_max", "clamp_min", "count_over_time"),
        *("first_over_time", "floor", "histogram_count", "histogram_sum", "label_join", "label_replace"),
        *("last_over_time", "max_over_time", "min_over_time", "present_over_time", "resets", "scalar", "sgn", "sort"),
        *("sort_by_label", "sort_by_label_desc", "sort_desc", "time", "timestamp", "vector"),
    }
)
_EXACT_AGGREGATIONS = frozenset(
    {"bottomk", "count", "count_values", "group", "limitk", "limit_ratio", "max", "min", "topk"}
)
_ROUNDINGS = {"rate": 8, "increase": 7, "delta": 7, "irate": 3, "idelta": 1, "histogram_quantile": 8}
"""Operations on the way through a function (promql/functions.go, promql/quantile.go) …"""
_OTHER_CALL = 4
"""… and through any other that is not exact."""
_OVER_SAMPLES = {"deriv": 8, "predict_linear": 8, "double_exponential_smoothing": 16, "holt_winters": 16}
"""Those that cancel samples against each other, which keep the error of each sample, not of the result."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison inside an expression, with both its sides; as PromQL in the user's own spelling."""

    text: str
    op: str
    left: str
    right: str
    is_bool: bool
    span: Span
    """Where the comparison stands in the user's file."""


class UnreadableError(InputError):
    """promql-parser cannot read an expression; Prometheus, who is the judge, may."""


def parse_expr(expr: Text) -> Any:
    """The AST of an expression; raises UnreadableError at its place where promql-parser cannot read it."""
    try:
        return parsed(expr.value).tree
    except ValueError as err:
        raise UnreadableError(
            f"this expression cannot be read: {err}",
            span=expr.span_at(0),
            hint="if `promtool check rules` takes it, write it in a plainer way that promql-parser takes too",
        ) from err


def walk(root: Any) -> Iterator[Any]:
    """Every node, a parent before its children, from left to right; any depth."""
    todo = [root]
    while todo:
        node = todo.pop()
        yield node
        todo.extend(reversed(children(node)))


def children(node: Any) -> list[Any]:
    """The expressions right below a node, from left to right."""
    if isinstance(node, promql.BinaryExpr):
        return [node.lhs, node.rhs]
    if isinstance(node, promql.AggregateExpr):
        return [node.expr] if node.param is None else [node.param, node.expr]
    if isinstance(node, promql.Call):
        return list(node.args)
    if isinstance(node, promql.ParenExpr | promql.UnaryExpr | promql.SubqueryExpr):
        return [node.expr]
    if isinstance(node, promql.MatrixSelector):
        return [node.vector_selector]
    return []


def _ms(delta: Any) -> int:
    return round(delta.total_seconds() * 1000) if delta is not None else 0


def reach_ms(expr: Text, server: ServerSettings) -> int:
    """How far back from a tick the expression can see a sample: range + offset + lookback, through subqueries.

    A subquery without a step takes the server's `evaluation_interval`, as in :func:`subquery_steps_ms`.
    Raises UnsupportedError for negative offsets and fixed ``@`` times, which look outside any slot.
    """
    farthest = 0
    todo = [(parse_expr(expr), 0)]
    while todo:
        node, above = todo.pop()
        if isinstance(node, promql.VectorSelector | promql.SubqueryExpr):
            _refuse_other_times(node, expr)
            above += _ms(node.offset)
        if isinstance(node, promql.VectorSelector):
            above += server.lookback_ms
        elif isinstance(node, promql.MatrixSelector):
            above += _ms(node.range)
        elif isinstance(node, promql.SubqueryExpr):
            above += _ms(node.range) + (_ms(node.step) or server.evaluation_ms)
        farthest = max(farthest, above)
        todo += [(child, above) for child in children(node)]
    return farthest


def _refuse_other_times(node: Any, expr: Text) -> None:
    if node.at is not None:
        shown = one_line(node_text(expr, node))
        raise UnsupportedError(
            f"`@` in `{shown}` fixes an evaluation time, which synthetic history cannot follow",
            span=node_span(expr, node),
            hint="write the rule without `@`",
        )
    if _ms(node.offset) < 0:
        raise UnsupportedError(
            f"`{one_line(node_text(expr, node))}` looks into the future (negative offset)",
            span=node_span(expr, node),
            hint="a rule cannot see samples that are still to come; write a positive offset",
        )


def roundings(text: str, summed: int) -> tuple[int, int]:
    """How often numbers are rounded on their way through a PromQL expression: (samples, what was made of them).

    `summed` is how many series an aggregation may add up. An upper bound: all branches count as one way.
    """
    of_samples = of_results = 0
    for node in walk(parsed(text).tree):
        if isinstance(node, promql.BinaryExpr):
            of_results += str(node.op) in _ARITHMETIC
        elif isinstance(node, promql.AggregateExpr):
            of_results += 0 if str(node.op) in _EXACT_AGGREGATIONS else max(summed - 1, 0)
        elif isinstance(node, promql.Call):
            name = node.func.name
            over_samples = _OVER_SAMPLES.get(name, _OTHER_CALL if name.endswith("_over_time") else 0)
            if name not in _EXACT_CALLS:
                of_samples += over_samples
                of_results += _ROUNDINGS.get(name, _OTHER_CALL)
    return of_samples, of_results


def subquery_steps_ms(expr: Text, server: ServerSettings) -> list[int]:
    """The steps of all subqueries; slots must start on multiples of them."""
    return [
        _ms(node.step) or server.evaluation_ms
        for node in walk(parse_expr(expr))
        if isinstance(node, promql.SubqueryExpr)
    ]


def leaves_a_step_out(expr: Text) -> bool:
    """Whether it holds a subquery without a step, so that what it returns hangs on who evaluates it."""
    return any(isinstance(node, promql.SubqueryExpr) and not node.step for node in walk(parse_expr(expr)))


def reads_clock(expr: Text) -> bool:
    """Whether the result depends on the time of day itself (``time()``, ``hour()``, …)."""
    return any(isinstance(node, promql.Call) and node.func.name in _CLOCKS for node in walk(parse_expr(expr)))


def ranges_ms(expr: Text) -> list[int]:
    """The lengths of all its range selectors and subqueries, from left to right."""
    return [
        _ms(node.range)
        for node in walk(parse_expr(expr))
        if isinstance(node, promql.MatrixSelector | promql.SubqueryExpr)
    ]


def ends_now(expr: Text) -> bool:
    """Whether everything that it looks at ends at the tick itself: no offset, no subquery."""
    return not any(
        isinstance(node, promql.SubqueryExpr) or (isinstance(node, promql.VectorSelector) and node.offset is not None)
        for node in walk(parse_expr(expr))
    )


def alternatives(expr: Text) -> list[str]:
    """The operands of its outermost `or`s as PromQL; the whole expression where there is none to split."""
    parts, todo = [], [parse_expr(expr)]
    while todo:
        node = todo.pop()
        while isinstance(node, promql.ParenExpr):
            node = node.expr
        if isinstance(node, promql.BinaryExpr) and str(node.op) == "or":
            todo += [node.rhs, node.lhs]
        else:
            parts.append(node_text(expr, node))
    return parts if len(parts) > 1 else [expr.value]


def comparisons(expr: Text) -> list[Comparison]:
    """Every comparison of the expression, outermost first."""
    return [
        Comparison(
            text=node_text(expr, node),
            op=str(node.op),
            left=node_text(expr, node.lhs),
            right=node_text(expr, node.rhs),
            is_bool=bool(node.modifier and node.modifier.return_bool),
            span=node_span(expr, node),
        )
        for node in walk(parse_expr(expr))
        if isinstance(node, promql.BinaryExpr) and str(node.op) in COMPARISONS
    ]
