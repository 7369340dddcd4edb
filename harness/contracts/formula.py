"""The formula language of contracts: exact arithmetic on the knob, small enough to read in a minute.

    numbers      80   0.05   1e9          every decimal is taken exactly (0.1 is one tenth, not a double)
    names        x (the knob), t (seconds since the case began), now (Unix time), and what `given` and `each` define
    operators    + - * /   and   < <= > >= == !=   (which give 1 or 0)
    functions    min(a, b, …)  max(a, b, …)  floor(a)  mod(a, b)  if(condition, then, otherwise)

Formulas are parsed into closures over :class:`fractions.Fraction`; nothing is ever handed to Python's ``eval``.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType

from harness.errors import HarnessError, InputError, near_miss
from harness.numbers import DECIMAL, parse_decimal, shortened
from harness.source import Text

Values = Mapping[str, Fraction]
_Node = Callable[[Values], Fraction]

_TOKEN = re.compile(
    rf"\s*(?:(?P<number>{DECIMAL})|(?P<name>[A-Za-z_]\w*)|(?P<sign><=|>=|==|!=|[-+*/()<>,]))",
    re.ASCII,
)
_COMPARE: dict[str, Callable[[Fraction, Fraction], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_FUNCTIONS: dict[str, tuple[int, int]] = {"min": (1, 99), "max": (1, 99), "floor": (1, 1), "mod": (2, 2), "if": (3, 3)}
_NONE: Mapping[str, str] = MappingProxyType({})
_MAX_BITS = 8_192
"""Of a constant's numerator and denominator: what has more takes long to print."""
VARIABLES = ("x", "t", "now")
"""The names that a formula always knows: the knob, seconds since the case began, Unix time in seconds."""
_MAX_DEPTH = 50
_MAX_TOKENS = 500


@dataclass(frozen=True, slots=True)
class Formula:
    """A parsed formula; call it with the values of its names."""

    text: Text
    names: frozenset[str]
    _evaluate: _Node = field(repr=False, compare=False)

    def __call__(self, values: Values) -> Fraction:
        """The exact value; raises InputError at the formula's place for a division by zero."""
        try:
            return self._evaluate(values)
        except ZeroDivisionError as err:
            shown = ", ".join(f"{n} = {values[n]}" for n in sorted(self.names))
            raise InputError(
                f"division by zero in `{self.text.value}`{f' at {shown}' if shown else ''}",
                span=self.text.span,
                hint="guard it: if(total == 0, 0, part / total)",
            ) from err


def parse_formula(text: Text, known: Iterable[str], texts: Mapping[str, str] = _NONE) -> Formula:
    """Parse a formula whose names must be among `known`; errors carry the exact column.

    `texts` are names that stand for labels only, each with what was found where a number would be needed.
    """
    if not text.value.strip():
        raise InputError(
            "the formula is empty", span=text.span, hint="write a number or a formula such as (100 - x) / 100"
        )
    parser = _Parser(text, frozenset(known), texts)
    evaluate = parser.whole()
    return Formula(text, frozenset(parser.used), evaluate)


def constant(text: Text, given: Values = MappingProxyType({})) -> Fraction:
    """A formula of what is given alone, at once evaluated: ``80``, ``100 / cameras``, ``-5``.

    Raises InputError at its place, also for a number far beyond every double.
    """
    value = parse_formula(text, given)(given)
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MAX_BITS:
        raise InputError(
            f"`{shortened(text.value)}` is far beyond every double", span=text.span, hint="doubles end at about 1.8e308"
        )
    return value


