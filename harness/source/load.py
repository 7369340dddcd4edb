"""YAML text to nodes, as Prometheus' own YAML (Go's v3) reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from harness.errors import InputError
from harness.source.file import LINE_END, SourceFile
from harness.source.text import kind_of

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
NULL_TAG = "tag:yaml.org,2002:null"
_MERGE_TAG = "tag:yaml.org,2002:merge"
_DEEPEST = 200
"""Levels of nesting; no file that we read needs a tenth of them, and what walks them must come to an end."""


def load_yaml(source: SourceFile) -> list[yaml.Node]:
    """The documents of a YAML file as nodes; empty documents are left out.

    Raises InputError where the text is no YAML. Aliases are legal, but an alias that contains itself is refused, for
    it would never end.
    """
    if strange := yaml.reader.Reader.NON_PRINTABLE.search(source.text):
        before = LINE_END.split(source.text[: strange.start()])
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
    return node is None or (isinstance(node, yaml.ScalarNode) and node.tag == NULL_TAG)


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
                f"`<<` merges a mapping or a list of mappings, found {kind_of(each)}",
                span=source.span_of(each),
                hint="name an anchor that stands before a mapping",
            )
        for key, inherited in merged(each, source):
            if key.value not in known:
                known.add(key.value)
                fields.append((key, inherited))
    return fields
