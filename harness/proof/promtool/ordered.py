"""The rule files of a promtool unit test, and the order in which promtool has to run their groups.

promtool runs groups in a random order unless `group_eval_order` names all of them, and it tells them apart by name
only.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.proof.model import LocatedAlert
from harness.replay import Replay
from harness.rules import AlertRule, Group, RuleFile
from harness.rules.copies import copy_of
from harness.source import Text


@dataclass(frozen=True, slots=True)
class OrderedRules:
    """What a unit test of one alert loads."""

    files: tuple[RuleFile, ...]
    """The alert's own file and those of the recording rules that it reads."""
    order: tuple[str, ...]
    """The name of every group in them, recordings before their readers, each name once."""
    intervals_ms: Mapping[str, int] = field(default_factory=dict)
    """The intervals of the groups on which the alert depends, its own among them."""
    needed: frozenset[str] = frozenset()
    """The names of the alert and of the recording rules that it reads."""
    renamed: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    """By number of a file: groups that need another name, for one that the alert depends on as well has the same."""

    @classmethod
    def of(cls, files: Sequence[RuleFile], located: LocatedAlert, replay: Replay) -> OrderedRules:
        """Raises UnsupportedError where replay cannot follow the rule."""
        needed = replay.plan(located.group, located.rule).recordings
        groups = {id(group) for group, _ in needed} | {id(located.group)}
        own = tuple(f for f in files if f is located.file or any(id(group) in groups for group in f.groups))
        every = replay.order.groups(own)
        names = _names([(f, g) for f in own for g in f.groups], groups)
        return cls(
            own,
            # Those on which the alert depends have the say where another group has the same name.
            tuple(dict.fromkeys(names[id(g)] for g in sorted(every, key=lambda g: id(g) not in groups))),
            {names[id(g)]: g.interval_ms for g in every if id(g) in groups},
            frozenset({located.rule.alert, *(rule.record for _, rule in needed)}),
            {
                number: changed
                for number, f in enumerate(own)
                if (changed := {g.name: n for g in f.groups if (n := names[id(g)]) != g.name})
            },
        )

    def lean(self, located: LocatedAlert) -> OrderedRules:
        """The same with only the groups on which the alert depends, of each file that holds others."""
        files = tuple(
            file
            if number in self.renamed or file.origin is None
            else file.of_groups(tuple(group for group in file.groups if group.name in self.intervals_ms))
            for number, file in enumerate(self.files)
        )
        loaded = {self.renamed.get(n, {}).get(g.name, g.name) for n, f in enumerate(files) for g in f.groups}
        return replace(self, files=files, order=tuple(name for name in self.order if name in loaded))

    def expressions(self) -> Iterator[Text]:
        """Those of the alert and of the recording rules that it reads; of namesakes too."""
        for file in self.files:
            for group in file.groups:
                for rule in group.rules:
                    if (rule.alert if isinstance(rule, AlertRule) else rule.record) in self.needed:
                        yield rule.expr

    def others_named(self, located: LocatedAlert) -> Iterator[LocatedAlert]:
        """Other alerting rules of the name of this one."""
        for file in self.files:
            for group in file.groups:
                for rule in group.rules:
                    if isinstance(rule, AlertRule) and rule is not located.rule and rule.alert == located.rule.alert:
                        yield LocatedAlert(file, group, rule)

    def listed(self, folder: Path, prefix: str) -> list[str]:
        """The paths of the rule files as a test in `folder` names them; without `prefix` no copies stand beside it."""
        paths = [
            folder / self._copy(prefix, number) if prefix and self._copied(number) else file.path
            for number, file in enumerate(self.files)
        ]
        return [os.path.relpath(path.resolve(), folder.resolve()) for path in paths]

    def copies(self, folder: Path, prefix: str) -> Iterator[tuple[Path, str]]:
        """(path, text) of the files that must stand beside a test in `folder`: those that promtool would refuse as they
        are, with groups renamed, or without those that do not matter."""
        for number, file in enumerate(self.files):
            if self._copied(number):
                yield folder / self._copy(prefix, number), copy_of(file, self.renamed.get(number)).text

    def _copied(self, number: int) -> bool:
        return number in self.renamed or not self.files[number].as_it_is

    def _copy(self, prefix: str, number: int) -> str:
        stem = self.files[number].path.stem
        alike = sum(file.path.stem == stem for file in self.files[:number])
        return f"{prefix}.{stem}{f'-{alike + 1}' if alike else ''}.copy.yml"


def _names(placed: Sequence[tuple[RuleFile, Group]], needed: Collection[int]) -> dict[int, str]:
    """By id of a group its name in the test: its own, but where two that are needed share it."""
    names = {id(group): group.name for _, group in placed}
    taken = set(names.values())
    for name, same in itertools.groupby(sorted((g for _, g in placed if id(g) in needed), key=_name), key=_name):
        for number, group in enumerate(list(same)[1:], start=2):
            names[id(group)] = next(n for i in itertools.count(number) if (n := f"{name} ({i})") not in taken)
            taken.add(names[id(group)])
    return names


def _name(group: Group) -> str:
    return group.name
