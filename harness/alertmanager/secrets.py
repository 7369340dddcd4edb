"""What of an Alertmanager file may be shown: receivers and `global` hold passwords, tokens and secret addresses.

Everything is hidden but routes, inhibition rules, time intervals and names; a list of secret keys would miss the next
one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import yaml

from harness.engines.gostrings import go_unquote
from harness.errors import InputError
from harness.source import SourceFile, load_yaml

_SHOWN = ("route", "inhibit_rules", "time_intervals", "mute_time_intervals", "templates")
_TYPES_SHOWN = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:null")
_SMALL = re.compile(r"-?\d{1,4}|[\w.]{1,2}")
"""A port, a number of retries: nothing that would be a secret."""
_KEY = re.compile(r"\w+", re.ASCII)
_QUOTED = re.compile(r'`([^`]*)`|("(?:\\.|[^"\\])*")')
HIDDEN = "<hidden>"


def read_veiled(source: SourceFile) -> tuple[list[yaml.Node], SourceFile, Callable[[str], str]]:
    """The file's documents, the file as it may be shown, and what hides its secrets in the words of others.

    Lines and columns stay. Raises InputError for what is no YAML, without the line: what it holds is unknown.
    """
    try:
        documents = load_yaml(source)
    except InputError as err:
        span = err.span and replace(err.span, source_line="")
        # an alias that is not defined is a password that begins with an asterisk
        raise InputError(re.sub(r"'[^']{2,}'", HIDDEN, err.message), span=span, hint=err.hint) from None
    secrets = [node for document in documents for node in _hidden(document)]
    lines = list(source.lines)
    for node in secrets:
        start, end = node.start_mark, node.end_mark
        for number in range(start.line, min(end.line + 1, len(lines))):
            begin = start.column if number == start.line else 0
            stop = end.column if number == end.line else len(lines[number])
            cut = re.sub(r"\S", "*", lines[number][begin:stop])
            lines[number] = lines[number][:begin] + cut + lines[number][stop:]
    values = sorted({node.value for node in secrets if node.value.strip()}, key=len, reverse=True)
    return documents, SourceFile(source.name, source.text, tuple(lines)), lambda text: _told(text, values)


def _hidden(document: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if not isinstance(document, yaml.MappingNode):
        yield from _scalars(document)
        return
    for key, value in document.value:
        if key.value == "receivers" and isinstance(value, yaml.SequenceNode):
            for receiver in value.value:
                yield from _scalars(receiver, named=True)
        elif key.value not in _SHOWN:
            yield from _scalars(value)


def _scalars(node: yaml.Node, *, named: bool = False) -> Iterator[yaml.ScalarNode]:
    """Everything below a node that may be a secret; `named`: its `name` is none."""
    todo, seen = [(node, named)], set()
    while todo:
        node, named = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            if node.tag not in _TYPES_SHOWN and not _SMALL.fullmatch(node.value):
                yield node
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                alone = node.flow_style and value.tag == "tag:yaml.org,2002:null"
                if isinstance(key, yaml.ScalarNode) and (alone or not _KEY.fullmatch(key.value)):
                    yield key  # `{password:x}` is one word, a key of nothing
                if not (named and key.value == "name" and isinstance(value, yaml.ScalarNode)):
                    todo.append((value, False))
        else:
            todo += [(child, False) for child in node.value]


def _told(text: str, values: list[str]) -> str:
    """A message without the secrets, or parts of them, that it quotes."""

    def quoted(found: re.Match[str]) -> str:
        inner = found[1] if found[1] is not None else _unquoted(found[2])
        part = inner.removesuffix("...")  # Go's YAML cuts what is long
        secret = any(part in value or value in inner for value in values)
        return found[0] if part and not secret else HIDDEN

    text = _QUOTED.sub(quoted, text)
    for value in values:
        text = text.replace(value, HIDDEN)
    return text


def _unquoted(text: str) -> str:
    try:
        return go_unquote(text)
    except ValueError:
        return text[1:-1]
