"""Mappings, lists and scalars of a YAML file, read as what they are meant to be; every complaint has its place."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction

import yaml

from harness.errors import InputError, Span, near_miss
from harness.numbers import LARGEST, parse_decimal, parse_number, parse_whole, shortened
from harness.source.file import SourceFile
from harness.source.load import NULL_TAG, merged
from harness.source.text import Text, kind_of, text_of
from harness.units import TooLongError, format_duration, parse_duration_ms


class Fields:
    """A YAML mapping, read field by field; every complaint names file, line and column."""

    def __init__(self, node: yaml.Node, source: SourceFile, what: str) -> None:
        self.source = source
        self.what = what
        self.span = source.span_of(node)
        if not isinstance(node, yaml.MappingNode):
            raise InputError(
                f"{what} must be a mapping (`key: value` lines), found {kind_of(node)}",
                span=self.span,
                hint="see the example in docs/ for its shape",
            )
        self.node: yaml.MappingNode = node
        self._fields: dict[str, tuple[Text, yaml.Node]] = {}
        for key_node, value_node in merged(node, source):
            key = text_of(key_node, source, f"a key of {what}")
            if key.value in self._fields:
                first = self._fields[key.value][0].span.line
                raise InputError(
                    f"`{key.value}` stands twice in {what} (first on line {first})",
                    span=key.span,
                    hint="keep one; YAML would silently take the last",
                )
            self._fields[key.value] = (key, value_node)

    def __contains__(self, name: str) -> bool:
        return name in self._fields and self._fields[name][1].tag != NULL_TAG

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
        return text_of(self._node(name), self.source, f"`{name}` of {self.what}")

    def optional_text(self, name: str) -> Text | None:
        return self.text(name) if name in self else None

    def fields(self, name: str, what: str) -> Fields:
        return Fields(self._node(name), self.source, what)

    def items(self, name: str, what: str) -> list[Item]:
        """The elements of a sequence."""
        node = self._node(name)
        if not isinstance(node, yaml.SequenceNode):
            raise InputError(
                f"`{name}` of {self.what} must be a list, found {kind_of(node)}",
                span=self.source.span_of(node),
                hint="write each one on a line of its own, behind `- `",
            )
        return [Item(child, self.source, what) for child in node.value]

    def item(self, name: str, what: str) -> Item:
        return Item(self._node(name), self.source, what)

    def texts(self) -> dict[str, Text]:
        """All fields as scalars, for labels and annotations."""
        return {n: text_of(v, self.source, f"`{n}` of {self.what}") for n, (_, v) in self._fields.items()}

    def each(self) -> Iterator[tuple[Text, Item]]:
        """Every field as (key, value)."""
        for key, node in self._fields.values():
            yield key, Item(node, self.source, f"`{key.value}` of {self.what}")

    def duration_ms(self, name: str, default: int | None = None, *, least_ms: int = 0) -> int:
        """A Prometheus duration in milliseconds, at least `least_ms`; `default` is taken as it is."""
        if name not in self and default is not None:
            return default
        value = duration_ms(self.text(name), f"`{name}` of {self.what}")
        if value < least_ms:
            least = format_duration(least_ms)
            raise InputError(
                f"`{name}` must be at least {least}", span=self.text(name).span, hint=f"write {least} or more"
            )
        return value


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
        return self.node.tag == NULL_TAG

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.node, yaml.MappingNode)

    @property
    def is_list(self) -> bool:
        return isinstance(self.node, yaml.SequenceNode)

    def text(self) -> Text:
        return text_of(self.node, self.source, self.what)

    def fields(self) -> Fields:
        return Fields(self.node, self.source, self.what)

    def items(self) -> list[Item]:
        """The elements of a list; raises InputError for anything else."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise InputError(f"{self.what} must be a list, found {kind_of(self.node)}", span=self.span)
        return [Item(child, self.source, self.what) for child in self.node.value]


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
