"""What an expression has to do with the clock: which metrics it takes for times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import promql_parser as promql

from harness.rules.expr import children, parse_expr
from harness.rules.model import RecordingRule
from harness.rules.selectors import selectors_of
from harness.source import Text

_COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
_CLOCKS = frozenset({"time", "timestamp"})
_COUNTS = frozenset({"absent", "absent_over_time", "count_over_time", "present_over_time", "changes", "resets"})
"""Functions whose result says nothing of the values that they are given."""
_COUNTING_AGGREGATES = frozenset({"count", "group", "stddev", "stdvar"})
PARTS_OF_TIME = frozenset(
    {"minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year"}
)
_VALUELESS = _COUNTS | PARTS_OF_TIME


def metrics_read_as_times(expr: Text, recordings: Sequence[RecordingRule]) -> set[str]:
    """The metrics whose values the rule subtracts from ``time()`` or ``timestamp()``, or compares with them.

    `recordings` are those that the rule reads, directly or through others, in order; it is looked through them.
    """
    reading = _Reading()
    for recording in recordings:
        if reading.is_time(parse_expr(recording.expr)):
            reading.absolute.add(recording.record)
    reading.is_time(parse_expr(expr))
    times = reading.times
    for recording in reversed(recordings):
        if recording.record in times:
            times |= set(_values_of(parse_expr(recording.expr)))
    return times


class _Reading:
    """Reads trees for what is a moment in them."""

    def __init__(self) -> None:
        self.absolute: set[str] = set()
        """Recordings that hold a moment."""
        self.times: set[str] = set()
        """The metrics that must be moments, for they meet one."""

    def is_time(self, node: Any) -> bool:
        """Whether the node's value is a moment in Unix time."""
        if isinstance(node, promql.BinaryExpr):
            return self._binary(node)
        if isinstance(node, promql.Call):
            below = [self.is_time(arg) for arg in node.args]
            return node.func.name in _CLOCKS or (node.func.name not in _VALUELESS and any(below))
        if isinstance(node, promql.AggregateExpr):
            return self.is_time(node.expr) and str(node.op) not in _COUNTING_AGGREGATES
        if isinstance(node, promql.VectorSelector):
            return any(selector.metric in self.absolute for selector in selectors_of(node))
        below = [self.is_time(child) for child in children(node)]
        return any(below)

    def _binary(self, node: Any) -> bool:
        op = str(node.op)
        left, right = self.is_time(node.lhs), self.is_time(node.rhs)
        if op in ("and", "unless"):
            return left
        if op in ("+", "*", "/", "or"):
            return left or right
        if op != "-" and op not in _COMPARISONS:
            return False
        if left == right:
            return left and op != "-"
        other = set(_values_of(node.rhs if left else node.lhs))
        self.times |= other
        if op == "-":
            return not other
        return left


def _values_of(node: Any) -> Iterator[str]:
    """The metrics whose values flow into the node's."""
    if isinstance(node, promql.VectorSelector):
        yield from (selector.metric for selector in selectors_of(node) if selector.metric)
        return
    if isinstance(node, promql.Call) and node.func.name in (*_VALUELESS, *_CLOCKS):
        return
    if isinstance(node, promql.AggregateExpr) and str(node.op) in _COUNTING_AGGREGATES:
        return
    only_left = isinstance(node, promql.BinaryExpr) and str(node.op) in ("and", "unless")
    for child in [node.lhs] if only_left else children(node):
        yield from _values_of(child)
