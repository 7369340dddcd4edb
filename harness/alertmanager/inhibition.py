"""Which alert silences which: inhibition rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import Span
from harness.rules.selectors import Matcher
from harness.series import format_labels


@dataclass(frozen=True, slots=True)
class Inhibition:
    """An inhibition rule: a firing source silences targets that agree with it in `equal`."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]
    span: Span
    written: Mapping[str, Any]

    def holds(self, source: Mapping[str, str], target: Mapping[str, str]) -> bool:
        """Whether an alert with the labels `source` silences one with the labels `target`."""
        # An alert that is both source and target does not silence itself (alertmanager inhibit/inhibit.go).
        if self.is_target(source) and self.is_source(target):
            return False
        return not self.unlike(source, target) and self.is_source(source) and self.is_target(target)

    def is_source(self, labels: Mapping[str, str]) -> bool:
        return _accept(self.source, labels)

    def is_target(self, labels: Mapping[str, str]) -> bool:
        return _accept(self.target, labels)

    def unlike(self, source: Mapping[str, str], target: Mapping[str, str]) -> list[str]:
        """The labels of `equal` in which two alerts differ; a label that is not there is empty."""
        return [name for name in self.equal if source.get(name, "") != target.get(name, "")]

    def asks_for(self) -> set[str]:
        """The names of all labels that it looks at."""
        return {each.label for each in (*self.source, *self.target)} | set(self.equal)


def _accept(matchers: tuple[Matcher, ...], labels: Mapping[str, str]) -> bool:
    return all(each.accepts(labels.get(each.label, "")) for each in matchers)


def why_none_holds(
    inhibitions: Sequence[Inhibition], others: Sequence[Mapping[str, str]], mine: Mapping[str, str]
) -> str:
    """Why none of the alerts `others` silences the alert `mine` (labels), by the rule that comes nearest."""
    best, nearest = 0, "no inhibition rule has either of them"
    for inhibition in inhibitions:
        for theirs in others:
            source, target = inhibition.is_source(theirs), inhibition.is_target(mine)
            unlike = inhibition.unlike(theirs, mine)
            told = ""
            if source and target and unlike:
                there = ", ".join(
                    f"`{name}` is `{theirs.get(name, '')}` there, `{mine.get(name, '')}` here" for name in unlike
                )
                told = f"the rule wants them equal, but {there}"
            elif source and target:
                told = "each of them is both source and target of its rule, and such alerts do not silence each other"
            elif source:
                told = f"the rule of which it is a source has no such target as {format_labels(mine)}"
            elif target:
                told = f"the rule of which this is a target has no such source as {format_labels(theirs)}"
            if source + target + (source and target and not unlike) > best:
                best, nearest = source + target, told
    return nearest
