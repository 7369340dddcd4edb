"""The notation of input series (``0+10x5 _ stale {{count:3}}x2``), read as Prometheus' own parser reads it.

prometheus promql/parser/generated_parser.y, `series_values`. ``ax5`` and ``a+bx5`` are six samples (the first and five
more), ``_x5`` is five missing ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from harness.errors import InputError
from harness.numbers import parse_whole
from harness.source import Text

_DIGITS = r"\d+(?:_\d+)*"
_NUMBER = (
    rf"(?:(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?|(?:[iI][nN][fF]|[nN][aA][nN])(?![\w:]))"
)
_HISTOGRAM = r"\{\{(?:[^{}]|\{[^{}]*\})*\}\}"
_ITEM = re.compile(
    rf"""
    (?P<gap>_)(?:x(?P<gaps>\d+))?
    | (?P<histogram>{_HISTOGRAM})(?:(?P<change>[+-]{_HISTOGRAM})?x(?P<copies>\d+))?
    | (?P<value>stale(?![\w:])|[+-]?{_NUMBER})(?:(?P<step>[+-]{_NUMBER})?x(?P<times>\d+))?
    """,
    re.VERBOSE | re.ASCII,
)
_SPACE = " \t\n\r"


class ItemKind(Enum):
    """What an item of the notation stands for."""

    GAP = "gap"  # no sample
    STALE = "stale"  # the marker that ends a series
    NUMBER = "number"
    HISTOGRAM = "histogram"  # native; its content is promtool's to read


@dataclass(frozen=True, slots=True)
class SeriesItem:
    """One item: `count` samples (or gaps) in a row, written at `offset` of the text."""

    kind: ItemKind
    count: int
    first: float
    step: float
    offset: int
    length: int

    def values(self) -> list[float]:
        """The numbers of a NUMBER item, added up one by one as Prometheus does."""
        found, value = [], self.first
        for _ in range(self.count):
            found.append(value)
            value += self.step
        return found


def parse_values(text: Text) -> tuple[SeriesItem, ...]:
    """The items of a `values:` field; raises InputError with the exact column."""
    value, at = text.value, 0
    items: list[SeriesItem] = []
    while at < len(value):
        if value[at] in _SPACE:
            at += 1
            continue
        match = _ITEM.match(value, at)
        if match is None or (match.end() < len(value) and value[match.end()] not in _SPACE):
            raise _problem(text, at, match)
        try:
            items.append(_item(match))
        except ValueError as err:
            raise InputError(
                f"{err}: so many samples have no place in a series", span=text.span_at(at, len(match[0]))
            ) from err
        at = match.end()
    return tuple(items)


def _item(match: re.Match[str]) -> SeriesItem:
    offset, length = match.start(), match.end() - match.start()
    if match["gap"]:
        return SeriesItem(ItemKind.GAP, parse_whole(match["gaps"]) if match["gaps"] else 1, 0.0, 0.0, offset, length)
    if match["histogram"]:
        count = parse_whole(match["copies"]) + 1 if match["copies"] else 1
        return SeriesItem(ItemKind.HISTOGRAM, count, 0.0, 0.0, offset, length)
    count = parse_whole(match["times"]) + 1 if match["times"] else 1
    if match["value"] == "stale":
        return SeriesItem(ItemKind.STALE, count, 0.0, 0.0, offset, length)
    step = _number(match["step"]) if match["step"] else 0.0
    return SeriesItem(ItemKind.NUMBER, count, _number(match["value"]), step, offset, length)


def _number(text: str) -> float:
    """As Go reads it: whole numbers that begin with 0 and fit into 64 bits are octal (``010`` is 8)."""
    octal = re.fullmatch(r"([+-]?)(0[0-7_]+)", text)
    if octal and (whole := int(octal[2].replace("_", ""), 8)) < 2**63:
        return float(f"{octal[1]}{whole}")
    return float(text)


def _problem(text: Text, at: int, match: re.Match[str] | None) -> InputError:
    value = text.value
    end = next((i for i in range(at, len(value)) if value[i] in _SPACE), len(value))
    word = value[at:end]
    place = match.end() if match else at
    hint = "write numbers, `a+bxN`, `axN`, `_`, `_xN`, `stale` or `{{…}}`, with spaces between"
    if re.fullmatch(r"[+-]?0[xX][0-9a-fA-F]*[a-fA-F][0-9a-fA-F]*", word):
        hint = "hexadecimal is not possible here: `0x10` means ten more zeros"
    elif "," in word:
        hint = "write spaces between the values, not commas"
    elif re.fullmatch(r"(?i)[+-]?(inf|nan)([+-].*)?x\d+", word):
        hint = "Inf and NaN cannot be repeated by xN: write them one by one, with spaces"
    elif "*" in word:
        hint = "a repetition is written with x: `1x5`"
    elif word.endswith("x") or re.search(r"x[^\d]", word):
        hint = "behind x stands how often: a whole number"
    span = text.span_at(place, 1) if match else text.span_at(at, len(word))
    found = f"`{value[place]}`" if place < len(value) else "the end"
    return InputError(
        f"cannot read `{word}` in the values of a series: {found} does not fit here", span=span, hint=hint
    )
