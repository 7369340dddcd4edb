"""Text and YAML files, with the place of every node kept so that messages can point at it.

YAML is composed into nodes (never constructed into Python objects by tag), so loading is safe, duplicate keys are
seen, and each field still knows its line and column.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from harness.errors import InputError, Span, near_miss
from harness.numbers import LARGEST, parse_decimal, parse_number, parse_whole, shortened
from harness.units import TooLongError, parse_duration_ms

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL_TAG = "tag:yaml.org,2002:null"
_MERGE_TAG = "tag:yaml.org,2002:merge"
_DEEPEST = 200
"""Levels of nesting; no file that we read needs a tenth of them, and what walks them must come to an end."""
_MAX_BYTES = 64 * 1024 * 1024
_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What YAML 1.1 takes as the end of a line."""
_BOMS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A text file that was read, by the name under which the user knows it."""

    name: str
    text: str
    lines: tuple[str, ...] = field(repr=False)

    @classmethod
    def of_text(cls, name: str, text: str) -> SourceFile:
        return cls(name, text, tuple(_LINE_END.split(text)))

    @classmethod
    def read(cls, path: Path) -> SourceFile:
        """Read UTF-8 text; raises InputError for anything that is no readable text file."""
        name = display_path(path)
        try:
            if path.is_dir():
                raise InputError(f"{name} is a folder, expected a file", hint="name a file in it")
            if path.stat().st_size > _MAX_BYTES:
                raise InputError(f"{name} is larger than {_MAX_BYTES >> 20} MiB", hint="is this really a YAML file?")
            data = path.read_bytes()
        except OSError as err:
            raise InputError(
                f"cannot read {name}: {err.strerror or err}", hint="check the path and its permissions"
            ) from err
        if data[:2] in _BOMS:
            raise InputError(f"{name} is {_BOMS[data[:2]]} text, expected UTF-8", hint="save the file as UTF-8")
        if b"\0" in data:
            raise InputError(f"{name} is a binary file, expected text", hint="is this the file that you mean?")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as err:
            before = data[: err.start].decode("utf-8-sig", "replace").split("\n")
            raise InputError(
                f"not UTF-8 text (byte 0x{data[err.start]:02x})",
                span=Span(name, len(before), len(before[-1]) + 1),
                hint="save the file as UTF-8",
            ) from err
        return cls.of_text(name, text)

    def span(self, line: int, column: int, length: int = 1) -> Span:
        """The span at a 1-based line and column."""
        text = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        return Span(self.name, line, column, max(1, length), text)

    def span_of(self, node: yaml.Node) -> Span:
        """The span of a YAML node, to the end of its first line."""
        start, end = node.start_mark, node.end_mark
        length = end.column - start.column if end.line == start.line else 1
        return self.span(start.line + 1, start.column + 1, length)


def display_path(path: Path) -> str:
    """The path as a user would type it: relative to the current folder where it lies below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


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
            before = _LINE_END.split(self.value[: max(offset, 0)])
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


_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)")


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


def merged(node: yaml.MappingNode, source: SourceFile) -> list[tuple[yaml.Node, yaml.Node]]:
    """The fields of a mapping: its own, then those that `<<` merges into it, as Prometheus' YAML (Go's v3) has it.

    Its own win wherever `<<` stands, an empty one too; of several merged mappings the first that has a field wins.
    Raises InputError for what Prometheus refuses: a second `<<`, and one that merges anything but mappings.
    """
    merges = [(key, value) for key, value in node.value if key.tag == _MERGE_TAG]
    if not merges:
        return list(node.value)
    if len(merges) > 1:
        raise InputError(
            f"`<<` stands twice in one mapping (first on line {merges[0][0].start_mark.line + 1})",
            span=source.span_of(merges[1][0]),
            hint="merge several mappings with one: `<<: [*first, *second]`",
        )
    ((_, value),) = merges
    fields = [(key, own) for key, own in node.value if key.tag != _MERGE_TAG]
    known = {key.value for key, _ in fields if isinstance(key, yaml.ScalarNode)}
    for each in value.value if isinstance(value, yaml.SequenceNode) else [value]:
        if not isinstance(each, yaml.MappingNode):
            raise InputError(
                f"`<<` merges a mapping or a list of mappings, found {_kind(each)}",
                span=source.span_of(each),
                hint="name an anchor that stands before a mapping",
            )
        for key, inherited in merged(each, source):
            if key.value not in known:
                known.add(key.value)
                fields.append((key, inherited))
    return fields


