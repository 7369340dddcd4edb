"""What promtool is given instead of a rule file that it would refuse, or read otherwise: the same groups, and no more.

Everything else is blanked, so lines and columns stay the user's. Where that cannot be done (flow style, anchors in what
goes) the groups are written anew, and it is known which line was which.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from harness.errors import InputError
from harness.rules.forms import GROUP_FIELDS, RULE_FIELDS
from harness.rules.model import Origin, RuleFile
from harness.source import SourceFile, load_yaml, merged

_DASH = re.compile(r"^[ \t]*-(?=\s)", re.MULTILINE)
_BEFORE_VALUE = re.compile(r"(?:[&!]\S*\s+)*")
"""An anchor and a tag, which stay."""
_LINE_END = re.compile("(\r\n|[\r\n\x85\u2028\u2029])")
_MAP, _SEQ, _STR, _NULL = (f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "null"))
_Edit = tuple[int, int, str]
"""From, to, and what stands there instead."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A rule file for promtool, and where its lines are in the user's."""

    text: str
    lines: Mapping[int, int] | None = field(default=None, repr=False)
    """None: each is where it was."""

    def line(self, number: int) -> int | None:
        """The user's line (from 1) for one of the copy; None if that is not known."""
        return number if self.lines is None else self.lines.get(number)


def copy_of(file: RuleFile, names: Mapping[str, str] | None = None) -> Copy:
    """The groups and rules of a file that are left, with some of the groups renamed."""
    origin = file.origin
    if origin is None:
        raise AssertionError(f"{file.name} was not read from a file")
    wanted = _wanted(file, names or {})
    expected = _plain(wanted, origin.source)
    for outside in (False, True):
        text = _edited(file, origin, names or {}, blank_outside=outside)
        if text is not None and _says(origin.source.name, text, expected):
            return Copy(text)
    text = yaml.serialize(wanted, allow_unicode=True, width=2**31 - 1)
    return Copy(text, line_map(text, wanted))


def line_map(text: str, tree: yaml.Node) -> dict[int, int]:
    """By line of a text that is this tree written anew: where the node that begins there stood (from 1)."""
    (again,) = load_yaml(SourceFile.of_text("", text))
    return dict(_lines(again, tree))


# -- what it should say ------------------------------------------------------------------------------------------------


def _wanted(file: RuleFile, names: Mapping[str, str]) -> yaml.MappingNode:
    """The groups as Prometheus knows them, aliases and merges resolved; nodes keep their places."""
    assert file.origin is not None
    source = file.origin.source
    groups = []
    for group in file.groups:
        rules = [_mapping(_node(rule.node), RULE_FIELDS, source) for rule in group.rules]
        made = _mapping(_node(group.node), GROUP_FIELDS, source)
        for place, (key, value) in enumerate(made.value):
            if key.value == "rules":
                made.value[place] = (key, yaml.SequenceNode(_SEQ, rules, value.start_mark, value.end_mark))
            elif key.value == "name" and group.name in names:
                renamed = yaml.ScalarNode(_STR, names[group.name], value.start_mark, value.end_mark, '"')
                made.value[place] = (key, renamed)
        groups.append(made)
    return yaml.MappingNode(_MAP, [(yaml.ScalarNode(_STR, "groups"), yaml.SequenceNode(_SEQ, groups))])


def _node(node: yaml.Node | None) -> yaml.MappingNode:
    assert isinstance(node, yaml.MappingNode)
    return node


def _mapping(node: yaml.MappingNode, known: Collection[str], source: SourceFile) -> yaml.MappingNode:
    pairs = [(key, value) for key, value in merged(node, source) if key.value in known]
    return yaml.MappingNode(_MAP, pairs, node.start_mark, node.end_mark)


def _plain(node: yaml.Node, source: SourceFile) -> object:
    """What can be compared: nothing, no list and an empty one are the same."""
    if isinstance(node, yaml.ScalarNode):
        return None if node.tag == _NULL else (node.tag, node.value)
    if isinstance(node, yaml.MappingNode):
        return [(_plain(key, source), _plain(value, source)) for key, value in merged(node, source)]
    found = [_plain(child, source) for child in node.value]
    return [each for each in found if each is not None] or None


def _says(name: str, text: str, expected: object) -> bool:
    source = SourceFile.of_text(name, text)
    try:
        documents = load_yaml(source)
        return len(documents) == 1 and _plain(documents[0], source) == expected
    except InputError:
        return False


