"""Rule files with groups under other names, or without some of them, all else as the user wrote it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import yaml

from harness.errors import InputError
from harness.source import SourceFile, load_yaml

_DASH = re.compile(r"^[ \t]*-(?=\s)", re.MULTILINE)
_BEFORE_VALUE = re.compile(r"(?:[&!]\S*\s+)*")
"""An anchor and a tag, which stay."""


def with_group_names(path: Path, names: Mapping[str, str]) -> str | None:
    """A rule file's text with groups renamed, all else in its place; None if it has none of them.

    promtool tells groups of several files by their name only, so two of one name cannot be put in an order.
    """
    source = SourceFile.read(path)
    text = source.text
    found = {int(node.start_mark.index): node for node in _group_names(source) if node.value in names}
    for index, node in sorted(found.items(), reverse=True):
        kept = _BEFORE_VALUE.match(text, index)
        begin = kept.end() if kept else index
        text = text[:begin] + json.dumps(names[node.value]) + text[node.end_mark.index :]
    return text if found else None


def with_groups(path: Path, kept: Collection[str]) -> str | None:
    """A rule file's text with only these groups, each as it was written; None where they can't be cut out.

    They can't where the groups are written in flow style, or where one of them refers to an anchor in another.
    """
    source = SourceFile.read(path)
    text = source.text
    (groups,) = (v for document in load_yaml(source)[:1] for k, v in document.value if k.value == "groups")
    if groups.flow_style:
        return None
    # The marks of an item begin behind its dash, and end where the next token begins.
    begins = [
        list(_DASH.finditer(text, max(0, text.rfind("\n", 0, before) + 1), item.start_mark.index))[-1].start()
        for item, before in zip(
            groups.value, [groups.start_mark.index, *(item.end_mark.index for item in groups.value)], strict=False
        )
    ]
    names = [node.value for node in _group_names(source)]
    for name, begin, end in reversed(list(zip(names, begins, [*begins[1:], groups.end_mark.index], strict=True))):
        if name not in kept:
            text = text[:begin] + text[end:]
    try:
        left = [node.value for node in _group_names(SourceFile.of_text(source.name, text))]
    except InputError:
        return None
    return text if left == [name for name in names if name in kept] else None


def _group_names(source: SourceFile) -> Iterator[yaml.ScalarNode]:
    for document in load_yaml(source)[:1]:
        groups = next((v for k, v in document.value if k.value == "groups"), None)
        for group in groups.value if isinstance(groups, yaml.SequenceNode) else ():
            for key, value in group.value if isinstance(group, yaml.MappingNode) else ():
                if key.value == "name" and isinstance(value, yaml.ScalarNode):
                    yield value
