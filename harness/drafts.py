"""What a rule's comparison comes to when its series stand at given values, as far as that is plain arithmetic.

It serves guesses only: what a draft says is measured like any contract. What is no plain arithmetic (a count, a window
of the past) has no value here.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

import promql_parser as promql

from harness.rules.expr import parse_expr
from harness.rules.selectors import selectors_of
from harness.source import Text

_ARITHMETIC: Mapping[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_SLOPES = {"rate", "irate", "deriv"}
_GROWTHS = {"increase", "delta"}
_STANDING = {"avg_over_time", "max_over_time", "min_over_time", "last_over_time"}
_ALIKE = {"sort", "sort_desc", "scalar", "vector", "label_replace", "label_join"}
_OF_ONE = {"sum", "avg", "max", "min", "topk", "bottomk", "quantile"}


@dataclass(frozen=True, slots=True)
class DraftSeries:
    """A series of a draft: gauge, counter, histogram, or age (a gauge of moments); its labels with ``__name__``; the
    value, rate, quantile or age at which it stands."""

    kind: str
    labels: Mapping[str, str]
    stands: Fraction


@dataclass(frozen=True, slots=True)
class DraftWorld:
    """The series that there are, and the recording rules through which they may be read."""

    entries: tuple[DraftSeries, ...]
    recordings: Mapping[str, Text] = field(default_factory=dict)
    age_scale: Fraction = Fraction(1)
    """By what the rule multiplies its moments (a thousandth, of milliseconds) before it takes the time from them."""


@dataclass(frozen=True, slots=True)
class KnobLine:
    """``slope * v + base``."""

    slope: Fraction
    base: Fraction

    def back(self, value: str) -> str:
        """The formula of v where the line stands at `value`, a name."""
        top = value
        if self.base:
            sign = "-" if self.base > 0 else "+"
            top = f"{value} {sign} {number_text(abs(self.base))}"
            if self.slope < 0:
                top = f"{number_text(self.base)} - {value}"
        elif self.slope < 0:
            top = f"-{value}"
        scale = abs(self.slope)
        if scale == 1:
            return top
        if self.base:
            top = f"({top})"
        return f"{top} / {number_text(scale)}" if scale > 1 else f"{top} * {number_text(1 / scale)}"


def line(of: Callable[[Fraction], Fraction | None], *at: Fraction) -> KnobLine | None:
    """The straight line through what `of` returns at three places; None if there is none, or it is level."""
    a, b, c = at
    values = [of(a), of(b), of(c)]
    if values[0] is None or values[1] is None or values[2] is None:
        return None
    slope = (values[1] - values[0]) / (b - a)
    if not slope or (values[2] - values[1]) / (c - b) != slope:
        return None
    return KnobLine(slope, values[0] - slope * a)


def value(node: Any, world: DraftWorld, *, summed: bool = False) -> Fraction | None:
    """What an expression returns while the series of `world` are all there is; `summed`: of several the sum."""
    match node:
        case promql.ParenExpr():
            return value(node.expr, world, summed=summed)
        case promql.UnaryExpr():
            inner = value(node.expr, world)
            return None if inner is None else -inner
        case promql.NumberLiteral():
            return Fraction(repr(node.val)) if abs(node.val) < 1e15 else None
        case promql.AggregateExpr():
            if str(node.op) not in _OF_ONE:
                return None
            return value(node.expr, world, summed=str(node.op) == "sum")
        case promql.VectorSelector():
            if (recorded := world.recordings.get(node.name or "")) is not None:
                rest = {name: text for name, text in world.recordings.items() if name != node.name}
                return value(parse_expr(recorded), replace(world, recordings=rest), summed=summed)
            return _selected(node, world, summed=summed, kind="gauge")
        case promql.Call():
            return _called(node, world, summed=summed)
        case promql.BinaryExpr():
            return _binary(node, world)
    return None


def is_time(node: Any) -> bool:
    while isinstance(node, promql.ParenExpr):
        node = node.expr
    return isinstance(node, promql.Call) and node.func.name == "time"


def _binary(node: Any, world: DraftWorld) -> Fraction | None:
    op = str(node.op)
    if op == "-" and (is_time(node.lhs) or is_time(node.rhs)):
        moments = tuple(replace(e, kind="gauge") for e in world.entries if e.kind == "age")
        inner = value(node.rhs if is_time(node.lhs) else node.lhs, replace(world, entries=moments))
        return None if inner is None else inner / world.age_scale
    left = value(node.lhs, world)
    if op in ("and", "unless"):
        return left
    right = value(node.rhs, world)
    if left is None or right is None or op not in _ARITHMETIC or (op == "/" and not right):
        return None
    return _ARITHMETIC[op](left, right)


def _called(node: Any, world: DraftWorld, *, summed: bool) -> Fraction | None:
    name = node.func.name
    if name in _ALIKE:
        return value(node.args[0], world, summed=summed)
    if name == "histogram_quantile":
        return _quantile(node.args[-1], world)
    window = node.args[0] if node.args else None
    if not isinstance(window, promql.MatrixSelector):
        return None
    if name in _STANDING:
        return _selected(window.vector_selector, world, summed=summed, kind="gauge")
    if name not in _SLOPES | _GROWTHS:
        return None
    rate = _selected(window.vector_selector, world, summed=summed, kind="counter")
    if rate is None or name in _SLOPES:
        return rate
    return rate * Fraction(window.range // timedelta(milliseconds=1), 1000)


def _quantile(node: Any, world: DraftWorld) -> Fraction | None:
    """The quantile of the only histogram that is read below."""
    while not isinstance(node, promql.VectorSelector):
        match node:
            case promql.ParenExpr() | promql.AggregateExpr():
                node = node.expr
            case promql.Call() if node.args:
                node = node.args[0]
            case promql.MatrixSelector():
                node = node.vector_selector
            case _:
                return None
    return _selected(node, world, summed=False, kind="histogram")


def _selected(node: Any, world: DraftWorld, *, summed: bool, kind: str) -> Fraction | None:
    (selector, *more) = selectors_of(node)
    found = [] if more else [entry for entry in world.entries if selector.accepts(_as_read(entry))]
    if not found or any(entry.kind != kind for entry in found) or (len(found) > 1 and not summed):
        return None
    return sum((entry.stands for entry in found), Fraction(0))


def _as_read(entry: DraftSeries) -> Mapping[str, str]:
    if entry.kind != "histogram":
        return entry.labels
    return {**entry.labels, "__name__": f"{entry.labels['__name__']}_bucket", "le": "1"}


def number_text(number: Fraction) -> str:
    """A number as formulas read it: exact, as a decimal where it has one."""
    rest = number.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1:
        return f"({number.numerator} / {number.denominator})"
    places = 0
    while (number * 10**places).denominator != 1:
        places += 1
    digits = str(abs(int(number * 10**places))).rjust(places + 1, "0")
    text = digits if not places else f"{digits[:-places]}.{digits[-places:]}"
    return f"-{text}" if number < 0 else text
