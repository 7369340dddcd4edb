"""Scalars of YAML files, and where each of their characters stands."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import yaml

from harness.errors import InputError, Span
from harness.source.file import LINE_END, SourceFile

_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)")


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar of a YAML file: its value as text, and where each of its characters stands in the file."""

    value: str
    span: Span
    quoted: bool = False
    _node: yaml.ScalarNode | None = field(default=None, repr=False, compare=False)
    _source: SourceFile | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of_text(cls, name: str, value: str) -> Text:
        """A text that stands in no file, such as an expression in a test; `name` is what messages call it."""
        source = SourceFile.of_text(name, value)
        return cls(value, source.span(1, 1, len(source.lines[0])), _source=source)

    def __str__(self) -> str:
        return self.value

    def span_at(self, offset: int, length: int = 1) -> Span:
        """The span of ``value[offset : offset + length]`` in the file, as far as it stands on one line there."""
        if self._source is None or not self.value:
            return self.span
        if self._node is None:
            before = LINE_END.split(self.value[: max(offset, 0)])
            return self._source.span(len(before), len(before[-1]) + 1, length)
        places = _offsets_of(self._node, self._source)
        first = min(max(offset, 0), len(places) - 1)
        line, column = places[first]
        if offset >= len(places):  # where the rest is missing
            return self._source.span(line, column + 1, length)
        last = first
        for i in range(first, min(first + length, len(places))):
            if places[i][0] == line and not self.value[i].isspace():
                last = i
        if last + 1 < len(places) and places[last + 1][0] == line:
            behind = places[last + 1][1]  # an escape is longer in the file than it is here
        elif self.quoted and last + 1 == len(places):
            behind = self._node.end_mark.column
        else:
            behind = places[last][1] + 1
        return self._source.span(line, column, behind - column)


def _offsets_of(node: yaml.ScalarNode, source: SourceFile) -> tuple[tuple[int, int], ...]:
    """(line, column) of each character of a scalar, 1-based."""
    if node.style not in ("|", ">"):
        text, places = _flow_scalar(node, source)
        if text == node.value:
            return places
    return _side_by_side(node, source)


def _flow_scalar(node: yaml.ScalarNode, source: SourceFile) -> tuple[str, tuple[tuple[int, int], ...]]:
    """A plain or quoted scalar read again, as (value, places): escapes resolved, line ends folded."""
    quote = node.style if node.style in ('"', "'") else ""
    line, column = node.start_mark.line, node.start_mark.column + len(quote)
    end = (node.end_mark.line, node.end_mark.column - len(quote))
    read: list[tuple[str, tuple[int, int], bool]] = []  # character, place, whether folding may drop it
    while (line, column) < end:
        text = source.lines[line]
        place = (line + 1, column + 1)
        if column >= len(text):
            while read and read[-1][2]:
                read.pop()
            breaks = 0
            while (line, 0) < (end[0], 0) and (breaks == 0 or not source.lines[line].strip(" \t")):
                line, breaks = line + 1, breaks + 1
            read += [("\n" if breaks > 1 else " ", place, False)] * max(1, breaks - 1)
            column = len(source.lines[line]) - len(source.lines[line].lstrip(" \t"))
            continue
        taken = 1
        char = text[column]
        if quote == "'" and char == "'":
            taken = 2
        elif quote == '"' and char == "\\":
            escape = _ESCAPE.match(text, column)
            if escape is None:  # a line that goes on
                break
            taken, char = len(escape[0]), _unescaped(escape[0])
        read.append((char, place, taken == 1 and char in " \t"))
        column += taken
    return "".join(char for char, _, _ in read), tuple(place for _, place, _ in read)


def _unescaped(escape: str) -> str:
    value = yaml.safe_load(f'"{escape}"')
    return value if isinstance(value, str) else ""


def _side_by_side(node: yaml.ScalarNode, source: SourceFile) -> tuple[tuple[int, int], ...]:
    """Block styles only drop or fold white space, so value and raw text are walked side by side."""
    places: list[tuple[int, int]] = []
    line, column = node.start_mark.line, node.start_mark.column
    if node.style in ("|", ">"):
        line, column = line + 1, 0  # the header line holds the indicator, not the value
    for char in node.value:
        if char.isspace():
            places.append((line + 1, column + 1))
            if line < len(source.lines) and column < len(source.lines[line]):
                column += 1
            continue
        while line < len(source.lines):
            found = source.lines[line].find(char, column)
            skipped = source.lines[line][column : found if found >= 0 else None].strip("\\ \t\r")
            if found >= 0 and not skipped:
                column = found
                break
            if skipped:  # an escape such as \x41: give up on exactness, stay on this line
                break
            line, column = line + 1, 0
        places.append((line + 1, column + 1))
        column += 1
    for i in range(len(places) - 2, -1, -1):  # blanks before a word stand right before it, not in its indentation
        if node.value[i] == " " and node.value[i + 1] != "\n" and places[i + 1][1] > 1:
            places[i] = (places[i + 1][0], places[i + 1][1] - 1)
    return tuple(places)


def text_of(node: yaml.Node, source: SourceFile, what: str) -> Text:
    """A node that must be a scalar, which messages call `what`; raises InputError for anything else."""
    span = source.span_of(node)
    if not isinstance(node, yaml.ScalarNode):
        raise InputError(
            f"{what} must be a single value, found {kind_of(node)}",
            span=span,
            hint="text that starts with { or [ must be quoted",
        )
    return Text(node.value, span, node.style in ('"', "'"), node, source)


def kind_of(node: yaml.Node) -> str:
    """What a node is, for messages: its kind, or the scalar itself."""
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return f"`{node.value}`" if node.value else "nothing"
