"""Rule files with their groups under other names, all else as the user wrote it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from harness.source import SourceFile, load_yaml

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


def _group_names(source: SourceFile) -> Iterator[yaml.ScalarNode]:
    for document in load_yaml(source)[:1]:
        groups = next((v for k, v in document.value if k.value == "groups"), None)
        for group in groups.value if isinstance(groups, yaml.SequenceNode) else ():
            for key, value in group.value if isinstance(group, yaml.MappingNode) else ():
                if key.value == "name" and isinstance(value, yaml.ScalarNode):
                    yield value
