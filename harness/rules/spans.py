"""Where each part of a PromQL expression stands in its source, so that text is cut from there and never printed anew.

Neither promql-parser nor Prometheus tells positions, and promql-parser's own printing is not faithful: it adds braces,
loses escapes and subqueries' colons. So the source is split into tokens, and these are walked beside the tree, which
already knows what belongs together. Only positions are found here; what an expression means is promql-parser's word.

A position counts the characters of the expression's text; :class:`~harness.source.Text` knows their places in the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import promql_parser as promql

from harness.errors import Span, UnsupportedError
from harness.source import Text

_TOKEN = re.compile(
    r"""
      (?P<blank> [ \t\n\r\f]+ | \#[^\r\n]* )
    | (?P<string> "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | `[^`]*` )
    | (?P<number> (?: 0[xX][0-9a-fA-F]* | (?: [0-9]+\.?[0-9]* | \.[0-9]+ ) (?:[eE][+-]?[0-9]+)? ) \w* )
    | (?P<word> [a-zA-Z_:][\w:]* )
    | (?P<sign> [=!]~ | [=!<>]= | [-+*/%^<>=@,(){}\[\]] )
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_MATCHING = frozenset({"bool", "on", "ignoring", "group_left", "group_right"})
"""Behind an operator these are never a metric's name …"""
_FILLS = frozenset({"fill", "fill_left", "fill_right"})
"""… and these are none before a parenthesis."""

Range = tuple[int, int]
"""The first character, and the one behind the last."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word, number, string or sign; `kind` is one of these four or ``blank`` (white space, a comment)."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(slots=True)
class Place:
    """Where a node stands, and where its durations do."""

    start: int
    end: int = 0
    range: Range | None = None
    """The duration of a range selector or a subquery."""
    step: Range | None = None
    """The step of a subquery; empty, where it would stand, if none is written."""
    offset: Range | None = None
    """What follows `offset`, with its sign. A range selector's own, although in the tree the selector inside has it."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """An expression's tree beside its source."""

    source: str
    tree: Any
    _places: dict[int, tuple[Any, Place]] = field(default_factory=dict, repr=False, compare=False)

    def place(self, node: Any) -> Place:
        """Where a node of this tree stands.

        The selector inside a range selector stands there without what follows the brackets: its offset and `@`.
        Raises LookupError for a node of another tree, ValueError where source and tree do not go together.
        """
        if not self._places:
            self._places.update(_Walk(self.source).places(self.tree))
        found = self._places.get(id(node))
        if found is None or found[0] is not node:
            raise LookupError(f"this {type(node).__name__} is no part of `{self.source}`")
        return found[1]


@lru_cache(maxsize=4096)
def parsed(source: str) -> Parsed:
    """An expression's tree; raises ValueError where promql-parser refuses it."""
    return Parsed(source, promql.parse(_without_raw_strings(source)))


def place_of(expr: Text, node: Any) -> Place:
    """Where a node of the expression's tree, and its durations, stand in ``expr.value``.

    Raises UnsupportedError where source and tree do not go together.
    """
    try:
        return parsed(expr.value).place(node)
    except ValueError as err:
        raise UnsupportedError(
            f"the parts of this expression cannot be told apart: {err}",
            span=expr.span_at(0),
            hint="write it in a plainer way",
        ) from err


def node_text(expr: Text, node: Any) -> str:
    """A node of the expression's tree in the user's own spelling, line ends and comments inside it included."""
    place = place_of(expr, node)
    return expr.value[place.start : place.end]


def node_span(expr: Text, node: Any) -> Span:
    """The place of a node in the user's file, up to the end of its first line."""
    place = place_of(expr, node)
    return expr.span_at(place.start, place.end - place.start)


def one_line(source: str) -> str:
    """PromQL for a message: each run of white space and comments becomes one space, all else stays as it is spelt."""
    text = ""
    for token in tokens(source):
        if token.kind != "blank":
            text += token.text
        elif text and not text.endswith(" "):
            text += " "
    return text.strip()


def tokens(source: str) -> Iterator[Token]:
    """All of an expression, token by token; raises ValueError at what is none."""
    at = 0
    brackets = False
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            raise ValueError(f"unexpected `{source[at]}`")
        token = Token(str(match.lastgroup), match[0], at)
        if brackets and source[at] == ":":  # elsewhere a metric's name may begin with it
            token = Token("sign", ":", at)
        elif token.text in ("[", "]"):
            brackets = token.text == "["
        yield token
        at = token.end


def _without_raw_strings(source: str) -> str:
    """Strings in backticks as Go reads them, where promql-parser does not: it takes their backslashes for escapes."""
    if "`" not in source:
        return source
    try:
        return "".join(
            json.dumps(token.text[1:-1], ensure_ascii=False)
            if token.text[0] == "`" and "\\" in token.text
            else token.text
            for token in tokens(source)
        )
    except ValueError:
        return source  # promql-parser says what is wrong with it


class _Walk:
    """Tokens and tree, side by side. The tree says what comes next, so neither precedence nor types are needed here.

    The work to do is a stack of steps, for expressions may be nested deeper than Python calls.
    """

    def __init__(self, source: str) -> None:
        self.tokens = [token for token in tokens(source) if token.kind != "blank"]
        self.at = 0
        self.found: dict[int, tuple[Any, Place]] = {}
        self.todo: list[Any] = []

    def places(self, tree: Any) -> dict[int, tuple[Any, Place]]:
        """The place of every node, by its id."""
        self._next(partial(self._node, tree))
        while self.todo:
            self.todo.pop()()
        if self.at < len(self.tokens):
            raise ValueError(f"`{self.tokens[self.at].text}` is left over")
        return self.found

    def _next(self, *steps: Any) -> None:
        self.todo.extend(reversed(steps))

    # -- tokens --------------------------------------------------------------------------------------------------

    def _is(self, *texts: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at].text.lower() in texts

    def _take(self, *texts: str) -> Token:
        if texts and not self._is(*texts):
            got = f"`{self.tokens[self.at].text}`" if self.at < len(self.tokens) else "the end"
            raise ValueError(f"expected `{texts[0]}`, found {got}")
        if self.at >= len(self.tokens):
            raise ValueError("something is missing at its end")
        self.at += 1
        return self.tokens[self.at - 1]

    def _through(self, closing: str) -> None:
        while not self._is(closing):
            self._take()
        self._take()

    # -- nodes ---------------------------------------------------------------------------------------------------

    def _node(self, node: Any) -> None:
        if self.at >= len(self.tokens):
            raise ValueError("something is missing at its end")
        place = Place(self.tokens[self.at].start)
        self.found[id(node)] = (node, place)
        self._next(*self._steps(node, place), partial(self._close, place))

    def _close(self, place: Place) -> None:
        place.end = self.tokens[self.at - 1].end

    def _steps(self, node: Any, place: Place) -> list[Any]:
        """What a node is made of, from left to right."""
        match node:
            case promql.NumberLiteral():
                return [partial(self._signs, "+", "-"), self._take]  # `- 1` is one number to the parser
            case promql.BinaryExpr():
                # A sign in front of it belongs to its left side.
                return [partial(self._node, node.lhs), self._operator, partial(self._node, node.rhs)]
            case promql.SubqueryExpr():
                return [partial(self._node, node.expr), partial(self._window, place), partial(self._modifiers, place)]
            case promql.UnaryExpr():
                return [self._pluses, partial(self._take, "-"), partial(self._node, node.expr)]
            case promql.ParenExpr():
                return [
                    self._pluses,
                    partial(self._take, "("),
                    partial(self._node, node.expr),
                    partial(self._take, ")"),
                ]
            case promql.Call():
                return [self._pluses, self._take, *self._arguments(list(node.args))]
            case promql.AggregateExpr():
                inside = [node.expr] if node.param is None else [node.param, node.expr]
                return [self._pluses, self._take, self._grouping, *self._arguments(inside), self._grouping]
            case promql.MatrixSelector():
                inner = Place(0)
                return [
                    self._pluses,
                    partial(self._selector_within, node.vector_selector, inner),
                    partial(self._window, place),
                    partial(self._modifiers, place),
                ]
            case promql.VectorSelector():
                return [self._pluses, self._selector, partial(self._modifiers, place)]
            case promql.StringLiteral():
                return [self._pluses, self._take]
        raise ValueError(f"{type(node).__name__} is unknown")

    def _pluses(self) -> None:
        """A plus in front changes nothing, so the tree does not hold it."""
        self._signs("+")

    def _signs(self, *signs: str) -> None:
        while self._is(*signs):
            self._take()

    def _operator(self) -> None:
        self._take()
        while self._is(*_MATCHING) or (self._is(*_FILLS) and self._opens_behind()):
            word = self._take()
            if word.text.lower() != "bool" and self._is("("):
                self._through(")")

    def _opens_behind(self) -> bool:
        return self.at + 1 < len(self.tokens) and self.tokens[self.at + 1].text == "("

    def _grouping(self) -> None:
        if self._is("by", "without"):
            self._take()
            self._through(")")

    def _arguments(self, inside: list[Any]) -> list[Any]:
        steps: list[Any] = [partial(self._take, "(")]
        for number, node in enumerate(inside):
            steps += [partial(self._take, ",")] * bool(number) + [partial(self._node, node)]
        return [*steps, partial(self._take, ")")]

    def _selector(self) -> None:
        if not self._is("{"):
            self._take()
        if self._is("{"):
            self._through("}")

    def _selector_within(self, node: Any, place: Place) -> None:
        place.start = self.tokens[self.at].start
        self._selector()
        self._close(place)
        self.found[id(node)] = (node, place)

    def _window(self, place: Place) -> None:
        """``[5m]``, ``[1h:]``, ``[1h:30s]``."""
        self._take("[")
        place.range = self._duration("]", ":")
        if self._is(":"):
            self._take()
            at = self.tokens[self.at].start
            place.step = (at, at) if self._is("]") else self._duration("]")
        self._take("]")

    def _duration(self, *behind: str) -> Range:
        first = last = self._take()
        while not self._is(*behind):
            last = self._take()
        return first.start, last.end

    def _modifiers(self, place: Place) -> None:
        """``offset 5m`` and ``@ 0``, in whichever order."""
        while self._is("offset", "@"):
            what = self._take()
            first = self.tokens[self.at] if self.at < len(self.tokens) else what
            self._signs("+", "-")
            last = self._take()
            if what.text != "@":
                place.offset = (first.start, last.end)
            elif self._is("("):
                self._through(")")
