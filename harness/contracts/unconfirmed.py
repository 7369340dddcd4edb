"""Values that nobody has confirmed yet: they begin with ``confirm:``, and a contract that holds one is a draft."""

from __future__ import annotations

from collections.abc import Collection

import yaml

from harness.source import Item

CONFIRM = "confirm:"


def without_confirm(item: Item, keep: Collection[str] = ()) -> tuple[Item, bool]:
    """The item without ``confirm:`` at the beginning of any scalar below it, and whether there was one.

    The values of keys in `keep` stay as they are, though a mark there counts.
    """
    node, found = _confirmed(item.node, keep)
    return (Item(node, item.source, item.what), True) if found else (item, False)


def _confirmed(node: yaml.Node, keep: Collection[str]) -> tuple[yaml.Node, bool]:
    """The same node if nothing below it is marked, else a copy: aliases share nodes."""
    if isinstance(node, yaml.ScalarNode):
        text = node.value.lstrip()
        if not text.startswith(CONFIRM):
            return node, False
        rest = text.removeprefix(CONFIRM).strip()
        at, begin = node.value.find(rest, node.value.index(CONFIRM) + len(CONFIRM)), node.start_mark
        start = yaml.Mark(begin.name, begin.index + at, begin.line, begin.column + at, None, 0)
        return yaml.ScalarNode(node.tag, rest, start, node.end_mark, node.style), True
    if isinstance(node, yaml.MappingNode):
        pairs = [(key, value, *_confirmed(value, keep)) for key, value in node.value]
        if not any(found for *_, found in pairs):
            return node, False
        made = [(key, value if key.value in keep else clean) for key, value, clean, _ in pairs]
        return yaml.MappingNode(node.tag, made, node.start_mark, node.end_mark, node.flow_style), True
    if not isinstance(node, yaml.SequenceNode):
        raise AssertionError("a node is a scalar, a mapping or a sequence")
    below = [_confirmed(child, keep) for child in node.value]
    if not any(found for _, found in below):
        return node, False
    clean_children = [clean for clean, _ in below]
    return yaml.SequenceNode(node.tag, clean_children, node.start_mark, node.end_mark, node.flow_style), True