class _Parser:
    """Recursive descent: comparison < sum < product < sign < atom."""

    def __init__(self, text: Text, known: frozenset[str], texts: Mapping[str, str]) -> None:
        self.text = text
        self.known = known
        self.texts = texts
        self.used: set[str] = set()
        self.depth = 0
        self.tokens: list[tuple[str, str, int]] = []
        at = 0
        source = text.value.rstrip()
        while at < len(source):
            match = _TOKEN.match(source, at)
            if match is None:
                at += len(source[at:]) - len(source[at:].lstrip())
                raise self.error(f"`{source[at]}` is not part of the formula language", at)
            kind = match.lastgroup or ""
            self.tokens.append((kind, match[kind], match.start(kind)))
            at = match.end()
        if len(self.tokens) > _MAX_TOKENS:
            raise self.error(f"the formula has more than {_MAX_TOKENS} parts", self.tokens[_MAX_TOKENS][2])
        self.tokens.append(("end", "", len(source)))
        self.position = 0

    def error(self, message: str, at: int, length: int = 1) -> HarnessError:
        return InputError(
            message,
            span=self.text.span_at(at, length),
            hint="formulas hold numbers, names, + - * /, comparisons, min max floor mod if (docs/contracts.md)",
        )

    def peek(self) -> str:
        return self.tokens[self.position][1]

    def take(self) -> tuple[str, str, int]:
        token = self.tokens[self.position]
        self.position += 1
        return token

    def expect(self, sign: str) -> None:
        kind, found, at = self.take()
        if found != sign:
            raise self.error(f"expected `{sign}`, found {f'`{found}`' if kind != 'end' else 'the end'}", at)

    def whole(self) -> _Node:
        node = self.comparison()
        kind, found, at = self.take()
        if kind != "end":
            raise self.error(f"expected an operator or the end, found `{found}`", at, len(found))
        return node

    def comparison(self) -> _Node:
        left = self.sum()
        if self.peek() in _COMPARE:
            compare = _COMPARE[self.take()[1]]
            right = self.sum()
            return lambda v, left=left, right=right: Fraction(compare(left(v), right(v)))  # type: ignore[misc]
        return left

    def sum(self) -> _Node:
        node = self.product()
        while self.peek() in ("+", "-"):
            node = _binary(operator.add if self.take()[1] == "+" else operator.sub, node, self.product())
        return node

    def product(self) -> _Node:
        node = self.sign()
        while self.peek() in ("*", "/"):
            node = _binary(operator.mul if self.take()[1] == "*" else operator.truediv, node, self.sign())
        return node

    def sign(self) -> _Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise self.error("the formula is nested too deeply", self.tokens[self.position][2])
        try:
            if self.peek() == "-":
                self.take()
                inner = self.sign()
                return lambda v: -inner(v)
            return self.atom()
        finally:
            self.depth -= 1

    def atom(self) -> _Node:
        kind, found, at = self.take()
        if kind == "number":
            try:
                number = parse_decimal(found)
            except ValueError as err:
                raise self.error(str(err), at, len(found)) from err
            return lambda _: number
        if kind == "name":
            return self.call(found, at) if self.peek() == "(" else self.name(found, at)
        if found == "(":
            node = self.comparison()
            self.expect(")")
            return node
        raise self.error(f"expected a number or a name, found {f'`{found}`' if kind != 'end' else 'the end'}", at)

    def name(self, name: str, at: int) -> _Node:
        if name in self.texts:
            raise InputError(
                f"`{name}` is a label's text here, no number to reckon with: {self.texts[name]}",
                span=self.text.span_at(at, len(name)),
                hint=f"use ${name} in labels only, or list numbers",
            )
        if name not in self.known:
            names = ", ".join(sorted(self.known)) or "none here"
            raise InputError(
                f"unknown name `{name}` in the formula{near_miss(name, self.known)}",
                span=self.text.span_at(at, len(name)),
                hint=f"known names: {names}",
            )
        self.used.add(name)
        return operator.itemgetter(name)

    def call(self, name: str, at: int) -> _Node:
        if name not in _FUNCTIONS:
            raise InputError(
                f"unknown function `{name}`{near_miss(name, _FUNCTIONS)}",
                span=self.text.span_at(at, len(name)),
                hint=f"known functions: {', '.join(_FUNCTIONS)}",
            )
        self.expect("(")
        args = [self.comparison()]
        while self.peek() == ",":
            self.take()
            args.append(self.comparison())
        self.expect(")")
        fewest, most = _FUNCTIONS[name]
        if not fewest <= len(args) <= most:
            wanted = f"{fewest}" if fewest == most else f"{fewest} or more"
            raise self.error(f"`{name}` takes {wanted} arguments, found {len(args)}", at, len(name))
        if name in ("min", "max"):
            pick: Callable[[Iterable[Fraction]], Fraction] = min if name == "min" else max
            return lambda v: pick(arg(v) for arg in args)
        if name == "floor":
            return lambda v: Fraction(math.floor(args[0](v)))
        if name == "mod":
            return _binary(operator.mod, args[0], args[1])
        return lambda v: args[1](v) if args[0](v) else args[2](v)


def _binary(apply: Callable[[Fraction, Fraction], Fraction], left: _Node, right: _Node) -> _Node:
    return lambda v: apply(left(v), right(v))
