"""Rules as Prometheus knows them. Durations are whole milliseconds, as Prometheus keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import Span
from harness.source import Text


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """Writes the result of ``expr`` under the name ``record`` at each tick."""

    record: str
    expr: Text
    labels: dict[str, Text]
    span: Span


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

    def alerts(self) -> list[AlertRule]:
        return [rule for rule in self.rules if isinstance(rule, AlertRule)]

    def labels_of(self, rule: Rule) -> dict[str, Text]:
        """What a rule of the group sets: the group's labels, and the rule's own over them. An empty one takes the
        element's label away."""
        return {**self.labels, **rule.labels}


@dataclass(frozen=True, slots=True)
class RuleFile:
    """One file of groups."""

    path: Path
    name: str
    """The path as the user knows it."""
    groups: tuple[Group, ...]