class Fields:
    """A YAML mapping, read field by field; every complaint names file, line and column."""

    def __init__(self, node: yaml.Node, source: SourceFile, what: str) -> None:
        self.source = source
        self.what = what
        self.span = source.span_of(node)
        if not isinstance(node, yaml.MappingNode):
            raise InputError(
                f"{what} must be a mapping (`key: value` lines), found {_kind(node)}",
                span=self.span,
                hint="see the example in docs/ for its shape",
            )
        self.node: yaml.MappingNode = node
        self._fields: dict[str, tuple[Text, yaml.Node]] = {}
        for key_node, value_node in merged(node, source):
            key = _text_of(key_node, source, f"a key of {what}")
            if key.value in self._fields:
                first = self._fields[key.value][0].span.line
                raise InputError(
                    f"`{key.value}` stands twice in {what} (first on line {first})",
                    span=key.span,
                    hint="keep one; YAML would silently take the last",
                )
            self._fields[key.value] = (key, value_node)

    def __contains__(self, name: str) -> bool:
        return name in self._fields and self._fields[name][1].tag != _NULL_TAG

    def names(self) -> list[Text]:
        return [key for key, _ in self._fields.values()]

    def unknown(self, known: Collection[str], aside: Collection[str] = ()) -> InputError | None:
        """What is wrong with the first field that is neither known nor `aside`, with the near miss; None: nothing."""
        for name, (key, _) in self._fields.items():
            if name not in known and name not in aside:
                return InputError(
                    f"unknown field `{name}` in {self.what}{near_miss(name, known)}",
                    span=key.span,
                    hint=f"expected one of: {', '.join(known)}",
                )
        return None

    def only(self, *known: str) -> None:
        """Refuse unknown fields, with the near miss."""
        if (found := self.unknown(known)) is not None:
            raise found

    def _node(self, name: str) -> yaml.Node:
        if name not in self:
            raise InputError(f"{self.what} has no `{name}`", span=self.span, hint=f"add a line `{name}: …`")
        return self._fields[name][1]

    def key_span(self, name: str) -> Span:
        return self._fields[name][0].span if name in self._fields else self.span

    def text(self, name: str) -> Text:
        return _text_of(self._node(name), self.source, f"`{name}` of {self.what}")

    def optional_text(self, name: str) -> Text | None:
        return self.text(name) if name in self else None

    def fields(self, name: str, what: str) -> Fields:
        return Fields(self._node(name), self.source, what)

    def items(self, name: str, what: str) -> list[Item]:
        """The elements of a sequence."""
        node = self._node(name)
        if not isinstance(node, yaml.SequenceNode):
            raise InputError(
                f"`{name}` of {self.what} must be a list, found {_kind(node)}",
                span=self.source.span_of(node),
                hint="write each one on a line of its own, behind `- `",
            )
        return [Item(child, self.source, what) for child in node.value]

    def item(self, name: str, what: str) -> Item:
        return Item(self._node(name), self.source, what)

    def texts(self) -> dict[str, Text]:
        """All fields as scalars, for labels and annotations."""
        return {n: _text_of(v, self.source, f"`{n}` of {self.what}") for n, (_, v) in self._fields.items()}

    def each(self) -> Iterator[tuple[Text, Item]]:
        """Every field as (key, value)."""
        for key, node in self._fields.values():
            yield key, Item(node, self.source, f"`{key.value}` of {self.what}")

    def duration_ms(self, name: str, default: int | None = None) -> int:
        """A Prometheus duration in milliseconds."""
        if name not in self and default is not None:
            return default
        return duration_ms(self.text(name), f"`{name}` of {self.what}")


