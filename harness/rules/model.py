"""Rules as Prometheus knows them. Durations are whole milliseconds, as Prometheus keeps them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from harness.errors import Span
from harness.source import SourceFile, Text


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """Writes the result of ``expr`` under the name ``record`` at each tick."""

    record: str
    expr: Text
    labels: dict[str, Text]
    span: Span
    node: yaml.Node | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class AlertRule:
    """Fires once ``expr`` has returned an element for ``hold_ms`` (the rule's ``for``)."""

    alert: str
    expr: Text
    hold_ms: int
    keep_firing_ms: int
    labels: dict[str, Text]
    annotations: dict[str, Text]
    span: Span
    node: yaml.Node | None = field(default=None, repr=False, compare=False)


Rule = RecordingRule | AlertRule


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other at each tick, ``interval_ms`` apart."""

    name: str
    interval_ms: int
    rules: tuple[Rule, ...]
    span: Span
    labels: dict[str, Text] = field(default_factory=dict)
    """Labels for every rule of the group (Prometheus ≥ 3.0)."""
    limit: int = 0
    query_offset_ms: int = 0
    own_interval: bool = False
    """Whether it sets its `interval`; else that of Prometheus' settings."""
    node: yaml.Node | None = field(default=None, repr=False, compare=False)

    def alerts(self) -> list[AlertRule]:
        return [rule for rule in self.rules if isinstance(rule, AlertRule)]

    def labels_of(self, rule: Rule) -> dict[str, Text]:
        """What a rule of the group sets: the group's labels, and the rule's own over them. An empty one takes the
        element's label away."""
        return {**self.labels, **rule.labels}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the groups of a rule file stand in the user's file, and whether Prometheus takes that as it is."""

    source: SourceFile
    holder: yaml.MappingNode
    """The mapping with `groups`."""
    as_it_is: bool
    later: bool = False
    """Whether it is a document that Prometheus does not read, for there is one before it."""


@dataclass(frozen=True, slots=True)
class RuleFile:
    """Groups that Prometheus would read from one file: a rule file, or one object or document of several in a file."""

    path: Path
    name: str
    """The path as the user knows it."""
    groups: tuple[Group, ...]
    origin: Origin | None = field(default=None, repr=False, compare=False)

    @property
    def as_it_is(self) -> bool:
        """Whether promtool can be given the file at `path`; else it needs a copy (:mod:`harness.rules.copies`)."""
        return self.origin is None or self.origin.as_it_is

    @property
    def is_later_document(self) -> bool:
        """Whether Prometheus reads another document of the file, and not this one."""
        return self.origin is not None and self.origin.later

    def of_groups(self, groups: tuple[Group, ...]) -> RuleFile:
        """The same with only these of its groups."""
        origin = self.origin
        if origin is not None and len(groups) < len(self.groups):
            origin = replace(origin, as_it_is=False)
        return replace(self, groups=groups, origin=origin)

    def without(self, unwanted: Collection[int]) -> RuleFile:
        """The same without the groups and rules of these ids; a group stays where none of its rules does."""
        groups = tuple(
            replace(group, rules=tuple(rule for rule in group.rules if id(rule) not in unwanted))
            for group in self.groups
            if id(group) not in unwanted
        )
        origin = None if self.origin is None else replace(self.origin, as_it_is=False)
        return replace(self, groups=groups, origin=origin)