def _lines(copy: yaml.Node, mine: yaml.Node) -> Iterator[tuple[int, int]]:
    """(line of the copy, line of the user's file) of every node in two trees of one shape."""
    if mine.start_mark is not None:
        yield copy.start_mark.line + 1, mine.start_mark.line + 1
    if isinstance(mine, yaml.ScalarNode):
        return
    for one, other in zip(copy.value, mine.value, strict=True):
        pairs = zip(one, other, strict=True) if isinstance(one, tuple) else [(one, other)]
        for each in reversed(list(pairs)):  # of what stands on one line the key has the last word
            yield from _lines(*each)


# -- the user's own text -----------------------------------------------------------------------------------------------


def _edited(file: RuleFile, origin: Origin, names: Mapping[str, str], *, blank_outside: bool) -> str | None:
    """The text with what is not wanted blanked; None where it can't be. Whether it says what it should is not sure."""
    text = origin.source.text
    pairs = (pair for pair in merged(origin.holder, origin.source) if pair[0].value == "groups")
    key, groups = next(pairs, (origin.holder, None))
    if not isinstance(groups, yaml.SequenceNode):
        return None
    try:
        edits = list(_edits(file, groups, text, names))
    except ValueError:
        return None
    if blank_outside:
        end = groups.end_mark.index
        edits = [(a, b, new) for a, b, new in edits if b <= end]
        edits += [(0, key.start_mark.index, ""), (end, len(text), "")]
    for begin, end, new in sorted(edits, reverse=True):
        text = text[:begin] + (new or _blank(text[begin:end])) + text[end:]
    return text


def _blank(text: str) -> str:
    """Its line ends, and spaces before what follows on its last line: in a block of text spaces would be text."""
    parts = _LINE_END.split(text)
    return "".join(parts[1::2]) + " " * len(parts[-1])


def _edits(file: RuleFile, groups: yaml.SequenceNode, text: str, names: Mapping[str, str]) -> Iterator[_Edit]:
    """Raises ValueError where a part cannot be blanked."""
    kept = {id(group.node): group for group in file.groups}
    yield from _without(groups, kept, text)
    for node in groups.value:
        if (group := kept.get(id(node))) is None:
            continue
        yield from _foreign(node, GROUP_FIELDS)
        for key, value in node.value:
            if key.value == "rules" and isinstance(value, yaml.SequenceNode):
                rules = {id(rule.node) for rule in group.rules}
                yield from _without(value, rules, text)
                for rule in value.value:
                    if id(rule) in rules:
                        yield from _foreign(rule, RULE_FIELDS)
            elif key.value == "name" and group.name in names:
                before = _BEFORE_VALUE.match(text, value.start_mark.index)
                begin = before.end() if before else value.start_mark.index
                yield begin, value.end_mark.index, json.dumps(names[group.name])


def _without(items: yaml.SequenceNode, kept: Collection[int], text: str) -> Iterator[_Edit]:
    """Blank the items of a list that are not kept, each from its dash to the next one's."""
    if all(id(item) in kept for item in items.value):
        return
    if items.flow_style:
        raise ValueError("a flow sequence has no dashes")
    begins = [_dash(item, before, text) for item, before in zip(items.value, _ends(items), strict=False)]
    for item, begin, end in zip(items.value, begins, [*begins[1:], items.end_mark.index], strict=True):
        if id(item) not in kept:
            if end < begin:
                raise ValueError("an alias stands elsewhere")
            yield begin, end, ""


def _ends(items: yaml.SequenceNode) -> Sequence[int]:
    return [items.start_mark.index, *(item.end_mark.index for item in items.value)]


def _dash(item: yaml.Node, before: int, text: str) -> int:
    """Where an item's dash stands: marks of an item begin behind it, and end where the next token begins."""
    dashes = list(_DASH.finditer(text, max(0, text.rfind("\n", 0, before) + 1), item.start_mark.index))
    if not dashes:
        raise ValueError("no dash before an item")
    return dashes[-1].start()


def _foreign(node: yaml.MappingNode, known: Collection[str]) -> Iterator[_Edit]:
    """Blank fields that promtool does not know."""
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value not in (*known, "<<"):
            if node.flow_style or value.start_mark.index < key.end_mark.index:
                raise ValueError("a field that is an alias, or stands in flow style")
            yield key.start_mark.index, value.end_mark.index, ""
