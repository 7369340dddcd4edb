"""What an expression has to do with the clock: which metrics it takes for times, which parts hang on the time alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import promql_parser as promql

from harness.rules.expr import children, parse_expr, walk
from harness.rules.model import RecordingRule
from harness.rules.selectors import quote, selectors_of
from harness.rules.spans import node_text
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


def compares_plainly(expr: Text, recordings: Sequence[RecordingRule], times: set[str]) -> bool:
    """Whether one of these metrics, whose values are moments, is compared other than with the clock (``seen > 0``)."""
    for text in (expr, *(recording.expr for recording in recordings)):
        for node in walk(parse_expr(text)):
            if not isinstance(node, promql.BinaryExpr) or str(node.op) not in _COMPARISONS:
                continue
            if any(isinstance(n, promql.Call) and n.func.name in _CLOCKS for n in walk(node)):
                continue
            if times & {*_values_of(node.lhs), *_values_of(node.rhs)}:
                return True
    return False


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


# -- the calendar ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClockPart:
    """A part of a rule that hangs on the time and on nothing else."""

    text: str
    """PromQL without any selector."""
    by_value: bool
    """Whether the rule uses its value, and not only whether it returns anything."""
    names: frozenset[str]
    """The functions of time in it."""
    forever: bool
    """Whether it compares with a moment or a year, so that it changes once and for all."""
    cycles: bool
    """Whether it takes a remainder of the time: ``time() % 86400``."""


def clock_parts(expr: Text, recordings: Sequence[RecordingRule]) -> list[ClockPart]:
    """The largest such parts of a rule, and of the recording rules that it reads (in order).

    A recording that hangs on the time alone is taken for what it records. Ages, the differences of two moments, hang on
    the metric and are none.
    """
    calendar: dict[str, Any] = {}
    found: dict[str, ClockPart] = {}
    for recording in recordings:
        tree, source = _with(calendar, recording.expr)
        if _hangs_on_time(tree):
            other = calendar.get(recording.record)
            tree = _as_recorded(tree, recording)
            calendar[recording.record] = promql.parse(f"({other}) or ({tree})") if other is not None else tree
        else:
            _collect(tree, source, False, found)
    _collect(*_with(calendar, expr), True, found)
    return list(found.values())


def _with(calendar: dict[str, Any], expr: Text) -> tuple[Any, Text | None]:
    """The tree with such recordings in the place of their names, and its source if there are none."""
    tree = parse_expr(expr)
    if not any(isinstance(n, promql.VectorSelector) and n.name in calendar for n in walk(tree)):
        return tree, expr
    if any(isinstance(n, promql.MatrixSelector) and n.vector_selector.name in calendar for n in walk(tree)):
        return tree, expr  # a range over it: what it was before hangs on when it was recorded

    def recorded(node: Any) -> Any:
        known = isinstance(node, promql.VectorSelector) and node.name in calendar
        return promql.parse(f"({calendar[node.name]})") if known else node

    return promql.transform(tree, None, recorded), None


def _as_recorded(tree: Any, rule: RecordingRule) -> Any:
    text = f"vector({tree})" if _is_scalar(tree) else str(tree)
    for name, label in rule.labels.items():
        text = f'label_replace({text}, {quote(name)}, {quote(label.value)}, "", "")'
    return promql.parse(text)


def _is_scalar(node: Any) -> bool:
    if isinstance(node, promql.Call):
        return node.func.name in ("time", "scalar", "pi")
    if isinstance(node, promql.ParenExpr | promql.UnaryExpr | promql.BinaryExpr):
        return all(map(_is_scalar, children(node)))
    return isinstance(node, promql.NumberLiteral)


def _hangs_on_time(tree: Any) -> bool:
    nodes = list(walk(tree))
    return any(_is_clock(n) for n in nodes) and not any(isinstance(n, promql.VectorSelector) for n in nodes)


def _is_clock(node: Any) -> bool:
    return isinstance(node, promql.Call) and (node.func.name == "time" or node.func.name in PARTS_OF_TIME)


def _collect(root: Any, source: Text | None, truth_only: bool, found: dict[str, ClockPart]) -> None:
    """Enter the parts below a node; `truth_only`: whether only it matters that the node returns something."""
    todo = [(root, truth_only)]
    while todo:
        node, truth_only = todo.pop()
        if _hangs_on_time(node):
            if not truth_only and _Reading().is_time(node):
                continue  # one side of an age
            _enter(node, node_text(source, node) if source is not None else str(node), truth_only, found)
        elif isinstance(node, promql.Call) and node.func.name in PARTS_OF_TIME:
            # `hour(metric)`: the metric may be a moment, or follow the clock.
            text = f"{node.func.name}()"
            _enter(promql.parse(text), text, False, found)
        elif isinstance(node, promql.BinaryExpr) and str(node.op) in ("and", "unless", "or"):
            todo += [(node.rhs, truth_only or str(node.op) != "or"), (node.lhs, truth_only)]
        elif isinstance(node, promql.ParenExpr):
            todo.append((node.expr, truth_only))
        else:
            todo += [(child, False) for child in children(node)]


def _enter(node: Any, text: str, truth_only: bool, found: dict[str, ClockPart]) -> None:
    calls = {n.func.name for n in walk(node) if _is_clock(n)}
    known = found.get(text)
    by_value = not truth_only or (known is not None and known.by_value)
    cycles = any(
        isinstance(n, promql.BinaryExpr) and str(n.op) == "%" and _Reading().is_time(n.lhs) for n in walk(node)
    )
    found[text] = ClockPart(text, by_value, frozenset(calls), _changes_forever(node), cycles)


def _changes_forever(tree: Any) -> bool:
    reading = _Reading()
    for node in walk(tree):
        if isinstance(node, promql.Call) and node.func.name == "year":
            return True
        if (
            isinstance(node, promql.BinaryExpr)
            and str(node.op) in _COMPARISONS
            and reading.is_time(node.lhs) != reading.is_time(node.rhs)
        ):
            return True
    return False