def duration_ms(text: Text, what: str) -> int:
    """Milliseconds of a duration scalar; raises InputError at its place."""
    try:
        return parse_duration_ms(text.value)
    except ValueError as err:
        hint = "write a shorter one" if isinstance(err, TooLongError) else "write a number and a unit, without a space"
        raise InputError(f"{what}: {err}", span=text.span, hint=hint) from err


def number(text: Text, what: str, *, quotient: bool = False) -> Fraction:
    """A number that a double can hold, exactly as it is written; with `quotient` also ``1/3``.

    Raises InputError at its place.
    """
    try:
        value = parse_number(text.value) if quotient else parse_decimal(text.value)
    except ValueError as err:
        raise InputError(f"{what}: {err}", span=text.span, hint="write it in digits, such as 99.9") from err
    if abs(value) > LARGEST:
        raise InputError(
            f"{what}: `{shortened(text.value)}` is beyond every double",
            span=text.span,
            hint="doubles end at about 1.8e308",
        )
    return value


def whole_number(text: Text, what: str) -> int:
    """A whole number in digits, below 10¹⁸; raises InputError at its place."""
    try:
        return parse_whole(text.value)
    except ValueError as err:
        raise InputError(f"{what}: {err}", span=text.span, hint="write 0, 1, 2, …") from err


@dataclass(frozen=True, slots=True)
class Item:
    """A YAML node that is still to be read as one thing or another."""

    node: yaml.Node
    source: SourceFile
    what: str

    @property
    def span(self) -> Span:
        return self.source.span_of(self.node)

    @property
    def is_nothing(self) -> bool:
        return self.node.tag == _NULL_TAG

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.node, yaml.MappingNode)

    @property
    def is_list(self) -> bool:
        return isinstance(self.node, yaml.SequenceNode)

    def text(self) -> Text:
        return _text_of(self.node, self.source, self.what)

    def fields(self) -> Fields:
        return Fields(self.node, self.source, self.what)

    def items(self) -> list[Item]:
        """The elements of a list; raises InputError for anything else."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise InputError(f"{self.what} must be a list, found {_kind(self.node)}", span=self.span)
        return [Item(child, self.source, self.what) for child in self.node.value]


def without_mark(item: Item, mark: str, keep: Collection[str] = ()) -> tuple[Item, bool]:
    """The item without `mark` at the beginning of any scalar below it, and whether there was one.

    The values of keys in `keep` stay as they are, though a mark there counts.
    """
    node, found = _unmarked(item.node, mark, keep)
    return (Item(node, item.source, item.what), True) if found else (item, False)


def _unmarked(node: yaml.Node, mark: str, keep: Collection[str]) -> tuple[yaml.Node, bool]:
    """The same node if nothing below it is marked, else a copy: aliases share nodes."""
    if isinstance(node, yaml.ScalarNode):
        text = node.value.lstrip()
        if not text.startswith(mark):
            return node, False
        rest = text.removeprefix(mark).strip()
        at, begin = node.value.find(rest, node.value.index(mark) + len(mark)), node.start_mark
        start = yaml.Mark(begin.name, begin.index + at, begin.line, begin.column + at, None, 0)
        return yaml.ScalarNode(node.tag, rest, start, node.end_mark, node.style), True
    if isinstance(node, yaml.MappingNode):
        pairs = [(key, value, *_unmarked(value, mark, keep)) for key, value in node.value]
        if not any(found for *_, found in pairs):
            return node, False
        made = [(key, value if key.value in keep else clean) for key, value, clean, _ in pairs]
        return yaml.MappingNode(node.tag, made, node.start_mark, node.end_mark, node.flow_style), True
    if not isinstance(node, yaml.SequenceNode):
        raise AssertionError("a node is a scalar, a mapping or a sequence")
    below = [_unmarked(child, mark, keep) for child in node.value]
    if not any(found for _, found in below):
        return node, False
    clean_children = [clean for clean, _ in below]
    return yaml.SequenceNode(node.tag, clean_children, node.start_mark, node.end_mark, node.flow_style), True


def _text_of(node: yaml.Node, source: SourceFile, what: str) -> Text:
    span = source.span_of(node)
    if not isinstance(node, yaml.ScalarNode):
        raise InputError(
            f"{what} must be a single value, found {_kind(node)}",
            span=span,
            hint="text that starts with { or [ must be quoted",
        )
    return Text(node.value, span, node.style in ('"', "'"), node, source)


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return f"`{node.value}`" if node.value else "nothing"


def load_yaml(source: SourceFile) -> list[yaml.Node]:
    """The documents of a YAML file as nodes; empty documents are left out.

    Raises InputError where the text is no YAML. Aliases are legal, but an alias that contains itself is refused, for
    it would never end.
    """
    if strange := yaml.reader.Reader.NON_PRINTABLE.search(source.text):
        before = _LINE_END.split(source.text[: strange.start()])
        raise InputError(
            f"not valid YAML: control character U+{ord(strange[0]):04X}",
            span=source.span(len(before), len(before[-1]) + 1),
            hint="remove it, or write it as an escape in double quotes",
        )
    try:
        documents = [node for node in _composed(source.text) if not _is_empty(node)]
    except yaml.MarkedYAMLError as err:
        mark, begun = err.problem_mark or err.context_mark, err.context_mark
        problem = err.problem or err.context or "not valid YAML"
        if "end of stream" in problem and begun:
            mark = begun
        span = source.span(mark.line + 1, mark.column + 1) if mark else None
        if err.context and begun and mark and begun.line < mark.line:
            problem += f", {err.context} that begins on line {begun.line + 1}"
        hint = "check the indentation and quotes on and above this line"
        if "alias" in problem:
            hint = "quote text that begins with *"
        elif span and ("\t" in span.source_line[: span.column + 1]):
            hint = "YAML forbids tabs for indentation: use spaces"
        elif "cannot start any token" in problem:
            hint = "quote text that begins with @, % or `"
        raise InputError(f"not valid YAML: {problem}", span=span, hint=hint) from err
    except yaml.YAMLError as err:
        raise InputError(f"{source.name}: not valid YAML: {err}", hint="is this really a YAML file?") from err
    except RecursionError as err:
        raise _too_deep(source) from err
    checked: set[int] = set()
    try:
        for document in documents:
            _refuse_cycles(document, source, frozenset(), checked)
    except RecursionError as err:
        raise _too_deep(source) from err
    return documents


def _composed(text: str) -> list[yaml.Node]:
    try:
        return [node for node in yaml.compose_all(text, Loader=_Loader) if node is not None]
    except yaml.composer.ComposerError as err:
        if "duplicate anchor" not in str(err):
            raise
        return [node for node in yaml.compose_all(text, Loader=_Reanchoring) if node is not None]


class _Reanchoring(yaml.SafeLoader):
    """An anchor may be set again, as YAML has it and Go does; PyYAML refuses that. Slower, being written in Python."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if not isinstance(event, yaml.AliasEvent):
            self.anchors.pop(getattr(event, "anchor", None), None)
        return super().compose_node(parent, index)


