"""A value that is a straight line in time: a formula evaluated with one is known at every scrape at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NoReturn

from harness.errors import InputError


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """`at_0` + `slope` × time. What would bend it (a comparison, a function, a product of two) raises TypeError."""

    at_0: Fraction
    slope: Fraction

    def values(self, times: Iterable[int]) -> list[float]:
        """At each time, rounded once: int / int is a single correctly rounded division.

        Raises OverflowError for what is too large for a double.
        """
        bottom = self.at_0.denominator * self.slope.denominator
        start = self.at_0.numerator * self.slope.denominator
        step = self.slope.numerator * self.at_0.denominator
        return [(start + step * at) / bottom for at in times]

    def __add__(self, other: object) -> Line:
        other = _line(other)
        return Line(self.at_0 + other.at_0, self.slope + other.slope)

    __radd__ = __add__

    def __neg__(self) -> Line:
        return Line(-self.at_0, -self.slope)

    def __sub__(self, other: object) -> Line:
        return self + -_line(other)

    def __rsub__(self, other: object) -> Line:
        return _line(other) + -self

    def __mul__(self, other: object) -> Line:
        factor = _number(other)
        return Line(self.at_0 * factor, self.slope * factor)

    __rmul__ = __mul__

    def __truediv__(self, other: object) -> Line:
        divisor = _number(other)
        return Line(self.at_0 / divisor, self.slope / divisor)

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError("whether a line equals something depends on the time")

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> NoReturn:
        raise TypeError("whether a line is zero depends on the time")


def line_of(
    formula: Callable[[Mapping[str, Fraction]], Fraction], values: Mapping[str, Fraction | Line]
) -> Line | None:
    """The formula as a line, where some of its names are lines; None where it bends."""
    try:
        return _line(formula(values))  # type: ignore[arg-type]  # a formula computes with whatever can be computed with
    except (TypeError, InputError):  # the latter at a time that no scrape may ever meet
        return None


def _line(value: object) -> Line:
    return value if isinstance(value, Line) else Line(_number(value), Fraction(0))


def _number(value: object) -> Fraction:
    if not isinstance(value, Fraction):
        raise TypeError("a line times a line is none")
    return value
