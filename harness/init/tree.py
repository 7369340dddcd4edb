"""Parts of an expression, as far as a draft hangs on them: what is compared, what is absent, what is a number."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import promql_parser as promql

from harness.drafts import is_time
from harness.rules.expr import children

FLIPPED = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "==", "!=": "!="}
"""Each comparison as its other side says it."""
INVERTED = {">": "<=", "<": ">=", ">=": "<", "<=": ">", "==": "!=", "!=": "=="}
"""Each comparison, and the one that holds where it does not."""
_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_ABSENT = {"absent", "absent_over_time"}


def walk_firing(tree: Any) -> Iterator[tuple[Any, str]]:
    """Every node that is there when the alert fires, with the function around it, parents first, left to right."""
    todo = [(tree, "")]
    while todo:
        node, around = todo.pop()
        yield node, around
        inner = node.func.name if isinstance(node, promql.Call) else around
        below = children(node)
        if isinstance(node, promql.BinaryExpr) and str(node.op) == "unless":
            below = [node.lhs]  # what must not be there for it to fire is no part of the world in which it does
        todo += [(child, inner) for child in reversed(below)]


def selects(tree: Any) -> bool:
    """Whether an expression reads series."""
    return any(isinstance(node, promql.VectorSelector) for node, _ in walk_firing(tree))


def literal(node: Any) -> float | None:
    """The number that an expression is, by plain arithmetic; None if it is none, or larger than people write."""
    while isinstance(node, promql.ParenExpr):
        node = node.expr
    if isinstance(node, promql.UnaryExpr):
        inner = literal(node.expr)
        return -inner if inner is not None else None
    if isinstance(node, promql.BinaryExpr) and str(node.op) in _ARITHMETIC:
        sides = literal(node.lhs), literal(node.rhs)
        if sides[0] is None or sides[1] is None or (str(node.op) == "/" and not sides[1]):
            return None
        return _ARITHMETIC[str(node.op)](sides[0], sides[1])
    if isinstance(node, promql.NumberLiteral) and math.isfinite(node.val) and abs(node.val) < 1e15:
        return float(node.val)
    return None


def compares(node: Any) -> bool:
    """Whether this is `==`, `>`, … with two sides."""
    return isinstance(node, promql.BinaryExpr) and str(node.op) in FLIPPED


def turned_comparison(tree: Any) -> tuple[Any | None, bool]:
    """The comparison that the knob turns, and whether the alert fires where it does not hold: inside of `absent()`.

    Of a number of series that are past something, it is what they are past.
    """
    for node, around in walk_firing(tree):
        if not compares(node):
            continue
        if around in _ABSENT:
            return node, True
        inside = [part for part, _ in walk_firing(node.lhs) if compares(part)]
        counts = any(
            isinstance(part, promql.AggregateExpr) and str(part.op) == "count" for part, _ in walk_firing(node.lhs)
        )
        is_bool = node.modifier is not None and node.modifier.return_bool
        if inside and counts and not is_bool and literal(node.rhs) is not None:
            return inside[0], False
        return node, False
    return None, False


def needed(tree: Any) -> Iterator[Any]:
    """The comparisons that must hold for it to fire; of the alternatives of an `or` none must."""
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, promql.BinaryExpr) and str(node.op) == "or":
            continue
        if compares(node):
            yield node
        todo += [node.lhs] if isinstance(node, promql.BinaryExpr) and str(node.op) == "unless" else children(node)


def absence(node: Any) -> Any | None:
    """The call of `absent` or `absent_over_time` that an expression comes down to."""
    while isinstance(node, promql.ParenExpr):
        node = node.expr
    if isinstance(node, promql.Call):
        return node if node.func.name in _ABSENT else None
    if isinstance(node, promql.AggregateExpr):
        return absence(node.expr)
    if isinstance(node, promql.BinaryExpr) and str(node.op) in ("and", "or", "unless"):
        return absence(node.lhs) or (absence(node.rhs) if str(node.op) != "unless" else None)
    return None


def moments(tree: Any) -> Iterator[tuple[Any, str]]:
    """What is subtracted from the time, or the time from it, with the sign of the difference in it."""
    for node, _ in walk_firing(tree):
        if isinstance(node, promql.BinaryExpr) and str(node.op) == "-":
            if is_time(node.lhs):
                yield node.rhs, "-"
            elif is_time(node.rhs):
                yield node.lhs, "+"