def unshared(value: Any) -> Any:
    """A copy of plain values in which nothing stands in two places, as YAML's aliases do: what is changed in one would
    change in the other."""
    if isinstance(value, Mapping):
        return {key: unshared(each) for key, each in value.items()}
    return [unshared(each) for each in value] if isinstance(value, list) else value


def _too_deep(source: SourceFile) -> InputError:
    return InputError(f"{source.name} is nested too deeply", hint="is this really a rule or contract file?")


def _is_empty(node: yaml.Node | None) -> bool:
    return node is None or (isinstance(node, yaml.ScalarNode) and node.tag == _NULL_TAG)


def _refuse_cycles(node: yaml.Node, source: SourceFile, above: frozenset[int], checked: set[int]) -> None:
    if isinstance(node, yaml.ScalarNode) or id(node) in checked:
        return
    if id(node) in above:
        raise InputError("a YAML alias that contains itself", span=source.span_of(node), hint="write the value out")
    if len(above) > _DEEPEST:
        raise InputError(
            f"nested more than {_DEEPEST} levels deep",
            span=source.span_of(node),
            hint="is this really what the file should hold?",
        )
    for child in node.value:
        for part in child if isinstance(child, tuple) else (child,):
            _refuse_cycles(part, source, above | {id(node)}, checked)
    checked.add(id(node))
